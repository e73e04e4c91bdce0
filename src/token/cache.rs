//! The token cache: a hash look-up, bounded, shared by the apps that are given it. No lock is held over I/O.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::shard::{Cached, Shard};
use super::{AccessToken, CacheKey, Freshness, TokenStore};
use crate::runtime::PerProcess;

/// Where tokens are kept. Cheap to clone: clones are one cache.
///
/// Each confidential client has one of its own, unless [`AppOptions::with_token_cache`] gives it one
/// that it shares with others. Tokens of different clients, tenants, clouds, scopes and types never
/// mix, nor bound ones of different certificates; Bearer tokens are shared by the apps of one client id,
/// whatever they prove themselves with. What was used least recently goes first when a limit is reached. After a `fork` the child starts with an empty one.
///
/// [`AppOptions::with_token_cache`]: crate::AppOptions::with_token_cache
#[derive(Clone)]
pub struct TokenCache(Arc<Inner>);

struct Inner {
    settings: Settings,
    shards: PerProcess<Shards>,
}

#[derive(Clone)]
struct Settings {
    max_entries: usize,
    max_bytes: usize,
    store: Option<Arc<dyn TokenStore>>,
}

/// What a [`TokenCache`] has done and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenCacheStatistics {
    /// Calls that got their token without asking the token service themselves.
    pub hits: u64,
    /// Calls that asked the token service, whatever came of it.
    pub misses: u64,
    /// Tokens that went because a limit was reached.
    pub evictions: u64,
    /// Tokens it holds, expired ones included.
    pub entries: usize,
    /// The memory they take, about.
    pub bytes: usize,
}

/// Locks are short, but shared between threads; this many of them make meeting rare.
const MOST_SHARDS: usize = 16;
/// Each shard has its share of the limits to itself. With shares smaller than these, one shard would be
/// full long before the cache is: small caches have fewer shards, the smallest one.
const LEAST_ENTRIES: usize = 1024;
const LEAST_BYTES: usize = 4 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self { max_entries: 50_000, max_bytes: 256 << 20, store: None }
    }
}

impl TokenCache {
    /// A cache for 50,000 tokens and 256 MiB.
    pub fn new() -> Self {
        Self::from_settings(Settings::default())
    }

    /// An empty cache like this one that holds at most `max_entries` tokens.
    ///
    /// Up to 2,000 tokens, exactly the least recently used one goes. A larger cache is divided, as is
    /// its limit: one part may be full a little earlier than another.
    #[must_use]
    pub fn with_max_entries(&self, max_entries: usize) -> Self {
        Self::from_settings(Settings { max_entries, ..self.0.settings.clone() })
    }

    /// An empty cache like this one whose tokens take at most about `max_bytes`: the texts of each and
    /// of its key, and a fixed sum for the rest. Divided as the number of tokens is; a token that is
    /// larger than its part of the cache (4 MiB at least, or all of a smaller one) is not kept.
    #[must_use]
    pub fn with_max_bytes(&self, max_bytes: usize) -> Self {
        Self::from_settings(Settings { max_bytes, ..self.0.settings.clone() })
    }

    /// An empty cache like this one that shares its tokens with others through `store`.
    #[must_use]
    pub fn with_store(&self, store: Arc<dyn TokenStore>) -> Self {
        Self::from_settings(Settings { store: Some(store), ..self.0.settings.clone() })
    }

    /// What it has done since it was made (in a forked child: since the `fork`), and what it holds.
    pub fn statistics(&self) -> TokenCacheStatistics {
        let mut sum = TokenCacheStatistics::default();
        for shard in &self.0.shards.get().0 {
            let shard = lock(shard);
            sum.hits += shard.hits;
            sum.misses += shard.misses;
            sum.evictions += shard.evictions;
            sum.entries += shard.entries();
            sum.bytes += shard.bytes();
        }
        sum
    }

