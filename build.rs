//! Links libmtlspop.so so that it stays where it was loaded: see the end of docs/ABI.md. And says what AWS-LC's functions are
//! called for `src/runtime/gate.rs`: each version of it has a prefix of its own.

#![allow(clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    match prefix() {
        Ok(prefix) => {
            println!("cargo::rustc-env=MTLSPOP_AWS_LC_PREFIX={prefix}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("mtlspop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As a header of the AWS-LC that is linked says. Its package tells where that is, in a variable with its version.
fn prefix() -> Result<String, Box<dyn Error>> {
    let fips = env::var_os("CARGO_FEATURE_FIPS").is_some();
    let include = env::vars().find_map(|(name, value)| {
        let package = name.strip_prefix("DEP_AWS_LC_")?.strip_suffix("_INCLUDE")?;
        (package.starts_with("FIPS_") == fips).then_some(value)
    });
    let include = include.ok_or("AWS-LC's package does not say where its headers are")?;
    let header = fs::read_to_string(Path::new(&include).join("openssl/boringssl_prefix_symbols.h"))?;
    let prefix = header.lines().find_map(|line| line.strip_prefix("#define BORINGSSL_PREFIX "));
    Ok(prefix.ok_or("AWS-LC was built without a prefix for its names")?.trim().to_owned())
}
