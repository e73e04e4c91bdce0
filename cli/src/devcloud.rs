//! `mtlspop devcloud`: the local cloud, where it is installed.

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::Args;

use crate::Failure;

/// Run devcloud, an imitation of Microsoft's cloud on loopback, to try things out
///
/// It is a program of its own, beside this one or in PATH: make install DEVCLOUD=1 puts it there. Arguments are passed on, and it takes the place of
/// this process.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevcloudArgs {
    /// What devcloud is told: run, start, stop, serve, assertion, with their options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop devcloud run -- mtlspop token -o table \\
      --resource https://graph.microsoft.com
  eval \"$(mtlspop devcloud start)\"
  mtlspop devcloud run --help";

const PROGRAM: &str = "devcloud";

/// Comes back only where it cannot be run.
pub(crate) fn run(args: &DevcloudArgs) -> Failure {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(PROGRAM)).filter(|path| path.is_file());
    let program = beside.map_or_else(|| PROGRAM.into(), OsString::from);
    let error = Command::new(&program).args(&args.arguments).exec();
    match error.kind() {
        ErrorKind::NotFound => Failure::program(
            127,
            "there is no devcloud beside this program, nor in PATH: make install DEVCLOUD=1 in its source puts it there",
        ),
        _ => Failure::program(126, format!("{} cannot be run: {error}", program.display())),
    }
}
