//! Clients that nobody wrote for this project, and `mtlspop proxy` between them and the APIs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use devcloud::{Cloud, Options, Service};
use tempfile::TempDir;

use crate::msal;
use crate::request::claims;
use crate::support::{hermetic, root, run, succeed};

/// A proxy to Graph and to a vault, which ends when it is dropped.
struct Proxy {
    child: Child,
    url: String,
    secret: String,
    _directory: TempDir,
}

impl Proxy {
    fn start(cloud: &Cloud) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        let mut command = Command::new(msal::mtlspop());
        command.env_clear().envs(cloud.env()).args(["proxy", "--pop", "--listen", "127.0.0.1:0"]);
        command.arg("--listen-secret-file").arg(&file);
        command.args(["--upstream", "/graph=https://mtlstb.graph.microsoft.com,https://graph.microsoft.com"]);
        command.args(["--upstream", "/vault=https://demo.vault.azure.net,https://vault.azure.net"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let secret = fs::read_to_string(file).unwrap().trim().to_owned();
        Self { child, url: url.trim().to_owned(), secret, _directory: directory }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client, which makes four calls. Each must have come to its API whole, over mTLS, with a token bound to the certificate of
/// that connection.
fn call(program: &Path, arguments: &[&str]) {
    let cloud = Cloud::start(Options::default()).unwrap();
    let proxy = Proxy::start(&cloud);
    let mut command = hermetic(program, 60);
    command.args(arguments).current_dir(root().join("tests/interop/clients"));
    command.env("URL", &proxy.url).env("SECRET", &proxy.secret);
    assert_eq!(succeed(&mut command).trim(), "200 200 200 200");

    let (graph, vault) = (cloud.requests_to(Service::Graph), cloud.requests_to(Service::Vault));
    let seen = |request: &devcloud::ReceivedRequest| (request.method.clone(), request.body.clone());
    let seen: Vec<_> = graph.iter().map(seen).collect();
    let sent = [("GET", ""), ("POST", "{\"name\": \"value\"}"), ("PUT", "in chunks")];
    assert_eq!(seen, sent.map(|(method, body)| (method.to_owned(), body.to_owned())));
    assert_eq!((vault.len(), vault[0].query.as_str()), (1, "api-version=7.4"));
    for request in graph.iter().chain(&vault) {
        let token =
            request.header("authorization").and_then(|value| value.strip_prefix("mtls_pop ")).unwrap();
        let certificate = request.client_certificate.as_deref().unwrap();
        assert_eq!(claims(token)["cnf"]["x5t#S256"], certificate);
        assert_eq!(request.header("x-mtlspop-secret"), None);
    }
}

/// Whether a tool can do what a client needs.
pub(crate) fn has(tool: &str, arguments: &[&str], says: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
    if !there.status.success() {
        return false;
    }
    let output = run(hermetic(tool, 30).args(arguments));
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains(says)
}

/// Do calls of curl arrive at Graph and at a vault with a bound token?
#[test]
fn curl() {
    call("sh".as_ref(), &["call.sh", "curl"]);
}

/// And those of wget?
#[test]
fn wget() {
    if !has("wget", &["--version"], "Wget 1.") {
        return println!("left out: wget is not installed");
    }
    call("sh".as_ref(), &["call.sh", "wget"]);
}

/// Of requests for Python?
#[test]
fn requests() {
    call(msal::python(), &["call.py"]);
}

/// Of Node's fetch?
#[test]
fn node() {
    if !has("node", &["--print", "typeof fetch"], "function") {
        return println!("left out: Node 18 or later is not installed");
    }
    call("node".as_ref(), &["call.mjs"]);
}

/// Of Java's HttpClient?
#[test]
fn java() {
    if !has("java", &["--list-modules"], "jdk.compiler@") {
        return println!("left out: a JDK, 11 or later, is not installed");
    }
    call("java".as_ref(), &["-Xshare:auto", "-XX:TieredStopAtLevel=1", "Call.java"]);
}
