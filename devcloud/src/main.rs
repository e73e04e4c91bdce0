//! The devcloud program: starts the cloud for everybody who is not a Rust test.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
