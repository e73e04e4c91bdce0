#!/bin/sh
# sanitized_python.sh: runs the tests of the Python package with a library that was built for AddressSanitizer.
#
#   tests/support/sanitized_python.sh DIRECTORY [arguments of unittest]
#
# DIRECTORY has the library. An error of memory ends the process that made it. A leak counts where the library or its plugin
# stands among the frames that allocated it: CPython keeps what it likes until its end, and is not what is tested; its own
# pools, which hide what is freed, are switched off.
set -eu

cd "$(dirname "$0")/../.."
library=$1
shift
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR="$target"
reports=$target/sanitize/python
rm -rf "$reports"
mkdir -p "$reports"

cargo build --quiet --package devcloud
interpreter=$(scripts/python-env.sh)
runtime=$(ldconfig -p | sed -n 's/.*=> \(.*libasan\.so\.[0-9]*\)$/\1/p' | head -n 1)
[ -n "$runtime" ] || { echo 'sanitized_python.sh: gcc has no libasan.so' >&2; exit 1; }

export MTLSPOP_LIBRARY="$library/libmtlspop.so" TSS2_LOG=all+none PYTHONMALLOC=malloc
export PYTHONPATH="$PWD/bindings/python/src:$PWD/bindings/python/tests" PYTHONDONTWRITEBYTECODE=1

# Runs Python so that it is looked into. checked NAME [arguments of Python]
checked() {
    # A leak by itself is no failure of the program, of which many are started by the tests: it is looked at afterwards.
    options="log_path=$reports/$1:abort_on_error=1:handle_abort=0:detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=20"
    shift
    "$target/debug/devcloud" run -- tests/support/nginx.sh env LD_PRELOAD="$runtime" ASAN_OPTIONS="$options" \
        LSAN_OPTIONS=exitcode=0 "$interpreter" "$@"
}

# Whether a report says that the library did it.
ours() {
    cat "$reports/$1".* 2>/dev/null | awk -v RS= '/ERROR: AddressSanitizer/ || (/ leak of /&& /libmtlspop/) { found = 1; print } END { exit !found }'
}

# Mistakes that must be found: otherwise what is not found means nothing.
planted='
import ctypes, os
lib = ctypes.CDLL(os.environ["MTLSPOP_LIBRARY"])
'
if checked overread -c "$planted
lib.mtlspop_certificate_new_from_pem(b'#' * 100, 20000, None, 0, None, ctypes.byref(ctypes.c_void_p()), None)" 2>/dev/null ||
    ! ours overread | grep -q mtlspop_certificate_new_from_pem; then
    echo 'sanitized_python.sh: a read beyond the end of bytes is not found' >&2
    exit 1
fi
checked leak -c "$planted
lib.mtlspop_token_request_new.restype = ctypes.c_void_p
lib.mtlspop_token_request_new(b'https://graph.microsoft.com/')" || exit
if ! ours leak | grep -q mtlspop_token_request_new; then
    echo 'sanitized_python.sh: a handle that is never freed is not found' >&2
    exit 1
fi

# Left out is what measures memory, what is about how a library is found, and packaging.
[ $# -gt 0 ] || set -- test_arguments test_callbacks test_certificate test_client_streaming.Requests \
    test_client_streaming.Httpx test_clients test_errors test_library.Types test_managed_identity test_nginx \
    test_process.Threads test_process.Asyncio test_process.Fork test_responses test_streaming.Sent test_streaming.Received \
    test_tokens test_tpm
failed=
checked tests -X dev -m unittest "$@" || failed=1
if ours tests; then failed=1; fi
[ -z "$failed" ]
