#!/bin/sh
# test-python.sh: tests the Python package in devcloud and beside an nginx, in the environment that python-env.sh makes.
#
#   scripts/test-python.sh [arguments of unittest]
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR="$target"

cargo build --quiet --package mtlspop --package mtlspop-tpm --package mtlspop-cli --package devcloud
python=$(scripts/python-env.sh)

export MTLSPOP_LIBRARY="$target/debug/libmtlspop.so" TSS2_LOG=all+none
export PYTHONPATH="$PWD/bindings/python/src" PYTHONDONTWRITEBYTECODE=1
exec "$target/debug/devcloud" run -- tests/support/nginx.sh "$python" -X dev -m unittest discover \
    --start-directory bindings/python/tests "$@"
