//! The .NET assembly under Mono, against devcloud: programs in C# as our users write them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use devcloud::{Cloud, Options};
use support::{hermetic, library_directory, report, root, run, succeed};
use tempfile::TempDir;

/// A directory with the assembly and the tests, compiled once.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<TempDir> = OnceLock::new();
    PROGRAMS
        .get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let assembly = directory.path().join("mtlspop.dll");
            compile("library", &assembly, &sources("src"));
            compile("exe", &directory.path().join("tests.exe"), &sources("tests"));
            directory
        })
        .path()
}

/// The C# files of a folder of the binding.
fn sources(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("bindings/dotnet").join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "cs")).collect()
}

/// Compiles C#, against the assembly that is beside it.
fn compile(target: &str, out: &Path, sources: &[PathBuf]) {
    let mut command = Command::new("mcs");
    command.args(["-langversion:7.2", "-warn:4", "-warnaserror+", "-debug", "-r:System.Net.Http"]);
    command.arg(format!("-target:{target}")).arg(format!("-out:{}", out.display()));
    if target == "exe" {
        command.arg(format!("-r:{}", out.with_file_name("mtlspop.dll").display()));
    }
    succeed(command.args(sources));
}

/// A program of that directory in the cloud's environment, with the cloud's certificates as Mono reads them: PFX of
/// the old kind, and the intermediate in the user's store.
fn mono(cloud: &Cloud, program: &Path) -> Command {
    let home = cloud.state_dir().join("home");
    fs::create_dir_all(&home).unwrap();
    let files = cloud.files();
    let mut command = hermetic("mono", 200);
    command.arg("--debug").arg(program).envs(cloud.env()).env("HOME", &home);
    command.env("LD_LIBRARY_PATH", library_directory()).env("TSS2_LOG", "all+none");
    for (variable, pem) in [("SNI_PFX", files.sni()), ("FIC_PFX", files.fic_binding())] {
        let pfx = pem.with_extension("pfx");
        if !pfx.exists() {
            let export = ["pkcs12", "-export", "-legacy", "-passout", "pass:pfx", "-in"];
            succeed(Command::new("openssl").args(export).arg(&pem).arg("-out").arg(&pfx));
        }
        command.env(variable, pfx);
    }
    command
}

/// Runs a test of bindings/dotnet/tests in a cloud; `check` looks at what that received.
fn test(name: &str, check: impl Fn(&Cloud)) {
    let cloud = Cloud::start(Options::default()).unwrap();
    let mut command = mono(&cloud, &programs().join("tests.exe"));
    command.arg(name);
    let output = run(&mut command);
    assert!(output.status.success(), "{}", report(&command, &output));
    println!("{}", String::from_utf8_lossy(&output.stdout));
    check(&cloud);
}

/// Does a managed identity get both kinds of token, each once, and an API called with the bound one?
#[test]
fn managed_identity() {
    test("ManagedIdentity", |cloud| {
        assert_eq!((cloud.counter("imds_token"), cloud.counter("token")), (1, 1));
        assert_eq!(cloud.counter("graph"), 2);
    });
}

/// Is one identity found by each of its names, with one certificate?
#[test]
fn user_assigned() {
    test("UserAssigned", |cloud| assert_eq!(cloud.counter("issuecredential"), 1));
}

/// Do certificate and issuers get both kinds of token, with every field of the result what it should be?
#[test]
fn subject_name_issuer() {
    test("SubjectNameIssuer", |cloud| assert_eq!(cloud.counter("token"), 3));
}

/// Does a delegate that waits get both kinds of token?
#[test]
fn federated() {
    test("Federated", |cloud| assert_eq!((cloud.counter("token"), cloud.counter("graph")), (2, 2)));
}
