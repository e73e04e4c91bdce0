#!/bin/sh
# wheel.sh: makes a wheel of the Python package with the library inside, in target/wheels.
#
#   LIBRARY   a libmtlspop.so that is there already; without it, it is built for release. A libmtlspop_tpm.so beside
#             it is put inside, too
#   OUT       another directory for the wheel
#   PYTHON    an interpreter that has pip and setuptools; without it, python-env.sh makes one
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR="$target"

library=${LIBRARY:-}
if [ -z "$library" ]; then
    cargo build --release --package mtlspop
    # It takes tpm2-tss (libtss2-dev); the wheel is whole without it.
    cargo build --release --package mtlspop-tpm || echo 'wheel: without the plugin for keys in a TPM' >&2
    library=$target/release/libmtlspop.so
fi
plugin=$(dirname "$library")/libmtlspop_tpm.so
python=${PYTHON:-$(scripts/python-env.sh)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp bindings/python/pyproject.toml bindings/python/setup.py bindings/python/README.md LICENSE "$work"
mkdir -p "$work/src/mtlspop"
cp bindings/python/src/mtlspop/*.py bindings/python/src/mtlspop/py.typed "$work/src/mtlspop"
install -m 755 "$library" "$work/src/mtlspop/libmtlspop.so"
[ ! -e "$plugin" ] || install -m 755 "$plugin" "$work/src/mtlspop/libmtlspop_tpm.so"

# The oldest glibc that has all the symbols that are asked of it.
glibc=$(readelf --version-info "$work"/src/mtlspop/*.so | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1)
MTLSPOP_PLATFORM=manylinux_2_${glibc#GLIBC_2.}_$(uname -m)
export MTLSPOP_PLATFORM
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index \
    --wheel-dir "${OUT:-$target/wheels}" "$work"
ls "${OUT:-$target/wheels}"/mtlspop-*.whl
