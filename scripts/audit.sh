#!/bin/sh
# audit.sh: holds what the library is made of, and how, against what is said of it. What takes a tool that is missing is left out by
# name.
#
#   scripts/audit.sh [packages] [compilers] [builds]    all of them unless some are named
#
#   packages   licences, sources, bans and duplicates (deny.toml) by cargo-deny, advisories where it has their database
#   compilers  `cargo check` with each other rustc: those of rustup, Debian's, and RUSTCS, paths of more
#   builds     what `make dist` makes of this commit in two directories is the same, byte by byte
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
home=${CARGO_HOME:-${HOME:-}/.cargo}

left_out() { echo "audit: left out: $*"; }

packages() {
    if ! cargo deny --version >/dev/null 2>&1; then
        left_out 'packages, which takes cargo-deny (cargo install --locked cargo-deny)'
        return
    fi
    cargo deny --locked check licenses bans sources
    if [ -n "$(find "$home/advisory-dbs" -maxdepth 1 -name 'advisory-db-*' 2>/dev/null)" ]; then
        cargo deny --offline check advisories
    else
        left_out 'advisories, which take a database (cargo deny fetch, or cargo deny check advisories, with a network)'
    fi
}

compilers() {
    own=$(rustc --version)
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    found=
    for rustc in ${RUSTCS:-} /usr/bin/rustc "${RUSTUP_HOME:-${HOME:-}/.rustup}"/toolchains/*/bin/rustc; do
        version=$("$rustc" --version 2>/dev/null) || continue
        [ "$version" != "$own" ] || continue
        number=$(echo "$version" | cut -d ' ' -f 2)
        if [ "$(printf '%s\n' "$oldest" "$number" | sort -V | head -n 1)" != "$oldest" ]; then
            left_out "$version, as the oldest one that is supported is $oldest"
            continue
        fi
        found=1
        echo "audit: $version"
        # With its own cargo, where it has one, and apart from what others have built.
        cargo=$(dirname "$rustc")/cargo
        [ -x "$cargo" ] || cargo=cargo
        RUSTC=$rustc CARGO_TARGET_DIR=$target/audit/compilers "$cargo" check --locked --package mtlspop --package mtlspop-tpm --package mtlspop-cli
    done
    [ -n "$found" ] || left_out "compilers, as there is none but $own (Debian: apt-get install rustc-web)"
}

builds() {
    place=$target/audit/builds
    rm -rf "$place"
    mkdir -p "$place/other/place"
    [ -z "$(git status --porcelain)" ] || echo 'audit: what is not committed is not built'
    # The second one differs in all that should not matter: how long paths are, where packages lie, who may read files, the
    # time zone and the language.
    build() { (cd "$1" && unset CARGO_TARGET_DIR && OUT=$1/out scripts/dist.sh >"$1.log" 2>&1) || { tail -n 20 "$1.log"; exit 1; }; }
    git clone --quiet . "$place/one"
    build "$place/one"
    other=$place/other/cargo
    mkdir "$other"
    for part in registry git config.toml; do
        [ ! -e "$home/$part" ] || ln -s "$home/$part" "$other/$part"
    done
    # Of the same commit, whatever has come since.
    git clone --quiet "$place/one" "$place/other/place/two"
    (umask 077 && export CARGO_HOME="$other" TZ=Asia/Tokyo LANG=de_DE.UTF-8 && build "$place/other/place/two")
    diff --recursive --brief "$place/one/out" "$place/other/place/two/out"
    echo "audit: two builds are the same:"
    cat "$place/one/out/SHA256SUMS"
    rm -rf "$place"
}

for step in ${*:-packages compilers builds}; do
    case $step in
        packages | compilers | builds) "$step" ;;
        *) echo 'usage: scripts/audit.sh [packages] [compilers] [builds]' >&2 && exit 2 ;;
    esac
done
