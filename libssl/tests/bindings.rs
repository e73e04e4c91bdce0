//! Is src/sys.rs what the headers of AWS-LC say, and are its symbols nobody else's?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Are the bindings those of the headers that they were made for? A new aws-lc-sys is a step of its own: what changed in
/// ssl.h is looked at, then the version here and in Cargo.toml is raised.
#[test]
fn bindings_are_those_of_the_headers() {
    let manifest = std::fs::read_to_string(Path::new(HERE).join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains("\naws-lc-sys = { version = \"=0.47.0\""),
        "which one is it, and what is new in it?"
    );
    let mut compiler = Command::new("gcc");
    compiler.args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only", "-I"]);
    compiler.arg(env!("MTLSPOP_LIBSSL_INCLUDE")).arg("tests/bindings.c").current_dir(HERE);
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Does C say of each function and each number what Rust says?
#[test]
fn bindings_are_compared() {
    let rust = std::fs::read_to_string(Path::new(HERE).join("src/sys.rs")).unwrap();
    let c = std::fs::read_to_string(Path::new(HERE).join("tests/bindings.c")).unwrap();
    let functions: Vec<_> =
        rust.lines().filter_map(|line| line.strip_prefix("    fn ")?.split('(').next()).collect();
    assert!(functions.len() > 50, "{functions:?}");
    for function in functions {
        assert!(
            c.lines().any(|line| line.contains(&format!("{function}("))),
            "tests/bindings.c lacks {function}"
        );
    }
    for constant in rust.lines().filter_map(|line| line.strip_prefix("pub(crate) const ")) {
        let (name, value) = constant.split_once(':').unwrap();
        let value = value.split("= ").nth(1).unwrap().trim_end_matches(';');
        // Of enums, which have names of their own in C.
        let own = match name {
            "RENEGOTIATE_EXPLICIT" | "VERIFY_OK" | "VERIFY_INVALID" => format!("ssl_{}", name.to_lowercase()),
            "PRIVATE_KEY_SUCCESS" | "PRIVATE_KEY_FAILURE" => format!("ssl_{}", name.to_lowercase()),
            name => name.to_owned(),
        };
        assert!(c.contains(&format!("\nIS({own}, {value});")), "tests/bindings.c lacks IS({own}, {value});");
    }
}

/// Does nothing that we compile have a name that a program's own OpenSSL, BoringSSL or AWS-LC may have, and is nothing asked
/// of the C++ library, which programs in C do not have?
#[test]
fn symbols_have_a_prefix() {
    let archive = PathBuf::from(env!("OUT_DIR")).join("libmtlspop_libssl.a");
    let symbols = |arguments: &[&str]| {
        let output = Command::new("nm").args(arguments).arg("--format=posix").arg(&archive).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let names =
            text.lines().filter(|line| !line.ends_with(':')).filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    // Of the C++ library's headers, instantiated here: the same in every program.
    let standard = ["_ZSt", "_ZNSt", "_ZNKSt", "_ZN9__gnu_cxx", "_ZnwmPv"];
    let is_standard = |name: &str| standard.iter().any(|start| name.starts_with(start));
    let defined = symbols(&["--extern-only", "--defined-only"]);
    assert!(defined.iter().any(|name| name == "mtlspop_libssl_SSL_new"), "{defined:?}");
    let bare: Vec<_> =
        defined.iter().filter(|name| !name.contains("mtlspop_libssl_") && !is_standard(name)).collect();
    assert!(bare.is_empty(), "add these to OTHER_NAMES in build.rs: {bare:?}");

    let prefix = env!("MTLSPOP_LIBCRYPTO_PREFIX");
    let asked = symbols(&["--undefined-only"]);
    assert!(asked.iter().any(|name| name.starts_with(prefix)), "{asked:?}");
    let cpp: Vec<_> = asked
        .iter()
        .filter(|name| name.starts_with("_Z") || name.starts_with("__cxa") || name.starts_with("__gxx"))
        .filter(|name| !defined.contains(name))
        .collect();
    assert!(cpp.is_empty(), "these are in libstdc++: {cpp:?}");
}
