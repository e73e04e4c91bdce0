//! Is src/sys.rs what the headers of AWS-LC say?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
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
