//! Callbacks of the caller: assertions made elsewhere (FIC), certificates that rotate. Asked once per network request.

use std::time::Duration;

use super::Ask;
use crate::binding::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Call, Cancel};
use crate::secret::Secret;
use crate::token::TokenType;

/// Gives signed assertions. It is called on the thread of the caller, inside the call, with no lock
/// held, and never when a cached token is served.
pub trait AssertionProvider: Send + Sync {
    /// The assertion for this request, and the certificate it is bound to, where it is.
    fn assertion(&self, request: &AssertionRequest<'_>) -> Result<SignedAssertion>;
}

/// Gives the certificate of the app as it is now, so that it can be replaced without a restart. Called
/// like an [`AssertionProvider`]. Tokens bound to an earlier certificate stay in use, with that one.
pub trait CertificateProvider: Send + Sync {
    /// The certificate to prove this request with, and to bind a bound token to.
    fn certificate(&self, request: &AssertionRequest<'_>) -> Result<Certificate>;
}

/// What a callback may want to know to make an assertion.
#[derive(Debug)]
#[non_exhaustive]
pub struct AssertionRequest<'a> {
    /// The app's client id.
    pub client_id: &'a str,
    /// The tenant; `None` where the authority has none.
    pub tenant_id: Option<&'a str>,
    /// The authority the token is asked of, with a trailing slash; not its regional or mTLS host.
    pub authority: &'a str,
    /// The URL the assertion will be sent to; the mTLS one for PoP.
    pub token_endpoint: &'a str,
    /// Whether the token will be bound: then a certificate must be returned too.
    pub token_type: TokenType,
    /// The claims challenge of the request, JSON.
    pub claims: Option<&'a str>,
    /// What the app can handle, for example `cp1`.
    pub client_capabilities: &'a [String],
    /// The FMI path that the assertion is to be asked for, where the request names one.
    pub fmi_path: Option<&'a str>,
    /// The correlation id of the call.
    pub correlation_id: &'a str,
    /// The time the call has left, where it is limited.
    pub remaining: Option<Duration>,
    /// Fires when the caller gives up.
    pub cancel: &'a Cancel,
}

/// An assertion and the certificate it is bound to: one value, so that the two cannot be mixed up.
#[derive(Clone, Debug)]
pub struct SignedAssertion {
    /// A compact JWT.
    pub assertion: Secret,
    /// Sent as `jwt-pop` over mTLS with this certificate; without one as `jwt-bearer`.
    pub certificate: Option<Certificate>,
}

/// Asks `provider` for this request and checks that there is an assertion.
pub(super) fn ask_provider(
    provider: &dyn AssertionProvider,
    ask: &Ask<'_>,
    call: &Call,
) -> Result<SignedAssertion> {
    let signed = provider.assertion(&question(ask, call))?;
    call.check().map_err(|end| end.context("the assertion callback"))?;
    if signed.assertion.expose().trim().is_empty() {
        return Err(Error::new(
            ErrorKind::Callback,
            "invalid_client_assertion",
            "the assertion callback reported success but set no assertion",
        ));
    }
    Ok(signed)
}

/// Asks `provider` for the certificate of this request.
pub(super) fn ask_for_certificate(
    provider: &dyn CertificateProvider,
    ask: &Ask<'_>,
    call: &Call,
) -> Result<Certificate> {
    let certificate = provider.certificate(&question(ask, call))?;
    call.check().map_err(|end| end.context("the certificate callback"))?;
    Ok(certificate)
}

fn question<'a>(ask: &'a Ask<'a>, call: &'a Call) -> AssertionRequest<'a> {
    AssertionRequest {
        client_id: ask.client_id,
        tenant_id: ask.tenant,
        authority: ask.authority,
        token_endpoint: ask.audience(),
        token_type: ask.token_type,
        claims: ask.claims,
        client_capabilities: ask.client_capabilities,
        fmi_path: ask.assertion_fmi_path,
        correlation_id: &call.correlation_id,
        remaining: call.remaining(),
        cancel: &call.cancel,
    }
}
