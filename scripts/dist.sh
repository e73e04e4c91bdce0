#!/bin/sh
# dist.sh: makes what a release consists of, in target/dist-archives: archives of the sources and of what `make install` places, wheels, SBOMs,
# SHA-256 sums, and a provenance statement, which is not signed (docs/adr/023).
#
#   OUT              another directory for them; what was in it is removed
#   BUILDER          who builds, as a URI
#   SOURCE           where the commit can be had, as a URI
#   ARCHIVE, PLUGIN, PROGRAM  as scripts/install.sh takes them: for tests, as SBOMs tell what would have been built
#
# The same commit and tools make the same bytes, in whatever directory and whenever.
set -eu

fail() {
    echo "dist: $*" >&2
    exit 1
}

cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C BUILDER="${BUILDER:-urn:mtlspop:somebody}" SOURCE="${SOURCE:-urn:mtlspop:source}"
out=${OUT:-${CARGO_TARGET_DIR:-target}/dist-archives}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
host=$(rustc --version --verbose | sed -n 's/^host: //p' | sed 's/-unknown-/-/')
# What a release is made of has a name that others can look up.
changed=$(git status --porcelain) || fail 'it takes a clone of the repository'
[ -z "$changed" ] || fail "commit first; this is in no commit:
$changed"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
TIMESTAMP=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
LOCK=$(sha256sum <Cargo.lock | cut -d ' ' -f 1)
export SOURCE_DATE_EPOCH TIMESTAMP LOCK

tpm=0
if [ -n "${PLUGIN:-}" ] || pkg-config --exists tss2-esys 2>/dev/null; then
    tpm=1
else
    echo 'dist: without the plugin for keys in a TPM, which takes tpm2-tss (libtss2-dev)' >&2
fi

if [ -n "${ARCHIVE:-}${PLUGIN:-}${PROGRAM:-}" ]; then
    echo 'dist: not to be published: ARCHIVE, PLUGIN or PROGRAM was not built here' >&2
fi

rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

name=mtlspop-$version
git archive --format=tar --prefix="$name/" HEAD | gzip -9n >"$out/$name.tar.gz"

DESTDIR=$work/installed PREFIX=/usr/local LIBDIR=/usr/local/lib STRIP=1 TPM=$tpm scripts/install.sh
tree=$work/$name-$host
mv "$work/installed/usr/local" "$tree"
cp LICENSE CHANGELOG.md "$tree"
strip --strip-debug "$tree/lib/libmtlspop.a"
[ "$tpm" = 0 ] || strip --strip-unneeded "$tree/lib/libmtlspop_tpm.so"
tar --create --directory="$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --format=gnu "$name-$host" | gzip -9n >"$out/$name-$host.tar.gz"

# Asked before: what it prints is for those who read it.
python=$(scripts/python-env.sh)
INSTALLED=$tree OUT=$out PYTHON=$python scripts/wheel.sh

describe() { cargo run --quiet --package mtlspop-release -- "$@"; }
describe sbom mtlspop >"$out/$name-$host.cdx.json"
describe sbom mtlspop-cli >"$out/mtlspop-cli-$version-$host.cdx.json"
[ "$tpm" = 0 ] || describe sbom mtlspop-tpm >"$out/mtlspop-tpm-$version-$host.cdx.json"
cd "$out"
sums() { find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum >SHA256SUMS; }
sums
(cd "$OLDPWD" && describe provenance "$out/SHA256SUMS") >"$work/statement"
mv "$work/statement" "$name-$host.intoto.json"
sums
echo "made in $out:"
cat SHA256SUMS
