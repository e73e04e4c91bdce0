#!/bin/sh
# install.sh: puts the library and its headers where programs look for them, with what pkg-config and CMake need, and the command
# mtlspop with its manual and completions.
#
#   scripts/install.sh            builds and installs it
#   scripts/install.sh --remove   removes what that put there, with the same PREFIX, LIBDIR and DESTDIR
#
#   PREFIX    where it is to live, /usr/local unless given
#   LIBDIR    for the library, PREFIX/lib unless given
#   DESTDIR   put in front of every path, for those who make packages
#   ARCHIVE   a libmtlspop.a that is there already; without it, it is built (profile dist)
#   STRIP     1 leaves debug information out of the shared library
#   TPM       1 installs the plugin for keys in a TPM, too; to build it takes tpm2-tss (libtss2-dev)
#   PLUGIN    a libmtlspop_tpm.so that is there already; without it, TPM=1 builds it (profile dist)
#   CLI       0 leaves the command out: the library alone
#   PROGRAM   a mtlspop that is there already; without it, it is built (profile dist)
#   DEVCLOUD  1 installs devcloud beside the command, for mtlspop devcloud: for developers
#   CLOUD     a devcloud that is there already; without it, DEVCLOUD=1 builds it (profile dist)
set -eu

fail() {
    echo "install: $*" >&2
    exit 1
}

cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
stage=${DESTDIR:-}
case $prefix$libdir in /*) ;; *) fail "PREFIX and LIBDIR must be absolute: $prefix, $libdir" ;; esac

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
abi=$(sed -n 's/^pub const MTLSPOP_ABI_VERSION: i32 = \([0-9]*\);$/\1/p' src/ffi/version.rs)
[ -n "$version" ] && [ -n "$abi" ] || fail 'the version was not found in Cargo.toml, or the ABI in src/ffi/version.rs'
soname=libmtlspop.so.$((abi / 65536))
real=$soname.$((abi % 65536))

# The loader knows libraries by its cache. Who makes packages has his own way.
tell_loader() {
    [ -z "$stage" ] || return 0
    PATH=$PATH:/usr/sbin:/sbin
    command -v ldconfig >/dev/null || return 0
    for directory in $(ldconfig -N -X -v 2>/dev/null | sed -n 's/^\(\/[^:]*\):.*/\1/p'); do
        [ "$(readlink -f "$directory")" = "$(readlink -f "$libdir")" ] || continue
        if [ "$(id -u)" -eq 0 ]; then
            ldconfig
        else
            echo "install: run 'ldconfig' as root, so that the loader knows what is in $libdir"
        fi
        return 0
    done
    [ "$1" = removed ] || echo "install: the loader does not look into $libdir: link with -Wl,-rpath,$libdir or set LD_LIBRARY_PATH"
}

if [ "${1:-}" = --remove ]; then
    lib=$stage$libdir man=$stage$prefix/share/man/man3 share=$stage$prefix/share
    removed= pages=
    # Of an older one, too, that this one was installed over.
    for file in "$lib/libmtlspop.so" "$lib/$soname" "$lib/$soname".[0-9]* "$lib/libmtlspop.a" "$lib/libmtlspop_tpm.so" \
        "$lib/pkgconfig/mtlspop.pc" "$lib/cmake/mtlspop/mtlspopConfig.cmake" "$lib/cmake/mtlspop/mtlspopConfigVersion.cmake" \
        "$stage$prefix/include/mtlspop.h" "$stage$prefix/include/mtlspop.hpp" "$man/mtlspop.3" "$man"/mtlspop_*.3 "$man"/MTLSPOP_*.3 \
        "$stage$prefix/bin/mtlspop" "$stage$prefix/bin/devcloud" "$share/man/man1/mtlspop.1" "$share/man/man1"/mtlspop-*.1 "$share/bash-completion/completions/mtlspop" \
        "$share/zsh/site-functions/_mtlspop" "$share/fish/vendor_completions.d/mtlspop.fish"; do
        [ -e "$file" ] || [ -L "$file" ] || continue
        rm "$file"
        case $file in "$share"/*) pages=", and its manual pages" ;; *) removed="$removed ${file##*/}" ;; esac
    done
    [ ! -d "$lib/cmake/mtlspop" ] || rmdir "$lib/cmake/mtlspop" 2>/dev/null || :
    [ -z "$removed" ] || tell_loader removed
    [ -n "$removed$pages" ] || removed=' nothing: there was none of it'
    echo "removed$removed$pages below $stage$prefix"
    exit
