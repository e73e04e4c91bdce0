//! Do clients that nobody here wrote get from devcloud what docs/DEVCLOUD_CLIENTS.md says, row by row?
//!
//! Each row is a flow of a client, how devcloud is run for it, and what comes of it. `make test-clients` runs all of them and
//! prints the table; the tests of every day run those of Python. Versions are pinned in devcloud/tests/clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// How rows say that the client itself will not.
const REFUSES: &str = "refuses: ";
/// For clients that know no other address of IMDS.
const OWN_ADDRESS: &str = "--imds-address 169.254.169.254:80";

/// A row of the document.
struct Row {
    flow: String,
    options: String,
    result: String,
}

/// The rows below the heading of a runtime.
fn rows(runtime: &str) -> Vec<Row> {
    let document = fs::read_to_string(root().join("docs/DEVCLOUD_CLIENTS.md")).unwrap();
    let section =
        document.split("\n## ").find(|section| section.starts_with(runtime)).expect("no such section");
    let cells = |line: &str| -> Vec<String> {
        line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`']).to_owned()).collect()
    };
    let lines = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows: Vec<_> = lines
        .map(|line| match &cells(line)[..] {
            [flow, options, result] => {
                Row { flow: flow.clone(), options: options.clone(), result: result.clone() }
            }
            _ => panic!("no row: {line}"),
        })
        .collect();
    assert!(!rows.is_empty(), "no rows of {runtime}");
    rows
}

/// Runs the rows of a runtime, those with the same options in one process, and compares.
fn judge(runtime: &str, program: &[String]) {
    let mut by_options = BTreeMap::<String, Vec<Row>>::new();
    for row in rows(runtime) {
        by_options.entry(row.options.clone()).or_default().push(row);
    }
    let (mut wrong, mut counts) = (Vec::new(), [0; 3]);
    for (options, rows) in by_options {
        if let Some(reason) = left_out(&options) {
            println!("{runtime} | {options} | left out: {reason}");
            continue;
        }
        let said = run(&options, program, rows.iter().map(|row| row.flow.as_str()));
        for row in rows {
            let begin = format!("{} => ", row.flow);
            let result = said.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or("nothing");
            let right = match row.result.strip_prefix(REFUSES) {
                Some(words) => result.strip_prefix(REFUSES).is_some_and(|said| said.contains(words)),
                None => result == row.result,
            };
            let kind = if !right { 2 } else { usize::from(row.result.starts_with(REFUSES)) };
            counts[kind] += 1;
            println!("{runtime} | {} | {options} | {}", row.flow, if right { &row.result } else { result });
            if !right {
                wrong.push(format!("{}, {options}: {result}, and not {}", row.flow, row.result));
            }
        }
    }
    let [passed, refused, failed] = counts;
    println!("{runtime}: {passed} flows pass, {refused} the client itself refuses, {failed} fail");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Why rows with these options cannot run here.
fn left_out(options: &str) -> Option<&'static str> {
    if options.contains("--arc-tokens-dir") && fs::create_dir_all("/var/opt/azcmagent/tokens").is_err() {
        return Some("this user may not write where Azure Arc does");
    }
    let network = || shell("unshare", &["--net", "--map-root-user", "ip", "link"]);
    if options.contains(OWN_ADDRESS) && !network().is_some_and(|output| output.status.success()) {
        return Some("this user may make no network namespace");
    }
    None
}

/// What the program says in a cloud with these options.
fn run<'a>(options: &'a str, program: &'a [String], flows: impl Iterator<Item = &'a str>) -> String {
    let mut devcloud = vec![env!("CARGO_BIN_EXE_devcloud"), "run"];
    devcloud.extend(options.split(' '));
    devcloud.push("--");
    let mut arguments: Vec<&str> = Vec::new();
    if options.contains(OWN_ADDRESS) {
        let script = "ip link set lo up && ip addr add 169.254.169.254/32 dev lo && exec \"$@\"";
        arguments.extend(["unshare", "--net", "--map-root-user", "sh", "-c", script, "sh"]);
    }
    arguments.extend(devcloud);
    arguments.extend(program.iter().map(String::as_str));
    arguments.extend(flows);
    let output =
        shell("timeout", &[&["120"], &arguments[..]].concat()).expect("timeout of coreutils is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.is_empty() {
        println!("{}", String::from_utf8_lossy(&output.stderr));
    }
    said
}

/// A command with nothing of this environment but where programs and a home are.
fn shell(program: &str, arguments: &[&str]) -> Option<Output> {
    let kept = ["PATH", "HOME", "DOTNET_ROOT"].map(|name| (name, std::env::var_os(name)));
    let kept = kept.into_iter().filter_map(|(name, value)| Some((name, value?)));
    // A runtime of .NET that is not found on a machine is a reason to fail, not to download one.
    let quiet = [("DOTNET_CLI_TELEMETRY_OPTOUT", "1"), ("DOTNET_NOLOGO", "1")];
    Command::new(program).args(arguments).env_clear().envs(kept).envs(quiet).output().ok()
}

/// A directory for what a client is installed into, and whether `pins` have been installed there already.
fn place(name: &str, pins: &Path) -> (PathBuf, bool) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (stamp, wanted) = (place.join("pins"), fs::read_to_string(pins).unwrap());
    let there = fs::read_to_string(stamp).is_ok_and(|had| had == wanted);
    if !there {
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).unwrap();
    }
    (place, there)
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// MSAL for Python, and azure-identity, azure-keyvault-secrets and azure-storage-blob?
#[test]
fn python() {
    judge("Python", &[text(&python_place()), text(&file("flows.py"))]);
}

/// A Python that has what is pinned. Tests that want it at the same time wait for the one that makes it.
fn python_place() -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap();
    let (place, there) = place("clients-python", &file("requirements.txt"));
    let python = place.join("bin/python");
    if !there {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&place));
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r"];
        succeed(Command::new(&python).args(pip).arg(file("requirements.txt")));
        fs::copy(file("requirements.txt"), place.join("pins")).unwrap();
    }
    python
}

/// MSAL for Node, @azure/identity, @azure/keyvault-secrets, jose and openid-client?
#[test]
#[ignore = "make test-clients runs it"]
fn node() {
    if !shell("npm", &["--version"]).is_some_and(|output| output.status.success()) {
        return println!("Node | left out: npm is not installed");
    }
    let (place, there) = place("clients-node", &file("package.json"));
    for name in ["package.json", "flows.mjs", "proxy.mjs"] {
        fs::copy(file(name), place.join(name)).unwrap();
    }
    if !there {
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
        succeed(Command::new("npm").args(install).arg(&place));
        fs::copy(file("package.json"), place.join("pins")).unwrap();
    }
    let [proxy, flows] = ["proxy.mjs", "flows.mjs"].map(|name| text(&place.join(name)));
    judge("Node", &["node".to_owned(), "--no-warnings".to_owned(), "--import".to_owned(), proxy, flows]);
}

/// MSAL.NET, Azure.Identity, SecretClient, BlobServiceClient and JwtBearer?
#[test]
#[ignore = "make test-clients runs it"]
fn dotnet() {
    if !shell("dotnet", &["--list-sdks"]).is_some_and(|output| output.stdout.starts_with(b"10.")) {
        return println!(".NET | left out: the SDK of .NET 10 is not installed");
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-dotnet");
    let project = text(&file("dotnet/Flows.csproj"));
    succeed(Command::new("dotnet").args([
        "publish",
        "--verbosity",
        "quiet",
        "--artifacts-path",
        &text(&place),
        &project,
    ]));
    judge(".NET", &["dotnet".to_owned(), text(&place.join("publish/Flows/release/Flows.dll"))]);
}

/// Do tests of a team's own, with the plugin for pytest, pass in four processes at once?
#[test]
fn pytest_plugin() {
    let python = python_place();
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-n", "4", "-p", "mtlspop_devcloud.plugin", "-p", "no:cacheprovider"]);
    pytest.arg(file("test_plugin.py")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    pytest.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("python/src"));
    pytest.env("PYTHONDONTWRITEBYTECODE", "1").env("DEVCLOUD", env!("CARGO_BIN_EXE_devcloud"));
    // What a developer's shell may have: none of it must get through.
    pytest.envs([("AZURE_CLIENT_SECRET", "the caller's"), ("https_proxy", "http://127.0.0.1:1")]);
    let output = pytest.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("8 passed"), "{said}");
}

/// curl?
#[test]
fn curl() {
    judge("curl", &["sh".to_owned(), text(&file("flows.sh"))]);
}

/// Go's net/http?
#[test]
#[ignore = "make test-clients runs it"]
fn go() {
    if !shell("go", &["version"]).is_some_and(|output| output.status.success()) {
        return println!("Go | left out: Go is not installed");
    }
    judge("Go", &["go".to_owned(), "run".to_owned(), text(&file("flows.go"))]);
}

/// Java's HttpClient?
#[test]
#[ignore = "make test-clients runs it"]
fn java() {
    let modules = shell("java", &["--list-modules"]);
    if !modules.is_some_and(|output| String::from_utf8_lossy(&output.stdout).contains("jdk.compiler@")) {
        return println!("Java | left out: a JDK, 11 or later, is not installed");
    }
    judge("Java", &["sh".to_owned(), text(&file("java.sh")), text(&file("Flows.java"))]);
}
