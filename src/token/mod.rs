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

use std::num::NonZeroU32;
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
pub(crate) use entry::Entry as CachedToken;
pub use files::TokenFiles;
#[cfg(all(any(test, fuzzing), feature = "renegotiation"))]
pub(crate) use files::fuzz_file;
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
    pub(crate) texts: Texts,
    /// When it came, by the clock that `expires_on` was reckoned with; 0 where that is not known. Of [`short_seconds`].
    pub(crate) received_on: u32,
    /// When to fetch the next one although this one still lives. Of [`short_seconds`].
    pub(crate) refresh_on: Option<NonZeroU32>,
    /// Unix seconds, UTC.
    pub(crate) expires_on: i64,
    pub(crate) origin: Arc<Origin>,
    /// What it is bound to, which makes it one of type [`TokenType::MtlsPop`]; `None` for Bearer.
    pub(crate) certificate: Option<Certificate>,
}

/// The texts of a token in one piece, which takes less memory than two.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    /// The scopes with spaces between them, and behind them the value of the `Authorization` header: type, space, token.
    all: Secret,
    /// The length of the scopes.
    scopes: u32,
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

impl Texts {
    /// Of a token of this type; scopes with spaces between them.
    pub(crate) fn new(token_type: TokenType, token: &Secret, scopes: &str) -> Self {
        // Of this length there are none.
        let (scopes, length) = u32::try_from(scopes.len()).map_or(("", 0), |length| (scopes, length));
        let parts = [scopes, token_type.as_str(), " ", token.expose()];
        // With room for what `Secret` puts behind it, so that nothing has to be moved.
        let mut text = String::with_capacity(parts.map(str::len).iter().sum::<usize>() + 1);
        parts.iter().for_each(|part| text.push_str(part));
        Self { all: Secret::new(text), scopes: length }
    }

    /// All that there is in memory, in bytes.
    fn length(&self) -> usize {
        self.all.expose_terminated().len()
    }

    fn scopes(&self) -> &str {
        &self.all.expose()[..self.scopes as usize]
    }

    fn authorization(&self) -> &str {
        &self.all.expose()[self.scopes as usize..]
    }

    fn terminated(&self) -> &[u8] {
        &self.all.expose_terminated()[self.scopes as usize..]
    }
}

/// Unix seconds in four bytes, as far as they go: from 1970 to 2106.
pub(crate) fn short_seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

impl AccessToken {
    /// The value of the `Authorization` header: type, space, token.
    pub(crate) fn authorization(&self) -> &str {
        self.texts.authorization()
    }

    /// The same and the NUL behind it.
    pub(crate) fn terminated(&self) -> &[u8] {
        self.texts.terminated()
    }

    #[inline(always)]
    pub(crate) fn token_type(&self) -> TokenType {
        if self.certificate.is_some() { TokenType::MtlsPop } else { TokenType::Bearer }
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.texts.scopes().split(' ').filter(|scope| !scope.is_empty())
    }

    /// The token without its type.
    pub(crate) fn text(&self) -> &str {
        &self.authorization()[self.token_offset()..]
    }

    /// Where the token itself starts in [`authorization`](Self::authorization).
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

    use super::{AccessToken, CacheKey, KeyBuilder, Texts, TokenType};
    use crate::secret::Secret;

    /// The key of a token with this name.
    pub(super) fn key(name: &str) -> CacheKey {
        KeyBuilder::default().part("name", name).build()
    }

    /// A Bearer token that has expired long ago.
    pub(super) fn bearer(text: &str) -> AccessToken {
        AccessToken {
            texts: Texts::new(TokenType::Bearer, &Secret::new(text), ""),
            received_on: 0,
            refresh_on: None,
            expires_on: 0,
            origin: Arc::default(),
            certificate: None,
        }
    }
}
