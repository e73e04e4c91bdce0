//! Issued certificates in memory: one per identity, whatever name the identity was asked for by.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::{Binding, Certificate};
use crate::clock::Clock;
use crate::error::Result;
use crate::key::PrivateKey;
use crate::runtime::{Call, Claim, Claimed, Claims, Flights};

/// One for each home of keys, so that no app is given what was issued for a key that it may not use. Shared by all
/// managed identity apps of a process.
pub(crate) struct BindingCaches(Mutex<LruCache<String, Arc<BindingCache>>>);

/// Those of one home.
pub(crate) struct BindingCache {
    state: Mutex<State>,
    /// Finding out which identity a name means.
    naming: Flights<String, Arc<Binding>>,
    /// Minting for an identity.
    minting: Flights<String, Arc<Binding>>,
}

struct State {
    /// From the name the caller gave to the identity.
    identities: LruCache<String, String>,
    known: LruCache<String, Known>,
    /// Names with what they mean, that the store in a directory has.
    stored_names: LruCache<(String, String, Box<Path>), ()>,
}

/// What there is for one identity.
#[derive(Default)]
struct Known {
    binding: Option<Arc<Binding>>,
    /// A key that no certificate could be had for yet; the next try goes on with it.
    waiting_key: Option<Arc<dyn PrivateKey>>,
    renewal: Claims,
    replacement: Claims,
    naming: Claims,
    /// The directories of the stores that have `binding`.
    stored_in: Vec<Box<Path>>,
}

/// Homes of keys, names, identities and stores of a process: far more than a host has. What was used least recently goes first.
const MOST: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// Seconds between two tries to renew a certificate that still works.
const RENEWAL_PAUSE: i64 = 30;
/// Seconds between two questions to the host what a name means that has a meaning.
const NAMING_PAUSE: i64 = 60;
/// Seconds in which no other certificate is tried after new ones have been rejected as well.
pub(crate) const REPLACEMENT_PAUSE: i64 = 60;

impl BindingCaches {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::sparse(MOST)))
    }

    /// The one of this home.
    pub(crate) fn of(&self, home: &str) -> Arc<BindingCache> {
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = caches.get(home) {
            return cache.clone();
        }
        let cache = Arc::new(BindingCache::new());
        let gone = caches.push(home.to_owned(), cache.clone());
        drop(caches);
        // A last reference closes connections.
        drop(gone);
        cache
    }
}

impl BindingCache {
    fn new() -> Self {
        let (identities, known, stored_names) =
            (LruCache::sparse(MOST), LruCache::sparse(MOST), LruCache::sparse(MOST));
        let state = Mutex::new(State { identities, known, stored_names });
        Self { state, naming: Flights::new(), minting: Flights::new() }
    }

    /// The certificate of the identity that `name` is known to mean, fresh or not.
    pub(crate) fn of_name(&self, name: &str) -> Option<Arc<Binding>> {
        self.of_known(name, |known| known.binding.clone())?
    }

    /// The certificate of `identity`, fresh or not.
    pub(crate) fn of_identity(&self, identity: &str) -> Option<Arc<Binding>> {
        self.lock().known.get(identity)?.binding.clone()
    }

    /// The identity that `name` is known to mean.
    pub(crate) fn identity(&self, name: &str) -> Option<String> {
        self.lock().identities.get(name).cloned()
    }

    /// Remembers that `name` means `identity`.
    pub(crate) fn name(&self, name: &str, identity: &str) {
        self.lock().identities.put(name.to_owned(), identity.to_owned());
    }

    /// Keeps `binding` for `identity`, in place of what was there.
    pub(crate) fn put(&self, identity: &str, binding: Arc<Binding>) {
        let replaced = self.with(identity, |known| {
            known.stored_in.clear();
            (known.waiting_key.take(), known.binding.replace(binding))
        });
        drop(replaced);
    }

    /// Whether `certificate` is known as one that was issued without attestation.
    pub(crate) fn has_unattested(&self, certificate: &Certificate) -> bool {
        let is_it = |known: &Certificate| known == certificate && !known.is_attested();
        self.lock()
            .known
            .iter()
            .filter_map(|(_, known)| known.binding.as_ref())
            .any(|b| is_it(&b.certificate))
    }

    /// Lets go of `certificate`: its key is lost.
    pub(crate) fn forget(&self, certificate: &Certificate) {
        let mut state = self.lock();
        let has = |known: &&mut Known| known.binding.as_ref().is_some_and(|b| b.certificate == *certificate);
        let forgotten =
            state.known.iter_mut().map(|(_, known)| known).find(has).and_then(|known| known.binding.take());
        drop(state);
        drop(forgotten);
    }

