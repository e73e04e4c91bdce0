#!/bin/sh
# Runs one fuzzer for some seconds, from its seeds and from what it found before.
#
#   scripts/fuzz.sh TARGET SECONDS
set -eu
cd "$(dirname "$0")/../fuzz"

target=$1 seconds=$2
[ -e "fuzz_targets/$target.rs" ] || {
    echo "there is no fuzzer $target, but: $(cd fuzz_targets && echo * | sed 's/\.rs//g')" >&2
    exit 1
}
command -v cargo-fuzz >/dev/null || {
    echo 'cargo-fuzz is missing: cargo install cargo-fuzz' >&2
    exit 1
}
mkdir -p "corpus/$target"
# AddressSanitizer comes with each toolchain; only nightly ones let it be asked for without this.
RUSTC_BOOTSTRAP=1 exec cargo fuzz run "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096
