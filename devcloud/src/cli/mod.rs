//! The commands: `serve`, `run`, `start`, `stop` and `assertion`.

mod assertion;
mod background;
mod foreground;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use devcloud::{ArcAgent, Options, Source, TokenBinding, TokenBindingMode, TokenBindingStrength};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

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

#[derive(Debug, Args)]
struct CloudArgs {
    /// Write certificates, keys and assertions here, instead of into a temporary directory
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The proxy asks for these credentials
    #[arg(long, value_name = "USER:PASSWORD")]
    proxy_auth: Option<String>,
    /// IMDS refuses to issue a certificate without an attestation token
    #[arg(long)]
    require_attestation: bool,
    /// IMDS takes only an attestation token for a key in a TPM
    #[arg(long)]
    require_tpm_attestation: bool,
    /// Give the environment of a host whose managed identities come from this service, not from IMDS
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// What Azure Arc's agent knows of user-assigned identities
    #[arg(long, value_enum, default_value_t)]
    arc_agent: ArcAgent,
    /// Which tokens Key Vault takes: Bearer only, both, or bound ones only
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    token_binding: TokenBindingMode,
    /// How strongly a token must be bound for Key Vault
    #[arg(long, value_enum, value_name = "STRENGTH", default_value_t)]
    minimum_token_binding_strength: TokenBindingStrength,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ready {
    /// One line: {"event":"ready", ...}
    Json,
    /// Lines for a shell: export NAME='value'
    Env,
}

impl CloudArgs {
    fn options(self, log_to_stderr: bool) -> Options {
        Options {
            state_dir: self.state_dir,
            proxy_auth: self.proxy_auth,
            require_attestation: self.require_attestation,
            require_tpm_attestation: self.require_tpm_attestation,
            require_aik_certificate: false,
            source: self.source,
            arc_agent: self.arc_agent,
            token_binding: TokenBinding {
                mode: self.token_binding,
                minimum_token_binding_strength: self.minimum_token_binding_strength,
            },
            log_to_stderr,
        }
    }
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

/// Variables that clients prefer to those we set; they would lead around the cloud.
const IN_THE_WAY: [&str; 13] = [
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "DEFAULT_IDENTITY_CLIENT_ID",
];

/// `export NAME='value'`, safe for any POSIX shell.
fn export(env: impl IntoIterator<Item = (String, String)>) -> String {
    let unset = format!("unset {}\n", IN_THE_WAY.join(" "));
    let exports =
        env.into_iter().map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
    std::iter::once(unset).chain(exports).collect()
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
