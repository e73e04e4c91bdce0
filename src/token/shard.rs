//! A part of the token cache: read without a lock, changed under one; bounded, least recently used first out.

use std::cmp::Ordering as Order;
use std::collections::BTreeSet;

use super::entry::{Allowance, Entry};
use super::table::Table;
use super::{AccessToken, CacheKey};
use crate::runtime::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use crate::runtime::{Shared, Stripe};

/// Tokens by key, within limits.
///
/// A hit writes nothing that other threads read, as long as nothing is put meanwhile: it finds its entry in the
/// table, and that it was used is written down once between two puts. So what was used between the same two puts
/// was used at the same time.
pub(super) struct Shard {
    table: Table,
    /// The time that use is told by: it goes on by two when something is put.
    now: AtomicU64,
    state: Mutex<State>,
    max_entries: usize,
    max_bytes: usize,
    allowance: Arc<Allowance>,
}

/// What only those who change something look at.
struct State {
    queue: BTreeSet<Queued>,
    bytes: usize,
    evictions: u64,
}

/// An entry by when it was used last, as far as that has been looked at, and by its address.
struct Queued(Arc<Entry>);

/// What a shard holds, and has let go for want of room.
pub(super) struct Holds {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) evictions: u64,
}

impl Shard {
    pub(super) fn new(max_entries: usize, max_bytes: usize, allowance: Arc<Allowance>) -> Self {
        let state = State { queue: BTreeSet::new(), bytes: 0, evictions: 0 };
        let (table, now, state) = (Table::new(), AtomicU64::new(0), Mutex::new(state));
        Self { table, now, state, max_entries, max_bytes, allowance }
    }

    /// The token under `key`, which has been used then, and what `judge` says of it.
    pub(super) fn get<T>(
        &self,
        key: CacheKey,
        stripe: Stripe,
        judge: impl FnOnce(&Entry) -> T,
    ) -> Option<(Shared<Entry>, T)> {
        self.find(key, |entry| {
            // After what was put last, before what is put next.
            entry.touch(self.now.load(Ordering::Relaxed) + 1);
            let judged = judge(entry);
            (self.share(entry, stripe), judged)
        })
    }

    /// The token under `key` where it `is_fresh`, which has been used then. One that is being put just now is not found.
    #[inline(always)]
    pub(super) fn fresh(
        &self,
        key: CacheKey,
        stripe: Stripe,
        is_fresh: impl Fn(&AccessToken) -> bool,
    ) -> Option<Shared<Entry>> {
        let found = self.table.find(key)?;
        let entry = found.as_ref()?;
        if !is_fresh(entry) {
            return None;
        }
        entry.touch(self.now.load(Ordering::Relaxed) + 1);
        Some(self.share(entry, stripe))
    }

    /// The token under `key`. Does not count as use.
    pub(super) fn peek(&self, key: CacheKey) -> Option<Arc<Entry>> {
        self.find(key, Arc::clone)
    }

    /// Keeps `entry`, which is nowhere yet, in place of what was there, if `replaces` says so of that, and unless it is larger than
    /// all that may be kept. Gives back what has to go, to be dropped without the lock: a last reference closes connections.
    pub(super) fn put(&self, entry: &Arc<Entry>, replaces: impl Fn(&AccessToken) -> bool) -> Vec<Arc<Entry>> {
        let (mut gone, mut state) = (Vec::new(), self.lock());
        if let Some(present) = self.table.find(entry.key).and_then(|found| found.clone()) {
            if !replaces(&present) {
                return gone;
            }
            self.remove(&mut state, &present);
            gone.push(present);
        }
        if self.max_entries == 0 || entry.cost() > self.max_bytes {
            state.evictions += 1;
            return gone;
        }
        let now = self.now.load(Ordering::Relaxed) + 2;
        entry.put_at(now);
        self.insert(&mut state, entry);
        while state.queue.len() > self.max_entries || state.bytes > self.max_bytes {
            let Some(entry) = state.least_recently_used() else { break };
            self.remove(&mut state, &entry);
            state.evictions += 1;
            gone.push(entry);
        }
        // Last: what is used meanwhile was used before this one was put, which stays.
        self.now.store(now, Ordering::Relaxed);
        gone
    }

    /// Removes every token that `rejected` picks.
    pub(super) fn remove_where(&self, rejected: impl Fn(&AccessToken) -> bool) -> Vec<Arc<Entry>> {
        let mut state = self.lock();
        let gone: Vec<_> =
            state.queue.iter().filter(|entry| rejected(&entry.0)).map(|entry| entry.0.clone()).collect();
        gone.iter().for_each(|entry| self.remove(&mut state, entry));
        gone
    }

