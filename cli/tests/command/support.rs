//! The program, run in a cloud or in nothing, and what it said.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::{Cloud, Options};
use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mtlspop");
pub(crate) const GRAPH: &str = "https://graph.microsoft.com";

/// What a program would take for its identity.
const CREDENTIALS: [&str; 5] = [
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
];

pub(crate) fn cloud() -> Cloud {
    Cloud::start(Options::default()).unwrap()
}

/// The program with these arguments, words with spaces between, in an environment that has nothing.
pub(crate) fn bare(arguments: &str) -> Command {
    bare_as(Path::new(PROGRAM), arguments)
}

/// The same where it lies elsewhere.
fn bare_as(program: &Path, arguments: &str) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.stdin(Stdio::null());
    command
}

/// The same in a cloud, whose environment names no identity.
pub(crate) fn in_cloud(cloud: &Cloud, arguments: &str) -> Command {
    in_cloud_as(Path::new(PROGRAM), cloud, arguments)
}

/// The same where the program lies elsewhere.
pub(crate) fn in_cloud_as(program: &Path, cloud: &Cloud, arguments: &str) -> Command {
    let mut command = bare_as(program, arguments);
    command.envs(cloud.env());
    CREDENTIALS.iter().fold(&mut command, |command, name| command.env_remove(name));
    command
}

/// The same with app A and all its credentials in the environment, as devcloud has it.
pub(crate) fn as_app(cloud: &Cloud, arguments: &str) -> Command {
    let mut command = bare(arguments);
    command.envs(cloud.env());
    command
}

/// What was printed by a run that must succeed, and say nothing else.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The same as JSON.
pub(crate) fn json(command: &mut Command) -> Value {
    serde_json::from_str(&succeed(command)).unwrap()
}

/// What was said by a run that must fail with `status`: one line, and nothing on stdout.
pub(crate) fn fail(command: &mut Command, status: i32) -> String {
    let output = command.output().unwrap();
    line(command, &output, status)
}

/// The same with something on stdin. That the program does not read all of it is no mistake.
pub(crate) fn fail_with(command: &mut Command, stdin: &[u8], status: i32) -> String {
    let output = feed(command, stdin);
    line(command, &output, status)
}

/// Runs it with something on stdin.
pub(crate) fn feed(command: &mut Command, stdin: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

/// What was said by a run that failed with `status`: one line, and nothing on stdout.
pub(crate) fn line(command: &Command, output: &Output, status: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{command:?}: {said}");
    assert!(output.stdout.is_empty(), "{command:?}: {output:?}");
    assert!(said.starts_with("mtlspop: ") && said.lines().count() == 1, "{command:?}: {said}");
    said
}

/// What stands in a token.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// What stands before it.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap_or_else(|| panic!("no token: {token}"));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Runs a tool; what it printed.
pub(crate) fn tool(directory: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
