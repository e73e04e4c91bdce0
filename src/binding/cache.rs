//! Issued certificates in memory: one per identity, whatever name the identity was asked for by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Binding;
use crate::error::Result;
use crate::runtime::{Call, Flights};

/// Shared by all managed identity apps of a process.
pub(crate) struct BindingCache {
    state: Mutex<State>,
    /// Finding out which identity a name means.
    naming: Flights<String, Arc<Binding>>,
    /// Minting for an identity.
    minting: Flights<String, Arc<Binding>>,
    /// Unix seconds before which no certificate that still works is tried to be replaced.
    no_renewal_before: AtomicI64,
}

/// Seconds between two tries to replace a certificate that still works.
const RENEWAL_PAUSE: i64 = 30;

#[derive(Default)]
struct State {
    /// From the name the caller gave to the identity.
    identities: HashMap<String, String>,
    bindings: HashMap<String, Arc<Binding>>,
}

impl BindingCache {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            naming: Flights::new(),
            minting: Flights::new(),
            no_renewal_before: AtomicI64::new(i64::MIN),
        }
    }

    /// The certificate of the identity that `name` is known to mean, fresh or not.
    pub(crate) fn of_name(&self, name: &str) -> Option<Arc<Binding>> {
        let state = self.lock();
        state.bindings.get(state.identities.get(name)?).cloned()
    }

    /// The certificate of `identity`, fresh or not.
    pub(crate) fn of_identity(&self, identity: &str) -> Option<Arc<Binding>> {
        self.lock().bindings.get(identity).cloned()
    }

    /// Remembers that `name` means `identity`.
    pub(crate) fn name(&self, name: &str, identity: &str) {
        self.lock().identities.insert(name.to_owned(), identity.to_owned());
    }

    /// Keeps `binding` for `identity`, in place of what was there.
    pub(crate) fn put(&self, identity: &str, binding: Arc<Binding>) {
        let replaced = self.lock().bindings.insert(identity.to_owned(), binding);
        drop(replaced);
    }

    /// Claims the next renewal for the caller; `false` where one was tried a moment ago.
    pub(crate) fn claim_renewal(&self, now: i64) -> bool {
        let before = self.no_renewal_before.load(Ordering::Relaxed);
        let next = now + RENEWAL_PAUSE;
        now >= before
            && self
                .no_renewal_before
                .compare_exchange(before, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Resolves `name` once, however many callers ask at the same time.
    pub(crate) fn name_once(
        &self,
        name: &str,
        call: &Call,
        present: impl Fn() -> Option<Arc<Binding>>,
        resolve: impl FnOnce() -> Result<Arc<Binding>>,
    ) -> Result<Arc<Binding>> {
        Ok(self.naming.run(&name.to_owned(), call, present, resolve)?.0)
    }

    /// Mints for `identity` once, however many callers ask at the same time.
    pub(crate) fn mint_once(
        &self,
        identity: &str,
        call: &Call,
        present: impl Fn() -> Option<Arc<Binding>>,
        mint: impl FnOnce() -> Result<Arc<Binding>>,
    ) -> Result<Arc<Binding>> {
        Ok(self.minting.run(&identity.to_owned(), call, present, mint)?.0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
