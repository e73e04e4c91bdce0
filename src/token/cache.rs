//! The token cache: a hash look-up, bounded, shared by the apps that are given it. No lock is held over I/O, and
//! none is taken by a hit.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::entry::{Allowance, Entry};
use super::shard::Shard;
use super::{AccessToken, CacheKey, Freshness, Origin, TokenStore};
use crate::clock::Clock;
use crate::runtime::{Claim, Claims, Counts, PerProcess, Shared, Stripe};

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
    process: PerProcess<Process>,
}

/// A token that the cache had.
pub(crate) struct Cached {
    pub(crate) token: Shared<Entry>,
    /// Where it is due for replacement.
    refresh: Option<Claims>,
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

/// Who changes something takes a lock; this many of them make meeting rare.
const MOST_SHARDS: usize = 16;
/// Each shard has its share of the limits to itself. With shares smaller than these, one shard would be
/// full long before the cache is: small caches have fewer shards, the smallest one.
const LEAST_ENTRIES: usize = 1024;
const LEAST_BYTES: usize = 4 << 20;
/// Tokens that many threads have, at most, with references for each of them: 2.5 kB apiece.
const MOST_SPREAD: usize = 1024;
/// Seconds after an early refresh that failed in which no other one is tried.
const REFRESH_PAUSE: i64 = 30;
/// What an entry costs besides its texts: the structure, its places in queue and table, and what the allocator adds.
const OVERHEAD: usize = size_of::<Entry>() + 80;

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
    /// Up to 2,000 tokens, exactly the least recently used one goes, where what was used between the same two
    /// insertions was used at the same time. A larger cache is divided, as is its limit: one part may be full a
    /// little earlier than another.
    #[must_use]
    pub fn with_max_entries(&self, max_entries: usize) -> Self {
        Self::from_settings(Settings { max_entries, ..self.0.settings.clone() })
    }

    /// An empty cache like this one whose tokens take at most about `max_bytes`: the texts of each,
    /// and a fixed sum for the rest. Divided as the number of tokens is; a token that is
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
        let process = self.0.process.get();
        let [hits, misses] = process.counts.sums();
        let mut sum = TokenCacheStatistics { hits, misses, ..TokenCacheStatistics::default() };
        for holds in process.shards.iter().map(Shard::holds) {
            sum.evictions += holds.evictions;
            sum.entries += holds.entries;
            sum.bytes += holds.bytes;
        }
        sum
    }

    fn from_settings(settings: Settings) -> Self {
        let (max_entries, max_bytes) = (settings.max_entries, settings.max_bytes);
        let process = PerProcess::new(move || Process::new(max_entries, max_bytes));
        Self(Arc::new(Inner { settings, process }))
    }

    pub(crate) fn store(&self) -> Option<&Arc<dyn TokenStore>> {
        self.0.settings.store.as_ref()
    }

    /// What is kept under `key`, and what `judge` says of it. Counts a hit unless it is expired: the
    /// caller then serves it.
    pub(crate) fn get(
        &self,
        key: CacheKey,
        judge: impl Fn(&AccessToken) -> Freshness,
    ) -> Option<(Cached, Freshness)> {
        let (process, stripe) = (self.0.process.get(), Stripe::of_this_thread());
        let (token, (freshness, refresh)) = process.of(key).get(key, stripe, |entry| {
            let freshness = judge(entry);
            (freshness, (freshness == Freshness::RefreshDue).then(|| entry.refresh()))
        })?;
        if freshness != Freshness::Expired {
            process.counts.add(stripe, HIT);
        }
        Some((Cached { token, refresh }, freshness))
    }

    /// What is kept under `key`, counted as a hit, if it `is_fresh`. Looks without the lock only.
    #[inline(always)]
    pub(crate) fn fresh(
        &self,
        key: CacheKey,
        stripe: Stripe,
        is_fresh: impl Fn(&AccessToken) -> bool,
    ) -> Option<Shared<Entry>> {
        let process = self.0.process.get();
        let token = process.of(key).fresh(key, stripe, is_fresh)?;
        process.counts.add(stripe, HIT);
        Some(token)
    }

    /// What is kept under `key`, fresh or not. Counts nothing.
    pub(crate) fn peek(&self, key: CacheKey) -> Option<Arc<Entry>> {
        self.0.process.get().of(key).peek(key)
    }

    /// Counts a call that [`TokenCache::get`] had nothing for, by whether it was spared a request.
    pub(crate) fn count(&self, hit: bool) {
        self.0.process.get().counts.add(Stripe::of_this_thread(), if hit { HIT } else { MISS });
    }

    /// Keeps `token`, in place of what was there.
    pub(crate) fn put(&self, key: CacheKey, token: AccessToken) -> Arc<Entry> {
        self.put_if(key, token, |_| true)
    }

    /// Keeps a token that came from elsewhere, unless there is one that lives as long.
    pub(crate) fn put_if_later(&self, key: CacheKey, token: AccessToken) {
        let expires_on = token.expires_on;
        self.put_if(key, token, |present| present.expires_on < expires_on);
    }

    fn put_if(
        &self,
        key: CacheKey,
        mut token: AccessToken,
        replaces: impl Fn(&AccessToken) -> bool,
    ) -> Arc<Entry> {
        let process = self.0.process.get();
        let new = process.share_origin(&mut token);
        let cost = cost(&token) + if new { cost_of(&token.origin) } else { 0 };
        let entry = Arc::new(Entry::new(key, token, cost));
        drop(process.of(key).put(&entry, replaces));
        entry
    }

    /// Forgets every token bound to the certificate with this `x5t#S256`, because it was rejected.
    pub(crate) fn remove_bound_to(&self, x5t_s256: &str) {
        for shard in &self.0.process.get().shards {
            drop(shard.remove_where(|token| {
                token.certificate.as_ref().is_some_and(|certificate| certificate.x5t_s256() == x5t_s256)
            }));
        }
    }
}

