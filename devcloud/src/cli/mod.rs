//! The commands: `serve`, `run`, `start`, `stop` and `assertion`.

mod arguments;
mod assertion;
mod background;
mod foreground;
mod output;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::arguments::{CloudArgs, Ready};

/// Microsoft Entra, IMDS, Graph and Key Vault on loopback, for testing clients of them.
///
/// A developer's tool: it listens on 127.0.0.1 only, on free ports, with keys it has just made.
/// Programs reach the public host names (login.microsoftonline.com, graph.microsoft.com, ...)
/// through its HTTP proxy and must trust its root certificate; the environment it prints says so.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "EXAMPLES:
  devcloud run -- ./my-program        start the cloud, run a program in it, exit as it does
  eval \"$(devcloud start)\"            leave a cloud running for this shell
  devcloud stop                       end it
  curl -s $DEVCLOUD_CONTROL/requests  what has been received"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the cloud until SIGINT or SIGTERM, after one line on stdout that says it is ready
    Serve {
        #[command(flatten)]
        cloud: CloudArgs,
        /// What to print on stdout when every port is open
        #[arg(long, value_enum, default_value_t = Ready::Json)]
        ready: Ready,
        /// Make a session of its own, and stay when the terminal goes
        #[arg(long, hide = true)]
        detached: bool,
        /// Remove the state directory at the end
        #[arg(long, hide = true, requires = "state_dir")]
        remove_state_dir: bool,
    },
    /// Start the cloud, run COMMAND with the environment set, and exit with its status
    Run {
        #[command(flatten)]
        cloud: CloudArgs,
        /// The command and its arguments, after --
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Leave a cloud running in the background and print its environment: eval "$(devcloud start)"
    Start {
        #[command(flatten)]
        cloud: CloudArgs,
    },
    /// Stop the cloud that `start` left running ($DEVCLOUD_PID)
    Stop,
    /// Print a federated assertion, minted by the running cloud ($DEVCLOUD_CONTROL)
    Assertion(assertion::AssertionArgs),
}

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { cloud, ready, detached, remove_state_dir } => {
            foreground::serve(cloud, ready, detached, remove_state_dir)
        }
        Command::Run { cloud, command } => foreground::run(cloud, &command),
        Command::Start { cloud } => background::start(cloud),
        Command::Stop => background::stop(),
        Command::Assertion(args) => assertion::mint(&args),
    };
    done.unwrap_or_else(|error| {
        // Nobody is left to be told when stderr is gone.
        let _ = writeln!(io::stderr(), "devcloud: {error}");
        ExitCode::FAILURE
    })
}