    pub(super) fn holds(&self) -> Holds {
        let state = self.lock();
        Holds { entries: state.queue.len(), bytes: state.bytes, evictions: state.evictions }
    }

    /// Looks without the lock, and where that finds nothing, with it: nothing is missed that is there all along.
    fn find<T>(&self, key: CacheKey, read: impl FnOnce(&Arc<Entry>) -> T) -> Option<T> {
        let found = self.table.find(key).or_else(|| {
            let _state = self.lock();
            self.table.find(key)
        });
        found?.as_ref().map(read)
    }

    #[inline(always)]
    fn share(&self, entry: &Arc<Entry>, stripe: Stripe) -> Shared<Entry> {
        if entry.comes_to(stripe) {
            self.spread(entry);
        }
        Entry::share(entry, stripe)
    }

    /// Puts references for many threads in the place of `entry`, if it is still there. Not where that would have to wait: a hit
    /// waits for nobody.
    #[cold]
    pub(super) fn spread(&self, entry: &Arc<Entry>) {
        let Ok(mut state) = self.state.try_lock() else { return };
        let found = self.table.find(entry.key);
        if !found.as_ref().and_then(|found| found.as_ref()).is_some_and(|found| Arc::ptr_eq(found, entry)) {
            return;
        }
        if let Some(spread) = Entry::spread(entry, &self.allowance).map(Arc::new) {
            self.remove(&mut state, entry);
            self.insert(&mut state, &spread);
        }
    }

    fn insert(&self, state: &mut State, entry: &Arc<Entry>) {
        state.bytes += entry.cost();
        state.queue.insert(Queued(entry.clone()));
        self.table.insert(entry, state.queue.len());
    }

    fn remove(&self, state: &mut State, entry: &Arc<Entry>) {
        self.table.remove(entry);
        state.queue.remove(&Queued(entry.clone()));
        state.bytes = state.bytes.saturating_sub(entry.cost());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The entry that was used longest ago. Those in front of it that were used since then go to their new place.
    fn least_recently_used(&mut self) -> Option<Arc<Entry>> {
        loop {
            let Queued(first) = self.queue.first()?;
            let used = first.used();
            if used == first.queued.load(Ordering::Relaxed) {
                return Some(first.clone());
            }
            // Out of the queue before its place changes.
            let Queued(entry) = self.queue.pop_first()?;
            entry.queued.store(used, Ordering::Relaxed);
            self.queue.insert(Queued(entry));
        }
    }
}

impl Queued {
    fn place(&self) -> (u64, usize) {
        (self.0.queued.load(Ordering::Relaxed), Arc::as_ptr(&self.0) as usize)
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Order {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Queued {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::runtime::Claims;
    use crate::token::test::{bearer, key};

    fn shard(max_entries: usize, max_bytes: usize) -> Shard {
        Shard::new(max_entries, max_bytes, Allowance::new(0))
    }

    fn put(shard: &Shard, name: &str, cost: usize) -> Vec<String> {
        let gone = shard.put(&Arc::new(Entry::new(key(name), bearer(name), cost)), |_| true);
        gone.iter().map(|entry| entry.text().to_owned()).collect()
    }

    fn get(shard: &Shard, name: &str) -> Option<Shared<Entry>> {
        shard.get(key(name), Stripe::of_this_thread(), |_| ()).map(|(token, ())| token)
    }

    fn names<'a>(shard: &Shard, all: &[&'a str]) -> Vec<&'a str> {
        all.iter().copied().filter(|name| shard.peek(key(name)).is_some()).collect()
    }

    /// Is what was used last kept, and what goes given back for the caller to drop?
    #[test]
    fn least_recently_used_goes_first() {
        let shard = shard(2, usize::MAX);
        assert!(put(&shard, "a", 1).is_empty() && put(&shard, "b", 1).is_empty());
        assert!(get(&shard, "a").is_some());
        assert_eq!(put(&shard, "c", 1), ["b"]);
        assert_eq!(names(&shard, &["a", "b", "c"]), ["a", "c"]);
        assert_eq!((shard.holds().entries, shard.holds().evictions), (2, 1));
        assert_eq!(put(&shard, "c", 1), ["c"], "replaced, not evicted");
        assert_eq!((shard.holds().entries, shard.holds().evictions), (2, 1));
    }

