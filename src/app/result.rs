//! What a call gives back: the token and everything known about it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use uuid::Uuid;

use crate::binding::Certificate;
use crate::clock::from_unix_seconds;
use crate::token::{AccessToken, TokenType};

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum TokenSource {
    /// The token service issued it in this call. The number is MSAL's.
    IdentityProvider = 0,
    /// The cache had it.
    Cache = 1,
}

/// A token with the certificate it is bound to. A snapshot: later renewals do not change it.
pub struct Token {
    token: Arc<AccessToken>,
    source: TokenSource,
    /// Made on demand for cache hits, which send no id to anybody.
    correlation_id: OnceLock<String>,
}

impl Token {
    pub(crate) fn issued(token: Arc<AccessToken>, correlation_id: String) -> Self {
        Self { token, source: TokenSource::IdentityProvider, correlation_id: OnceLock::from(correlation_id) }
    }

    pub(crate) fn cached(token: Arc<AccessToken>, correlation_id: Option<&str>) -> Self {
        let correlation_id = correlation_id.map(|id| OnceLock::from(id.to_owned())).unwrap_or_default();
        Self { token, source: TokenSource::Cache, correlation_id }
    }

    /// The token itself. A secret: do not log it.
    pub fn access_token(&self) -> &str {
        &self.authorization()[self.token.token_offset()..]
    }

    /// How it must be presented.
    pub fn token_type(&self) -> TokenType {
        self.token.token_type
    }

    /// The value of the `Authorization` header: type, space, token. A secret: do not log it.
    pub fn authorization(&self) -> &str {
        self.token.authorization.expose()
    }

    /// Type, space and token with a NUL behind them, and where the token starts.
    pub(crate) fn terminated(&self) -> (&[u8], usize) {
        (self.token.authorization.expose_terminated(), self.token.token_offset())
    }

    /// When it ends.
    pub fn expires_on(&self) -> SystemTime {
        from_unix_seconds(self.token.expires_on)
    }

    /// When the library will fetch the next one although this one still lives.
    pub fn refresh_on(&self) -> Option<SystemTime> {
        self.token.refresh_on.map(from_unix_seconds)
    }

    /// What was granted, or what was asked where the service did not say.
    pub fn scopes(&self) -> &[String] {
        &self.token.scopes
    }

    /// The tenant it was issued in.
    pub fn tenant_id(&self) -> Option<&str> {
        self.token.tenant.as_deref()
    }

    /// Where it came from.
    pub fn source(&self) -> TokenSource {
        self.source
    }

    /// The URL of the token endpoint that issued it, whether in this call or in an earlier one.
    pub fn token_endpoint(&self) -> &str {
        &self.token.endpoint
    }

    /// The Azure region whose endpoint issued it.
    pub fn region(&self) -> Option<&str> {
        self.token.region.as_deref()
    }

    /// The certificate it is bound to, with its private key; `None` for Bearer.
    pub fn binding_certificate(&self) -> Option<&Certificate> {
        self.token.certificate.as_ref()
    }

    /// The id of this call, also where the cache answered.
    pub fn correlation_id(&self) -> &str {
        self.correlation_id.get_or_init(|| Uuid::new_v4().to_string())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("token_type", &self.token_type())
            .field("expires_on", &self.token.expires_on)
            .field("source", &self.source)
            .field("certificate", &self.token.certificate)
            .finish_non_exhaustive()
    }
}
