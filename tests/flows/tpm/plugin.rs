//! The plugin that talks to TPMs: where it is looked for, and what is not taken for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use mtlspop::{Certificate, Error, ErrorKind, TpmOptions};
use tempfile::TempDir;

const FILE: &str = "libmtlspop_tpm.so";

/// The plugin is loaded before anything else is looked at.
fn load(options: TpmOptions) -> Error {
    Certificate::with_tpm_key(b"", b"", options).map(drop).unwrap_err()
}

/// What is said where the plugin was loaded: something about the certificate.
fn is_loaded(error: &str) -> bool {
    error.contains("certificate") && !error.contains("plugin")
}

/// The plugin of this build: beside this test.
fn plugin() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(FILE)
}

/// A copy of the plugin with other bytes in the places of some.
fn patched(path: &Path, from: &[u8], to: &[u8]) {
    assert!(from.len() == to.len() && from != to);
    let mut bytes = std::fs::read(plugin()).unwrap();
    let places: Vec<_> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at..][..to.len()].copy_from_slice(to));
    std::fs::write(path, bytes).unwrap();
}

/// A path that is not absolute, no file, no library, no plugin, one of another version and one that lacks tpm2-tss: is
/// each refused with its reason?
#[test]
fn what_is_no_plugin_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("text.so"), "no library".repeat(100)).unwrap();
    let mut compiler = Command::new("cc");
    super::succeed(compiler.args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(path("other.so")));
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = format!("{}9", &ours[..ours.len() - 1]);
    patched(&path("version.so"), format!("{ours}\0").as_bytes(), format!("{theirs}\0").as_bytes());
    patched(&path("lacking.so"), b"libtss2-esys.so.0", b"libtss2-none.so.0");
    for (path, reason) in [
        (path("none.so"), "the TPM plugin is missing: there is no /"),
        (path("text.so"), "ELF"),
        (path("other.so"), "is not a TPM plugin of mtlspop"),
        (path("version.so"), &format!("has the version {theirs}, this library has {ours}")),
        (path("lacking.so"), "tpm2-tss is missing"),
    ] {
        let error = load(TpmOptions::new().with_plugin(&path));
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotSupported, "tpm_unavailable"), "{error}");
        assert!(error.message().contains(reason) && !error.is_retryable(), "{error}");
    }
    for relative in [FILE, "./libmtlspop_tpm.so", ""] {
        let error = load(TpmOptions::new().with_plugin(relative));
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.message().contains("not absolute"), "{error}");
    }
    let good = load(TpmOptions::new().with_plugin(plugin()));
    assert!(is_loaded(good.message()), "{good}");
}

/// Not a test: the process that looks for its plugin.
#[test]
#[ignore = "run by another test"]
fn program() {
    println!("said: {}", load(TpmOptions::new()).message());
}

/// Is a plugin taken from beside the program, and neither from the working directory nor from where the linker looks?
#[test]
fn only_from_beside_the_library() {
    let (home, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let program = home.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::copy(plugin(), elsewhere.path().join(FILE)).unwrap();
    let said = || {
        let mut program = Command::new(&program);
        program
            .args(["tpm::plugin::program", "--exact", "--ignored", "--nocapture"])
            .current_dir(elsewhere.path())
            .env("LD_LIBRARY_PATH", elsewhere.path())
            .env("PATH", elsewhere.path());
        String::from_utf8(super::succeed(&mut program)).unwrap()
    };
    let place = home.path().join(FILE);
    let missing = format!("said: the TPM plugin is missing: looked for it as {}", place.display());
    let without = said();
    assert!(without.contains(&missing), "{without}");
    std::fs::copy(plugin(), place).unwrap();
    let with = said();
    assert!(is_loaded(with.split_once("said: ").unwrap().1.lines().next().unwrap()), "{with}");
}