    /// A history of uses and puts, by turns: does the cache hold what a list would that each of both moves to its
    /// front?
    #[test]
    fn exactly_the_least_recently_used_goes() {
        let (shard, mut list) = (shard(50, usize::MAX), Vec::<String>::new());
        let mut random = 1_u64;
        let mut name = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) % 70).to_string()
        };
        for _ in 0..5000 {
            let (used, new) = (name(), name());
            let known = list.contains(&used);
            assert_eq!(get(&shard, &used).is_some(), known);
            let gone = put(&shard, &new, 1);
            for name in [Some(used).filter(|_| known), Some(new)].into_iter().flatten() {
                list.retain(|other| *other != name);
                list.insert(0, name);
            }
            if list.len() > 50 {
                assert_eq!(gone.last(), list.pop().as_ref());
            }
        }
    }

    /// Are bytes counted and bounded to the byte, given back by every way out, and is a token that is
    /// larger than the limit not kept, without costing the others their place?
    #[test]
    fn bytes_are_bounded() {
        let shard = shard(usize::MAX, 300);
        let holds = |shard: &Shard| (shard.holds().entries, shard.holds().bytes, shard.holds().evictions);
        for name in ["a", "b", "c"] {
            put(&shard, name, 100);
        }
        assert_eq!(holds(&shard), (3, 300, 0));
        put(&shard, "d", 101);
        assert_eq!(holds(&shard), (2, 201, 2));
        assert!(put(&shard, "e", 301).is_empty());
        assert_eq!(holds(&shard), (2, 201, 3));
        // In place of a token that was there, it still takes that one's place: the old one is superseded.
        assert_eq!(put(&shard, "d", 301), ["d"]);
        assert_eq!(holds(&shard), (1, 100, 4));
        assert_eq!(shard.remove_where(|_| true).len(), 1);
        assert_eq!(holds(&shard), (0, 0, 4));
    }

    /// Does nothing in the cache keep a token that it has let go?
    #[test]
    fn what_goes_is_gone() {
        let shard = shard(20, usize::MAX);
        let mut tokens = Vec::new();
        for n in 0..1000 {
            let entry = Arc::new(Entry::new(key(&(n % 300).to_string()), bearer("t"), 1));
            tokens.push(Arc::downgrade(&entry));
            shard.put(&entry, |_| true);
            drop((entry, get(&shard, &(n % 7).to_string())));
            assert!(tokens.iter().filter(|token| token.strong_count() > 0).count() <= 20);
        }
    }

    fn take_turns(shard: &Shard, name: &str) {
        for _ in 0..200 {
            thread::scope(|scope| drop(scope.spawn(|| drop(get(shard, name)))));
        }
    }

    /// Is a token spread when threads take turns at it and not for one thread, no more of them than may be, does one that
    /// goes make room for another, and is all else as it was: what is counted, who is the least recently used, who refreshes it?
    #[test]
    fn what_many_threads_want_is_spread() {
        let shard = Shard::new(2, 1000, Allowance::new(1));
        let is_spread = |name| matches!(get(&shard, name), Some(Shared::Striped(_)));
        for name in ["a", "b"] {
            put(&shard, name, 10);
        }
        (0..1000).for_each(|_| assert!(!is_spread("a")));
        let refresh = shard.peek(key("a")).unwrap().refresh();
        let (claim, clock) = (|claims: Claims, clock| claims.claim(clock, 30), crate::clock::system_clock());
        let claimed = claim(refresh, &clock);
        take_turns(&shard, "a");
        assert!(is_spread("a") && claimed.is_some());
        assert!(claim(shard.peek(key("a")).unwrap().refresh(), &clock).is_none(), "somebody is at it");
        take_turns(&shard, "b");
        assert!(!is_spread("b"), "there is allowance for one");
        assert_eq!((shard.holds().entries, shard.holds().bytes, shard.holds().evictions), (2, 20, 0));

        let held = get(&shard, "a").unwrap();
        let gone = Arc::downgrade(&held.origin);
        // Two that were used between the same puts count as used at the same time: either of them might go.
        assert_eq!(put(&shard, "b", 10), ["b"]);
        assert_eq!(put(&shard, "c", 10), ["a"]);
        assert_eq!(held.authorization(), "Bearer a");
        assert!(gone.upgrade().is_some());
        drop(held);
        assert!(gone.upgrade().is_none(), "the last reference is the last of the token");
        take_turns(&shard, "b");
        assert!(is_spread("b"));
    }
}
