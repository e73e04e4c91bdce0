//! What is made of the options: completions for shells, and the manual.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::output::print;
use crate::{Failure, Result};

/// Print completions for a shell
///
/// `make install` and the packages put them into place. By hand, for bash:
/// mtlspop completion bash > ~/.local/share/bash-completion/completions/mtlspop
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    shell: Shell,
}

/// Write the manual pages into a directory: for packagers
#[derive(Args, Debug)]
#[command(hide = true)]
pub(crate) struct ManualArgs {
    directory: PathBuf,
}

pub(crate) fn completion(args: &CompletionArgs, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "mtlspop", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(crate) fn manual(args: &ManualArgs, command: Command) -> Result<()> {
    let written = clap_mangen::generate_to(command.disable_help_subcommand(true), &args.directory);
    written.map_err(|error| Failure::output(&args.directory.display().to_string(), &error))
}
