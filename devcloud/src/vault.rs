//! What is Key Vault's own: which tokens its policy takes, and when it asks for the client certificate.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::exchange::Connection;
use crate::fault::{Close, Fault, Faults};
use crate::issuer::{STRENGTH, TokenBindingStrength};
use crate::jwt::Token;
use crate::record::Log;
use crate::renegotiation::Stream;

/// Without the certificate that a token is bound to; the words are those of the real one.
pub(crate) const NO_CERTIFICATE: &str =
    "[MissingClientCertificate] Client certificate required for using MTLS_POP token.";
/// With another one. Real vaults say so for a while of the right one, too.
pub(crate) const OTHER_CERTIFICATE: &str =
    "[MtlsCnfClaimRequestDataValidationFailed] Could not validate token.";

/// Which tokens the vaults take, as their ARM resources have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenBinding {
    /// Whether they take bound tokens, and others.
    pub mode: TokenBindingMode,
    /// How strongly a bound token must be bound.
    pub minimum_token_binding_strength: TokenBindingStrength,
}

/// Whether the vaults take bound tokens, and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
pub enum TokenBindingMode {
    /// Bearer tokens only.
    Disabled,
    /// Both.
    #[default]
    Enabled,
    /// Bound tokens only.
    Enforced,
}

/// The policy that is in force.
#[derive(Debug, Default)]
pub(crate) struct Policy(Mutex<TokenBinding>);

impl Policy {
    pub(crate) fn new(policy: TokenBinding) -> Self {
        Policy(Mutex::new(policy))
    }

    pub(crate) fn get(&self) -> TokenBinding {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, policy: TokenBinding) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}

impl TokenBinding {
    /// Why the policy refuses the token.
    pub(crate) fn refusal(self, token: &Token) -> Option<String> {
        let bound = token.bound_to().is_some();
        match self.mode {
            TokenBindingMode::Disabled if bound => {
                return Some(
                    "Token binding is not enabled for this vault: it takes Bearer tokens only.".to_owned(),
                );
            }
            TokenBindingMode::Enforced if !bound => {
                return Some(
                    "Token binding is enforced for this vault: it takes no Bearer token.".to_owned(),
                );
            }
            _ => {}
        }
        let strength = serde_json::from_value(token.claims[STRENGTH].clone());
        let strength = strength.unwrap_or(TokenBindingStrength::Unattested);
        let minimum = self.minimum_token_binding_strength;
        (bound && strength < minimum).then(|| {
            format!("The strength of the token binding is {strength:?}, this vault wants {minimum:?}.")
        })
    }
}

/// Whether the request says that its token is bound.
pub(crate) fn is_announced(headers: &BTreeMap<String, String>) -> bool {
    headers.get("x-ms-tokenboundauth").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Whether a request with these header fields cannot be judged before the client is asked for its certificate.
pub(crate) fn asks(
    policy: TokenBinding,
    connection: &Connection,
    headers: &BTreeMap<String, String>,
) -> bool {
    let scheme = headers.get("authorization").and_then(|value| value.split(' ').next());
    connection.renegotiation.as_ref().is_some_and(|tls| tls.client_certificates().is_empty())
        && policy.mode != TokenBindingMode::Disabled
        && is_announced(headers)
        && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("mtls_pop"))
}

/// Completes what is known of the connection. Where it `asks`, the client is asked for its certificate first, or what
/// the fault says is done.
pub(crate) async fn look(
    connection: &mut Connection,
    asks: bool,
    fault: Option<&Fault>,
    (faults, log): (&Faults, &Log),
) -> io::Result<()> {
    let Some(tls) = connection.renegotiation.clone() else { return Ok(()) };
    let asked = match asks && faults.take_any("tls_certificate_request").is_none() {
        true => ask(&tls, fault, log).await,
        false => Ok(()),
    };
    connection.client_certificates = tls.client_certificates();
    if tls.renegotiations() > 0 {
        connection.handshake = Some("Renegotiated".to_owned());
    }
    asked
}

async fn ask(tls: &Stream, fault: Option<&Fault>, log: &Log) -> io::Result<()> {
    if fault.is_some_and(|fault| fault.close == Some(Close::InRenegotiation)) {
        tls.request_hello().await?;
        return Err(io::Error::other("a fault cut the connection in the renegotiation"));
    }
    for _ in 0..fault.and_then(|fault| fault.renegotiations).unwrap_or(1) {
        log.count("renegotiations");
        tls.renegotiate().await?;
    }
    Ok(())
}
