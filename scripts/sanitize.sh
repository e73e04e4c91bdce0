#!/bin/sh
# sanitize.sh: looks for wrong uses of memory and threads with tools that look into the library itself, in the tests of C,
# C++ and Python and in every example. `make test` has these tools look from outside, at less.
#
#   scripts/sanitize.sh [address|thread|python|valgrind]...   all of them unless named
#
#   address   AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer: tests in C and C++, examples
#   thread    ThreadSanitizer: tests in C and C++. It must know the locks of Rust's std, so std is built for it, by the Rust
#             of Debian that comes with its source; left out, by name, where apt has none
#   python    AddressSanitizer and LeakSanitizer under the tests in Python
#   valgrind  every example
#
# Needs what `make prerequisites` installs, 6 GB and an hour on two cores. An unstable option of rustc is used, which
# RUSTC_BOOTSTRAP allows for this build alone: what is built here is not for use.
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
place=$target/sanitize
triple=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$place"

fail() {
    echo "sanitize: $*" >&2
    exit 1
}

# Builds what is named, with what it has of C, and sets library to where it is.
# build SANITIZER FLAGS PACKAGES [cargo's arguments]
build() {
    sanitizer=$1
    flags=$2
    packages=$3
    shift 3
    # shellcheck disable=SC2086
    env RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$sanitizer${flags:+ $flags}" \
        "CFLAGS_$(echo "$triple" | tr - _)=-fsanitize=$sanitizer -fno-omit-frame-pointer" \
        cargo build --quiet --lib $packages --target "$triple" --target-dir "$place/$sanitizer" "$@"
    library=$place/$sanitizer/$triple/debug
    nm --undefined-only "$library/libmtlspop.so" | grep -q "__[at]san_" ||
        fail "$library/libmtlspop.so was not built for $sanitizer"
}

# Tests with the library in $library. run SANITIZER [cargo test's arguments]
run() {
    sanitizer=$1
    shift
    MTLSPOP_SANITIZER=$sanitizer MTLSPOP_SANITIZED_LIBRARY=$library cargo test --no-fail-fast "$@"
}

build_address() {
    # With the std that is there, which was built without.
    build address '-Cunsafe-allow-abi-mismatch=sanitizer -Cforce-frame-pointers=yes' '--package mtlspop --package mtlspop-tpm'
}

do_address() {
    build_address
    # What is measured is measured without, what is installed is no library of these, and what links by itself cannot.
    run address --test c --test cpp -- --skip install --skip deb --skip soak --skip misuse --skip edges::small_stacks \
        --skip edges::a_thousand_apps --skip edges::no_descriptors --skip openssl_beside --skip privileged \
        --skip compiles_everywhere --skip memory::
    run address --test docs -- demo::demo_passes demo::demo_with_a_tpm_passes
}

# Debian's Rust, its LLVM and its source, unpacked and not installed, as $place/rustc.
debian_rust() {
    [ ! -x "$place/rustc" ] || return 0
    command -v apt-get >/dev/null || return 1
    packages=$(apt-cache depends --recurse --important rustc-web libstd-rust-web-dev 2>/dev/null |
        grep -E '^(rustc-web|libstd-rust-web-.*|libllvm[0-9]*)$' | sort -u) || return 1
    [ -n "$packages" ] || return 1
    mkdir -p "$place/debs" "$place/rust"
    # shellcheck disable=SC2086
    (cd "$place/debs" && apt-get download --quiet $packages rust-web-src) || return 1
    for deb in "$place"/debs/*.deb; do dpkg-deb --extract "$deb" "$place/rust"; done
    rm -rf "$place/debs"
    usr=$place/rust/usr
    cat >"$place/rustc" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$usr/lib/$(gcc -print-multiarch):$usr/lib exec $usr/bin/rustc "\$@"
EOF
    chmod +x "$place/rustc"
}

do_thread() {
    if ! debian_rust; then
        echo 'sanitize: thread is left out: apt has no rustc-web with its source here (apt-get update?)' >&2
        return 0
    fi
    # In an executable rustc links the runtime by itself. Programs in C get it from here.
    runtime=$(ls "$(rustc --print sysroot)/lib/rustlib/$triple/lib/"librustc-*_rt.tsan.a 2>/dev/null) ||
        fail "this Rust has no runtime of ThreadSanitizer: take one from https://rustup.rs"
    RUSTC=$place/rustc build thread '' '--package mtlspop' -Zbuild-std=std,panic_unwind
    # As above; fork is nothing for this tool, nor what has a TPM, whose plugin and tpm2-tss it does not know.
    MTLSPOP_THREAD_RUNTIME=$runtime run thread --test c --test cpp -- --skip install --skip deb --skip soak --skip misuse \
        --skip edges::small_stacks --skip edges::a_thousand_apps --skip edges::no_descriptors --skip edges::unloaded \
        --skip exports --skip tpm --skip fork --skip network --skip sample --skip privileged \
        --skip compiles_everywhere --skip memory::
}

do_python() {
    build_address
    tests/support/sanitized_python.sh "$library"
}

do_valgrind() {
    cargo test --test docs -- --ignored demo::demo_passes_under_valgrind
}

case ${1:-address} in
address | thread | python | valgrind) ;;
*) fail "there is no $1: usage: scripts/sanitize.sh [address|thread|python|valgrind]..." ;;
esac
if [ $# -eq 1 ]; then
    echo "sanitize: $1" >&2
    "do_$1"
    exit
fi
[ $# -gt 0 ] || set -- address thread python valgrind
failed=
# What fails ends its own part and no other.
for part; do scripts/sanitize.sh "$part" || failed="$failed $part"; done
[ -z "$failed" ] || fail "failed:$failed"