    fn from_settings(settings: Settings) -> Self {
        let (max_entries, max_bytes) = (settings.max_entries, settings.max_bytes);
        let shards = PerProcess::new(move || Shards::new(max_entries, max_bytes));
        Self(Arc::new(Inner { settings, shards }))
    }

    pub(crate) fn store(&self) -> Option<&Arc<dyn TokenStore>> {
        self.0.settings.store.as_ref()
    }

    /// What is kept under `key`, and what `judge` says of it. Counts a hit unless it is expired: the
    /// caller then serves it.
    pub(crate) fn get(
        &self,
        key: &CacheKey,
        judge: impl FnOnce(&AccessToken) -> Freshness,
    ) -> Option<(Cached, Freshness)> {
        self.with_shard(key, |shard| {
            let cached = shard.get(key)?.clone();
            let freshness = judge(&cached.token);
            shard.hits += u64::from(freshness != Freshness::Expired);
            Some((cached, freshness))
        })
    }

    /// What is kept under `key`, fresh or not. Counts nothing.
    pub(crate) fn peek(&self, key: &CacheKey) -> Option<Arc<AccessToken>> {
        self.with_shard(key, |shard| shard.peek(key).map(|cached| cached.token.clone()))
    }

    /// Counts a call that [`TokenCache::get`] had nothing for, by whether it was spared a request.
    pub(crate) fn count(&self, key: &CacheKey, hit: bool) {
        self.with_shard(key, |shard| {
            shard.hits += u64::from(hit);
            shard.misses += u64::from(!hit);
        });
    }

    /// Keeps `token`, in place of what was there.
    pub(crate) fn put(&self, key: &Arc<CacheKey>, token: Arc<AccessToken>) {
        drop(self.with_shard(key, |shard| shard.put(key, token)));
    }

    /// Keeps a token that came from elsewhere, unless there is one that lives as long.
    pub(crate) fn put_if_later(&self, key: &Arc<CacheKey>, token: Arc<AccessToken>) {
        let gone = self.with_shard(key, |shard| match shard.peek(key) {
            Some(present) if present.token.expires_on >= token.expires_on => Vec::new(),
            _ => shard.put(key, token),
        });
        drop(gone);
    }

    /// Forgets every token bound to the certificate with this `x5t#S256`, because it was rejected.
    pub(crate) fn remove_bound_to(&self, x5t_s256: &str) {
        for shard in &self.0.shards.get().0 {
            let bound = |token: &AccessToken| {
                token.certificate.as_ref().is_some_and(|certificate| certificate.x5t_s256() == x5t_s256)
            };
            let removed = lock(shard).remove_where(bound);
            drop(removed);
        }
    }

    fn with_shard<T>(&self, key: &CacheKey, use_it: impl FnOnce(&mut Shard) -> T) -> T {
        let process = self.0.shards.get();
        use_it(&mut lock(process.of(key)))
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("max_entries", &self.0.settings.max_entries)
            .field("max_bytes", &self.0.settings.max_bytes)
            .field("store", &self.0.settings.store.is_some())
            .finish()
    }
}

/// A power of two of shards, so that the bits of a hash spread evenly.
struct Shards(Box<[Mutex<Shard>]>);

impl Shards {
    fn new(max_entries: usize, max_bytes: usize) -> Self {
        let wanted = (max_entries / LEAST_ENTRIES).min(max_bytes / LEAST_BYTES).clamp(1, MOST_SHARDS);
        let number = 1 << wanted.ilog2();
        let shard = |_| Mutex::new(Shard::new(max_entries / number, max_bytes / number));
        Self((0..number).map(shard).collect())
    }

