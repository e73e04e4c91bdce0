//! The part of the token cache that stands under one lock: bounded, least recently used first out.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use lru::LruCache;

use super::{AccessToken, CacheKey};
use crate::clock::Clock;
use crate::runtime::{Claim, Claims};

/// Tokens by key, within limits, and what became of those who asked for them.
pub(super) struct Shard {
    entries: LruCache<Arc<CacheKey>, Cached, BuildHasherDefault<KeyHasher>>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    /// Counted under the lock that a look-up takes anyway, so that counting costs threads nothing.
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
}

/// A token as the cache holds it.
#[derive(Clone)]
pub(crate) struct Cached {
    pub(crate) token: Arc<AccessToken>,
    refresh: Claims,
}

/// Seconds after an early refresh that failed in which no other one is tried.
const REFRESH_PAUSE: i64 = 30;
/// What an entry costs besides its texts: the structures, their places in list and table, and what
/// the allocator adds.
const OVERHEAD: usize = size_of::<AccessToken>() + size_of::<CacheKey>() + 240;

impl Shard {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            // Without a table for all that it may hold one day.
            entries: LruCache::unbounded_with_hasher(BuildHasherDefault::default()),
            bytes: 0,
            max_entries,
            max_bytes,
            hits: 0,
            misses: 0,
            evictions: 0,
        }
    }

    pub(super) fn get(&mut self, key: &CacheKey) -> Option<&Cached> {
        self.entries.get(key)
    }

    /// Like [`Shard::get`], and does not count as use.
    pub(super) fn peek(&self, key: &CacheKey) -> Option<&Cached> {
        self.entries.peek(key)
    }

    /// Keeps `token` in place of what was there, unless it is larger than all that may be kept. Gives
    /// back what has to go, to be dropped without the lock: a last reference closes connections.
    pub(super) fn put(&mut self, key: &Arc<CacheKey>, token: Arc<AccessToken>) -> Vec<Cached> {
        let mut gone: Vec<Cached> = self.remove(key).into_iter().collect();
        let cached = Cached { token, refresh: Claims::default() };
        let cost = cost(key, &cached.token);
        if self.max_entries == 0 || cost > self.max_bytes {
            self.evictions += 1;
            gone.push(cached);
            return gone;
        }
        self.bytes += cost;
        self.entries.put(key.clone(), cached);
        while self.entries.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((key, cached)) = self.entries.pop_lru() else { break };
            self.forget(&key, &cached);
            self.evictions += 1;
            gone.push(cached);
        }
        gone
    }

    /// Removes every token that `rejected` picks.
    pub(super) fn remove_where(&mut self, rejected: impl Fn(&AccessToken) -> bool) -> Vec<Cached> {
        let keys: Vec<_> = self.entries.iter().filter(|(_, cached)| rejected(&cached.token)).collect();
        let keys: Vec<_> = keys.into_iter().map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, key: &CacheKey) -> Option<Cached> {
        let cached = self.entries.pop(key)?;
        self.forget(key, &cached);
        Some(cached)
    }

    fn forget(&mut self, key: &CacheKey, cached: &Cached) {
        self.bytes = self.bytes.saturating_sub(cost(key, &cached.token));
    }
}

/// What an entry takes in memory, about. Its certificate is shared, and not counted.
fn cost(key: &CacheKey, token: &AccessToken) -> usize {
    let AccessToken { authorization, scopes, tenant, endpoint, region, response_parameters, .. } = token;
    let scopes: usize = scopes.iter().map(|scope| scope.len() + size_of::<String>()).sum();
    let parameters: usize =
        response_parameters.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    OVERHEAD
        + key.text().len()
        + authorization.expose_terminated().len()
        + scopes
        + endpoint.len()
        + optional(tenant)
        + optional(&region.error)
        + parameters
}

impl Cached {
    /// Claims the early refresh for the caller, until the claim is dropped and for [`REFRESH_PAUSE`]
    /// after that: a service that is down is not asked again by every hit, and no two wait in a queue.
    pub(crate) fn claim_refresh(&self, clock: &Arc<dyn Clock>) -> Option<Claim> {
        self.refresh.claim(clock, REFRESH_PAUSE)
    }
}

/// Passes the hash on that the key already carries.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

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
    use super::*;
    use crate::token::test::{key, token};

    /// Is what was used last kept, and what goes given back for the caller to drop?
    #[test]
    fn least_recently_used_goes_first() {
        let mut shard = Shard::new(2, usize::MAX);
        assert!(shard.put(&key("a"), token("a")).is_empty());
        assert!(shard.put(&key("b"), token("b")).is_empty());
        assert!(shard.get(&key("a")).is_some());
        let gone = shard.put(&key("c"), token("c"));
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].token.authorization.expose(), "Bearer b");
        assert!(shard.peek(&key("a")).is_some() && shard.peek(&key("c")).is_some());
        assert_eq!((shard.entries(), shard.evictions), (2, 1));
        let replaced = shard.put(&key("c"), token("d"));
        assert_eq!((replaced.len(), shard.entries(), shard.evictions), (1, 2, 1));
    }

    /// Are bytes counted and bounded to the byte, given back by every way out, and is a token that is
    /// larger than the limit not kept, without costing the others their place?
    #[test]
    fn bytes_are_bounded() {
        let one = cost(&key("a"), &token("t"));
        assert_eq!(cost(&key("a"), &token(&"t".repeat(1001))), one + 1000);
        let mut shard = Shard::new(usize::MAX, 3 * one);
        for name in ["a", "b", "c"] {
            shard.put(&key(name), token("t"));
        }
        assert_eq!((shard.entries(), shard.bytes(), shard.evictions), (3, 3 * one, 0));
        shard.put(&key("d"), token("tt"));
        assert_eq!((shard.entries(), shard.bytes(), shard.evictions), (2, 2 * one + 1, 2));
        let gone = shard.put(&key("e"), token(&"t".repeat(2 * one + 2)));
        assert_eq!((gone.len(), shard.entries(), shard.bytes()), (1, 2, 2 * one + 1));
        // In place of a token that was there, it still takes that one's place: the old one is superseded.
        shard.put(&key("d"), token(&"t".repeat(2 * one + 2)));
        assert_eq!((shard.entries(), shard.bytes()), (1, one));
        assert_eq!(shard.remove_where(|_| true).len(), 1);
        assert_eq!((shard.entries(), shard.bytes()), (0, 0));
    }
}
