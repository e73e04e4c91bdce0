//! Single flight: of many callers that want the same thing at once, one fetches it for all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Call;
use crate::runtime::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, ThreadId, current};

/// The work under way, by key. No lock is held while a leader works.
pub(crate) struct Flights<K, V> {
    running: Mutex<HashMap<K, Arc<Flight<V>>>>,
}

struct Flight<V> {
    leader: ThreadId,
    outcome: Mutex<Outcome<V>>,
    landed: Condvar,
}

enum Outcome<V> {
    Running,
    Done(V),
    /// Concerns every waiter: the server said no.
    Failed(Error),
    /// Concerned the leader alone (its deadline, its cancellation, a panic): a waiter takes over.
    HandedOver,
}

/// How often a waiter looks whether its own call was cancelled.
const WAIT_SLICE: Duration = Duration::from_millis(50);

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    pub(crate) fn new() -> Self {
        Self { running: Mutex::new(HashMap::new()) }
    }

    /// Leads the flight for `key`, or waits for the one under way as long as `call` allows.
    ///
    /// Before leading, `present` is asked once more, because a flight may have landed since the
    /// caller last looked. An error of the leader goes to every waiter, unless it was its own
    /// deadline or cancellation: then the next waiter leads. Tells whether `fetch` of this caller ran.
    pub(crate) fn run(
        &self,
        key: &K,
        call: &Call,
        present: impl Fn() -> Option<V>,
        fetch: impl FnOnce() -> Result<V>,
    ) -> Result<(V, bool)> {
        loop {
            let flight = match self.lock().entry(key.clone()) {
                Entry::Occupied(running) => running.get().clone(),
                Entry::Vacant(vacant) => {
                    vacant.insert(Flight::new());
                    break;
                }
            };
            if let Some(outcome) = flight.wait(call)? {
                return outcome.map(|value| (value, false));
            }
        }
        let mut landing = Landing { flights: self, key, outcome: Outcome::HandedOver };
        if let Some(present) = present() {
            landing.outcome = Outcome::Done(present.clone());
            return Ok((present, false));
        }
        let result = fetch();
        landing.outcome = match &result {
            Ok(value) => Outcome::Done(value.clone()),
            Err(error) if call.was_cut_short() || call.check().is_err() || is_cancelled(error) => {
                Outcome::HandedOver
            }
            Err(error) => Outcome::Failed(error.clone()),
        };
        result.map(|value| (value, true))
    }

    /// Whether somebody is fetching `key` now.
    pub(crate) fn is_running(&self, key: &K) -> bool {
        self.lock().contains_key(key)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<Flight<V>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_cancelled(error: &Error) -> bool {
    error.kind() == ErrorKind::Cancelled
}

impl<V: Clone> Flight<V> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            leader: current().id(),
            outcome: Mutex::new(Outcome::Running),
            landed: Condvar::new(),
        })
    }

    /// The outcome for a waiter; `None` where it should try to lead.
    fn wait(&self, call: &Call) -> Result<Option<Result<V>>> {
        if self.leader == current().id() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "reentrant_call",
                "a callback asked for the very token it is being called for; that can never end",
            ));
        }
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*outcome {
                Outcome::Running => {}
                Outcome::Done(value) => return Ok(Some(Ok(value.clone()))),
                Outcome::Failed(error) => return Ok(Some(Err(error.clone()))),
                Outcome::HandedOver => return Ok(None),
            }
            call.check().map_err(|end| end.context("waiting for another call that gets the same"))?;
            let slice = call.bounded(WAIT_SLICE);
            outcome = self.landed.wait_timeout(outcome, slice).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Publishes the outcome when the leader leaves, also by a panic.
struct Landing<'a, K: Hash + Eq + Clone, V: Clone> {
    flights: &'a Flights<K, V>,
    key: &'a K,
    outcome: Outcome<V>,
}

impl<K: Hash + Eq + Clone, V: Clone> Drop for Landing<'_, K, V> {
    fn drop(&mut self) {
        let Some(flight) = self.flights.lock().remove(self.key) else { return };
        // Nobody waits, and nobody will: it is no longer to be found.
        let Err(flight) = Arc::try_unwrap(flight) else { return };
        let outcome = std::mem::replace(&mut self.outcome, Outcome::HandedOver);
        *flight.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        flight.landed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::clock::SystemClock;
    use crate::log::Logger;
    use crate::runtime::Cancel;

    fn call(cancel: &Cancel) -> Call {
        Call::new(Arc::new(SystemClock), cancel.clone(), Logger::default(), "id".into(), None)
    }

    /// Do 50 callers cause one fetch, and does each get its result?
    #[test]
    fn one_leader_for_all() {
        let flights = Flights::<u8, u32>::new();
        let stored = Mutex::new(None);
        let fetches = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let fetch = || {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        *stored.lock().unwrap() = Some(7);
                        Ok(7)
                    };
                    let got = flights.run(&1, &call(&Cancel::new()), || *stored.lock().unwrap(), fetch);
                    assert_eq!(got.unwrap().0, 7);
                });
            }
        });
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        assert!(!flights.is_running(&1));
    }

    /// Does a waiter take over when the leader is cancelled, instead of inheriting that error?
    #[test]
    fn cancelled_leader_hands_over() {
        let flights = Flights::<u8, u32>::new();
        let (leading, lead) = mpsc::channel();
        let cancel = Cancel::new();
        thread::scope(|scope| {
            let leader = scope.spawn(|| {
                let call = call(&cancel);
                flights.run(
                    &1,
                    &call,
                    || None,
                    || {
                        leading.send(()).unwrap();
                        cancel.wait(Duration::from_secs(3600));
                        Err(call.cancelled())
                    },
                )
            });
            lead.recv().unwrap();
            let waiter = scope.spawn(|| flights.run(&1, &call(&Cancel::new()), || None, || Ok(7)));
            cancel.cancel();
            assert_eq!(leader.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
            assert_eq!(waiter.join().unwrap().unwrap(), (7, true));
        });
    }

    /// Is asking for the same key from inside its own fetch an error instead of a deadlock?
    #[test]
    fn reentry_is_an_error() {
        let flights = Flights::<u8, u32>::new();
        let call = call(&Cancel::new());
        let again = || flights.run(&1, &call, || None, || Ok(1)).map(|(value, _)| value);
        let inner = flights.run(&1, &call, || None, again);
        assert_eq!(inner.unwrap_err().code(), "reentrant_call");
    }

    /// A leader that gives up early for want of time: does a waiter with more time try for itself?
    #[test]
    fn hurried_leader_hands_over() {
        let flights = Flights::<u8, u32>::new();
        let (leading, lead) = mpsc::channel();
        let gate = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            let leader = scope.spawn(|| {
                let call = call(&Cancel::new());
                let fetch = || {
                    leading.send(()).unwrap();
                    gate.wait();
                    call.note_cut_short();
                    Err(Error::argument("the last answer"))
                };
                flights.run(&1, &call, || None, fetch)
            });
            lead.recv().unwrap();
            let waiter = scope.spawn(|| flights.run(&1, &call(&Cancel::new()), || None, || Ok(7)));
            gate.wait();
            assert_eq!(leader.join().unwrap().unwrap_err().message(), "the last answer");
            assert_eq!(waiter.join().unwrap().unwrap(), (7, true));
        });
    }
}
