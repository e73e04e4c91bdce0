//! A proxy that runs, and what is asked of it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::tool;

/// Two upstreams by prefix, each with its own resource.
pub(super) const GRAPH_AND_VAULT: &str = "--upstream /graph=https://mtlstb.graph.microsoft.com,https://graph.microsoft.com \
     --upstream /vault=https://demo.vault.azure.net,https://vault.azure.net";

/// A proxy that was started, and is stopped when it is dropped.
pub(super) struct Proxy {
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
    pub(super) place: String,
    pub(super) secret: String,
    directory: TempDir,
}

impl Proxy {
    /// With a secret that it makes by itself.
    pub(super) fn start(command: &mut Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        command.arg("--listen-secret-file").arg(&file);
        let mut proxy = Self::start_in(command, directory);
        proxy.secret = fs::read_to_string(&file).unwrap().trim().to_owned();
        proxy
    }

    /// Without one.
    pub(super) fn start_open(command: &mut Command) -> Self {
        Self::start_in(command, tempfile::tempdir().unwrap())
    }

    fn start_in(command: &mut Command, directory: TempDir) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut place = String::new();
        stdout.read_line(&mut place).unwrap();
        if place.is_empty() {
            let output = child.wait_with_output().unwrap();
            panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Self { child: Some(child), stdout, place: place.trim().to_owned(), secret: String::new(), directory }
    }

    /// What curl prints, with `$URL` for where the proxy is.
    pub(super) fn curl(&self, arguments: &str) -> String {
        let (url, options) = match self.place.strip_prefix("unix:") {
            Some(path) => ("http://localhost", format!("--unix-socket {path}")),
            None => (self.place.as_str(), String::new()),
        };
        let secret = &self.secret;
        let script = format!(
            "URL={url}; curl -q -sS --max-time 60 --noproxy '*' {options} -H 'X-Mtlspop-Secret: {secret}' {arguments}"
        );
        tool(self.directory.path(), &script)
    }

    pub(super) fn secret_file(&self) -> PathBuf {
        self.directory.path().join("secret")
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn address(&self) -> &str {
        self.place.strip_prefix("http://").unwrap()
    }

    /// A connection on which a request was sent, with `$HEADERS` for `Host` and the secret.
    pub(super) fn send(&self, request: &str) -> TcpStream {
        let headers = format!("Host: {}\r\nX-Mtlspop-Secret: {}", self.address(), self.secret);
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.write_all(request.replace("$HEADERS", &headers).as_bytes()).unwrap();
        stream
    }

    /// All that is answered until the proxy closes the connection.
    pub(super) fn ask(&self, request: &str) -> String {
        answer(self.send(request))
    }

    pub(super) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The next line on stdout.
    pub(super) fn prints(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// The next line on stderr, where nobody waits for more.
    pub(super) fn says(&mut self) -> String {
        let stderr = self.child.as_mut().unwrap().stderr.as_mut().unwrap();
        let mut line = String::new();
        BufReader::new(stderr).read_line(&mut line).unwrap();
        line
    }

    /// How it ended, and what it said.
    pub(super) fn wait(mut self) -> Output {
        self.child.take().unwrap().wait_with_output().unwrap()
    }

    fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// All that comes on a connection until it is closed.
pub(super) fn answer(mut stream: impl Read) -> String {
    let mut answer = Vec::new();
    // That what was not read is refused by a reset is an answer, too, behind what came before it.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status in each of the answers.
pub(super) fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap_or_default()).collect()
}
