//! The one flow: look into the cache, judge what is there; else, in one flight for all who wait, look into the
//! store, fetch from the service, and keep what came.

use std::sync::Arc;

use super::caches::Caches;
use super::core::{Core, Identity};
use super::measure::Seen;
use super::{App, CacheLevel, Token, TokenRequest, TokenSource};
use crate::error::Result;
use crate::runtime::{Call, Stripe};
use crate::token::{
    AccessToken, CacheKey, CacheRefreshReason, Cached, CachedToken, Freshness, StoredPartition, TokenType,
    freshness,
};

impl App {
    /// `key` is that of the request, where it is known already.
    pub(super) fn acquire(
        &self,
        request: &TokenRequest,
        key: Option<CacheKey>,
        seen: &mut Seen,
    ) -> Result<Token> {
        let core = &self.core;
        if request.is_cancelled() {
            return Err(core.call(request, request.cancel()).cancelled());
        }
        let key = key.map_or_else(|| core.key(request), Ok)?;
        match core.look(key, request, seen) {
            Some((cached, Freshness::Fresh)) => Ok(Token::cached(cached.token, request.correlation_id())),
            Some((cached, _)) => self.serve_and_refresh(key, cached, request, seen),
            None => self.fetch(key, request, seen),
        }
    }

    /// The same as far as it takes no time.
    pub(super) fn cached(&self, request: &TokenRequest, seen: &mut Seen) -> Result<Option<Token>> {
        let core = &self.core;
        if request.is_cancelled() {
            return Err(core.call(request, request.cancel()).cancelled());
        }
        let key = core.key(request)?;
        if request.bypasses_cache() {
            return Ok(None);
        }
        let judge = |token: &AccessToken| match core.judge(token, request) {
            // Only who may wait can replace it.
            Freshness::RefreshDue if !core.has_background => Freshness::Expired,
            judged => judged,
        };
        match core.caches.get().tokens.get(key, judge) {
            None | Some((_, Freshness::Expired)) => Ok(None),
            Some((cached, Freshness::Fresh)) => {
                Ok(Some(Token::cached(cached.token, request.correlation_id())))
            }
            Some((cached, Freshness::RefreshDue)) => {
                self.serve_and_refresh(key, cached, request, seen).map(Some)
            }
        }
    }

    /// For who found nothing good in the cache.
    fn fetch(&self, key: CacheKey, request: &TokenRequest, seen: &mut Seen) -> Result<Token> {
        let core = &self.core;
        let call = core.call(request, request.cancel());
        let token = core.fetch_once(key, request, seen, &call);
        let hit = token.as_ref().is_ok_and(|token| token.source() == TokenSource::Cache);
        core.caches.get().tokens.count(hit);
        if token.is_ok() {
            self.renew_certificate(request);
        }
        token.map_err(|error| {
            let error = error.with_correlation_id(&call.correlation_id);
            core.log.error("app", || format!("no token: {} ({})", error.code(), call.correlation_id));
            error
        })
    }
}

impl Core {
    /// The whole flow where nothing is to be told or done: there is a fresh token. Without a call in it that is not needed.
    /// Otherwise the others have to look; with the key, where it was made.
    #[inline(always)]
    pub(super) fn fresh(
        &self,
        request: &TokenRequest,
        stripe: Stripe,
    ) -> std::result::Result<Token, Option<CacheKey>> {
        if self.metrics.is_on() || !request.takes_any_token() {
            return Err(None);
        }
        let key = match request.remembered_key(self.number) {
            Some(key) => key,
            None => self.key(request).map_err(|_| None)?,
        };
        let (now, token_type) = (self.clock.unix_seconds(), request.token_type());
        let is_fresh = |token: &AccessToken| judge(token, token_type, now) == Freshness::Fresh;
        match self.tokens.fresh(key, stripe, is_fresh) {
            Some(token) => Ok(Token::cached(token, request.correlation_id())),
            None => Err(Some(key)),
        }
    }

    /// Look: what the cache has under `key` that can be served, fresh or due for replacement. `seen` learns why
    /// there is nothing.
    fn look(&self, key: CacheKey, request: &TokenRequest, seen: &mut Seen) -> Option<(Cached, Freshness)> {
        if request.bypasses_cache() {
            seen.reason = CacheRefreshReason::ForceRefreshOrClaims;
            return None;
        }
        let found = self.caches.get().tokens.get(key, |token| self.judge(token, request));
        seen.reason = match found {
            None => CacheRefreshReason::NoCachedAccessToken,
            Some((_, Freshness::Expired)) => CacheRefreshReason::Expired,
            Some(_) => CacheRefreshReason::NotApplicable,
        };
        found.filter(|(_, freshness)| *freshness != Freshness::Expired)
    }

    /// Judge: what a cached token is worth for `request` now.
    pub(super) fn judge(&self, token: &AccessToken, request: &TokenRequest) -> Freshness {
        match request.rejects(token) {
            true => Freshness::Expired,
            false => judge(token, request.token_type(), self.clock.unix_seconds()),
        }
    }