fi
[ $# -eq 0 ] || fail 'usage: scripts/install.sh [--remove]'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is linked into a package, where it is built here: `cargo audit bin` and scanners of images read it in the library. Asked
# before the settings below, for which that program would be built anew.
list() {
    cargo run --quiet --package mtlspop-release -- auditable "$1" >"$work/$1.dep-v0"
}

plugin=${PLUGIN:-}
if [ -z "$plugin" ] && [ "${TPM:-0}" != 0 ]; then
    # Asked before anything is built, which takes minutes.
    for part in tss2-sys tss2-esys tss2-tctildr tss2-mu; do
        command -v pkg-config >/dev/null || fail 'TPM=1 needs pkg-config, to find tpm2-tss (Debian, Ubuntu: apt-get install pkg-config libtss2-dev)'
        pkg-config --exists "$part >= 2.4.6" ||
            fail "TPM=1 needs tpm2-tss 2.4.6 or later, and pkg-config does not find $part (Debian, Ubuntu: apt-get install libtss2-dev)"
    done
    list mtlspop-tpm
fi

archive=${ARCHIVE:-}
[ -n "$archive" ] || list mtlspop

program=${PROGRAM:-}
[ -n "$program" ] || [ "${CLI:-1}" = 0 ] || list mtlspop-cli

# Where it was built is not to be read in it, nor does it depend on it. Paths with spaces cannot be said to the compilers.
home=${CARGO_HOME:-${HOME:-}/.cargo}
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
case $home$PWD$target in
    *' '*) ;;
    *)
        # What comes last counts most.
        export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=mtlspop --remap-path-prefix=$home=cargo --remap-path-prefix=$target=target"
        map="-ffile-prefix-map=$PWD=mtlspop -ffile-prefix-map=$home=cargo -ffile-prefix-map=$target=target"
        export CFLAGS="${CFLAGS:-} $map" CXXFLAGS="${CXXFLAGS:-} $map"
        ;;
esac

# AES-GCM and AES-XTS for AVX-512 are 0.7 MB, for processors that have more to encrypt than tokens. Nothing else asks for VPCLMULQDQ: where
# AWS-LC is told that no processor has it, nobody calls them, and the linker leaves them out. AWS-LC's own macro would leave out RSA for
# AVX-512, too, which is small: with it a signature of 2,048 bits takes 200 us rather than 416. The first name is that of a function in
# AWS-LC's cpucap/internal.h; if it changes, all works, and the library grows beyond what tests/c/install.rs allows.
case ${CARGO_BUILD_TARGET:-$(uname -m)} in
    x86_64*)
        without='-DCRYPTO_is_VPCLMULQDQ_capable(x)=VPCLMULQDQ_##x -DVPCLMULQDQ_=0 -DVPCLMULQDQ_void=has_VPCLMULQDQ(void)'
        export CFLAGS="${CFLAGS:-} -fno-semantic-interposition $without"
        ;;
esac
# Where library and command look for the plugin, where that is not beside them.
export MTLSPOP_LIBDIR="$libdir"
if [ -z "$archive" ]; then
    cargo rustc --package mtlspop --lib --profile dist --crate-type staticlib
    archive=${CARGO_TARGET_DIR:-target}/dist/libmtlspop.a
fi
[ -e "$archive" ] || fail "there is no $archive"

if [ -z "$program" ] && [ "${CLI:-1}" != 0 ]; then
    cargo build --package mtlspop-cli --profile dist
    program=${CARGO_TARGET_DIR:-target}/dist/mtlspop
fi
[ -z "$program" ] || [ -x "$program" ] || fail "there is no program $program"

cloud=${CLOUD:-}
if [ -z "$cloud" ] && [ "${DEVCLOUD:-0}" != 0 ]; then
    cargo build --package devcloud --profile dist
    cloud=${CARGO_TARGET_DIR:-target}/dist/devcloud
fi
[ -z "$cloud" ] || [ -x "$cloud" ] || fail "there is no program $cloud"

if [ -z "$plugin" ] && [ "${TPM:-0}" != 0 ]; then
    cargo build --package mtlspop-tpm --profile dist
    plugin=${CARGO_TARGET_DIR:-target}/dist/libmtlspop_tpm.so
fi
[ -z "$plugin" ] || [ -e "$plugin" ] || fail "there is no $plugin"

# Of the archive only what the header declares is to be seen.
{
    echo '{ global:'
    sed 's/$/;/' abi/symbols.txt
    echo 'local: *; };'
} >"$work/exports"
strip=
[ "${STRIP:-0}" = 0 ] || strip=-Wl,--strip-all
# shellcheck disable=SC2086
${CC:-cc} -shared -o "$work/$real" $strip -Wl,-soname,"$soname" -Wl,--version-script="$work/exports" \
    -Wl,--gc-sections -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete \
    -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -pthread -ldl -lm

