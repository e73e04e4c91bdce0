//! An app and its one flow: look into the cache, otherwise fetch once for all who wait.

mod binding_certificate;
mod capabilities;
mod confidential_client;
mod host;
mod managed_identity;
mod measure;
mod options;
mod parameters;
mod refreshed;
mod rejected;
mod request;
mod result;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::attestation::AttestationCache;
use crate::binding::{BindingCaches, BindingStore};
use crate::clock::{Clock, unix_seconds};
use crate::error::{Error, Result};
use crate::http::Pool;
use crate::log::Logger;
use crate::managed_identity::Probed;
use crate::metrics::Metrics;
use crate::runtime::{Background, Call, Cancel, Flights, PerProcess};
use crate::token::{
    AccessToken, Api, CacheKey, CacheRefreshReason, Cached, Freshness, KeyBuilder, StoredPartition,
    TokenCache, TokenResponse, freshness, refresh_time,
};

use confidential_client::ConfidentialClient;
use host::HOST;
use managed_identity::ManagedIdentity;
use measure::{Seen, Subject};
pub use options::AppOptions;
pub(crate) use parameters::Parameters;
pub use refreshed::BackgroundRefreshFn;
use refreshed::OnBackgroundRefresh;
use rejected::Rejected;
pub use request::TokenRequest;
use request::token_sha256;
pub use result::{CacheLevel, Metadata, Token, TokenSource};

/// An app: one identity with its settings, its caches and its connections. Made once, used by every
/// thread. Dropping it stops its background work.
pub struct App {
    core: Arc<Core>,
    background: Option<Background>,
}

/// What background work needs of an app, and keeps alive.
struct Core {
    number: u64,
    identity: Identity,
    caches: Arc<PerProcess<Caches>>,
    client_capabilities: Vec<String>,
    /// Where the certificates of managed identities outlive the process.
    binding_store: Option<Arc<BindingStore>>,
    /// Whether the app has a thread for work that is nobody's call.
    has_background: bool,
    on_background_refresh: OnBackgroundRefresh,
    pool: Pool,
    clock: Arc<dyn Clock>,
    log: Logger,
    metrics: Metrics,
    extended_metrics: bool,
    probe_timeout: Duration,
}

enum Identity {
    ManagedIdentity(Box<ManagedIdentity>),
    ConfidentialClient(Box<ConfidentialClient>),
}

struct Caches {
    tokens: TokenCache,
    /// The fetches under way for tokens.
    flights: Flights<Arc<CacheKey>, Arc<AccessToken>>,
    bindings: BindingCaches,
    /// What probes of the instance metadata service found.
    probed: Probed,
    attestations: AttestationCache,
    /// The APIs that want none of its tokens.
    rejected: Rejected,
}

