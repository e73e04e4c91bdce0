//! What an app is made of. Background work has it too, and keeps it alive.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::TokenRequest;
use super::caches::Caches;
use super::confidential_client::ConfidentialClient;
use super::key::Stems;
use super::managed_identity::ManagedIdentity;
use super::options::Parts;
use super::refreshed::OnBackgroundRefresh;
use super::request::token_sha256;
use crate::binding::BindingStore;
use crate::clock::{Clock, unix_seconds};
use crate::error::Result;
use crate::http::Pool;
use crate::log::Logger;
use crate::metrics::Metrics;
use crate::runtime::{Call, Cancel, PerProcess};
use crate::token::{Freshness, TokenCache, TokenResponse, refresh_time, short_seconds};

pub(super) struct Core {
    /// Different for each app of the process.
    pub(super) number: u64,
    pub(super) stems: Stems,
    pub(super) identity: Identity,
    pub(super) caches: Arc<PerProcess<Caches>>,
    /// That of the caches, for who looks for nothing else: it tells processes apart itself.
    pub(super) tokens: TokenCache,
    pub(super) client_capabilities: Vec<String>,
    /// Where the certificates of managed identities outlive the process.
    pub(super) binding_store: Option<Arc<BindingStore>>,
    /// Whether the app has a thread for work that is nobody's call.
    pub(super) has_background: bool,
    pub(super) on_background_refresh: OnBackgroundRefresh,
    pub(super) pool: Pool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: Logger,
    pub(super) metrics: Metrics,
    pub(super) extended_metrics: bool,
    pub(super) probe_timeout: Duration,
}

pub(super) enum Identity {
    ManagedIdentity(Box<ManagedIdentity>),
    ConfidentialClient(Box<ConfidentialClient>),
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let caches = Caches::of(&parts.identity, parts.token_cache);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            stems: Stems::default(),
            tokens: caches.get().tokens.clone(),
            caches,
            identity: parts.identity,
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
        }
    }

    /// A call for `request` that begins now, stopped by `cancel`.
    pub(super) fn call(&self, request: &TokenRequest, cancel: Cancel) -> Call {
        let id = request.correlation_id().map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        Call::new(self.clock.clone(), cancel, self.log.clone(), id, request.timeout())
    }

    /// Turns what a token endpoint answered just now into points in time.
    pub(super) fn times(&self, answer: &TokenResponse) -> (u32, i64, Option<NonZeroU32>) {
        self.times_of(answer.expires_in, answer.refresh_in)
    }

    /// When it came, ends, and should be replaced.
    pub(super) fn times_of(
        &self,
        expires_in: i64,
        refresh_in: Option<i64>,
    ) -> (u32, i64, Option<NonZeroU32>) {
        let now = unix_seconds(self.clock.now());
        let refresh_on = refresh_in.and_then(|seconds| {
            NonZeroU32::new(short_seconds(refresh_time(now, seconds, Uuid::new_v4().as_fields().0)))
        });
        (short_seconds(now), now.saturating_add(expires_in), refresh_on)
    }

    /// The hash of the token that a source with a cache of its own must not hand out again: the one that
    /// the caller names, or with claims the one in our cache. A forced refresh goes without.
    pub(super) fn token_to_refresh(&self, caches: &Caches, request: &TokenRequest) -> Result<Option<String>> {
        if let Some(hash) = request.token_hash() {
            return Ok(Some(hash.to_ascii_lowercase()));
        }
        if request.claims().is_none() || request.forces_refresh() {
            return Ok(None);
        }
        let key = self.key(request)?;
        let usable = caches.tokens.peek(key).filter(|token| self.judge(token, request) != Freshness::Expired);
        Ok(usable.map(|token| token_sha256(&token)))
    }
}
