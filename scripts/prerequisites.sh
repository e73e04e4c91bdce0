#!/bin/sh
# Installs the tools that are missing. Debian and Ubuntu; elsewhere it names them.
#
#   scripts/prerequisites.sh        what the tests call
#   scripts/prerequisites.sh demo   what the demo calls; demo-tpm: the one with a TPM; docs: what makes the reference
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

# tool:package
wanted='gcc:gcc g++:g++ make:make openssl:openssl curl:curl pkg-config:pkg-config'
# A software TPM, and what manages it.
managed='swtpm:swtpm tpm2-abrmd:tpm2-abrmd dbus-run-session:dbus-daemon dbus-send:dbus-bin'
case ${1:-tests} in
    demo) ;;
    demo-tpm) wanted="$wanted $managed" ;;
    docs) wanted="gcc:gcc g++:g++ pkg-config:pkg-config mandoc:mandoc" ;;
    tests) wanted="$wanted nm:binutils diff:diffutils readelf:binutils valgrind:valgrind mono:mono-runtime mcs:mono-mcs tpm2:tpm2-tools cmake:cmake mandoc:mandoc nginx:nginx-light apache2:apache2-bin gnutls-serv:gnutls-bin zsh:zsh fish:fish dpkg-shlibdeps:dpkg-dev abidiff:abigail-tools $managed" ;;
    *) fail 'usage: scripts/prerequisites.sh [demo|demo-tpm|docs|tests]' ;;
esac

command -v cargo >/dev/null || fail 'cargo is missing: see https://rustup.rs'
lints() { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1
if [ "${1:-tests}" = tests ] && ! lints; then
    # rustup's minimal profile leaves them out.
    if command -v rustup >/dev/null; then rustup component add rustfmt clippy || :; fi
    lints || fail 'cargo fmt or cargo clippy is missing: install rustfmt and clippy for this Rust toolchain'
fi

missing=
# Where daemons are.
PATH=$PATH:/usr/sbin
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
# Debian has what `python3 -m venv` needs in a package of its own.
if [ "${1:-tests}" = tests ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    missing="$missing python3 python3-venv"
fi
# Mono comes without HttpClient.
if [ "${1:-tests}" = tests ] && [ ! -e /usr/lib/mono/4.5/System.Net.Http.dll ]; then
    missing="$missing libmono-system-net-http4.0-cil"
fi
# None is a command: the library that talks to a TPM, the provider through which OpenSSL does.
case ${1:-tests} in tests | demo-tpm)
    pkg-config --exists tss2-esys 2>/dev/null || missing="$missing libtss2-dev"
    modules=$(openssl version -m 2>/dev/null | cut -d '"' -f 2) || :
    [ -e "${modules:-/nonexistent}/tpm2.so" ] || missing="$missing tpm2-openssl"
    ldconfig -p | grep -q libtss2-tcti-tabrmd || missing="$missing libtss2-tcti-tabrmd0"
    ;;
esac
if [ "${1:-tests}" != docs ]; then
    pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev"
    pkg-config --exists libcurl 2>/dev/null || missing="$missing libcurl4-openssl-dev"
fi
# gcc comes without the headers of libc.
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || fail "missing, and there is no apt-get to install it:$missing"
if [ "$(id -u)" -eq 0 ]; then
    as_root='env'
elif command -v sudo >/dev/null && sudo --non-interactive true 2>/dev/null; then
    as_root='sudo --non-interactive env'
else
    fail "missing; install it as root: apt-get install$missing"
fi

echo "installing$missing"
apt() { $as_root DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 "$@"; }
# Package lists may be old: fetch new ones where the first try fails.
# shellcheck disable=SC2086
apt install --yes --no-install-recommends $missing || {
    apt update
    apt install --yes --no-install-recommends $missing
}
