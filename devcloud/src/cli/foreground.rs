//! `serve` and `run`: a cloud that lives as long as this process.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};

use devcloud::Cloud;
use rustix::process::{Pid, Signal, kill_process, setsid};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::{CloudArgs, Ready};
use super::output::{Failure, export, print};

pub(super) fn serve(
    args: CloudArgs,
    ready: Ready,
    detached: bool,
    remove_state_dir: bool,
) -> Result<ExitCode, Failure> {
    if detached {
        setsid()?;
    }
    let signals = signals()?;
    let in_the_way = args.in_the_way();
    args.say_what_contradicts();
    let cloud = Cloud::start(args.options(true))?;
    let state_dir = cloud.state_dir().to_path_buf();
    let entered = signals.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(entered);
    print(&match ready {
        Ready::Json => format!("{}\n", cloud.ready()),
        Ready::Env => export(&in_the_way, cloud.env()),
    })?;
    signals.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    drop(cloud);
    if remove_state_dir {
        fs::remove_dir_all(state_dir)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Signals that end a program go to the command: it decides, and its status becomes ours.
pub(super) fn run(args: CloudArgs, command: &[OsString]) -> Result<ExitCode, Failure> {
    let signals = signals()?;
    let in_the_way = args.in_the_way();
    args.say_what_contradicts();
    let cloud = Cloud::start(args.options(false))?;
    let (program, arguments) = command.split_first().ok_or("there is no command to run")?;
    let entered = signals.enter();
    // From here on neither ends this process. A terminal sends SIGINT to the command by itself.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(entered);
    let mut child = Command::new(program);
    for name in in_the_way {
        child.env_remove(name);
    }
    let mut child = child
        .args(arguments)
        .envs(cloud.env())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let pid =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("the command has no process id")?;
    let status = signals.block_on(async {
        let mut waiting = tokio::task::spawn_blocking(move || child.wait());
        loop {
            tokio::select! {
                status = &mut waiting => break status,
                _ = interrupt.recv() => {}
                // It may have ended a moment ago; then there is nothing to tell it.
                _ = terminate.recv() => { let _ = kill_process(pid, Signal::TERM); }
            }
        }
    })??;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// A small runtime for signals only; the cloud has its own.
fn signals() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
