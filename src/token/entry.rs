//! A token in the cache: who may hold it, when it was last used, who refreshes it.

use std::ops::Deref;

use once_cell::race::OnceBox;

use super::table::Link;
use super::{AccessToken, CacheKey};
use crate::runtime::sync::{Arc, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::runtime::{Claims, Shared, Stripe, Striped};

/// A token under its key, in one piece: who holds the one holds the other. What changes in it changes seldom: a hit as a rule writes
/// nothing here.
pub(crate) struct Entry {
    pub(super) key: CacheKey,
    /// The next one in its bucket.
    pub(super) next: Link,
    /// When it was used last, in the time of its shard.
    used: AtomicU64,
    /// The same, as far as the queue of its shard knows.
    pub(super) queued: AtomicU64,
    /// The stripe of the thread that had it last, and above that how often it came to another one.
    turns: AtomicU32,
    /// What it takes in memory.
    cost: u32,
    /// Once it was due.
    refresh: OnceBox<Claims>,
    token: Kept,
}

enum Kept {
    Here(AccessToken),
    /// In the entry that was in the place of this one until threads wanted it in turn.
    Spread(Box<Spread>),
}

/// References for many threads, which take memory. So there is only so much of this.
struct Spread {
    entry: Striped<Entry>,
    allowance: Arc<Allowance>,
}

/// How many tokens of a cache may be spread.
pub(super) struct Allowance(AtomicUsize);

/// So often a token goes from one stripe of threads to another before it is spread.
const TURNS: u32 = 64;
const BITS: u32 = 8;

impl Entry {
    pub(super) fn new(key: CacheKey, token: AccessToken, cost: usize) -> Self {
        // No answer is that long.
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        Self::with(key, Kept::Here(token), cost, 0)
    }

    /// The one that takes the place of `entry`, with references to it for many threads; `None` where no more may have that.
    pub(super) fn spread(entry: &Arc<Self>, allowance: &Arc<Allowance>) -> Option<Self> {
        let spread = allowance
            .take()
            .then(|| Spread { entry: Striped::new(entry.clone()), allowance: allowance.clone() })?;
        Some(Self::with(entry.key, Kept::Spread(Box::new(spread)), entry.cost, entry.used()))
    }

    fn with(key: CacheKey, token: Kept, cost: u32, used: u64) -> Self {
        Self {
            key,
            next: Link::empty(),
            used: AtomicU64::new(used),
            queued: AtomicU64::new(used),
            turns: AtomicU32::new(Stripe::of_this_thread().number()),
            cost,
            refresh: OnceBox::new(),
            token,
        }
    }

    /// A reference for a thread of this stripe, counted where no other thread counts if it is wanted by many.
    #[inline(always)]
    pub(super) fn share(entry: &Arc<Self>, stripe: Stripe) -> Shared<Self> {
        match &entry.token {
            Kept::Here(_) => Shared::One(entry.clone()),
            Kept::Spread(spread) => Shared::Striped(spread.entry.hold_in(stripe)),
        }
    }

    /// Takes note that a thread of this stripe has it. Whether it should be spread: threads had it in turn often enough.
    #[inline(always)]
    pub(super) fn comes_to(&self, stripe: Stripe) -> bool {
        matches!(self.token, Kept::Here(_))
            && self.turns.load(Ordering::Relaxed) & ((1 << BITS) - 1) != stripe.number()
            && self.turn_to(stripe)
    }

    #[cold]
    fn turn_to(&self, stripe: Stripe) -> bool {
        let times = (self.turns.load(Ordering::Relaxed) >> BITS) + 1;
        self.turns.store(times << BITS | stripe.number(), Ordering::Relaxed);
        // Each time as often again, where it cannot be now.
        times.is_multiple_of(TURNS)
    }

    /// Notes that it is used `now`; writes only what is new. A thread that was held up since it read the time takes nothing
    /// back.
    #[inline(always)]
    pub(super) fn touch(&self, now: u64) {
        if self.used.load(Ordering::Relaxed) < now {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    /// Before it is where others find it: when it is put there.
    pub(super) fn put_at(&self, now: u64) {
        self.used.store(now, Ordering::Relaxed);
        self.queued.store(now, Ordering::Relaxed);
    }

    pub(super) fn cost(&self) -> usize {
        self.cost as usize
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Who may refresh it.
    pub(super) fn refresh(&self) -> Claims {
        match &self.token {
            Kept::Here(_) => self.refresh.get_or_init(Box::default).clone(),
            Kept::Spread(spread) => spread.entry.value().refresh(),
        }
    }
}

impl Deref for Entry {
    type Target = AccessToken;

    #[inline(always)]
    fn deref(&self) -> &AccessToken {
        match &self.token {
            Kept::Here(token) => token,
            Kept::Spread(spread) => spread.token(),
        }
    }
}

impl Spread {
    fn token(&self) -> &AccessToken {
        self.entry.value()
    }
}

impl Allowance {
    pub(super) fn new(number: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(number)))
    }

    fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Drop for Spread {
    fn drop(&mut self) {
        self.allowance.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::test::{bearer, key};

    /// Does a use that is noted late leave alone what was noted since?
    #[test]
    fn the_last_use_counts() {
        let entry = Entry::new(key("a"), bearer("a"), 1);
        entry.put_at(4);
        for (now, used) in [(3, 4), (5, 5), (1, 5), (7, 7)] {
            entry.touch(now);
            assert_eq!(entry.used(), used);
        }
    }

    /// Is a token in one piece with its entry, and as small as docs/performance.md says?
    #[test]
    fn entries_are_small() {
        assert!(size_of::<Entry>() <= 112, "{}", size_of::<Entry>());
    }
}
