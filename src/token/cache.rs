//! The token cache: a hash look-up, bounded, least recently used first out. No lock is held over I/O.

use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::{AccessToken, CacheKey};
use crate::clock::{Clock, unix_seconds};
use crate::error::Result;
use crate::runtime::{Call, Flights};

/// Tokens by key, and the fetches under way for them.
pub(crate) struct TokenCache {
    shards: Vec<Mutex<Shard>>,
    flights: Flights<Arc<CacheKey>, Arc<AccessToken>>,
}

/// A token as the cache holds it.
#[derive(Clone)]
pub(crate) struct Cached {
    pub(crate) token: Arc<AccessToken>,
    /// Unix seconds before which no further early refresh is tried, after one has failed.
    quiet_until: Arc<AtomicI64>,
}

type Shard = LruCache<Arc<CacheKey>, Cached, BuildHasherDefault<KeyHasher>>;

/// Locks are short, but shared between threads; this many of them make meeting rare.
const SHARDS: usize = 16;
/// Seconds after an early refresh that failed in which no other one is tried.
const REFRESH_PAUSE: i64 = 30;
/// Tokens kept at most, over all shards: some 100 MB of typical tokens.
const CAPACITY: usize = 50_000;

impl TokenCache {
    pub(crate) fn new() -> Self {
        let capacity = NonZeroUsize::new(CAPACITY / SHARDS).unwrap_or(NonZeroUsize::MIN);
        let shard = || {
            // Bounded, but without a table for all that it may hold one day.
            let mut shard = LruCache::unbounded_with_hasher(BuildHasherDefault::default());
            shard.resize(capacity);
            Mutex::new(shard)
        };
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), flights: Flights::new() }
    }

    /// What is kept under `key`, fresh or not.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<Cached> {
        self.shard(key).get(key).cloned()
    }

    /// Keeps `token`, in place of what was there.
    pub(crate) fn put(&self, key: &Arc<CacheKey>, token: Arc<AccessToken>) {
        let cached = Cached { token, quiet_until: Arc::default() };
        let replaced = self.shard(key).put(key.clone(), cached);
        // Dropped only now: a last reference closes connections, which is no work under a lock.
        drop(replaced);
    }

    /// Forgets every token bound to the certificate with this `x5t#S256`, because it was rejected.
    pub(crate) fn remove_bound_to(&self, x5t_s256: &str) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let rejected: Vec<_> = shard
                .iter()
                .filter(|(_, cached)| {
                    cached.token.certificate.as_ref().is_some_and(|c| c.x5t_s256() == x5t_s256)
                })
                .map(|(key, _)| key.clone())
                .collect();
            let removed: Vec<_> = rejected.iter().filter_map(|key| shard.pop(key)).collect();
            drop(shard);
            drop(removed);
        }
    }

    /// Fetches for `key` once, however many callers ask at the same time; see [`Flights::run`].
    pub(crate) fn fetch_once(
        &self,
        key: &Arc<CacheKey>,
        call: &Call,
        present: impl Fn() -> Option<Arc<AccessToken>>,
        fetch: impl FnOnce() -> Result<Arc<AccessToken>>,
    ) -> Result<(Arc<AccessToken>, bool)> {
        self.flights.run(key, call, present, fetch)
    }

    /// Whether somebody is fetching for `key` now.
    pub(crate) fn is_fetching(&self, key: &Arc<CacheKey>) -> bool {
        self.flights.is_running(key)
    }

    fn shard(&self, key: &CacheKey) -> MutexGuard<'_, Shard> {
        // The map inside a shard uses the low bits.
        let index = (key.hash_value() >> 56) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cached {
    /// Claims the early refresh for the caller, until the claim is dropped and for [`REFRESH_PAUSE`]
    /// after that: a service that is down is not asked again by every hit, and no two wait in a queue.
    pub(crate) fn claim_refresh(&self, clock: &Arc<dyn Clock>) -> Option<RefreshClaim> {
        let now = unix_seconds(clock.now());
        let quiet_until = self.quiet_until.load(Ordering::Relaxed);
        let claimed = now >= quiet_until
            && self
                .quiet_until
                .compare_exchange(quiet_until, i64::MAX, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        claimed.then(|| RefreshClaim { quiet_until: self.quiet_until.clone(), clock: clock.clone() })
    }
}

/// The right to refresh a token early.
pub(crate) struct RefreshClaim {
    quiet_until: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
}

impl Drop for RefreshClaim {
    fn drop(&mut self) {
        self.quiet_until.store(unix_seconds(self.clock.now()) + REFRESH_PAUSE, Ordering::Relaxed);
    }
}

/// Passes the hash on that the key already carries.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys hash by `write_u64` alone; this keeps the hasher right if that ever changes.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::*;
    use crate::authority::RegionDetails;
    use crate::clock::from_unix_seconds;
    use crate::runtime::Cancel;
    use crate::secret::Secret;
    use crate::token::{KeyBuilder, TokenType};

    #[derive(Debug)]
    struct StoppedClock(AtomicI64);

    impl Clock for StoppedClock {
        fn now(&self) -> SystemTime {
            from_unix_seconds(self.0.load(Ordering::SeqCst))
        }

        fn monotonic(&self) -> Instant {
            Instant::now()
        }

        fn sleep(&self, _: Duration, _: &Cancel) {}
    }

    fn key(name: &str) -> Arc<CacheKey> {
        Arc::new(KeyBuilder::default().part("name", name).build())
    }

    fn token(text: &str) -> Arc<AccessToken> {
        Arc::new(AccessToken {
            authorization: Secret::new(text),
            token_type: TokenType::Bearer,
            expires_on: 0,
            refresh_on: None,
            scopes: vec![],
            tenant: None,
            endpoint: String::new(),
            region: RegionDetails::default(),
            response_parameters: vec![],
            certificate: None,
        })
    }

    /// Is the cache bounded, and does what was used last stay?
    #[test]
    fn least_recently_used_goes_first() {
        let cache = TokenCache::new();
        cache.put(&key("kept"), token("kept"));
        for n in 0..2 * CAPACITY {
            cache.put(&key(&n.to_string()), token("x"));
            if n % 1000 == 0 {
                assert!(cache.get(&key("kept")).is_some(), "used all along, so never evicted");
            }
        }
        let kept = cache.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>();
        assert!(kept <= CAPACITY);
        assert!(cache.get(&key("0")).is_none());
    }

    /// After a failed early refresh, does only one hit per pause try again?
    #[test]
    fn failed_refresh_is_not_hammered() {
        let cache = TokenCache::new();
        cache.put(&key("a"), token("a"));
        let cached = cache.get(&key("a")).unwrap();
        let clock = Arc::new(StoppedClock(AtomicI64::new(100)));
        let claim = || cached.claim_refresh(&(clock.clone() as Arc<dyn Clock>));
        let at = |seconds| clock.0.store(seconds, Ordering::SeqCst);
        let first = claim().expect("nobody has it");
        at(1000);
        assert!(claim().is_none(), "it is still being tried, however long that takes");
        drop(first);
        at(1029);
        assert!(claim().is_none());
        at(1030);
        assert!(claim().is_some());
    }
}