    fn of(&self, key: &CacheKey) -> &Mutex<Shard> {
        // The table inside a shard uses the bits at both ends.
        &self.0[(key.hash_value() >> 32) as usize % self.0.len()]
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::test::{key, token};

    fn fill(cache: &TokenCache, number: usize) {
        (0..number).for_each(|n| cache.put(&key(&n.to_string()), token("t")));
    }

    /// Does every limit hold, and is next to all of it used, for caches of one part and of many?
    #[test]
    fn entries_are_bounded() {
        for max_entries in [0, 1, 2, 10, 15, 1000, 1025, 20_000] {
            let cache = TokenCache::new().with_max_entries(max_entries);
            fill(&cache, 3 * max_entries + 3);
            let statistics = cache.statistics();
            // 2,047 is the largest cache of one part, which is exact.
            let least = if max_entries < 2048 { max_entries } else { max_entries * 99 / 100 };
            assert!((least..=max_entries).contains(&statistics.entries), "{max_entries}: {statistics:?}");
            assert_eq!(statistics.evictions, (3 * max_entries + 3 - statistics.entries) as u64);
        }
    }

    /// Do the bytes of all tokens stay within the limit, in caches of one part and of many?
    #[test]
    fn bytes_are_bounded() {
        let cache = TokenCache::new().with_max_entries(1);
        fill(&cache, 1);
        let one = cache.statistics().bytes;
        for max_bytes in [0, one - 1, one, 10 * one, 16 << 20] {
            let cache = TokenCache::new().with_max_entries(usize::MAX).with_max_bytes(max_bytes);
            fill(&cache, 2 * (max_bytes / one) + 2);
            let statistics = cache.statistics();
            assert!(statistics.bytes <= max_bytes, "{statistics:?}");
            assert!(statistics.entries >= max_bytes / one * 9 / 10, "{max_bytes} of {one}: {statistics:?}");
        }
    }

    /// Does a token that is used all along outlive any number of others, in a cache of many parts?
    #[test]
    fn what_is_used_stays() {
        let cache = TokenCache::new();
        cache.put(&key("kept"), token("kept"));
        for n in 0..100_000 {
            cache.put(&key(&n.to_string()), token("t"));
            if n % 1000 == 0 {
                assert!(cache.get(&key("kept"), |_| Freshness::Fresh).is_some());
            }
        }
        assert!(cache.peek(&key("0")).is_none());
        assert!(cache.statistics().entries <= 50_000);
    }

    /// Is a served token a hit, an expired one none, and a look behind the scenes not counted?
    #[test]
    fn statistics_count_what_was_served() {
        let cache = TokenCache::new();
        cache.put(&key("a"), token("t"));
        for (judgement, hits) in [(Freshness::Fresh, 1), (Freshness::RefreshDue, 2), (Freshness::Expired, 2)]
        {
            let (_, judged) = cache.get(&key("a"), |_| judgement).unwrap();
            assert_eq!((judged, cache.statistics().hits), (judgement, hits));
        }
        assert!(cache.get(&key("b"), |_| Freshness::Fresh).is_none());
        assert!(cache.peek(&key("a")).is_some());
        cache.count(&key("a"), false);
        cache.count(&key("b"), true);
        let TokenCacheStatistics { hits, misses, evictions, entries, .. } = cache.statistics();
        assert_eq!((hits, misses, evictions, entries), (3, 1, 0, 1));
    }

    /// Are clones one cache, and does another setting make another cache?
    #[test]
    fn clones_share_and_settings_do_not() {
        let cache = TokenCache::new();
        let (clone, other) = (cache.clone(), cache.with_max_entries(7));
        cache.put(&key("a"), token("t"));
        assert_eq!((clone.statistics().entries, other.statistics().entries), (1, 0));
    }

    /// Does a token from elsewhere never take the place of one that lives longer?
    #[test]
    fn the_later_token_stays() {
        let cache = TokenCache::new();
        let expiring = |expires_on| Arc::new(AccessToken { expires_on, ..crate::token::test::bearer("t") });
        let present = || cache.peek(&key("a")).unwrap().expires_on;
        cache.put_if_later(&key("a"), expiring(100));
        cache.put_if_later(&key("a"), expiring(99));
        assert_eq!(present(), 100);
        cache.put_if_later(&key("a"), expiring(101));
        assert_eq!(present(), 101);
        cache.put(&key("a"), expiring(1));
        assert_eq!(present(), 1, "what the service issued just now counts, whatever its life");
    }
}
