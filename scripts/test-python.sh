#!/bin/sh
# test-python.sh: tests the Python package in devcloud, with the clients it adapts to in an environment of their own.
#
#   scripts/test-python.sh [arguments of unittest]
#
# PYTHON is the interpreter, python3 unless given: 3.10 to 3.14, and it needs a way to pypi.org, or to a mirror that
# PIP_INDEX_URL names. The package itself works with 3.9, too; requests no longer does.
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
python=${PYTHON:-python3}
requirements=bindings/python/tests/requirements.txt

cargo build --quiet --package mtlspop --package mtlspop-tpm --package devcloud

# Made anew where this Python or the requirements are others than last time.
place=$target/python/venv
made_from=$("$python" --version && cat "$requirements")
if [ ! -e "$place/bin/python" ] || [ "$(cat "$place/made-from" 2>/dev/null)" != "$made_from" ]; then
    "$python" -m venv --clear "$place"
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: \
        --requirement "$requirements"
    printf '%s\n' "$made_from" >"$place/made-from"
fi

export MTLSPOP_LIBRARY="$target/debug/libmtlspop.so" TSS2_LOG=all+none
export PYTHONPATH="$PWD/bindings/python/src" PYTHONDONTWRITEBYTECODE=1
exec "$target/debug/devcloud" run -- "$place/bin/python" -X dev -m unittest discover \
    --start-directory bindings/python/tests "$@"
