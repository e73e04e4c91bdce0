//! The program that is run: its environment, the signals that pass through, and how it ends.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{Signal as Received, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};

use super::judge::Judge;
use crate::{Failure, Result};

/// A program that runs.
pub(super) struct Child {
    pid: Pid,
    waiting: JoinHandle<io::Result<ExitStatus>>,
    signals: [(Signal, Received); 6],
}

/// What Azure's libraries would try before the endpoint, or take for a part of it; credentials among it.
const TAKEN_OUT: [&str; 17] = [
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "DEFAULT_IDENTITY_CLIENT_ID",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IDENTITY_API_VERSION",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
];

impl Child {
    /// Starts it with the way to the endpoint in its environment.
    pub(super) fn spawn(command: &[OsString], judge: &Judge) -> Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Failure::input("there is no program to run"));
        };
        // From here on none of them ends this process: the program decides.
        let signals = signals().map_err(|error| Failure::output("the handler of signals", &error))?;
        let mut command = Command::new(program);
        for name in TAKEN_OUT {
            command.env_remove(name);
        }
        command.args(arguments).env("IDENTITY_ENDPOINT", judge.url()).env("IDENTITY_HEADER", judge.secret());
        command.envs(no_proxy());
        let child = command.spawn().map_err(|error| {
            let status = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
            Failure::program(status, format!("{} cannot be run: {error}", program.display()))
        });
        let mut child = child?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::program(126, "the program has no process id"))?;
        Ok(Self { pid, waiting: spawn_blocking(move || child.wait()), signals })
    }

    /// Passes signals on until it ends, and ends as it does.
    pub(super) async fn wait(&mut self) -> Result<ExitCode> {
        let [terminate, hangup, interrupt, quit, user1, user2] = &mut self.signals;
        let status = loop {
            let received = tokio::select! {
                status = &mut self.waiting => break status,
                _ = terminate.1.recv() => terminate.0,
                _ = hangup.1.recv() => hangup.0,
                _ = interrupt.1.recv() => interrupt.0,
                _ = quit.1.recv() => quit.0,
                _ = user1.1.recv() => user1.0,
                _ = user2.1.recv() => user2.0,
            };
            // A terminal sends these to all in the foreground by itself.
            let from_terminal = matches!(received, Signal::INT | Signal::QUIT) && is_in_foreground();
            if !from_terminal {
                // It may have ended a moment ago; then there is nothing to tell it.
                let _ = kill_process(self.pid, received);
            }
        };
        let status = status.map_err(io::Error::other).and_then(|status| status);
        let status = status
            .map_err(|error| Failure::program(126, format!("the program cannot be waited for: {error}")))?;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
    }
}

fn signals() -> io::Result<[(Signal, Received); 6]> {
    Ok([
        (Signal::TERM, signal(SignalKind::terminate())?),
        (Signal::HUP, signal(SignalKind::hangup())?),
        (Signal::INT, signal(SignalKind::interrupt())?),
        (Signal::QUIT, signal(SignalKind::quit())?),
        (Signal::USR1, signal(SignalKind::user_defined1())?),
        (Signal::USR2, signal(SignalKind::user_defined2())?),
    ])
}

fn is_in_foreground() -> bool {
    File::open("/dev/tty").ok().and_then(|terminal| tcgetpgrp(terminal).ok()) == Some(getpgrp())
}

/// The endpoint is reached directly, also where other http goes through a proxy.
fn no_proxy() -> Vec<(&'static str, OsString)> {
    const NAMES: [&str; 2] = ["no_proxy", "NO_PROXY"];
    let [lower, upper] = NAMES.map(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    let values = [lower.clone().or_else(|| upper.clone()), upper.or(lower)];
    let with_loopback = |value: Option<OsString>| match value {
        Some(all) if all == "*" => all,
        Some(mut hosts) => {
            hosts.push(",127.0.0.1");
            hosts
        }
        None => "127.0.0.1".into(),
    };
    NAMES.into_iter().zip(values.map(with_loopback)).collect()
}
