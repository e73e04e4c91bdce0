//! An app: the public type. What happens in a call stands in `flow`, what it is made of in `core`.

mod binding_certificate;
mod caches;
mod capabilities;
mod confidential_client;
mod core;
mod diagnosis;
mod flow;
mod host;
mod key;
mod managed_identity;
mod measure;
mod options;
mod parameters;
mod refreshed;
mod rejected;
mod renewal;
mod request;
mod result;
mod send;

use std::sync::Arc;

use crate::error::Result;
use crate::runtime::{Background, Stripe};
use crate::token::{CacheKey, TokenCache};

use self::core::Core;
pub use diagnosis::{Look, Server, ServerRole, Servers};
use measure::Seen;
pub use options::AppOptions;
pub(crate) use parameters::Parameters;
pub use refreshed::BackgroundRefreshFn;
pub use request::TokenRequest;
pub use result::{CacheLevel, Metadata, Token, TokenSource};

/// An app: one identity with its settings, its caches and its connections. Made once, used by every
/// thread. Dropping it stops its background work.
pub struct App {
    core: Arc<Core>,
    background: Option<Background>,
}

impl App {
    /// Checks `options` and makes the app. No request is sent.
    pub fn new(options: AppOptions) -> Result<Self> {
        let core = Core::new(options.check()?);
        let background = core.has_background.then(Background::new);
        Ok(Self { core: Arc::new(core), background })
    }

    /// Gives a token for `request`: from the cache where it has a good one, else from the service.
    ///
    /// Blocks its caller. Callers that ask for the same token at the same time cause one request;
    /// each keeps its own timeout and cancellation.
    #[inline]
    pub fn acquire_token(&self, request: &TokenRequest) -> Result<Token> {
        self.acquire_token_in(Stripe::of_this_thread(), request)
    }

    /// The same for who knows the stripe of his thread already.
    #[inline(always)]
    pub(crate) fn acquire_token_in(&self, stripe: Stripe, request: &TokenRequest) -> Result<Token> {
        match self.core.fresh(request, stripe) {
            Ok(token) => Ok(token),
            Err(key) => self.acquire_and_measure(request, key),
        }
    }

    #[inline(never)]
    fn acquire_and_measure(&self, request: &TokenRequest, key: Option<CacheKey>) -> Result<Token> {
        let started = self.core.metrics.is_on().then(|| self.core.clock.monotonic());
        let mut seen = Seen::default();
        let result = self.acquire(request, key, &mut seen);
        if let Some(started) = started {
            self.core.measure(&self.core.subject(request), &result, &seen, started);
        }
        result
    }

    /// Gives the token that [`acquire_token`](Self::acquire_token) would give at once; `None` where that would have
    /// to wait: nothing in memory can be served, the request bypasses the cache, or the app has no thread for the
    /// early refresh that is due. Sends nothing, waits for nobody, asks no store. For event loops: who gets `None`
    /// has a thread that may wait call `acquire_token`.
    pub fn cached_token(&self, request: &TokenRequest) -> Result<Option<Token>> {
        let started = self.core.metrics.is_on().then(|| self.core.clock.monotonic());
        let mut seen = Seen::default();
        // Who finds nothing has not acquired yet.
        let Some(result) = self.cached(request, &mut seen).transpose() else { return Ok(None) };
        if let Some(started) = started {
            self.core.measure(&self.core.subject(request), &result, &seen, started);
        }
        result.map(Some)
    }

    /// The cache of this app's tokens: its own, the one it was given, or, for managed identities without a key
    /// signer, the one of the process.
    pub fn token_cache(&self) -> TokenCache {
        self.core.caches.get().tokens.clone()
    }

    /// Stops the background work, and lets none begin.
    pub(crate) fn stop_background(&self) {
        if let Some(background) = &self.background {
            background.stop();
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("number", &self.core.number).finish_non_exhaustive()
    }
}
