#!/bin/sh
# deb.sh: makes Debian packages of what scripts/install.sh installs, for the release that it runs on: libmtlspop0,
# libmtlspop-dev, mtlspop-tpm-plugin and mtlspop-cli.
#
#   OUTPUT                    where they go, target/deb unless given
#   ARCHIVE, PLUGIN, PROGRAM  as scripts/install.sh takes them
set -eu

fail() {
    echo "deb: $*" >&2
    exit 1
}

cd "$(dirname "$0")/.."
umask 022
output=${OUTPUT:-${CARGO_TARGET_DIR:-target}/deb}
upstream=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
# The release that it is built on: what it depends on has other names and versions on the next one.
os() { (. /etc/os-release && eval "echo \"\${$1:-}\""); }
release=$(os VERSION_ID)
release=$(os ID | sed 's/^debian$/deb/')${release:-$(os VERSION_CODENAME)}
version=$upstream-1~$release
maintainer='The mtlspop developers <mtlspop@mtlspop.invalid>'
date=$(date --utc --rfc-email --date="@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")
architecture=$(dpkg --print-architecture)
libdir=/usr/lib/$(dpkg-architecture --query DEB_HOST_MULTIARCH)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR=$work/all PREFIX=/usr LIBDIR=$libdir STRIP=1 TPM=1 scripts/install.sh
soname=$(basename "$(readlink "$work/all$libdir/libmtlspop.so")")
abi=${soname##*.}
[ -n "$abi" ] || fail "there is no SONAME in $work/all$libdir"
strip --strip-debug "$work/all$libdir/libmtlspop.a"
# No library of its own: among those only what programs link with may be.
plugin=$libdir/mtlspop/libmtlspop_tpm.so
mkdir "$work/all$libdir/mtlspop"
mv "$work/all$libdir/libmtlspop_tpm.so" "$work/all$plugin"
strip --strip-unneeded "$work/all$plugin"
# Debian's libraries are not executable.
find "$work/all$libdir" -type f -name '*.so*' -exec chmod 644 {} +
gzip -9n "$work/all/usr/share/man/man3/"*.3 "$work/all/usr/share/man/man1/"*.1
# Debian's place for completions of packages.
mv "$work/all/usr/share/zsh/site-functions" "$work/all/usr/share/zsh/vendor-completions"

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
move mtlspop-tpm-plugin "$plugin"
move mtlspop-cli /usr/bin /usr/share/man/man1 /usr/share/bash-completion /usr/share/zsh /usr/share/fish
move libmtlspop-dev /usr/include "$libdir/libmtlspop.so" "$libdir/libmtlspop.a" "$libdir/pkgconfig" "$libdir/cmake" \
    /usr/share/man
[ -z "$(find "$work/all" -type f -o -type l)" ] || fail "in no package: $(find "$work/all" -type f -o -type l)"

# What a package needs for the shared objects in it: dpkg's word, and in any case the newest glibc that they name.
needs() {
    objects=$(find "$work/$1" -type f \( -name '*.so*' -o -path '*/bin/*' \))
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

# Makes a package: its name, section, one line about it, lines for its control file, and whether it may stand in for that of another
# architecture.
package() {
    root=$work/$1
    mkdir -p "$root/DEBIAN" "$root/usr/share/doc/$1"
    cp LICENSE "$root/usr/share/doc/$1/copyright"
    gzip -9nc CHANGELOG.md >"$root/usr/share/doc/$1/changelog.gz"
    gzip -9nc "$work/changelog" >"$root/usr/share/doc/$1/changelog.Debian.gz"
    cat >"$root/DEBIAN/control" <<CONTROL
Package: $1
Source: mtlspop
Version: $version
Architecture: $architecture
Multi-Arch: ${5:-same}
Section: $2
Priority: optional
Maintainer: $maintainer
Installed-Size: $(du --summarize --apparent-size --block-size=1024 "$root/usr" | cut -f 1)
$4
Description: $3
 libmtlspop acquires tokens of managed identities and confidential
 clients, Bearer and bound to a certificate (mtls_pop), and calls APIs
 with them.
 .
 Built for $(os PRETTY_NAME).
CONTROL
    (cd "$root" && find usr -type f -exec md5sum {} +) >"$root/DEBIAN/md5sums"
    dpkg-deb --root-owner-group --build "$root" "$output/$1_${version}_$architecture.deb"
}

cat >"$work/changelog" <<CHANGELOG
mtlspop ($version) $(os VERSION_CODENAME); urgency=medium

  * Built for $(os PRETTY_NAME). What is new is in changelog.gz.

 -- $maintainer  $date
CHANGELOG

library_needs=$(needs "libmtlspop$abi")
plugin_needs=$(needs mtlspop-tpm-plugin)
cli_needs=$(needs mtlspop-cli)
echo "libmtlspop $abi libmtlspop$abi (>= $upstream)" >"$work/libmtlspop$abi/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' >"$work/libmtlspop$abi/DEBIAN/triggers"

mkdir -p "$output"
package "libmtlspop$abi" libs 'Microsoft Entra tokens, Bearer and mTLS proof-of-possession' \
    "Depends: $library_needs
Suggests: mtlspop-tpm-plugin (= $version)"
# The library takes only the plugin of its own version.
package mtlspop-tpm-plugin libs 'plugin of libmtlspop for keys in a TPM 2.0' \
    "Depends: libmtlspop$abi (= $version), $plugin_needs"
package libmtlspop-dev libdevel 'Microsoft Entra tokens: files to build programs with' \
    "Depends: libmtlspop$abi (= $version), libc6-dev"
# The library is inside.
package mtlspop-cli utils 'Microsoft Entra tokens: the command mtlspop' \
    "Depends: $cli_needs
Suggests: mtlspop-tpm-plugin (= $version)" foreign
