//! Tokens that prove where a key lives: the caller's callback gets them (managed_identity spec, section 5.6).

mod cache;
mod tpm;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::clock::unix_seconds;
use crate::error::{Error, ErrorKind, Result, text};
use crate::http::{Pool, https_url};
use crate::key::PrivateKey;
use crate::runtime::{Call, Cancel, Wait};
use crate::secret::Secret;
use crate::token::is_token;

pub(crate) use cache::AttestationCache;
#[cfg(any(test, fuzzing))]
pub(crate) use tpm::fuzz_service;

/// Has the binding key of a managed identity attested. It is called on the thread of the caller, inside
/// the call, with no lock held: whenever a certificate is to be issued, for renewals, too. Whoever needs the
/// same certificate, in this process or with the same binding store, waits for it.
pub trait AttestationProvider: Send + Sync {
    /// The attestation service's token about the key: a compact JWT.
    ///
    /// Any error fails the call as `attestation_failed`, but for one of the kind `Cancelled`, which stays
    /// as it is. No certificate without attestation is asked for in its place.
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Secret>;
}

/// The key that is to be attested, and what an attestation service may want to know.
#[non_exhaustive]
pub struct AttestationRequest<'a> {
    /// The attestation service that the host names: an absolute https URL.
    pub endpoint: &'a str,
    /// The canonical client id of the managed identity.
    pub client_id: &'a str,
    /// The public key: SubjectPublicKeyInfo, DER.
    pub public_key: &'a [u8],
    /// The correlation id of the call.
    pub correlation_id: &'a str,
    /// The time the call has left, where it is limited.
    pub remaining: Option<Duration>,
    /// Fires when the caller gives up.
    pub cancel: &'a Cancel,
    pub(crate) key: &'a Arc<dyn PrivateKey>,
}

/// Where an app's attestation tokens come from.
pub(crate) struct Attestor<'a> {
    pub(crate) provider: Provider<'a>,
    pub(crate) cache: &'a AttestationCache,
}

/// Who gets them.
pub(crate) enum Provider<'a> {
    Callback(&'a dyn AttestationProvider),
    /// We do, with evidence from the TPM that the key is in.
    Tpm {
        pool: &'a Pool,
        pcrs: &'a [u8],
    },
}

impl AttestationRequest<'_> {
    /// Signs with the key, which itself is not handed out. `algorithm` is a name of RFC 7518; keys that
    /// the library makes are RSA: `PS256`, `PS384`, `PS512`, `RS256`, `RS384` or `RS512`.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>> {
        self.key.sign_as(algorithm, message, &Wait::new(self.cancel, self.remaining))
    }
}

impl fmt::Debug for AttestationRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestationRequest")
            .field("endpoint", &self.endpoint)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl Attestor<'_> {
    /// The token about `key` of the service at `endpoint`, as the host's metadata names it. `again` lets
    /// none be reused: the certificate that the last one led to was rejected.
    pub(crate) fn token(
        &self,
        endpoint: &str,
        client_id: &str,
        key: &Arc<dyn PrivateKey>,
        again: bool,
        call: &Call,
    ) -> Result<Secret> {
        let endpoint = absolute(endpoint)?;
        let name = self.name(&endpoint, key.as_ref());
        if again {
            self.cache.forget(&name);
        } else if let Some(token) = self.cache.get(&name, unix_seconds(call.clock.now())) {
            return Ok(token);
        }
        call.log.info("attestation", || format!("asking for an attestation of {endpoint}"));
        let answer = match &self.provider {
            Provider::Tpm { pool, pcrs } => tpm::attest(pool, &endpoint, client_id, key.as_ref(), pcrs, call),
            Provider::Callback(provider) => provider.attest(&AttestationRequest {
                endpoint: endpoint.as_str(),
                client_id,
                public_key: key.public_key_der(),
                correlation_id: &call.correlation_id,
                remaining: call.remaining(),
                cancel: &call.cancel,
                key,
            }),
        };
        // A token that came too late for this call is there for the next.
        if let Ok(token) = &answer
            && is_token(token.expose())
        {
            self.cache.put(name, token);
        }
        if let Some(end) = answer.as_ref().err().and_then(|error| call.end(error)) {
            return Err(end);
        }
        call.check().map_err(|end| end.context("attestation"))?;
        let token = match &self.provider {
            Provider::Tpm { .. } => answer?,
            Provider::Callback(_) => answer.map_err(failed)?,
        };
        if token.expose().trim().is_empty() {
            return Err(no_token("the attestation callback reported success but set no token"));
        }
        if !is_token(token.expose()) {
            let message = "the attestation callback set a token that has line breaks, control characters or others \
                           than ASCII: give the compact JWT and nothing else";
            return Err(no_token(message));
        }
        Ok(token)
    }
}

impl Attestor<'_> {
    /// Lets the token about `key` not be used again.
    pub(crate) fn forget(&self, endpoint: &str, key: &dyn PrivateKey) {
        if let Ok(endpoint) = absolute(endpoint) {
            self.cache.forget(&self.name(&endpoint, key));
        }
    }

    /// A report about other PCRs, or of a callback, is another one.
    fn name(&self, endpoint: &Url, key: &dyn PrivateKey) -> cache::Name {
        let pcrs: &[u8] = match &self.provider {
            Provider::Callback(_) => &[],
            Provider::Tpm { pcrs, .. } => pcrs,
        };
        cache::name(endpoint.as_str(), &[key.public_key_der(), pcrs].concat())
    }
}

/// What a callback that reported success without a usable token is told.
pub(crate) fn no_token(message: &str) -> Error {
    Error::new(ErrorKind::Callback, "attestation_failed", message)
}

fn failed(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Cancelled => error,
        // The C callback's own error, which says so already.
        _ if error.code() == "attestation_failed" => error,
        _ => {
            let message = format!("the attestation callback failed: {error}");
            Error::new(ErrorKind::Callback, "attestation_failed", message)
                .with_retryable(error.is_retryable())
        }
    }
}

/// Hosts may report a bare host name.
fn absolute(endpoint: &str) -> Result<Url> {
    let endpoint = endpoint.trim();
    let text = match endpoint.contains("://") {
        true => endpoint.to_owned(),
        false => format!("https://{endpoint}"),
    };
    https_url(&text).ok_or_else(|| {
        let shown = text::cut(endpoint, 200);
        let message = format!(
            "the answer to getplatformmetadata names an attestationEndpoint that is no https URL: {shown}"
        );
        Error::new(ErrorKind::InvalidResponse, "managed_identity_request_failed", message)
    })
}

#[cfg(test)]
mod tests;
