#!/bin/sh
# demo-tpm.sh: runs the examples with keys in a software TPM against devcloud, whose IMDS takes no others.
#
#   scripts/demo-tpm.sh                      builds the examples, starts a TPM and a devcloud and runs them
#   scripts/demo-tpm.sh --manage COMMAND...  puts a resource manager before the TPM of TPM2TOOLS_TCTI for COMMAND;
#                                            needs a D-Bus session
#   scripts/demo-tpm.sh --run DIR            runs the examples in DIR with the TPM of TPM2TOOLS_TCTI in the devcloud
#                                            that the environment points to
set -eu

fail() {
    echo "demo-tpm: $*" >&2
    exit 1
}

work=$(mktemp -d)
manager=
end() {
    [ -z "$manager" ] || kill "$manager" 2>/dev/null || :
    [ ! -e "$work/pid" ] || kill "$(cat "$work/pid")" 2>/dev/null || :
    rm -rf "$work"
}
trap end EXIT

if [ $# -eq 0 ]; then
    cd "$(dirname "$0")/.."
    target=${CARGO_TARGET_DIR:-$PWD/target}
    case $target in /*) ;; *) target=$PWD/$target ;; esac
    export CARGO_TARGET_DIR="$target"
    for needed in libmtlspop.so libmtlspop_tpm.so devcloud; do
        [ -e "$target/debug/$needed" ] || fail "$target/debug/$needed is missing: run 'make demo-tpm', which builds it"
    done
    echo 'demo-tpm: building the examples' >&2
    make --silent -C examples-c tpm

    # A pair of ports that nobody has: swtpm says no where somebody has one of them.
    port=$((10000 + $$ % 10000 * 2))
    tries=50
    until swtpm socket --tpm2 --tpmstate "dir=$work" --flags not-need-init,startup-clear \
        --server "type=tcp,port=$port" --ctrl "type=tcp,port=$((port + 1))" \
        --daemon --pid "file=$work/pid" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail 'swtpm does not start'
        port=$((port + 2))
    done
    export TPM2TOOLS_TCTI="swtpm:host=127.0.0.1,port=$port"
    dbus-run-session -- scripts/demo-tpm.sh --manage \
        "$target/debug/devcloud" run --require-tpm-attestation -- \
        scripts/demo-tpm.sh --run "$target/examples-c"
    exit
fi

# OpenSSL's provider takes more places for keys than a TPM has: as on a real host, where the kernel manages them.
if [ "$1" = --manage ]; then
    shift
    PATH=$PATH:/usr/sbin tpm2-abrmd --session --allow-root --tcti="${TPM2TOOLS_TCTI:?names the TPM}" >"$work/log" 2>&1 &
    manager=$!
    tries=100
    until dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
        org.freedesktop.DBus.GetNameOwner string:com.intel.tss2.Tabrmd >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] && kill -0 "$manager" 2>/dev/null || fail "tpm2-abrmd does not start: $(cat "$work/log")"
        sleep 0.1
    done
    export TPM2TOOLS_TCTI=tabrmd:bus_type=session
    "$@"
    exit
fi

[ "$1" = --run ] && [ $# -eq 2 ] || fail 'usage: scripts/demo-tpm.sh --run DIR'
[ -n "${DEVCLOUD_CONTROL:-}" ] || fail 'no devcloud in the environment: run it without --run'
examples=$2
export TPM2OPENSSL_TCTI="${TPM2TOOLS_TCTI:?names the TPM}"
# What tpm2-tss says on its own is for those who look for a fault.
export TSS2_LOG="${TSS2_LOG:-all+none}"

field() {
    printf '%s\n' "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

run() {
    name=$1
    shift
    line=$("$@" 2>"$work/err") || fail "$name: failed with status $?: $(cat "$work/err")"
    [ "$(field status "$line")" = 200 ] || fail "$name: the API answered '$(field status "$line")', not 200: $line"
}

mkdir "$work/files"
run 'managed identity, key attested by the TPM' "$examples/tpm_identity" "$work/files"
x5t=$(field 'x5t#S256' "$line")
[ "$(field type "$line")" = mtls_pop ] || fail "$name: asked for a token of type mtls_pop, got '$(field type "$line")'"
[ ${#x5t} -eq 43 ] && [ "$x5t" = "$(field cnf "$line")" ] || fail "$name: the token is not bound to its certificate: $line"
grep -q 'BEGIN TSS2 PRIVATE KEY' "$work/files/tpm-key.pem" || fail "$name: there is no key file for OpenSSL"
printf '%-46s %-9s %-44s %s\n' FLOW TYPE 'X5T#S256 OF THE CERTIFICATE' STATUS
printf '%-46s %-9s %-44s %s\n' "$name" mtls_pop "$x5t" 200

for version in 1.3 1.2; do
    name="the same key by OpenSSL, TLS $version"
    if [ "$version" = 1.3 ]; then
        run "$name" "$examples/openssl_client" "$work/files"
    else
        run "$name" "$examples/openssl_client" "$work/files" 1.2
    fi
    [ "$(field tls "$line")" = "TLSv$version" ] || fail "$name: spoke $(field tls "$line")"
    printf '%-46s %-9s %-44s %s\n' "$name" mtls_pop "$x5t" 200
done

echo 'demo-tpm: all 3 flows passed'
