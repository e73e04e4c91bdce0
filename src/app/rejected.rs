//! APIs that refuse even a fresh token, or a token where there is no other: none is fetched for them for a minute.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::token::CacheKey;

/// How long an API that refused a fresh token is believed that it wants none of them.
const PAUSE: Duration = Duration::from_secs(60);
/// APIs and tokens that are remembered; the least recently used pair goes first.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// The API, as scheme, host and port, and what its tokens are kept under.
type Pair = (String, CacheKey);

/// Who refused a fresh token lately, or one that nobody replaces.
pub(super) struct Rejected(Mutex<LruCache<Pair, Instant>>);

impl Rejected {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::sparse(MOST)))
    }

    /// Whether that was in the minute before `now`.
    pub(super) fn is_paused(&self, pair: &Pair, now: Instant) -> bool {
        self.lock().get(pair).is_some_and(|until| now < *until)
    }

    pub(super) fn note(&self, pair: Pair, now: Instant) {
        if let Some(until) = now.checked_add(PAUSE) {
            self.lock().put(pair, until);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Pair, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KeyBuilder;

    /// Does the pause end after a minute, is it for one API and one kind of token, and is the memory bounded?
    #[test]
    fn a_minute_for_a_pair() {
        let (rejected, now) = (Rejected::new(), Instant::now());
        let pair = |api: &str, name: &str| (api.to_owned(), KeyBuilder::default().part("name", name).build());
        rejected.note(pair("https://a", "x"), now);
        assert!(rejected.is_paused(&pair("https://a", "x"), now + PAUSE - Duration::from_millis(1)));
        assert!(!rejected.is_paused(&pair("https://a", "x"), now + PAUSE));
        assert!(!rejected.is_paused(&pair("https://b", "x"), now));
        assert!(!rejected.is_paused(&pair("https://a", "y"), now));
        for n in 0..2 * MOST.get() {
            rejected.note(pair(&n.to_string(), "x"), now);
        }
        assert_eq!(rejected.lock().len(), MOST.get());
    }
}
