//! The options that commands have in common.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use devcloud::{
    ArcAgent, Config, Options, Profile, Source, TokenBinding, TokenBindingMode, TokenBindingStrength,
};

#[derive(Debug, Args)]
pub(super) struct CloudArgs {
    /// Write certificates, keys and assertions here, instead of into a temporary directory
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
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
    /// Give the environment of a host whose programs have this credential, and nothing of another's
    #[arg(long = "as", value_enum, value_name = "PROFILE", default_value_t)]
    profile: Profile,
    /// Serve IMDS at this address, for clients that know no other than 169.254.169.254:80; it must be the machine's, as in
    /// a network namespace made for it
    #[arg(long, value_name = "ADDRESS:PORT")]
    imds_address: Option<SocketAddr>,
    /// Write Azure Arc's keys here; real clients read them in /var/opt/azcmagent/tokens [default: in the state directory]
    #[arg(long, value_name = "DIR")]
    arc_tokens_dir: Option<PathBuf>,
    /// What Azure Arc's agent knows of user-assigned identities
    #[arg(long, value_enum, default_value_t)]
    arc_agent: ArcAgent,
    /// Read from here which APIs of your own there are (TOML; devcloud/README.md has an example)
    #[arg(long, value_name = "FILE", value_parser = config)]
    config: Option<Config>,
    /// Which tokens Key Vault takes: Bearer only, both, or bound ones only
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    token_binding: TokenBindingMode,
    /// How strongly a token must be bound for Key Vault
    #[arg(long, value_enum, value_name = "STRENGTH", default_value_t)]
    minimum_token_binding_strength: TokenBindingStrength,
    /// How long every token lives [default: an hour, those of managed identities a day]
    #[arg(long, value_name = "SECS")]
    token_seconds: Option<i64>,
    /// When clients of the token service are told to replace a token early [default: they are not]
    #[arg(long, value_name = "SECS")]
    refresh_in: Option<i64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Ready {
    /// One line: {"event":"ready", ...}
    Json,
    /// Lines for a shell: export NAME='value'
    Env,
}

impl CloudArgs {
    /// Which variables go from the environment of a program before it gets the cloud's.
    pub(super) fn in_the_way(&self) -> Vec<&'static str> {
        self.profile.in_the_way()
    }

    /// A word on stderr about variables that contradict each other.
    pub(super) fn say_what_contradicts(&self) {
        if self.profile == Profile::All {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(
                io::stderr(),
                "devcloud: AZURE_CLIENT_ID is application A's, AZURE_FEDERATED_TOKEN_FILE application B's; with --as \
                 (secret, certificate, workload, managed-identity) the environment is that of one host"
            );
        }
    }

    pub(super) fn options(self, log_to_stderr: bool) -> Options {
        Options {
            state_dir: self.state_dir,
            proxy_auth: self.proxy_auth,
            require_attestation: self.require_attestation,
            require_tpm_attestation: self.require_tpm_attestation,
            require_aik_certificate: false,
            source: self.source,
            profile: self.profile,
            imds_address: self.imds_address,
            arc_tokens_dir: self.arc_tokens_dir,
            config: self.config.unwrap_or_default(),
            arc_agent: self.arc_agent,
            token_binding: TokenBinding {
                mode: self.token_binding,
                minimum_token_binding_strength: self.minimum_token_binding_strength,
            },
            token_seconds: self.token_seconds,
            refresh_in: self.refresh_in,
            log_to_stderr,
        }
    }
}

fn config(path: &str) -> Result<Config, String> {
    Config::read(Path::new(path))
}
