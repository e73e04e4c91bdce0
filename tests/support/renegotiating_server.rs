//! A server that renegotiates: renegotiating_server.c, built with gcc and OpenSSL, and run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

pub(crate) struct RenegotiatingServer {
    child: Child,
    pub(crate) port: u16,
    /// Of several threads at a time.
    events: Mutex<Receiver<String>>,
}

impl RenegotiatingServer {
    /// Starts it in `directory`, which file names in `arguments` start from. Both are said in renegotiating_server.c.
    pub(crate) fn start(directory: &Path, arguments: &str) -> Self {
        let mut child = Command::new(program())
            .args(arguments.split_whitespace())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        let port =
            first.strip_prefix("port ").unwrap_or_else(|| panic!("{arguments} does not serve: {first:?}"));
        let port = port.parse().unwrap();
        let (sender, events) = channel();
        thread::spawn(move || lines.all(|line| sender.send(line).is_ok()));
        Self { child, port, events: Mutex::new(events) }
    }

    /// What it did next.
    pub(crate) fn event(&self) -> String {
        let events = self.events.lock().unwrap();
        events.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| "nothing".to_owned())
    }
}

impl Drop for RenegotiatingServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Beside the test that uses it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = std::env::current_exe().unwrap().with_extension("renegotiating_server");
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = [source, source.parent().unwrap()]
            .map(|root| root.join("tests/support/renegotiating_server.c"))
            .into_iter()
            .find(|source| source.exists())
            .unwrap();
        let output = Command::new(std::env::var("CC").unwrap_or_else(|_| "gcc".to_owned()))
            .args([
                "-std=c99",
                "-D_GNU_SOURCE",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-O1",
                "-pthread",
                "-o",
            ])
            .args([&program, &source])
            .args(["-lssl", "-lcrypto"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    })
}
