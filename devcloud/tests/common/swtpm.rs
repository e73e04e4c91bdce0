//! A software TPM for one test: swtpm on loopback, for as long as it is held.
//!
//! Other crates include this file with `#[path]`: it needs nothing but std and tempfile.
#![allow(dead_code, unreachable_pub, clippy::expect_used)]

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How often another process may take the ports that were free a moment ago.
const ATTEMPTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);
const PID_FILE: &str = "pid";

/// A TPM 2.0 with a state of its own, empty at first and started up. Dropping it ends and removes it.
///
/// It serves one connection at a time on its data port, so that its user's turns must not overlap. It has
/// no resource manager either: what stays loaded takes one of its three slots until it is flushed.
pub struct Swtpm {
    child: Child,
    port: u16,
    state: TempDir,
}

impl Swtpm {
    /// Starts one on free ports of 127.0.0.1, and returns when it answers.
    pub fn start() -> Self {
        (0..ATTEMPTS).find_map(|_| Swtpm::try_start()).expect("swtpm found no two ports to listen on")
    }

    /// The data port. The control port is the next one, as the TCTI has it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What libtss2, tpm2-tools (`TPM2TOOLS_TCTI`) and tpm2-openssl (`TPM2OPENSSL_TCTI`) call this TPM.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Ends it, as if the power was cut. What it keeps is there for [`Swtpm::start_again`].
    pub fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// After [`Swtpm::stop`]: the same TPM on the same ports, reset.
    pub fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.pid_file());
        self.child = spawn(self.port, self.state.path());
        assert!(self.ready(), "swtpm did not start again");
    }

    /// Nothing if somebody else got one of the ports first.
    fn try_start() -> Option<Self> {
        let port = free_pair();
        let state = tempfile::Builder::new().prefix("swtpm-").tempdir().expect("no directory for swtpm");
        let mut swtpm = Swtpm { child: spawn(port, state.path()), port, state };
        swtpm.ready().then_some(swtpm)
    }

    fn pid_file(&self) -> PathBuf {
        self.state.path().join(PID_FILE)
    }

    /// Waits until it answers; not if it has ended instead.
    ///
    /// Its pid file says that the ports are its own. Only the control port is tried: a connection to the
    /// data port would stand before that of the test.
    fn ready(&mut self) -> bool {
        let pid = self.pid_file();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.child.try_wait().expect("swtpm cannot be waited for").is_some() {
                return false;
            }
            if pid.exists() && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port + 1)).is_ok() {
                return true;
            }
            assert!(Instant::now() < deadline, "swtpm does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(port: u16, state: &Path) -> Child {
    Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .args(["--tpmstate", &format!("dir={}", state.display())])
        .args(["--server", &format!("type=tcp,port={port}")])
        .args(["--ctrl", &format!("type=tcp,port={}", port + 1)])
        .args(["--pid", &format!("file={}", state.join(PID_FILE).display())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("swtpm does not start: scripts/prerequisites.sh installs it")
}

/// The first of two neighbouring ports that nobody listens on: below those that the kernel gives to connections, which
/// tests use up by the thousand.
fn free_pair() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let pair = || {
        // Programs that start together look in different places.
        let place = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (place % 10_000) as u16 * 2;
        (free(port) && free(port + 1)).then_some(port)
    };
    (0..10_000).find_map(|_| pair()).expect("no two neighbouring ports are free")
}
