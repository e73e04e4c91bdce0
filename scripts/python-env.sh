#!/bin/sh
# python-env.sh: makes the environment for tests and wheels of the Python package, and prints its interpreter.
#
# PYTHON is what it is made with, python3 unless given: 3.11 to 3.14. It needs a way to pypi.org, or to a mirror that
# PIP_INDEX_URL names. The package itself works with 3.9, too; requests no longer does.
set -eu

cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
requirements=bindings/python/tests/requirements.txt
# MSAL, which docs/FROM_MSAL_PYTHON.md is held against.
msal=tests/interop/requirements.txt
place=${CARGO_TARGET_DIR:-$PWD/target}/python/venv

# Made anew where Python or the requirements are others than last time.
made_from=$("$python" --version && cat "$requirements" "$msal")
if [ ! -e "$place/bin/python" ] || [ "$(cat "$place/made-from" 2>/dev/null)" != "$made_from" ]; then
    "$python" -m venv --clear "$place" >&2
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: \
        --requirement "$requirements" --requirement "$msal" >&2
    printf '%s\n' "$made_from" >"$place/made-from"
fi
echo "$place/bin/python"
