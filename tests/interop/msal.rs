//! MSAL for Python: installed once into a virtual environment below target/, and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use devcloud::Cloud;
use serde_json::Value;

use crate::support::{hermetic, report, root, run, rust_program, succeed};

/// The version in requirements.txt.
pub(crate) const VERSION: &str = "1.39.0";

/// Has MSAL acquire a token from `cloud`, with the settings that msal_client.py wants.
pub(crate) fn acquire(cloud: &Cloud, settings: &Value) {
    let mut command = hermetic(python(), 60);
    command
        .envs(cloud.env())
        // Its HTTP library has a name of its own for SSL_CERT_FILE.
        .env("REQUESTS_CA_BUNDLE", cloud.ca_pem_path())
        // Where a region is set, MSAL asks the machine for its own, without a time limit; not if this tells it.
        .env("REGION_NAME", "eastus")
        .arg(root().join("tests/interop/msal_client.py"))
        .arg(settings.to_string());
    succeed(&mut command);
}

/// Has MSAL acquire a token of what it takes for a managed identity in App Service: app A of `cloud`, under `mtlspop exec`.
pub(crate) fn under_exec(cloud: &Cloud) -> String {
    let mut command = hermetic(mtlspop(), 60);
    command.envs(cloud.env()).args(["exec", "--"]).arg(python());
    succeed(command.arg(root().join("tests/interop/managed_identity_client.py")))
}

/// The command, built once.
pub(crate) fn mtlspop() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| rust_program("mtlspop"))
}

/// The interpreter that has MSAL.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(install)
}

/// Makes the environment, or keeps the one that was made by this Python from these requirements.
fn install() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("msal-python");
    let (stamp, python) = (place.join("made-from"), place.join("bin/python"));
    let requirements = root().join("tests/interop/requirements.txt");
    let version = succeed(Command::new("python3").arg("--version"));
    let made_from = version + &fs::read_to_string(&requirements).unwrap();
    if python.exists() && fs::read_to_string(&stamp).unwrap_or_default() == made_from {
        return python;
    }
    must(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place),
        "`make prerequisites` installs python3-venv",
    );
    must(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
            .arg(&requirements),
        "it needs Python 3.10 to 3.14 on Linux and a way to pypi.org, or to a mirror that PIP_INDEX_URL names",
    );
    fs::write(stamp, made_from).unwrap();
    python
}

/// Runs a command that must succeed; `advice` is for when it does not.
fn must(command: &mut Command, advice: &str) {
    let output = run(command);
    assert!(output.status.success(), "{}\n{advice}", report(command, &output));
}