    /// The key to ask for the next certificate of `identity` with: the one of a try that failed, or a
    /// new one.
    pub(crate) fn next_key(
        &self,
        identity: &str,
        make: impl FnOnce() -> Result<Arc<dyn PrivateKey>>,
    ) -> Result<Arc<dyn PrivateKey>> {
        if let Some(key) = self.with(identity, |known| known.waiting_key.clone()) {
            return Ok(key);
        }
        let made = make()?;
        self.with(identity, |known| known.waiting_key = Some(made.clone()));
        Ok(made)
    }

    /// Has the next try make a key of its own.
    pub(crate) fn forget_waiting_key(&self, identity: &str) {
        self.with(identity, |known| known.waiting_key = None);
    }

    /// Claims the renewal of what `name` means; `None` where another caller is at it or has just failed.
    pub(crate) fn claim_renewal(&self, name: &str, clock: &Arc<dyn Clock>) -> Option<Claim> {
        self.of_known(name, |known| known.renewal.clone())?.claim(clock, RENEWAL_PAUSE)
    }

    /// The same for putting another certificate in the place of one that was rejected.
    pub(crate) fn claim_replacement(&self, name: &str, clock: &Arc<dyn Clock>) -> Claimed {
        let claims = self.of_known(name, |known| known.replacement.clone()).unwrap_or_default();
        claims.ask(clock, REPLACEMENT_PAUSE)
    }

    /// The same for asking the host again what `name` means.
    pub(crate) fn claim_naming(&self, name: &str, clock: &Arc<dyn Clock>) -> Option<Claim> {
        self.of_known(name, |known| known.naming.clone())?.claim(clock, NAMING_PAUSE)
    }

    /// Notes that the store in `directory` has the certificate of `identity`. `false` where it was known.
    pub(crate) fn note_stored(&self, identity: &str, directory: &Path) -> bool {
        self.with(identity, |known| {
            let new = !known.stored_in.iter().any(|stored| **stored == *directory);
            if new {
                if known.stored_in.len() == MOST.get() {
                    known.stored_in.remove(0);
                }
                known.stored_in.push(directory.into());
            }
            new
        })
    }

    /// Notes that `name` means `identity` in the store in `directory`. `false` where it was known.
    pub(crate) fn note_name_stored(&self, name: &str, identity: &str, directory: &Path) -> bool {
        self.lock().stored_names.put((name.to_owned(), identity.to_owned(), directory.into()), ()).is_none()
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

    fn of_known<T>(&self, name: &str, get: impl FnOnce(&Known) -> T) -> Option<T> {
        let State { identities, known, .. } = &mut *self.lock();
        Some(get(known.get(identities.get(name)?)?))
    }

    fn with<T>(&self, identity: &str, use_it: impl FnOnce(&mut Known) -> T) -> T {
        let mut state = self.lock();
        let is_full = state.known.len() == MOST.get() && !state.known.contains(identity);
        let gone = is_full.then(|| state.known.pop_lru());
        let result = use_it(state.known.get_or_insert_mut(identity.to_owned(), Known::default));
        drop(state);
        // As above.
        drop(gone);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does what a caller may name without end take no more and more memory: homes of keys, identities and their names,
    /// directories of stores? And does what is in use stay?
    #[test]
    fn bounded() {
        let (caches, cache) = (BindingCaches::new(), BindingCache::new());
        let (used, most) = (caches.of("used"), MOST.get());
        cache.name("used", "used");
        cache.with("used", |known| known.stored_in.push(Path::new("/used").into()));
        for n in 0..2 * most {
            let name = n.to_string();
            caches.of(&name);
            cache.name(&name, &name);
            cache.with(&name, |_| ());
            assert!(cache.note_name_stored("used", "used", Path::new(&name)));
            assert!(cache.note_stored(&name, Path::new("/a")) && !cache.note_stored(&name, Path::new("/a")));
            assert!(cache.note_stored("many", Path::new(&name)));
            assert!(Arc::ptr_eq(&caches.of("used"), &used));
            assert_eq!(cache.of_known("used", |known| known.stored_in.len()), Some(1));
        }
        let state = cache.lock();
        let State { identities, known, stored_names } = &*state;
        assert_eq!([identities.len(), known.len(), stored_names.len()], [most; 3]);
        assert_eq!(known.peek("many").map(|known| known.stored_in.len()), Some(most));
        assert_eq!(caches.0.lock().unwrap().len(), most);
    }
}