impl Cached {
    /// Claims the early refresh for the caller, until the claim is dropped and for [`REFRESH_PAUSE`]
    /// after that: a service that is down is not asked again by every hit, and no two wait in a queue.
    pub(crate) fn claim_refresh(&self, clock: &Arc<dyn Clock>) -> Option<Claim> {
        self.refresh.as_ref()?.claim(clock, REFRESH_PAUSE)
    }
}

/// What an entry takes in memory, about. Its certificate is shared, and not counted.
fn cost(token: &AccessToken) -> usize {
    OVERHEAD + token.texts.length()
}

/// The same for where tokens are from: the first of them pays for all.
fn cost_of(origin: &Origin) -> usize {
    let Origin { tenant, endpoint, region, response_parameters, .. } = origin;
    let parameters: usize =
        response_parameters.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    size_of::<Origin>() + endpoint.len() + optional(tenant) + optional(&region.error) + parameters
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

/// What one process has of a cache.
struct Process {
    /// A power of two, so that the bits of a hash spread evenly.
    shards: Box<[Shard]>,
    counts: Counts,
    origins: Mutex<Vec<Weak<Origin>>>,
}

/// Of so many origins it is known that tokens share them: of those that came last.
const MOST_ORIGINS: usize = 16;

/// What is counted where.
const HIT: usize = 0;
const MISS: usize = 1;

impl Process {
    fn new(max_entries: usize, max_bytes: usize) -> Self {
        let wanted = (max_entries / LEAST_ENTRIES).min(max_bytes / LEAST_BYTES).clamp(1, MOST_SHARDS);
        let number = 1 << wanted.ilog2();
        let allowance = Allowance::new(MOST_SPREAD);
        let shard = |_| Shard::new(max_entries / number, max_bytes / number, allowance.clone());
        let (counts, origins) = (Counts::new(), Mutex::default());
        Self { shards: (0..number).map(shard).collect(), counts, origins }
    }

    /// Lets `token` share its origin with others; whether it is the first one.
    fn share_origin(&self, token: &mut AccessToken) -> bool {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let known = origins.iter().filter_map(Weak::upgrade).find(|origin| *origin == token.origin);
        if let Some(known) = known {
            token.origin = known;
            return false;
        }
        if origins.len() == MOST_ORIGINS {
            origins.remove(0);
        }
        origins.push(Arc::downgrade(&token.origin));
        true
    }

    #[inline(always)]
    fn of(&self, key: CacheKey) -> &Shard {
        // The table inside a shard uses the bits at the lower end.
        &self.shards[(key.bits() >> 32) as usize & (self.shards.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::token::test::{bearer, key};
    use crate::token::{Texts, TokenType};

    fn fill(cache: &TokenCache, number: usize) {
        (0..number).for_each(|n| drop(cache.put(key(&n.to_string()), bearer("t"))));
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

    /// Is what an entry costs counted to the byte of its texts?
    #[test]
    fn texts_are_counted() {
        let one = cost(&bearer("t"));
        assert_eq!(cost(&bearer(&"t".repeat(1001))), one + 1000);
        let texts = Texts::new(TokenType::Bearer, &Secret::new("t"), "a b");
        assert_eq!(cost(&AccessToken { texts, ..bearer("t") }), one + 3);
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
        cache.put(key("kept"), bearer("kept"));
        for n in 0..100_000 {
            cache.put(key(&n.to_string()), bearer("t"));
            if n % 1000 == 0 {
                assert!(cache.get(key("kept"), |_| Freshness::Fresh).is_some());
            }
        }
        assert!(cache.peek(key("0")).is_none());
        assert!(cache.statistics().entries <= 50_000);
    }

    /// Is a served token a hit, an expired one none, and a look behind the scenes not counted?
    #[test]
    fn statistics_count_what_was_served() {
        let cache = TokenCache::new();
        cache.put(key("a"), bearer("t"));
        for (judgement, hits) in [(Freshness::Fresh, 1), (Freshness::RefreshDue, 2), (Freshness::Expired, 2)]
        {
            let (_, judged) = cache.get(key("a"), |_| judgement).unwrap();
            assert_eq!((judged, cache.statistics().hits), (judgement, hits));
        }
        assert!(cache.get(key("b"), |_| Freshness::Fresh).is_none());
        assert!(cache.peek(key("a")).is_some());
        cache.count(false);
        cache.count(true);
        let TokenCacheStatistics { hits, misses, evictions, entries, .. } = cache.statistics();
        assert_eq!((hits, misses, evictions, entries), (3, 1, 0, 1));
    }

    /// Are clones one cache, and does another setting make another cache?
    #[test]
    fn clones_share_and_settings_do_not() {
        let cache = TokenCache::new();
        let (clone, other) = (cache.clone(), cache.with_max_entries(7));
        cache.put(key("a"), bearer("t"));
        assert_eq!((clone.statistics().entries, other.statistics().entries), (1, 0));
    }

    /// Threads that look, put and evict at once: does each find its own tokens only, is every hit counted, and is what
    /// went gone?
    #[test]
    fn threads_find_their_own() {
        let (cache, put) = (TokenCache::new().with_max_entries(30), Mutex::new(Vec::new()));
        let ask = |step: usize| {
            let mut found = 0;
            for n in 0..5000 {
                let name = (n * step % 50).to_string();
                match cache.get(key(&name), |_| Freshness::Fresh) {
                    Some((cached, _)) => {
                        assert_eq!(cached.token.authorization(), format!("Bearer {name}"));
                        found += 1;
                    }
                    None => {
                        let token = cache.put(key(&name), bearer(&name));
                        put.lock().unwrap().push(Arc::downgrade(&token));
                    }
                }
            }
            found
        };
        let found: u64 = std::thread::scope(|scope| {
            let threads = [1, 3, 7, 9].map(|step| scope.spawn(move || ask(step)));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let statistics = cache.statistics();
        assert_eq!((statistics.hits, statistics.entries), (found, 30));
        let alive = put.into_inner().unwrap().iter().filter(|token| token.strong_count() > 0).count();
        assert_eq!(alive, 30);
    }

    /// Do tokens from one place share what is known of it, whoever came between, and is it forgotten with the last?
    #[test]
    fn origins_are_shared() {
        let (cache, from) = (TokenCache::new().with_max_entries(100), |endpoint: String| {
            let origin = Arc::new(Origin { endpoint, ..Origin::default() });
            AccessToken { origin, ..bearer("t") }
        });
        let put = |n: usize, endpoint: &str| cache.put(key(&n.to_string()), from(endpoint.to_owned()));
        let (first, other, second) = (put(1, "https://a"), put(2, "https://b"), put(3, "https://a"));
        assert!(Arc::ptr_eq(&first.origin, &second.origin) && first.origin != other.origin);
        let origin = Arc::downgrade(&first.origin);
        (0..200).for_each(|n| drop(put(n, &n.to_string())));
        assert!(origin.upgrade().is_some());
        drop((first, second));
        assert!(origin.upgrade().is_none());
    }

    /// Does a token from elsewhere never take the place of one that lives longer?
    #[test]
    fn the_later_token_stays() {
        let cache = TokenCache::new();
        let expiring = |expires_on| AccessToken { expires_on, ..bearer("t") };
        let present = || cache.peek(key("a")).unwrap().expires_on;
        cache.put_if_later(key("a"), expiring(100));
        cache.put_if_later(key("a"), expiring(99));
        assert_eq!(present(), 100);
        cache.put_if_later(key("a"), expiring(101));
        assert_eq!(present(), 101);
        cache.put(key("a"), expiring(1));
        assert_eq!(present(), 1, "what the service issued just now counts, whatever its life");
    }
}
