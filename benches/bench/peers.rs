//! The same calls by other libraries, with `PEERS=1`: MSAL for Python, MSAL for Node and azure_identity for Rust.

use std::path::{Path, PathBuf};
use std::process::Command;

use devcloud::Cloud;

use crate::hits::Hit;
use crate::languages::rows;
use crate::measure::time;
use crate::report::Report;

/// A library: its name, what installs it below target/peers, and the program that prints its rows.
struct Peer {
    name: &'static str,
    install: fn(&Path) -> Result<Command, String>,
}

const PEERS: [Peer; 3] = [
    Peer { name: "MSAL for Python", install: msal_python },
    Peer { name: "MSAL for Node", install: msal_node },
    Peer { name: "azure_identity (Rust)", install: azure_identity },
];
/// The row that each of them prints.
const HIT: &str = "cached Bearer token";

pub(crate) fn beside(report: &mut Report, cloud: &Cloud, hit: &Hit) {
    if std::env::var("PEERS").as_deref() != Ok("1") {
        return report.skip("other libraries", "PEERS=1 installs and measures them");
    }
    report.section(
        "Other libraries",
        "Each by a short program of benches/peers, in the same devcloud, with the versions pinned there. Cached: the call that a user of \
         it makes, scopes given each time. Cold: a new app or credential each time, by certificate where devcloud takes it; what a library keeps for the whole process (connections, \
         discovery) stays.",
    );
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
    std::fs::create_dir_all(&place).expect("a directory");
    for peer in PEERS {
        println!("  installing {}", peer.name);
        let measured = (peer.install)(&place).and_then(|mut command| rows(command.envs(cloud.env())));
        let rows = match measured {
            Ok(rows) => rows,
            Err(why) => {
                report.skip(peer.name, &why);
                continue;
            }
        };
        for (name, value) in &rows {
            report.value(&format!("{}: {name}", peer.name), time(*value));
        }
        let Some((_, theirs)) = rows.iter().find(|(name, _)| name == HIT) else { continue };
        let ratio = format!(
            "{:.1} times ours, {:.1} times with a request reused",
            theirs / hit.made_each_time,
            theirs / hit.reused
        );
        report.value(&format!("{}: cached token over C ABI, request made each time", peer.name), ratio);
        if peer.name.starts_with("azure_identity") {
            let measured = format!("{:.0} ns, azure_identity {theirs:.0} ns", hit.made_each_time);
            let met = hit.made_each_time <= *theirs;
            report.wanted(
                "hit, request made and freed each time, beside azure_identity",
                "no slower",
                measured,
                met,
            );
        }
    }
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// The requirements are those of the tests that compare requests with MSAL's.
fn msal_python(place: &Path) -> Result<Command, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = place.join("python");
    let python = environment.join("bin/python");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"])
        .args(["--only-binary=:all:", "--requirement"])
        .arg(root.join("tests/interop/requirements.txt")))?;
    let mut command = Command::new(python);
    command.arg(root.join("bindings/python/bench.py")).arg("msal");
    Ok(command)
}

fn msal_node(place: &Path) -> Result<Command, String> {
    let place = place.join("node");
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    for file in ["package.json", "package-lock.json", "bench.mjs"] {
        std::fs::copy(programs().join("msal_node").join(file), place.join(file))
            .map_err(|error| error.to_string())?;
    }
    run(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&place))?;
    let mut command = Command::new("node");
    command.arg(place.join("bench.mjs"));
    Ok(command)
}

/// A crate of its own, outside the workspace: what it takes is nobody else's.
fn azure_identity(place: &Path) -> Result<Command, String> {
    let target = place.join("rust");
    run(Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--jobs", "1", "--manifest-path"])
        .arg(programs().join("azure_identity/Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target))?;
    Ok(Command::new(target.join("release/azure-identity-bench")))
}

/// Runs what installs; says what went wrong in its last line.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", said.trim().lines().last().unwrap_or_default())),
    }
}
