//! Links libmtlspop.so so that it stays where it was loaded: see the end of docs/ABI.md.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
