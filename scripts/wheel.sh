#!/bin/sh
# wheel.sh: makes wheels of the Python package with the library inside, of its plugin for keys in a TPM, and of the command mtlspop,
# in target/wheels; with DEVCLOUD=1 also of devcloud and its plugin for pytest.
#
#   ARCHIVE, PLUGIN, PROGRAM, CLOUD  as scripts/install.sh takes them; without ARCHIVE all are built, the plugin where tpm2-tss is
#                    (libtss2-dev)
#   INSTALLED        in their place a directory that has what `make install` places
#   OUT              another directory for the wheels
#   PYTHON           an interpreter that has pip and setuptools; without it, python-env.sh makes one
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR="$target"
out=${OUT:-$target/wheels}
version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' bindings/python/src/mtlspop/_prototypes.py)

tpm=0 cli=1
if [ -n "${INSTALLED:-}" ]; then
    :
elif [ -n "${ARCHIVE:-}" ]; then
    [ -n "${PROGRAM:-}" ] || cli=0
else
    if pkg-config --exists tss2-esys 2>/dev/null; then
        tpm=1
    else
        echo 'wheel: without the plugin for keys in a TPM, which takes tpm2-tss (libtss2-dev)' >&2
    fi
fi
python=${PYTHON:-$(scripts/python-env.sh)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
installed=${INSTALLED:-$work/installed/usr/local}
if [ -z "${INSTALLED:-}" ]; then
    # As `make install` builds it: small, and without paths of this machine.
    DESTDIR=$work/installed PREFIX=/usr/local LIBDIR=/usr/local/lib STRIP=1 TPM=$tpm CLI=$cli scripts/install.sh >&2
    plugin=$installed/lib/libmtlspop_tpm.so
    [ ! -e "$plugin" ] || strip --strip-unneeded "$plugin"
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)

# Makes a wheel: the name of its package, the directory with its pyproject.toml, the library or program, where that goes, and
# the platform.
wheel() {
    tree=$work/$1
    mkdir -p "$tree/$4"
    cp "$2/pyproject.toml" "$2/README.md" bindings/python/setup.py LICENSE "$tree"
    for file in "$2/src/$1"/*.py "$2/src/$1/py.typed"; do
        [ ! -e "$file" ] || cp "$file" "$tree/$4"
    done
    install -m 755 "$3" "$tree/$4"
    echo "$version" >"$tree/VERSION"
    echo "mtlspop==$version" >"$tree/DEPENDENCIES"
    # What pip would call, without what it asks for before.
    (cd "$tree" && MTLSPOP_PLATFORM=$5 "$python" -c 'import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])' \
        "$out" >"$work/said" 2>&1) || { cat "$work/said" >&2; exit 1; }
    ls "$out/$1-$version"-*.whl
}

# The oldest glibc that has all the symbols that are asked of it. They ask for no other library than its own, the program for libgcc_s, too, as manylinux has it.
manylinux() {
    glibc=$(readelf --version-info "$1" | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1)
    echo "manylinux_2_${glibc#GLIBC_2.}_$(uname -m)"
}
library=$installed/lib/libmtlspop.so plugin=$installed/lib/libmtlspop_tpm.so program=$installed/bin/mtlspop cloud=$installed/bin/devcloud
wheel mtlspop bindings/python "$library" src/mtlspop "$(manylinux "$library")"
# No manylinux: they ask for libcrypto of the host, one for libtss2, the other for libssl, too.
[ ! -e "$plugin" ] || wheel mtlspop_tpm bindings/python/tpm "$plugin" src/mtlspop_tpm "linux_$(uname -m)"
[ ! -e "$program" ] || wheel mtlspop_cli bindings/python/cli "$program" . "$(manylinux "$program")"
[ ! -e "$cloud" ] || wheel mtlspop_devcloud devcloud/python "$cloud" src/mtlspop_devcloud "linux_$(uname -m)"