# Puts the list of what is linked into a file, without loading it with the rest.
enlist() {
    [ ! -e "$1" ] || "${OBJCOPY:-objcopy}" --add-section .dep-v0="$1" "$2"
}
enlist "$work/mtlspop.dep-v0" "$work/$real"
if [ -n "$plugin" ]; then
    cp "$plugin" "$work/libmtlspop_tpm.so"
    enlist "$work/mtlspop-tpm.dep-v0" "$work/libmtlspop_tpm.so"
fi
if [ -n "$program" ]; then
    mkdir "$work/man1"
    "$program" manual "$work/man1"
    for shell in bash zsh fish; do "$program" completion "$shell" >"$work/completion.$shell"; done
    strip=
    [ "${STRIP:-0}" = 0 ] || strip=--strip-all
    # shellcheck disable=SC2086
    "${OBJCOPY:-objcopy}" $strip "$program" "$work/mtlspop"
    enlist "$work/mtlspop-cli.dep-v0" "$work/mtlspop"
fi

cat >"$work/mtlspop.pc" <<PC
prefix=$prefix
libdir=$libdir
includedir=\${prefix}/include

Name: mtlspop
Description: Microsoft Entra tokens, Bearer and mTLS proof-of-possession
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lmtlspop
Libs.private: -pthread -ldl -lm
PC

# From the library's directory to the headers, where the one is below the other's.
includedir=$prefix/include
case $libdir/ in
    "$prefix"/*) includedir=$(printf '%s' "${libdir#"$prefix"}" | sed 's,//*[^/]*,../,g')include ;;
esac
pointer=$(printf '__SIZEOF_POINTER__' | ${CC:-cc} -E -P -x c -)
for file in mtlspopConfig mtlspopConfigVersion; do
    sed -e "s,@INCLUDEDIR@,$includedir,; s,@REAL@,$real,; s,@SONAME@,$soname," \
        -e "s,@VERSION@,$version,; s,@MAJOR@,${version%%.*},; s,@POINTER@,$pointer," \
        "bindings/cpp/cmake/$file.cmake.in" >"$work/$file.cmake"
done

mkdir -p "$stage$libdir/pkgconfig" "$stage$libdir/cmake/mtlspop" "$stage$prefix/include" \
    "$stage$prefix/share/man/man3"
install -m 755 "$work/$real" "$stage$libdir/$real"
ln -sf "$real" "$stage$libdir/$soname"
ln -sf "$soname" "$stage$libdir/libmtlspop.so"
install -m 644 "$archive" "$stage$libdir/libmtlspop.a"
[ -z "$plugin" ] || install -m 755 "$work/libmtlspop_tpm.so" "$stage$libdir/libmtlspop_tpm.so"
install -m 644 include/mtlspop.h "$stage$prefix/include/mtlspop.h"
install -m 644 bindings/cpp/mtlspop.hpp "$stage$prefix/include/mtlspop.hpp"
install -m 644 "$work/mtlspop.pc" "$stage$libdir/pkgconfig/mtlspop.pc"
install -m 644 "$work/mtlspopConfig.cmake" "$work/mtlspopConfigVersion.cmake" "$stage$libdir/cmake/mtlspop/"
install -m 644 docs/man/man3/*.3 "$stage$prefix/share/man/man3/"
if [ -n "$program" ]; then
    share=$stage$prefix/share
    mkdir -p "$stage$prefix/bin" "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" \
        "$share/fish/vendor_completions.d"
    install -m 755 "$work/mtlspop" "$stage$prefix/bin/mtlspop"
    install -m 644 "$work/man1"/*.1 "$share/man/man1/"
    install -m 644 "$work/completion.bash" "$share/bash-completion/completions/mtlspop"
    install -m 644 "$work/completion.zsh" "$share/zsh/site-functions/_mtlspop"
    install -m 644 "$work/completion.fish" "$share/fish/vendor_completions.d/mtlspop.fish"
fi
if [ -n "$cloud" ]; then
    mkdir -p "$stage$prefix/bin"
    strip=
    [ "${STRIP:-0}" = 0 ] || strip=--strip-all
    # shellcheck disable=SC2086
    "${OBJCOPY:-objcopy}" $strip "$cloud" "$work/devcloud"
    install -m 755 "$work/devcloud" "$stage$prefix/bin/devcloud"
fi
echo "installed ${program:+the command mtlspop, }${cloud:+devcloud, }$real, libmtlspop.a, ${plugin:+libmtlspop_tpm.so, }mtlspop.h, mtlspop.hpp, mtlspop.pc," \
    "mtlspopConfig.cmake and manual pages (man mtlspop) below $stage$prefix"
tell_loader installed
