//! Federated identity credentials: the caller's callback, asked once per network request.

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

/// What a callback may want to know to make an assertion.
#[derive(Debug)]
#[non_exhaustive]
pub struct AssertionRequest<'a> {
    /// The app's client id.
    pub client_id: &'a str,
    /// The tenant; `None` where the authority has none.
    pub tenant_id: Option<&'a str>,
    /// The authority, as the app was given it, with a trailing slash.
    pub authority: &'a str,
    /// The URL the assertion will be sent to; the mTLS one for PoP.
    pub token_endpoint: &'a str,
    /// Whether the token will be bound: then a certificate must be returned too.
    pub token_type: TokenType,
    /// The claims of the request, JSON.
    pub claims: Option<&'a str>,
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
    let request = AssertionRequest {
        client_id: ask.client_id,
        tenant_id: ask.tenant,
        authority: ask.authority,
        token_endpoint: ask.token_endpoint.as_str(),
        token_type: ask.token_type,
        claims: ask.claims,
        correlation_id: &call.correlation_id,
        remaining: call.remaining(),
        cancel: &call.cancel,
    };
    let signed = provider.assertion(&request)?;
    call.check()?;
    if signed.assertion.expose().trim().is_empty() {
        return Err(Error::new(
            ErrorKind::Callback,
            "invalid_client_assertion",
            "the assertion callback reported success but set no assertion",
        ));
    }
    Ok(signed)
}
