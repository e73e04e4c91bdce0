//! How to start a cloud.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::profile::Profile;
use crate::registry::Config;
use crate::source::{ArcAgent, Source};
use crate::vault::TokenBinding;

/// How to start a cloud.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to write certificates and keys; without it a temporary directory, removed with the cloud.
    pub state_dir: Option<PathBuf>,
    /// `user:password` that the proxy asks for.
    pub proxy_auth: Option<String>,
    /// `issuecredential` refuses a request without an attestation token.
    pub require_attestation: bool,
    /// `issuecredential` takes only an attestation token for a key in a TPM, and refuses a request without.
    pub require_tpm_attestation: bool,
    /// The attestation service takes TPM evidence only with a certificate of [`crate::Cloud::certify_attestation_key`].
    ///
    /// Without this, a program that makes an "attestation key" in software, and the whole evidence with it, is
    /// believed: nothing else shows that a TPM holds that key.
    pub require_aik_certificate: bool,
    /// The environment is that of a host with this service, instead of IMDS, for its managed identities.
    pub source: Option<Source>,
    /// Whose host it is: which variables that name identities the environment has.
    pub profile: Profile,
    /// Where IMDS listens; without it on a free port of 127.0.0.1.
    pub imds_address: Option<SocketAddr>,
    /// Where Azure Arc's keys are written; without it [`crate::Files::arc_tokens`].
    pub arc_tokens_dir: Option<PathBuf>,
    /// Which agent of Azure Arc it is.
    pub arc_agent: ArcAgent,
    /// Which tokens the vaults take.
    pub token_binding: TokenBinding,
    /// The APIs of a team's own.
    pub config: Config,
    /// How long every token lives; without it an hour, those of managed identities a day.
    pub token_seconds: Option<i64>,
    /// When clients of the token service are told to replace a token early.
    pub refresh_in: Option<i64>,
    /// One line on stderr for each request.
    pub log_to_stderr: bool,
}