    /// Fetches a token and keeps it. One request for all who want the same at the same time.
    pub(super) fn fetch_once(
        &self,
        key: CacheKey,
        request: &TokenRequest,
        seen: &mut Seen,
        call: &Call,
    ) -> Result<Token> {
        let fetch = Fetch { core: self, caches: self.caches.get(), key, request, reason: seen.reason, call };
        let got = fetch.in_one_flight();
        seen.spent(call);
        let (token, level) = got.map_err(|error| call.timed(error))?;
        let source = match level {
            CacheLevel::L1Cache => return Ok(Token::cached(token, request.correlation_id())),
            CacheLevel::L2Cache => {
                seen.reason = CacheRefreshReason::NotApplicable;
                TokenSource::Cache
            }
            CacheLevel::None => TokenSource::IdentityProvider,
        };
        Ok(Token::got(token, seen.metadata(source, level, call), call.correlation_id.clone()))
    }
}

/// The same for a request that names no token as rejected.
#[inline(always)]
fn judge(token: &AccessToken, token_type: TokenType, now: i64) -> Freshness {
    // The key says the type already; a store is not trusted with it.
    if token.token_type() == token_type { freshness(token, now) } else { Freshness::Expired }
}

/// One caller on the way to a token that the cache does not have.
struct Fetch<'a> {
    core: &'a Core,
    caches: &'a Caches,
    key: CacheKey,
    request: &'a TokenRequest,
    reason: CacheRefreshReason,
    call: &'a Call,
}

impl Fetch<'_> {
    /// One flight: leads it or waits for who does. Tells where the token is from; what others got meanwhile is in
    /// the memory.
    fn in_one_flight(&self) -> Result<(Arc<CachedToken>, CacheLevel)> {
        self.call.check()?;
        let (flight, stored) = (self.flight()?, self.stored()?);
        let mut level = CacheLevel::L1Cache;
        let lead = || {
            let (token, from) = self.lead(stored.as_ref())?;
            level = from;
            Ok(token)
        };
        let (token, _) = self.caches.flights.run(&flight, self.call, || self.present(), lead)?;
        Ok((token, level))
    }

    /// What the one who leads does for all.
    fn lead(&self, stored: Option<&StoredPartition<'_>>) -> Result<(Arc<CachedToken>, CacheLevel)> {
        let mut held = None;
        if let Some(stored) = stored.filter(|_| !self.request.bypasses_cache()) {
            self.load(stored);
            if let Some(token) = self.present() {
                return Ok((token, CacheLevel::L2Cache));
            }
            held = self.held();
        }
        match (self.ask(), held) {
            (Ok(token), _) => Ok((self.keep(token, stored), CacheLevel::None)),
            (Err(error), Some(held)) if !self.call.cancel.is_cancelled() => {
                self.core.refresh_failed(&error, self.call);
                Ok((held, CacheLevel::L2Cache))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Store: what others have left there.
    fn load(&self, stored: &StoredPartition<'_>) {
        for (key, token) in stored.load() {
            self.caches.tokens.put_if_later(CacheKey::of_text(&key), token);
        }
    }

    /// Fetch: asks the service, in the way of this identity.
    fn ask(&self) -> Result<AccessToken> {
        let (core, caches, request, reason, call) =
            (self.core, self.caches, self.request, self.reason, self.call);
        match &core.identity {
            Identity::ManagedIdentity(identity) => identity.fetch(core, caches, request, reason, call),
            Identity::ConfidentialClient(client) => client.fetch(core, caches, request, reason, call),
        }
    }

    /// Keep: in the memory, and for others in the store.
    fn keep(&self, token: AccessToken, stored: Option<&StoredPartition<'_>>) -> Arc<CachedToken> {
        let token = self.caches.tokens.put(self.key, token);
        if let Some(stored) = stored {
            stored.save(&token);
        }
        token
    }

    /// A fresh token that came into the cache meanwhile.
    fn present(&self) -> Option<Arc<CachedToken>> {
        let token = self.caches.tokens.peek(self.key).filter(|_| !self.request.bypasses_cache())?;
        (self.core.judge(&token, self.request) == Freshness::Fresh).then_some(token)
    }

    /// One that is due for replacement, but good if that fails. Who comes to replace one has one already.
    fn held(&self) -> Option<Arc<CachedToken>> {
        if self.reason == CacheRefreshReason::ProactivelyRefreshed {
            return None;
        }
        let token = self.caches.tokens.peek(self.key)?;
        (self.core.judge(&token, self.request) != Freshness::Expired).then_some(token)
    }

    /// With whom it is shared: those who must not get a cached token do not wait for somebody who might find one.
    fn flight(&self) -> Result<CacheKey> {
        let apart = |name, value| Ok(self.core.cache_key(self.request)?.part(name, value).build());
        if self.request.bypasses_cache() {
            apart("bypass", self.request.claims().unwrap_or_default())
        } else if let Some(hash) = self.request.token_hash() {
            apart("rejected", hash)
        } else {
            Ok(self.key)
        }
    }

    /// Where the store of the token cache keeps what is asked for, if there is one.
    fn stored(&self) -> Result<Option<StoredPartition<'_>>> {
        let (Some(store), Identity::ConfidentialClient(client)) =
            (self.caches.tokens.store(), &self.core.identity)
        else {
            return Ok(None);
        };
        let key = self.core.cache_key(self.request)?;
        let Some((partition, certificate)) = client.partition(&key, self.request)? else { return Ok(None) };
        let (store, key, call) = (store.as_ref(), key.text(), self.call);
        Ok(Some(StoredPartition { store, partition, key, certificate, call }))
    }
}
