//! What was found out once by a request: remembered, and asked by one caller for all who wait.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Call, Flights};

/// Answers by the name of what was asked about.
pub(crate) struct Memory<V, K = String> {
    known: Mutex<HashMap<K, Entry<V>>>,
    flights: Flights<K, V>,
}

struct Entry<V> {
    value: V,
    /// `None` for one that stays.
    until: Option<Instant>,
}

/// How long what had to be assumed in place of an answer is believed.
const ASSUMED_FOR: Duration = Duration::from_secs(300);
/// Requests may name any number of authorities. Forgetting costs no more than asking again.
const MAX_ENTRIES: usize = 1000;

impl<V: Clone, K: Hash + Eq + Clone> Memory<V, K> {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), flights: Flights::new() }
    }

    /// What is known about `key`, else what `fetch` finds out. A failure is not remembered.
    pub(crate) fn get<Q>(&self, key: &Q, call: &Call, fetch: impl FnOnce() -> Result<V>) -> Result<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (value, _) = self.recall_or(key, call, || Ok((fetch()?, None)))?;
        Ok(value)
    }

    /// The same where a failure is no reason to give up: `fetch` has `limit` of the call's time, and
    /// where it fails, what `assume` says is believed for a while. Tells whether this caller asked.
    ///
    /// That a caller was cancelled, or had less time than `limit`, is no failure for the others.
    pub(crate) fn get_or_assume<Q>(
        &self,
        key: &Q,
        call: &Call,
        limit: Duration,
        fetch: impl FnOnce(&Call) -> Result<V>,
        assume: impl Fn(Error) -> Result<V>,
    ) -> Result<(V, bool)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let outcome = self.recall_or(key, call, || {
            let hurried = call.remaining().is_some_and(|left| left < limit);
            let step = call.limited(limit);
            match fetch(&step) {
                Ok(value) => Ok((value, None)),
                Err(error) if call.check().is_err() => Err(error),
                Err(error) if hurried && (step.was_cut_short() || error.kind() == ErrorKind::Timeout) => {
                    call.note_cut_short();
                    Err(error)
                }
                Err(error) => Ok((assume(error)?, Some(ASSUMED_FOR))),
            }
        });
        outcome.or_else(|error| match call.end(&error) {
            Some(end) => Err(end),
            None => Ok((assume(error)?, true)),
        })
    }

    /// What is known about `key`, else what `fetch` finds out, and for how long that is good: `None` for
    /// ever. Tells whether this caller asked.
    pub(crate) fn recall_or<Q>(
        &self,
        key: &Q,
        call: &Call,
        fetch: impl FnOnce() -> Result<(V, Option<Duration>)>,
    ) -> Result<(V, bool)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(value) = self.known(key, call) {
            return Ok((value, false));
        }
        self.flights.run(
            &key.to_owned(),
            call,
            || self.known(key, call),
            || {
                let (value, lifetime) = fetch()?;
                let until = lifetime.and_then(|lifetime| call.clock.monotonic().checked_add(lifetime));
                let mut known = self.lock();
                if known.len() >= MAX_ENTRIES {
                    known.clear();
                }
                known.insert(key.to_owned(), Entry { value: value.clone(), until });
                Ok(value)
            },
        )
    }

    /// What is known about `key` now.
    pub(crate) fn known<Q>(&self, key: &Q, call: &Call) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = call.clock.monotonic();
        self.lock().get(key).filter(|entry| entry.is_good(now)).map(|entry| entry.value.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Entry<V> {
    fn is_good(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use super::*;
    use crate::clock::Clock;
    use crate::log::Logger;
    use crate::runtime::Cancel;

    /// Time stands still unless somebody waits.
    #[derive(Debug)]
    struct Still(Instant, AtomicU64);

    impl Clock for Still {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn monotonic(&self) -> Instant {
            self.0 + Duration::from_secs(self.1.load(Ordering::SeqCst))
        }

        fn sleep(&self, duration: Duration, _: &Cancel) {
            self.1.fetch_add(duration.as_secs(), Ordering::SeqCst);
        }
    }

    fn call(clock: &Arc<Still>, cancel: &Cancel, timeout: Option<u64>) -> Call {
        let timeout = timeout.map(Duration::from_secs);
        Call::new(clock.clone(), cancel.clone(), Logger::default(), "id".into(), timeout)
    }

    fn clock() -> Arc<Still> {
        Arc::new(Still(Instant::now(), AtomicU64::new(0)))
    }

    fn failed() -> Error {
        Error::new(ErrorKind::Network, "x", "no answer")
    }

    const LIMIT: Duration = Duration::from_secs(2);

    /// Is an answer kept, and a failure asked about again by the next caller?
    #[test]
    fn answers_stay_failures_do_not() {
        let memory = Memory::<u8>::new();
        let call = call(&clock(), &Cancel::new(), None);
        memory.get("a", &call, || Err(failed())).unwrap_err();
        assert_eq!(memory.get("a", &call, || Ok(1)).unwrap(), 1);
        assert_eq!(memory.get("a", &call, || Ok(2)).unwrap(), 1);
        assert_eq!(memory.get("b", &call, || Ok(2)).unwrap(), 2);
    }

    /// Is an assumption believed for five minutes and then checked (design: failed discovery is
    /// forgotten after a short while)?
    #[test]
    fn assumptions_end() {
        let (memory, clock) = (Memory::<u8>::new(), clock());
        let call = call(&clock, &Cancel::new(), None);
        let ask =
            |answer: Result<u8>| memory.get_or_assume("a", &call, LIMIT, |_| answer, |_| Ok(0)).unwrap();
        assert_eq!(ask(Err(failed())), (0, true));
        clock.sleep(Duration::from_secs(299), &Cancel::new());
        assert_eq!(ask(Ok(1)), (0, false));
        clock.sleep(Duration::from_secs(1), &Cancel::new());
        assert_eq!(ask(Ok(1)), (1, true));
        clock.sleep(Duration::from_secs(1_000_000), &Cancel::new());
        assert_eq!(ask(Ok(2)), (1, false));
    }

    /// Is it nobody else's matter that one caller was cancelled or out of time?
    #[test]
    fn haste_is_not_remembered() {
        let (memory, clock, cancel) = (Memory::<u8>::new(), clock(), Cancel::new());
        let assumed = Cell::new(0);
        let ask = |call: &Call, fetch: &dyn Fn(&Call) -> Result<u8>| {
            let assume = |_| {
                assumed.set(assumed.get() + 1);
                Ok(0)
            };
            memory.get_or_assume("a", call, LIMIT, fetch, assume)
        };
        let cancelled = call(&clock, &cancel, None);
        let stopped = |call: &Call| {
            cancel.cancel();
            Err(call.cancelled())
        };
        assert_eq!(ask(&cancelled, &stopped).unwrap_err().kind(), ErrorKind::Cancelled);

        let late = |call: &Call| {
            clock.sleep(LIMIT, &Cancel::new());
            Err(call.timed_out())
        };
        let out_of_time = ask(&call(&clock, &Cancel::new(), Some(1)), &late);
        assert_eq!(out_of_time.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(assumed.get(), 0, "these callers got their own error");

        let no_time_to_try_again = |call: &Call| {
            call.note_cut_short();
            Err(failed())
        };
        assert_eq!(ask(&call(&clock, &Cancel::new(), Some(1)), &no_time_to_try_again).unwrap(), (0, true));
        assert_eq!(ask(&call(&clock, &Cancel::new(), None), &|_| Ok(1)).unwrap(), (1, true));
    }

    /// Does what is remembered stay bounded?
    #[test]
    fn bounded() {
        let memory = Memory::<usize>::new();
        let call = call(&clock(), &Cancel::new(), None);
        for number in 0..2 * MAX_ENTRIES {
            assert_eq!(memory.get(&number.to_string(), &call, || Ok(number)).unwrap(), number);
            assert!(memory.lock().len() <= MAX_ENTRIES);
        }
    }
}
