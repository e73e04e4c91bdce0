//! Replacing what is still good: a token due for its next one, the certificate behind an answer.

use std::time::Duration;

use uuid::Uuid;

use super::core::{Core, Identity};
use super::measure::Seen;
use super::{App, CacheLevel, Token, TokenRequest, TokenSource};
use crate::binding::Certificate;
use crate::error::{Error, Result};
use crate::runtime::{Call, Cancel};
use crate::token::{CacheKey, CacheRefreshReason, Cached};

impl App {
    /// A token that is still good but due for replacement: the caller gets it at once, and a thread
    /// of the app fetches the next one. Where there is no such thread, one caller fetches it here,
    /// and still gets the old one if that fails, unless it has cancelled the call.
    pub(super) fn serve_and_refresh(
        &self,
        key: CacheKey,
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
        if self.core.caches.get().flights.is_running(&key) {
            return Ok(Token::cached(cached.token, correlation_id));
        }
        seen.reason = CacheRefreshReason::ProactivelyRefreshed;
        let Some(background) = &self.background else {
            let call = self.core.call(request, request.cancel());
            return self.core.fetch_once(key, request, seen, &call).or_else(|error| {
                if call.cancel.is_cancelled() {
                    return Err(call.timed(call.cancelled()));
                }
                self.core.refresh_failed(&error, &call);
                let metadata = seen.metadata(TokenSource::Cache, CacheLevel::L1Cache, &call);
                Ok(Token::got(cached.token, metadata, call.correlation_id.clone()))
            });
        };
        let (core, request) = (self.core.clone(), request.clone());
        background.spawn(move |cancel| {
            // The caller has its token: only the app may stop this, not the caller's flag or timeout.
            let request = request.with_timeout(None);
            let call = core.call(&request, cancel.clone());
            let started = core.clock.monotonic();
            let mut seen = Seen { reason: CacheRefreshReason::ProactivelyRefreshed, ..Seen::default() };
            let outcome = core.fetch_once(key, &request, &mut seen, &call);
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

    /// Has another binding certificate of a managed identity issued now, however good the one in use still is. It takes the
    /// place of that one in memory, and in the binding store where the app has one; tokens that are bound to the old one
    /// stay bound to it.
    pub fn renew_binding_certificate(&self, timeout: Option<Duration>) -> Result<Certificate> {
        let core = &self.core;
        let Identity::ManagedIdentity(identity) = &core.identity else {
            return Err(Error::argument(
                "the certificate of a confidential client is its own: whoever issued it renews it, and the app is made with the new one",
            ));
        };
        let (clock, log) = (core.clock.clone(), core.log.clone());
        let call = Call::new(clock, Cancel::default(), log, Uuid::new_v4().to_string(), timeout);
        identity
            .next_certificate(core, core.caches.get(), &call)
            .map_err(|error| error.with_correlation_id(&call.correlation_id))
    }

    /// Has the certificate behind an answer to `request` renewed by the app's thread, where it is due.
    pub(super) fn renew_certificate(&self, request: &TokenRequest) {
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
            Identity::ManagedIdentity(identity) => identity.is_renewal_due(self, self.caches.get(), request),
            Identity::ConfidentialClient(_) => false,
        }
    }

    /// Renews the certificate behind `request`, where it is due, on a thread that nobody waits for.
    fn renew_certificate(&self, request: &TokenRequest, cancel: Cancel) {
        let Identity::ManagedIdentity(identity) = &self.identity else { return };
        let call = Call::new(self.clock.clone(), cancel, self.log.clone(), Uuid::new_v4().to_string(), None);
        if let Err(error) = identity.renew(self, self.caches.get(), request, &call) {
            self.log.warn("app", || format!("a certificate was not renewed: {}", error.code()));
        }
    }

    pub(super) fn refresh_failed(&self, error: &Error, call: &Call) {
        self.log.warn("app", || {
            format!(
                "early refresh failed, the cached token is served: {} ({})",
                error.code(),
                call.correlation_id
            )
        });
    }
}
