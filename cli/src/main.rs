//! The program `mtlspop`: its commands, and how they end.

mod cache;
mod call;
mod certificate;
mod config;
mod credential;
mod devcloud;
mod doctor;
mod environment;
mod exec;
mod failure;
mod generated;
mod habits;
mod identity;
mod inspect;
mod layers;
mod output;
mod profile;
mod progress;
mod proxy;
mod secrets;
mod server;
mod settings;
mod times;
mod token;

use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::failure::Failure;

/// Microsoft Entra tokens for programs: Bearer, or bound to a certificate (mtls_pop).
#[derive(Debug, Parser)]
#[command(version, name = "mtlspop", max_term_width = 100, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{STATUSES}"))]
struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

/// What each command can be told.
#[derive(Args, Clone, Debug)]
struct Context {
    /// Take settings from this profile: see mtlspop config --help [env: MTLSPOP_PROFILE]
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,
    /// Say on stderr what is being done
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Token(token::TokenArgs),
    Call(call::CallArgs),
    Exec(exec::ExecArgs),
    Proxy(proxy::ProxyArgs),
    Certificate(certificate::CertificateArgs),
    Inspect(inspect::InspectArgs),
    Doctor(doctor::DoctorArgs),
    Config(config::ConfigArgs),
    Devcloud(devcloud::DevcloudArgs),
    Cache(cache::CacheCommandArgs),
    Completion(generated::CompletionArgs),
    Manual(generated::ManualArgs),
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop token --resource https://graph.microsoft.com --output token
  mtlspop call --pop --resource https://graph.microsoft.com \\
      https://mtlstb.graph.microsoft.com/v1.0/applications
  mtlspop exec --certificate app.pem -- ./program-with-an-azure-library
  mtlspop proxy --listen unix:/run/graph.sock \\
      --upstream https://graph.microsoft.com \\
      --resource https://graph.microsoft.com
  mtlspop doctor                  why it does not work here
  mtlspop token --help            whose token, and how it is printed";

const STATUSES: &str = "\
EXIT STATUS:
  0   done
  1   no: what was compared does not match, or doctor found a fault
  2   the command line, a setting or the input is wrong
  3   what was asked for cannot be had here: this host, this identity
  4   the service refused, or answered with what cannot be accepted
  5   no answer: name look-up, connection, proxy, TLS
  6   a private key, a certificate or another credential cannot be read or used
  7   the service asks for fewer requests: try again later
  22  call --fail: the API answered with 400 or more
  23  the output could not be written
  28  the time was over
  70  a bug of this program
Those above 9, except 70, are curl's.";

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| habits::explained(error).exit());
    let done = match &cli.command {
        Command::Token(args) => token::run(args, &cli.context),
        Command::Call(args) => call::run(args, &cli.context),
        Command::Exec(args) => {
            return exec::run(args, &cli.context).unwrap_or_else(|failure| failure.report());
        }
        Command::Proxy(args) => {
            return proxy::run(args, &cli.context).unwrap_or_else(|failure| failure.report());
        }
        Command::Certificate(args) => certificate::run(args, &cli.context),
        Command::Inspect(args) => inspect::run(args, &cli.context),
        Command::Doctor(args) => doctor::run(args, &cli.context),
        Command::Config(args) => config::run(args, &cli.context),
        Command::Devcloud(args) => Err(devcloud::run(args)),
        Command::Cache(args) => cache::run(args),
        Command::Completion(args) => generated::completion(args, Cli::command()),
        Command::Manual(args) => generated::manual(args, Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;