impl App {
    /// Checks `options` and makes the app. No request is sent.
    pub fn new(options: AppOptions) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let parts = options.check()?;
        let caches = match &parts.identity {
            // Certificates keep their signer, so those of one are not for other apps, and end with their own.
            Identity::ManagedIdentity(identity) if identity.home.is_elsewhere() => {
                Caches::around(TokenCache::new())
            }
            Identity::ManagedIdentity(_) => HOST.managed_identity.clone(),
            Identity::ConfidentialClient(_) => Caches::around(parts.token_cache),
        };
        let core = Core {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            identity: parts.identity,
            caches,
            client_capabilities: parts.client_capabilities,
            binding_store: parts.binding_store,
            has_background: parts.background_refresh,
            on_background_refresh: parts.on_background_refresh,
            pool: parts.pool,
            clock: parts.clock,
            log: parts.log,
            metrics: parts.metrics,
            extended_metrics: parts.extended_metrics,
            probe_timeout: parts.probe_timeout,
        };
        Ok(Self { core: Arc::new(core), background: parts.background_refresh.then(Background::new) })
    }

    /// Gives a token for `request`: from the cache where it has a good one, else from the service.
    ///
    /// Blocks its caller. Callers that ask for the same token at the same time cause one request;
    /// each keeps its own timeout and cancellation.
    pub fn acquire_token(&self, request: &TokenRequest) -> Result<Token> {
        let started = self.core.metrics.is_on().then(|| self.core.clock.monotonic());
        let mut seen = Seen::default();
        let result = self.acquire(request, &mut seen);
        if let Some(started) = started {
            self.core.measure(&self.core.subject(request), &result, &seen, started);
        }
        result
    }

    fn acquire(&self, request: &TokenRequest, seen: &mut Seen) -> Result<Token> {
        if request.is_cancelled() {
            return Err(self.core.call(request, request.cancel()).cancelled());
        }
        let key =
            request.cache_key(self.core.number, || self.core.cache_key(request).map(KeyBuilder::build))?;
        seen.reason = CacheRefreshReason::ForceRefreshOrClaims;
        if !request.bypasses_cache() {
            seen.reason = CacheRefreshReason::NoCachedAccessToken;
            let found = self.core.caches.get().tokens.get(&key, |token| self.core.judge(token, request));
            match found {
                Some((cached, Freshness::Fresh)) => {
                    seen.reason = CacheRefreshReason::NotApplicable;
                    return Ok(Token::cached(cached.token, request.correlation_id()));
                }
                Some((cached, Freshness::RefreshDue)) => {
                    return self.serve_and_refresh(&key, cached, request, seen);
                }
                Some((_, Freshness::Expired)) => seen.reason = CacheRefreshReason::Expired,
                None => {}
            }
        }
        let call = self.core.call(request, request.cancel());
        let token = self.core.fetch_once(&key, request, seen, &call);
        let hit = token.as_ref().is_ok_and(|token| token.source() == TokenSource::Cache);
        self.core.caches.get().tokens.count(&key, hit);
        if token.is_ok() {
            self.renew_certificate(request);
        }
        token.map_err(|error| {
            let error = error.with_correlation_id(&call.correlation_id);
            self.core.log.error("app", || format!("no token: {} ({})", error.code(), call.correlation_id));
            error
        })
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

    /// A token that is still good but due for replacement: the caller gets it at once, and a thread
    /// of the app fetches the next one. Where there is no such thread, one caller fetches it here,
    /// and still gets the old one if that fails, unless it has cancelled the call.
    fn serve_and_refresh(
        &self,
        key: &Arc<CacheKey>,
        cached: Cached,
        request: &TokenRequest,
        seen: &mut Seen,
    ) -> Result<Token> {
        let correlation_id = request.correlation_id();
        seen.reason = CacheRefreshReason::NotApplicable;
        // The claim comes first: it takes no lock, and in an outage each hit comes here.
        let Some(claim) = cached.claim_refresh(&self.core.clock) else {
            return Ok(Token::cached(cached.token, correlation_id));
        };
        if self.core.caches.get().flights.is_running(key) {
            return Ok(Token::cached(cached.token, correlation_id));
        }
        seen.reason = CacheRefreshReason::ProactivelyRefreshed;
        let Some(background) = &self.background else {
            let call = self.core.call(request, request.cancel());
            return self.core.fetch_once(key, request, seen, &call).or_else(|error| {
                if call.cancel.is_cancelled() {
                    return Err(took(call.cancelled(), &call));
                }
                self.core.refresh_failed(&error, &call);
                let metadata = seen.metadata(TokenSource::Cache, CacheLevel::L1Cache, &call);
                Ok(Token::got(cached.token, metadata, call.correlation_id.clone()))
            });
        };
        let (core, key, request) = (self.core.clone(), key.clone(), request.clone());
        background.spawn(move |cancel| {
            // The caller has its token: only the app may stop this, not the caller's flag or timeout.
            let request = request.with_timeout(None);
            let call = core.call(&request, cancel.clone());
            let started = core.clock.monotonic();
            let mut seen = Seen { reason: CacheRefreshReason::ProactivelyRefreshed, ..Seen::default() };
            let outcome = core.fetch_once(&key, &request, &mut seen, &call);
            drop(claim);
            if core.metrics.is_on() {
                core.measure(&core.subject(&request), &outcome, &seen, started);
            }
            if let Err(error) = &outcome {
                core.refresh_failed(error, &call);
            }
            let succeeded = outcome.is_ok();
            core.tell_refreshed(outcome, &call);
            if succeeded {
                core.renew_certificate(&request, cancel);
            }
        });
        Ok(Token::cached(cached.token, correlation_id).being_refreshed())
    }

    /// Has the certificate behind an answer to `request` renewed by the app's thread, where it is due.
    fn renew_certificate(&self, request: &TokenRequest) {
        let Some(background) = &self.background else { return };
        if self.core.is_renewal_due(request) {
            let (core, request) = (self.core.clone(), request.clone());
            background.spawn(move |cancel| core.renew_certificate(&request, cancel));
        }
    }
}

