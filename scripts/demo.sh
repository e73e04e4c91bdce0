#!/bin/sh
# demo.sh: runs every example against devcloud, checks what each one got, and prints one line per flow.
#
#   scripts/demo.sh                    builds the C examples, starts a devcloud and runs them in it
#   scripts/demo.sh --run DIR BIN CLI  runs the C examples in DIR, the Rust example BIN and the command CLI in the devcloud
#                                      that the environment points to
set -eu

fail() {
    echo "demo: $*" >&2
    exit 1
}

if [ "${1:-}" != --run ]; then
    cd "$(dirname "$0")/.."
    target=${CARGO_TARGET_DIR:-$PWD/target}
    case $target in /*) ;; *) target=$PWD/$target ;; esac
    export CARGO_TARGET_DIR="$target"
    rust=$target/debug/acquire_pop
    cli=$target/debug/mtlspop
    for needed in "$target/debug/libmtlspop.so" "$target/debug/devcloud" "$rust" "$cli"; do
        [ -e "$needed" ] || fail "$needed is missing: run 'make demo', which builds it first"
    done
    echo "demo: building the examples in C" >&2
    make --silent -C examples-c all libcurl
    exec "$target/debug/devcloud" run -- scripts/demo.sh --run "$target/examples-c" "$rust" "$cli"
fi

[ $# -eq 4 ] || fail "usage: scripts/demo.sh --run DIR BIN CLI"
[ -n "${DEVCLOUD_CONTROL:-}" ] || fail "no devcloud in the environment: run it without --run"
examples=$2
rust=$3
cli=$4
work=$(mktemp -d)
proxy=
trap '[ -z "$proxy" ] || kill "$proxy"; rm -rf "$work"' EXIT
flows=0

# The value of one field in an example's line: field NAME LINE
field() {
    printf '%s\n' "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

# Checks one line of an example and prints it as a row of the table: check NAME TYPE SOURCE LINE
check() {
    type=$(field type "$4")
    x5t=$(field 'x5t#S256' "$4")
    cnf=$(field cnf "$4")
    status=$(field status "$4")
    printf '%-34s %-9s %-44s %-44s %s\n' "$1" "$type" "$x5t" "$cnf" "$status"
    [ "$type" = "$2" ] || fail "$1: asked for a token of type $2, got '$type'"
    [ "$status" = 200 ] || fail "$1: the API answered '$status', not 200"
    [ "$(field source "$4")" = "$3" ] || fail "$1: expected a token from $3, got one from '$(field source "$4")'"
    if [ "$2" = mtls_pop ]; then
        [ ${#x5t} -eq 43 ] || fail "$1: '$x5t' is not the SHA-256 of a certificate"
        [ "$x5t" = "$cnf" ] || fail "$1: the token is bound to another certificate than the one that came with it"
    else
        [ "$x5t" = - ] && [ "$cnf" = - ] || fail "$1: a Bearer token must not be bound"
    fi
}

# Runs an example and sets lines to what it printed: run NAME COUNT COMMAND...
run() {
    name=$1
    count=$2
    shift 2
    command -v "$1" >/dev/null || fail "$name: $1 is missing"
    "$@" >"$work/out" 2>"$work/err" || fail "$name: failed with status $?: $(cat "$work/err")"
    lines=$(cat "$work/out")
    [ -n "$lines" ] || fail "$name: printed nothing"
    printed=$(printf '%s\n' "$lines" | grep -c '^flow=') || true
    [ "$printed" -eq "$count" ] || fail "$name: printed $printed results, not $count: $lines"
    flows=$((flows + 1))
}

# A flow that prints one line: flow NAME TYPE COMMAND...
flow() {
    title=$1
    wanted=$2
    shift 2
    run "$title" 1 "$@"
    check "$title" "$wanted" identity_provider "$lines"
}

# Runs a program as on a server with Azure Arc. The agent's keys are read from its own directory only: a mount
# namespace has devcloud's in that place.
on_arc() {
    mkdir -p -m 700 "$state/arc-tokens"
    IDENTITY_ENDPOINT=$arc IMDS_ENDPOINT=$arc unshare --user --map-root-user --mount sh -c '
        mount -t tmpfs arc /var/opt && mkdir -p "$0" && mount --bind "$1/arc-tokens" "$0" && shift && exec "$@"' \
        /var/opt/azcmagent/tokens "$state" "$@"
}

user=${USER_ASSIGNED_CLIENT_ID:?devcloud sets it}
state=${DEVCLOUD_STATE_DIR:?devcloud sets it}
arc=${DEVCLOUD_ARC_ENDPOINT:?devcloud sets it}
secret='https://demo.vault.azure.net/secrets/demo?api-version=7.4'

# What the host has, asked before anything else: no row of the table, for there is no token.
for example in managed_identity_bearer managed_identity_pop; do
    said=$("$examples/$example" --source) || fail "$example --source: failed with status $?"
    case $said in
    'source: IMDS'*'mtls_pop: yes, strength of the key: software') ;;
    *) fail "$example --source: says '$said'" ;;
    esac
done

printf '%-34s %-9s %-44s %-44s %s\n' FLOW TYPE 'X5T#S256 OF THE CERTIFICATE' 'CNF IN THE TOKEN' STATUS
flow 'managed identity, system-assigned' Bearer "$examples/managed_identity_bearer"
flow 'managed identity, user-assigned' Bearer "$examples/managed_identity_bearer" "$user"
flow 'managed identity, system-assigned' mtls_pop "$examples/managed_identity_pop"
flow 'managed identity, user-assigned' mtls_pop "$examples/managed_identity_pop" "$user"
flow 'managed identity, attested key' mtls_pop "$examples/attested_identity"

if on_arc true 2>"$work/err"; then
    flow 'Azure Arc, user-assigned' Bearer on_arc "$examples/managed_identity_bearer" "$user"
else
    echo "demo: no row for Azure Arc, since this user can make no mount namespace: $(cat "$work/err")" >&2
fi

# Two programs, one certificate.
export BINDING_STORE_SECRET='a secret for the demo'
flow 'managed identity, stored' mtls_pop "$examples/stored_certificate" "$work/store"
first=$x5t
flow 'the same program, started again' mtls_pop "$examples/stored_certificate" "$work/store"
[ "$x5t" = "$first" ] || fail 'the second program has another certificate than it stored'

flow 'SN/I certificate' Bearer "$examples/sni_bearer"
flow 'SN/I certificate' mtls_pop "$examples/sni_pop"
flow 'SN/I certificate, key elsewhere' mtls_pop "$examples/external_signer" \
    "$state/sni-cert.pem" "$state/sni-key.pem"
flow 'federated credential (FIC)' mtls_pop "$examples/fic_pop"
flow 'FIC, leg 1 managed identity' mtls_pop "$examples/fic_two_legs"
flow 'FIC, leg 1 managed identity' Bearer "$examples/fic_two_legs" --bearer
flow 'FIC, leg 1 SN/I certificate' mtls_pop "$examples/fic_two_legs" certificate
flow 'FIC, leg 1 SN/I certificate' Bearer "$examples/fic_two_legs" certificate --bearer
flow 'agent identity, by its blueprint' Bearer "$examples/agent_identity"
flow 'Kubernetes workload identity' Bearer env AZURE_CLIENT_ID="${FIC_CLIENT_ID:?devcloud sets it}" \
    "$examples/workload_identity"
flow 'AKS identity binding' Bearer env AZURE_CLIENT_ID="$user" AZURE_FEDERATED_TOKEN_FILE="$state/identity-binding.jwt" \
    "$examples/workload_identity" --azure-proxy

name='three calls, one token'
run "$name" 3 "$examples/call_graph"
check "$name" mtls_pop identity_provider "$(printf '%s\n' "$lines" | sed -n 1p)" >"$work/row"
check "$name" mtls_pop cache "$(printf '%s\n' "$lines" | sed -n 2p)" >"$work/row"
check "$name" mtls_pop cache "$(printf '%s\n' "$lines" | sed -n 3p)"

# A vault asks for the certificate in a renegotiation: the cloud has counted it, and the example was asked.
name='Key Vault, by renegotiation'
flow "$name" mtls_pop "$examples/key_vault" "$secret"
printf '%s\n' "$lines" | grep -qx 'TLSv1.2, certificate asked for: yes' || fail "$name: printed $lines"
curl --silent --show-error "$DEVCLOUD_CONTROL/counters" | grep -q '"renegotiations":1' ||
    fail "$name: devcloud saw no renegotiation"

# Longer than what is sent without a word from the server; devcloud tells what it got.
flow '20 MB from the API into a file' mtls_pop "$examples/stream_file" get "$work/file" https://mtlstb.graph.microsoft.com/stream/20000000
[ "$(wc -c <"$work/file")" -eq 20000000 ] || fail 'the file is not as long as the API said'
flow 'the file to the API' mtls_pop "$examples/stream_file" put "$work/file" https://mtlstb.graph.microsoft.com/upload
grep -q "$(openssl dgst -sha256 -r "$work/file" | cut -c 1-64)" "$work/err" || fail 'another file arrived at the API'

# The certificate leaves the library: openssl computes the thumbprint, curl makes the call.
name='exported PEM, called with curl'
mkdir "$work/export"
run "$name" 1 "$examples/export_certificate" "$work/export" demo
x5t=$(openssl x509 -in "$work/export/cert.pem" -outform DER | openssl dgst -sha256 -binary |
    openssl base64 | tr '+/' '-_' | tr -d '=\n')
status=$(printf 'Authorization: %s\n' "$(cat "$work/export/authorization.txt")" |
    curl --silent --show-error --output /dev/null --write-out '%{http_code}' --header @- \
        --cacert "$SSL_CERT_FILE" --cert "$work/export/cert.pem" --key "$work/export/key.pem" \
        https://mtlstb.graph.microsoft.com/v1.0/applications) ||
    fail "$name: curl could not call Graph"
check "$name" mtls_pop identity_provider "type=$(field type "$lines") x5t#S256=$x5t \
cnf=$(field cnf "$lines") source=$(field source "$lines") status=$status"
openssl pkcs12 -in "$work/export/binding.pfx" -passin pass:demo -nodes -out "$work/export/all.pem" ||
    fail "$name: openssl cannot read the PFX"

flow 'exported to libcurl in memory' mtls_pop "$examples/curl_client"
flow 'managed identity, from Rust' mtls_pop "$rust"

# The command: certificate, token and call, each as its own program sees them.
name='the command, mtlspop token'
pop='--pop --resource https://graph.microsoft.com'
# shellcheck disable=SC2086
"$cli" token $pop >"$work/token" 2>"$work/err" || fail "$name: failed with status $?: $(cat "$work/err")"
"$cli" certificate show >"$work/certificate" 2>"$work/err" || fail "$name: no certificate: $(cat "$work/err")"
"$cli" certificate export --out "$work/cli.pem" --format chain || fail "$name: the certificate was not exported"
"$cli" inspect --output table --certificate "$work/cli.pem" <"$work/token" >"$work/said" || fail "$name: $(cat "$work/said")"
cnf=$(sed -n 's/^bound to  *\([^ ]*\) .*/\1/p' "$work/said")
x5t=$(sed -n 's/.*"x5t#S256": "\(.*\)".*/\1/p' "$work/certificate")
# shellcheck disable=SC2086
status=$("$cli" call $pop --include https://mtlstb.graph.microsoft.com/v1.0/applications | sed -n '1s/^HTTP.* \([0-9]*\).*/\1/p')
flows=$((flows + 1))
check "$name" mtls_pop identity_provider "type=mtls_pop x5t#S256=$x5t cnf=$cnf source=identity_provider status=$status"

# A client that knows nothing of tokens: what the API answers says what the proxy has sent.
name='the command, mtlspop proxy'
mkfifo "$work/place"
# shellcheck disable=SC2086
"$cli" proxy $pop --listen "unix:$work/socket" --upstream https://mtlstb.graph.microsoft.com >"$work/place" 2>"$work/err" &
proxy=$!
read -r place <"$work/place" || fail "$name: $(cat "$work/err")"
answer=$(curl --silent --show-error --unix-socket "${place#unix:}" --write-out ' %{http_code}' http://localhost/v1.0/applications)
kill "$proxy"
wait "$proxy" || fail "$name: ended with status $?: $(cat "$work/err")"
proxy=
cnf=$(printf '%s\n' "$answer" | sed -n 's/.*"x5t#S256":"\([^"]*\)".*/\1/p')
flows=$((flows + 1))
check "$name" mtls_pop identity_provider "type=mtls_pop x5t#S256=$x5t cnf=$cnf source=identity_provider status=${answer##* }"

# A program that asks App Service's endpoint, as Azure's libraries do, and of the key knows nothing.
name='the command, mtlspop exec'
"$cli" exec --certificate "$AZURE_CLIENT_CERTIFICATE_PATH" --allow-resource https://graph.microsoft.com -- \
    "$cli" token --resource https://graph.microsoft.com --output header >"$work/header" 2>"$work/err" || fail "$name: $(cat "$work/err")"
status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' --header "@$work/header" --cacert "$SSL_CERT_FILE" \
    https://graph.microsoft.com/v1.0/applications) || fail "$name: curl could not call Graph"
flows=$((flows + 1))
check "$name" Bearer identity_provider "type=$(sed -n 's/^Authorization: \([^ ]*\) .*/\1/p' "$work/header") x5t#S256=- cnf=- source=identity_provider status=$status"

# Nothing is at fault, and the whole flow is written down.
name='the command, mtlspop doctor'
# shellcheck disable=SC2086
"$cli" doctor --live $pop --transcript "$work/transcript" https://mtlstb.graph.microsoft.com/v1.0/applications >"$work/said" ||
    fail "$name: $(grep -A 1 '^fault' "$work/said")"
x5t=$(sed -n 's/.*"x5t#S256": "\(.*\)".*/\1/p' "$work/certificate")
cnf=$(sed -n 's/^ok  *token: .* bound to \([^ ]*\) .*/\1/p' "$work/said")
status=$(sed -n 's/^ok  *call: HTTP \([0-9]*\).*/\1/p' "$work/said")
flows=$((flows + 1))
check "$name" mtls_pop identity_provider "type=mtls_pop x5t#S256=$x5t cnf=$cnf source=identity_provider status=$status"

echo "demo: all $flows flows passed"
