//! Tokens: asking a token endpoint for one, reading the answer, keeping it for the next caller.

mod cache;
mod cache_key;
mod claims;
mod endpoint;
mod entry;
mod files;
mod lifetime;
mod refresh;
mod refused;
mod response;
mod shard;
mod store;
mod table;
mod telemetry;

use std::num::NonZeroI64;
use std::sync::Arc;

use crate::authority::RegionDetails;
use crate::binding::Certificate;
use crate::http::TlsDetails;
use crate::secret::Secret;

pub(crate) use cache::Cached;
pub use cache::{TokenCache, TokenCacheStatistics};
pub(crate) use cache_key::{CacheKey, KeyBuilder, KeyStem, Partition, scopes};
pub(crate) use claims::{merge_claims, parse_claims};
pub(crate) use endpoint::{TokenPost, request_token};
pub use files::TokenFiles;
pub(crate) use lifetime::{LONGEST_LIFE, is_token, whole_seconds};
pub use refresh::CacheRefreshReason;
pub(crate) use refresh::{Freshness, freshness, refresh_time};
pub(crate) use refused::parse_error;
pub(crate) use response::TokenResponse;
pub(crate) use store::StoredPartition;
pub use store::TokenStore;
pub(crate) use telemetry::{Api, CallerSdk, Telemetry};

/// How a token must be presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// Whoever holds it may use it (RFC 6750).
    Bearer,
    /// Only over mTLS with the certificate it is bound to (RFC 8705, section 3; Entra's `mtls_pop`).
    MtlsPop,
}

/// A token with everything that is known about it. Immutable; shared by the cache and every result.
#[derive(Debug)]
pub(crate) struct AccessToken {
    /// The value of the `Authorization` header: type, space, token. Kept once; the token is its end.
    pub(crate) authorization: Secret,
    /// When it came, by the clock that `expires_on` was reckoned with; Unix seconds, 0 where that is not known.
    pub(crate) received_on: i64,
    /// Unix seconds, UTC.
    pub(crate) expires_on: i64,
    /// Unix seconds, UTC: when to fetch the next one although this one still lives.
    pub(crate) refresh_on: Option<NonZeroI64>,
    /// With spaces between them.
    pub(crate) scopes: Box<str>,
    pub(crate) origin: Arc<Origin>,
    /// What it is bound to, which makes it one of type [`TokenType::MtlsPop`]; `None` for Bearer.
    pub(crate) certificate: Option<Certificate>,
}

/// Where a token is from, and what was said beside it: the same for many.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) tenant: Option<String>,
    pub(crate) endpoint: String,
    /// How the endpoint came by its region.
    pub(crate) region: RegionDetails,
    /// What the service said beside the token, by name.
    pub(crate) response_parameters: Vec<(String, String)>,
    /// The TLS of the connection that it was issued over; unknown where it comes from a store.
    pub(crate) tls: Option<TlsDetails>,
}

impl AccessToken {
    /// How a token of this type is presented.
    pub(crate) fn authorization(token_type: TokenType, token: &Secret) -> Secret {
        let parts = [token_type.as_str(), " ", token.expose()];
        // With room for what `Secret` puts behind it, so that nothing has to be moved.
        let mut text = String::with_capacity(parts.map(str::len).iter().sum::<usize>() + 1);
        parts.iter().for_each(|part| text.push_str(part));
        Secret::new(text)
    }

    #[inline(always)]
    pub(crate) fn token_type(&self) -> TokenType {
        if self.certificate.is_some() { TokenType::MtlsPop } else { TokenType::Bearer }
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.split(' ').filter(|scope| !scope.is_empty())
    }

    /// The token without its type.
    pub(crate) fn text(&self) -> &str {
        &self.authorization.expose()[self.token_offset()..]
    }

    /// Where the token itself starts in [`AccessToken::authorization`].
    pub(crate) fn token_offset(&self) -> usize {
        self.token_type().as_str().len() + 1
    }
}

impl TokenType {
    /// As it stands in requests, answers and the `Authorization` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::MtlsPop => "mtls_pop",
        }
    }
}

#[cfg(test)]
mod test {
    use std::sync::Arc;

    use super::{AccessToken, CacheKey, KeyBuilder, TokenType};
    use crate::secret::Secret;

    /// The key of a token with this name.
    pub(super) fn key(name: &str) -> CacheKey {
        KeyBuilder::default().part("name", name).build()
    }

    /// A Bearer token that has expired long ago.
    pub(super) fn bearer(text: &str) -> AccessToken {
        AccessToken {
            authorization: AccessToken::authorization(TokenType::Bearer, &Secret::new(text)),
            received_on: 0,
            expires_on: 0,
            refresh_on: None,
            scopes: Box::default(),
            origin: Arc::default(),
            certificate: None,
        }
    }

    pub(super) fn token(text: &str) -> Arc<AccessToken> {
        Arc::new(bearer(text))
    }
}