impl Core {
    fn is_renewal_due(&self, request: &TokenRequest) -> bool {
        match &self.identity {
            Identity::ManagedIdentity(identity) => identity.is_renewal_due(self, &self.caches.get(), request),
            Identity::ConfidentialClient(_) => false,
        }
    }

    /// Renews the certificate behind `request`, where it is due, on a thread that nobody waits for.
    fn renew_certificate(&self, request: &TokenRequest, cancel: Cancel) {
        let Identity::ManagedIdentity(identity) = &self.identity else { return };
        let call = Call::new(self.clock.clone(), cancel, self.log.clone(), Uuid::new_v4().to_string(), None);
        if let Err(error) = identity.renew(self, &self.caches.get(), request, &call) {
            self.log.warn("app", || format!("a certificate was not renewed: {}", error.code()));
        }
    }

    fn call(&self, request: &TokenRequest, cancel: Cancel) -> Call {
        let id = request.correlation_id().map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        Call::new(self.clock.clone(), cancel, self.log.clone(), id, request.timeout())
    }

    /// Fetches a token and keeps it. One request for all who want the same at the same time.
    fn fetch_once(
        &self,
        key: &Arc<CacheKey>,
        request: &TokenRequest,
        seen: &mut Seen,
        call: &Call,
    ) -> Result<Token> {
        self.fetch_shared(key, request, seen, call).map_err(|error| took(error, call))
    }

    fn fetch_shared(
        &self,
        key: &Arc<CacheKey>,
        request: &TokenRequest,
        seen: &mut Seen,
        call: &Call,
    ) -> Result<Token> {
        call.check()?;
        let caches = self.caches.get();
        // Those who must not get a cached token do not wait for somebody who might find one.
        let flight = if request.bypasses_cache() {
            let claims = request.claims().unwrap_or_default();
            Arc::new(self.cache_key(request)?.part("bypass", claims).build())
        } else if let Some(hash) = request.token_hash() {
            Arc::new(self.cache_key(request)?.part("rejected", hash).build())
        } else {
            key.clone()
        };
        let present = || {
            let token = caches.tokens.peek(key).filter(|_| !request.bypasses_cache())?;
            (self.judge(&token, request) == Freshness::Fresh).then_some(token)
        };
        let stored = self.stored(&caches, request, call)?;
        let mut level = CacheLevel::None;
        let mut held = None;
        let fetched = caches.flights.run(&flight, call, present, || {
            if let Some(stored) = stored.as_ref().filter(|_| !request.bypasses_cache()) {
                for (key, token) in stored.load() {
                    caches.tokens.put_if_later(&key, token);
                }
                if let Some(token) = present() {
                    level = CacheLevel::L2Cache;
                    return Ok(token);
                }
                // Due for replacement, but good if that fails. Who comes to replace one has one already.
                if seen.reason != CacheRefreshReason::ProactivelyRefreshed {
                    held = caches
                        .tokens
                        .peek(key)
                        .filter(|token| self.judge(token, request) != Freshness::Expired);
                }
            }
            let fetched = match &self.identity {
                Identity::ManagedIdentity(identity) => {
                    identity.fetch(self, &caches, request, seen.reason, call)
                }
                Identity::ConfidentialClient(client) => {
                    client.fetch(self, &caches, request, seen.reason, call)
                }
            };
            let token = match (fetched, held.take()) {
                (Ok(token), _) => Arc::new(token),
                (Err(error), Some(held)) if !call.cancel.is_cancelled() => {
                    self.refresh_failed(&error, call);
                    level = CacheLevel::L2Cache;
                    return Ok(held);
                }
                (Err(error), _) => return Err(error),
            };
            caches.tokens.put(key, token.clone());
            if let Some(stored) = &stored {
                stored.save(key, &token);
            }
            Ok(token)
        });
        seen.spent(call);
        let (token, ours) = fetched?;
        if !ours {
            return Ok(Token::cached(token, request.correlation_id()));
        }
        let source = match level {
            CacheLevel::L2Cache => TokenSource::Cache,
            _ => TokenSource::IdentityProvider,
        };
        if source == TokenSource::Cache {
            seen.reason = CacheRefreshReason::NotApplicable;
        }
        Ok(Token::got(token, seen.metadata(source, level, call), call.correlation_id.clone()))
    }

