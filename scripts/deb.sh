#!/bin/sh
# deb.sh: makes Debian packages of what scripts/install.sh installs: libmtlspop0, libmtlspop-dev and libmtlspop-tpm.
#
#   OUTPUT           where they go, target/deb unless given
#   ARCHIVE, PLUGIN  as scripts/install.sh takes them
set -eu

fail() {
    echo "deb: $*" >&2
    exit 1
}

cd "$(dirname "$0")/.."
umask 022
output=${OUTPUT:-${CARGO_TARGET_DIR:-target}/deb}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
architecture=$(dpkg --print-architecture)
libdir=/usr/lib/$(dpkg-architecture --query DEB_HOST_MULTIARCH)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR=$work/all PREFIX=/usr LIBDIR=$libdir STRIP=1 TPM=1 scripts/install.sh
soname=$(basename "$(readlink "$work/all$libdir/libmtlspop.so")")
abi=${soname##*.}
[ -n "$abi" ] || fail "there is no SONAME in $work/all$libdir"
strip --strip-debug "$work/all$libdir/libmtlspop.a"
strip --strip-unneeded "$work/all$libdir/libmtlspop_tpm.so"
# Debian's libraries are not executable.
find "$work/all$libdir" -type f -name '*.so*' -exec chmod 644 {} +
gzip -9n "$work/all/usr/share/man/man3/mtlspop.3"

# Moves files, given from the root, to a package.
move() {
    package=$1
    shift
    for file in "$@"; do
        mkdir -p "$work/$package$(dirname "$file")"
        mv "$work/all$file" "$work/$package$(dirname "$file")/"
    done
}
move "libmtlspop$abi" "$libdir/$soname" "$libdir/$(readlink "$work/all$libdir/$soname")"
move libmtlspop-tpm "$libdir/libmtlspop_tpm.so"
move libmtlspop-dev /usr/include "$libdir/libmtlspop.so" "$libdir/libmtlspop.a" "$libdir/pkgconfig" "$libdir/cmake" \
    /usr/share/man
[ -z "$(find "$work/all" -type f -o -type l)" ] || fail "in no package: $(find "$work/all" -type f -o -type l)"

# What a package needs for the shared objects in it: dpkg's word, and in any case the newest glibc that they name.
needs() {
    objects=$(find "$work/$1" -type f -name '*.so*')
    mkdir -p "$work/debian" "$work/$1/DEBIAN"
    echo 'Source: mtlspop' >"$work/debian/control"
    # shellcheck disable=SC2086
    found=$(cd "$work" && dpkg-shlibdeps -O $objects | sed -n 's/^shlibs:Depends=//p')
    # shellcheck disable=SC2086
    glibc=$(objdump -T $objects | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\).*/\1/p' | sort -Vu | tail -n 1)
    [ -n "$found" ] && [ -n "$glibc" ] || fail "what $1 depends on was not found"
    case "$found," in
        *"libc6 (>= $glibc)",*) echo "$found" ;;
        *) echo "$found, libc6 (>= $glibc)" ;;
    esac
}

# Makes a package: its name, section, one line about it, and lines for its control file.
package() {
    root=$work/$1
    mkdir -p "$root/DEBIAN" "$root/usr/share/doc/$1"
    cp LICENSE "$root/usr/share/doc/$1/copyright"
    cat >"$root/DEBIAN/control" <<CONTROL
Package: $1
Source: mtlspop
Version: $version
Architecture: $architecture
Multi-Arch: same
Section: $2
Priority: optional
Maintainer: The mtlspop developers <mtlspop@localhost>
Installed-Size: $(du --summarize --apparent-size --block-size=1024 "$root/usr" | cut -f 1)
$4
Description: $3
 libmtlspop acquires tokens of managed identities and confidential clients, Bearer and bound to a certificate
 (mtls_pop), and calls APIs with them.
CONTROL
    (cd "$root" && find usr -type f -exec md5sum {} +) >"$root/DEBIAN/md5sums"
    dpkg-deb --root-owner-group --build "$root" "$output/$1_${version}_$architecture.deb"
}

library_needs=$(needs "libmtlspop$abi")
plugin_needs=$(needs libmtlspop-tpm)
echo "libmtlspop $abi libmtlspop$abi (>= $version)" >"$work/libmtlspop$abi/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' >"$work/libmtlspop$abi/DEBIAN/triggers"

mkdir -p "$output"
package "libmtlspop$abi" libs 'Microsoft Entra tokens, Bearer and mTLS proof-of-possession' \
    "Depends: $library_needs
Suggests: libmtlspop-tpm (= $version)"
# The library takes only the plugin of its own version.
package libmtlspop-tpm libs 'Microsoft Entra tokens: keys in a TPM 2.0' \
    "Depends: libmtlspop$abi (= $version), $plugin_needs"
package libmtlspop-dev libdevel 'Microsoft Entra tokens: files to build programs with' \
    "Depends: libmtlspop$abi (= $version), libc6-dev"
