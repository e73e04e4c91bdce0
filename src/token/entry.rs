//! A token in the cache: who may hold it, when it was last used, who refreshes it.

use once_cell::race::OnceBox;

use super::table::Link;
use super::{AccessToken, CacheKey};
use crate::runtime::sync::{Arc, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::runtime::{Claims, Shared, Stripe, Striped};

/// A token under its key. What changes in it changes seldom: a hit as a rule writes nothing here.
pub(super) struct Entry {
    pub(super) key: CacheKey,
    pub(super) token: Arc<AccessToken>,
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
    /// Once it is wanted by threads in turn.
    spread: OnceBox<Spread>,
    /// Once it was due.
    refresh: OnceBox<Claims>,
}

/// References for many threads, which take memory. So there is only so much of this.
struct Spread {
    token: Striped<AccessToken>,
    allowance: Arc<Allowance>,
}

/// How many tokens of a cache may be spread.
pub(super) struct Allowance(AtomicUsize);

/// So often a token goes from one stripe of threads to another before it is spread.
const TURNS: u32 = 64;
const BITS: u32 = 8;

impl Entry {
    pub(super) fn new(key: CacheKey, token: Arc<AccessToken>, cost: usize, now: u64) -> Self {
        Self {
            key,
            token,
            // No answer is that long.
            cost: u32::try_from(cost).unwrap_or(u32::MAX),
            next: Link::empty(),
            used: AtomicU64::new(now),
            queued: AtomicU64::new(now),
            turns: AtomicU32::new(Stripe::of_this_thread().number()),
            spread: OnceBox::new(),
            refresh: OnceBox::new(),
        }
    }

    /// The token, counted where no other thread counts if it is wanted by many.
    #[inline(always)]
    pub(super) fn share(&self, stripe: Stripe, allowance: &Arc<Allowance>) -> Shared<AccessToken> {
        if let Some(spread) = self.spread.get() {
            return Shared::Striped(spread.token.hold_in(stripe));
        }
        if self.turns.load(Ordering::Relaxed) & ((1 << BITS) - 1) != stripe.number() {
            self.turn_to(stripe, allowance);
        }
        Shared::One(self.token.clone())
    }

    /// Another stripe than the last one has it, and when that was so often enough, each will have its own.
    #[cold]
    fn turn_to(&self, stripe: Stripe, allowance: &Arc<Allowance>) {
        let times = (self.turns.load(Ordering::Relaxed) >> BITS) + 1;
        self.turns.store(times << BITS | stripe.number(), Ordering::Relaxed);
        // Each time as often again, where none may be spread now.
        if times.is_multiple_of(TURNS) && allowance.take() {
            let token = Striped::new(self.token.clone());
            let spread = Spread { token, allowance: allowance.clone() };
            // Another thread may have been faster; its own then gives back what this one took.
            let _ = self.spread.set(Box::new(spread));
        }
    }

    /// Notes that it is used `now`; writes only what is new. A thread that was held up since it read the time takes nothing
    /// back.
    #[inline(always)]
    pub(super) fn touch(&self, now: u64) {
        if self.used.load(Ordering::Relaxed) < now {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn cost(&self) -> usize {
        self.cost as usize
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Who may refresh it.
    pub(super) fn refresh(&self) -> Claims {
        self.refresh.get_or_init(Box::default).clone()
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
    use std::thread;

    use super::*;
    use crate::token::test::{key, token};

    fn take_turns(entry: &Entry, allowance: &Arc<Allowance>) {
        for _ in 0..2 * TURNS {
            thread::scope(|scope| {
                drop(scope.spawn(|| drop(entry.share(Stripe::of_this_thread(), allowance))))
            });
        }
    }

    /// Does a use that is noted late leave alone what was noted since?
    #[test]
    fn the_last_use_counts() {
        let entry = Entry::new(key("a"), token("a"), 1, 4);
        for (now, used) in [(3, 4), (5, 5), (1, 5), (7, 7)] {
            entry.touch(now);
            assert_eq!(entry.used(), used);
        }
    }

    /// Is a token spread when threads take turns at it and not for one thread, no more of them than may be, and does
    /// one that goes make room for another?
    #[test]
    fn what_many_threads_want_is_spread() {
        let allowance = Allowance::new(1);
        let (new, here) = (|name| Entry::new(key(name), token(name), 1, 1), Stripe::of_this_thread());
        let (one, two) = (new("a"), new("b"));
        (0..1000).for_each(|_| assert!(matches!(one.share(here, &allowance), Shared::One(_))));
        take_turns(&one, &allowance);
        let held = one.share(here, &allowance);
        assert!(matches!(held, Shared::Striped(_)));
        take_turns(&two, &allowance);
        assert!(matches!(two.share(here, &allowance), Shared::One(_)), "there is allowance for one");
        let token = Arc::downgrade(&one.token);
        drop(one);
        assert_eq!(held.authorization.expose(), "Bearer a");
        drop(held);
        assert!(token.upgrade().is_none(), "the last reference is the last of the token");
        take_turns(&two, &allowance);
        assert!(matches!(two.share(here, &allowance), Shared::Striped(_)));
    }
}
