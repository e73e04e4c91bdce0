//! What requests are known by in the caches of an app.

use std::borrow::Cow;

use once_cell::race::OnceBox;

use super::TokenRequest;
use super::core::{Core, Identity};
use super::managed_identity::resource_of;
use crate::error::Result;
use crate::token::{CacheKey, KeyBuilder, KeyStem, TokenType, scopes};

/// What the keys of plain requests have in common, made once for each way in which they ask. Without a lock: a forked
/// child could inherit one as another thread had it.
#[derive(Default)]
pub(super) struct Stems {
    bearer: OnceBox<KeyStem>,
    bearer_over_mtls: OnceBox<KeyStem>,
    mtls_pop: OnceBox<KeyStem>,
}

impl Core {
    /// The key of `request` in this app's cache, which a request remembers that is used again. Refuses what cannot
    /// work, before the cache is asked.
    #[inline(never)]
    pub(super) fn key(&self, request: &TokenRequest) -> Result<CacheKey> {
        let make = || {
            let Some(stem) = self.stem(request) else { return Ok(self.cache_key(request)?.build()) };
            request.check()?;
            let stem = match stem.get() {
                Some(stem) => stem,
                None => {
                    let made = Box::new(self.without_scopes(request)?.stem());
                    stem.get_or_init(|| made)
                }
            };
            Ok(stem.key(&self.scopes_of(request)?))
        };
        request.cache_key(self.number, make)
    }

    /// The same before it is built.
    pub(super) fn cache_key(&self, request: &TokenRequest) -> Result<KeyBuilder> {
        request.check()?;
        Ok(self.without_scopes(request)?.scopes(&self.scopes_of(request)?))
    }

    fn stem(&self, request: &TokenRequest) -> Option<&OnceBox<KeyStem>> {
        request.is_plain().then_some(match (request.token_type(), request.is_over_mtls()) {
            (TokenType::MtlsPop, _) => &self.stems.mtls_pop,
            (TokenType::Bearer, true) => &self.stems.bearer_over_mtls,
            (TokenType::Bearer, false) => &self.stems.bearer,
        })
    }

    fn without_scopes(&self, request: &TokenRequest) -> Result<KeyBuilder> {
        let key = KeyBuilder::default()
            .part("type", request.token_type().as_str())
            .component("capabilities", &self.client_capabilities.join(" "));
        match &self.identity {
            Identity::ManagedIdentity(identity) => identity.cache_key(key, request),
            Identity::ConfidentialClient(client) => client.cache_key(self, key, request),
        }
    }

    fn scopes_of<'a>(&self, request: &'a TokenRequest) -> Result<Cow<'a, str>> {
        match &self.identity {
            Identity::ManagedIdentity(_) => resource_of(request).map(Cow::Borrowed),
            Identity::ConfidentialClient(_) => Ok(scopes(&request.scopes())),
        }
    }
}
