//! `start` and `stop`: a cloud that outlives the command.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::arguments::CloudArgs;
use super::output::{Failure, export, print};

pub(super) fn start(args: CloudArgs) -> Result<ExitCode, Failure> {
    let in_the_way = args.in_the_way();
    args.say_what_contradicts();
    let (state_dir, temporary) = match args.state_dir {
        Some(directory) => {
            std::fs::create_dir_all(&directory)?;
            (std::path::absolute(directory)?, false)
        }
        None => (tempfile::Builder::new().prefix("devcloud-").tempdir()?.keep(), true),
    };
    let log = state_dir.join("devcloud.log");
    let mut serve = Command::new(std::env::current_exe()?);
    // `serve` has every option that `start` has.
    serve.args(["serve", "--detached"]).args(std::env::args_os().skip(2));
    if temporary {
        serve.arg("--remove-state-dir").arg("--state-dir").arg(&state_dir);
    }
    let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?).spawn()?;
    let stdout = child.stdout.take().ok_or("the cloud has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        let status = child.wait()?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        return Err(format!("the cloud did not start ({status}): {said}").into());
    }
    let ready: Value = serde_json::from_str(&line)?;
    let env = ready["env"].as_object().ok_or("the ready line has no env")?;
    let env = env.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let pid = ("DEVCLOUD_PID".to_owned(), child.id().to_string());
    print(&export(&in_the_way, env.chain([pid])))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn stop() -> Result<ExitCode, Failure> {
    let pid = std::env::var("DEVCLOUD_PID")
        .map_err(|_| "DEVCLOUD_PID is not set: eval \"$(devcloud start)\" sets it")?;
    let pid = pid.parse().ok().and_then(Pid::from_raw).ok_or("DEVCLOUD_PID is no process id")?;
    kill_process(pid, Signal::TERM).map_err(|error| format!("process {}: {error}", pid.as_raw_nonzero()))?;
    Ok(ExitCode::SUCCESS)
}
