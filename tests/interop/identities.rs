//! Azure's own libraries in a program that runs under `mtlspop exec`, unchanged. They come from PyPI, npm and crates.io: `make
//! test-clients`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use devcloud::{Cloud, Options, directory};

use crate::clients::has;
use crate::msal;
use crate::request::{claims, only_token_request};
use crate::support::{hermetic, root, succeed};

const PYTHON: &str = "azure-identity==1.27.0";
const NODE: [&str; 2] = ["@azure/identity@4.14.1", "@azure/msal-node@7.2.3"];

/// Runs a program that prints a token: it must be that of app A, got with one request.
fn under_exec(program: &Path, variables: &[(&str, &Path)], arguments: &[PathBuf]) {
    let cloud = Cloud::start(Options::default()).unwrap();
    let mut command = hermetic(msal::mtlspop(), 120);
    command.envs(cloud.env()).envs(variables.iter().copied());
    let token = succeed(command.args(["exec", "--"]).arg(program).args(arguments));
    assert_eq!(claims(token.trim())["appid"], directory::APP_A_CLIENT_ID);
    assert_eq!(only_token_request(&cloud)["form client_id"], directory::APP_A_CLIENT_ID);
}

/// A file of the clients.
fn client(name: &str) -> PathBuf {
    root().join("tests/interop/clients").join(name)
}

/// A directory that is made anew.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    place
}

/// Does the DefaultAzureCredential of azure-identity for Python get a token?
#[test]
#[ignore = "make test-clients runs it"]
fn python() {
    let place = place("azure-python");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&place));
    let python = place.join("bin/python");
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", PYTHON];
    succeed(Command::new(&python).args(pip));
    under_exec(&python, &[], &[client("default_credential.py")]);
}

/// That of @azure/identity for Node, and MSAL for Node?
#[test]
#[ignore = "make test-clients runs it"]
fn node() {
    if !has("npm", &["--version"], ".") {
        return println!("left out: npm is not installed");
    }
    let place = place("azure-node");
    let npm = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    succeed(Command::new("npm").args(npm).arg(&place).args(NODE));
    let modules = [("MODULES", &*place.join("package.json"))];
    for file in ["default_credential.mjs", "msal_node.mjs"] {
        under_exec("node".as_ref(), &modules, &[client(file)]);
    }
}

/// And azure_identity for Rust?
#[test]
#[ignore = "make test-clients runs it"]
fn rust() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("azure-rust");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(client("rust/Cargo.toml"));
    succeed(cargo.arg("--target-dir").arg(&place));
    under_exec(&place.join("debug/azure-identity-client"), &[], &[]);
}
