#!/bin/sh
# wheel.sh: makes wheels of the Python package with the library inside, and of its plugin for keys in a TPM, in target/wheels.
#
#   ARCHIVE, PLUGIN  as scripts/install.sh takes them; without ARCHIVE both are built, the plugin where tpm2-tss is
#                    (libtss2-dev)
#   OUT              another directory for the wheels
#   PYTHON           an interpreter that has pip and setuptools; without it, python-env.sh makes one
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR="$target"
out=${OUT:-$target/wheels}
version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' bindings/python/src/mtlspop/_prototypes.py)

tpm=0
if [ -z "${ARCHIVE:-}" ]; then
    if pkg-config --exists tss2-esys 2>/dev/null; then
        tpm=1
    else
        echo 'wheel: without the plugin for keys in a TPM, which takes tpm2-tss (libtss2-dev)' >&2
    fi
fi
python=${PYTHON:-$(scripts/python-env.sh)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As `make install` builds it: small, and without paths of this machine.
DESTDIR=$work/installed PREFIX=/usr/local LIBDIR=/usr/local/lib STRIP=1 TPM=$tpm CLI=0 scripts/install.sh >&2
built=$work/installed/usr/local/lib

# Makes a wheel: the name of its package, the directory with its pyproject.toml, the library, and the platform.
wheel() {
    tree=$work/$1
    mkdir "$tree"
    cp "$2/pyproject.toml" "$2/README.md" bindings/python/setup.py LICENSE "$tree"
    mkdir -p "$tree/src/$1"
    cp "$2/src/$1"/*.py "$tree/src/$1"
    [ ! -e "$2/src/$1/py.typed" ] || cp "$2/src/$1/py.typed" "$tree/src/$1"
    install -m 755 "$3" "$tree/src/$1"
    echo "$version" >"$tree/VERSION"
    echo "mtlspop==$version" >"$tree/DEPENDENCIES"
    MTLSPOP_PLATFORM=$4 "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --no-index --wheel-dir "$out" "$tree"
    ls "$out/$1-$version"-*.whl
}

# The oldest glibc that has all the symbols that are asked of it. It asks for no other library.
glibc=$(readelf --version-info "$built/libmtlspop.so" | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1)
wheel mtlspop bindings/python "$built/libmtlspop.so" "manylinux_2_${glibc#GLIBC_2.}_$(uname -m)"
if [ -e "$built/libmtlspop_tpm.so" ]; then
    strip --strip-unneeded "$built/libmtlspop_tpm.so"
    # No manylinux: it asks for libcrypto and libtss2 of the host.
    wheel mtlspop_tpm bindings/python/tpm "$built/libmtlspop_tpm.so" "linux_$(uname -m)"
fi