    /// The hash of the token that a source with a cache of its own must not hand out again: the one that
    /// the caller names, or with claims the one in our cache. A forced refresh goes without.
    fn token_to_refresh(&self, caches: &Caches, request: &TokenRequest) -> Result<Option<String>> {
        if let Some(hash) = request.token_hash() {
            return Ok(Some(hash.to_ascii_lowercase()));
        }
        if request.claims().is_none() || request.forces_refresh() {
            return Ok(None);
        }
        let key = request.cache_key(self.number, || self.cache_key(request).map(KeyBuilder::build))?;
        let cached = caches.tokens.peek(&key);
        let usable = cached.filter(|token| self.judge(token, request) != Freshness::Expired);
        Ok(usable.map(|token| token_sha256(&token)))
    }

    /// What a cached token is worth for `request` now.
    fn judge(&self, token: &AccessToken, request: &TokenRequest) -> Freshness {
        // The key says the type already; a store is not trusted with it.
        match request.rejects(token) || token.token_type != request.token_type() {
            true => Freshness::Expired,
            false => freshness(token, self.clock.now()),
        }
    }

    /// Where the store of the token cache keeps what `request` asks for, if there is one.
    fn stored<'a>(
        &self,
        caches: &'a Caches,
        request: &TokenRequest,
        call: &'a Call,
    ) -> Result<Option<StoredPartition<'a>>> {
        let (Some(store), Identity::ConfidentialClient(client)) = (caches.tokens.store(), &self.identity)
        else {
            return Ok(None);
        };
        let partition = client.partition(&self.cache_key(request)?, request)?;
        Ok(partition.map(|(partition, certificate)| StoredPartition {
            store: store.as_ref(),
            partition,
            certificate,
            call,
        }))
    }

    /// The key of `request` in this app's cache. Refuses what cannot work, before the cache is asked.
    fn cache_key(&self, request: &TokenRequest) -> Result<KeyBuilder> {
        request.check()?;
        let key = KeyBuilder::default()
            .part("type", request.token_type().as_str())
            .component("capabilities", &self.client_capabilities.join(" "));
        match &self.identity {
            Identity::ManagedIdentity(identity) => identity.cache_key(key, request),
            Identity::ConfidentialClient(client) => client.cache_key(self, key, request),
        }
    }

    fn subject<'a>(&'a self, request: &'a TokenRequest) -> Subject<'a> {
        let (api, caller) = match &self.identity {
            Identity::ManagedIdentity(identity) => (identity.api(), identity.caller(request)),
            Identity::ConfidentialClient(client) => (Api::AcquireTokenForClient, client.caller(request)),
        };
        Subject { api, token_type: request.token_type(), caller }
    }

    /// Turns what a token endpoint answered just now into points in time.
    fn times(&self, answer: &TokenResponse) -> (i64, Option<i64>) {
        self.times_of(answer.expires_in, answer.refresh_in)
    }

    fn times_of(&self, expires_in: i64, refresh_in: Option<i64>) -> (i64, Option<i64>) {
        let now = unix_seconds(self.clock.now());
        let random = Uuid::new_v4().as_fields().0;
        (now.saturating_add(expires_in), refresh_in.map(|seconds| refresh_time(now, seconds, random)))
    }

    fn refresh_failed(&self, error: &Error, call: &Call) {
        self.log.warn("app", || {
            format!(
                "early refresh failed, the cached token is served: {} ({})",
                error.code(),
                call.correlation_id
            )
        });
    }
}

/// `error` with what `call` has taken.
fn took(error: Error, call: &Call) -> Error {
    error.with_durations(call.elapsed(), call.spent().in_http(), call.spent().in_cache())
}

impl Caches {
    fn new(tokens: TokenCache) -> Self {
        Self {
            tokens,
            flights: Flights::new(),
            bindings: BindingCaches::new(),
            probed: Probed::new(),
            attestations: AttestationCache::new(),
            rejected: Rejected::new(),
        }
    }

    /// Those that each process makes for itself, around `tokens`.
    fn around(tokens: TokenCache) -> Arc<PerProcess<Self>> {
        Arc::new(PerProcess::new(move || Self::new(tokens.clone())))
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("number", &self.core.number).finish_non_exhaustive()
    }
}
