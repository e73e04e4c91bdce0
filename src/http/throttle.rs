//! What is not asked again for a while: a service that said `Retry-After` (confidential_client spec, 6.5), and on
//! the bound leg of managed identities also one that only said that it cannot (managed_identity spec, 7.4).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::neighbours::{Neighbours, Shared};
use crate::error::{Error, ErrorKind};

/// The requests that have to wait, and what the service said.
#[derive(Default)]
pub(crate) struct Throttle {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    until: HashMap<Shared, (SystemTime, Error)>,
    /// How many there were after the last sweep.
    swept: usize,
}

/// No service is obeyed for longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// Forgetting costs one request that the service refuses again.
const MAX_ENTRIES: usize = 10_000;

impl Throttle {
    /// An error where `key` has to wait still: what the service said, with the time that is left.
    pub(crate) fn check(&self, key: &Shared, now: SystemTime) -> Result<(), Error> {
        let waiting = self.lock();
        let Some((until, error)) = waiting.until.get(key) else { return Ok(()) };
        match until.duration_since(now) {
            // Longer than was ever noted: the clock was set back.
            Ok(left) if !left.is_zero() && left <= LONGEST => Err(throttled(error, left)),
            _ => Ok(()),
        }
    }

    /// Takes note where a service that answered `error` wants to be left alone. Where it is overloaded or out of
    /// order and does not say for how long, that is `unsaid`.
    pub(crate) fn note(&self, key: Shared, error: &Error, unsaid: Duration, now: SystemTime) {
        // What a proxy on the way says is not the service's wish.
        if error.transport().is_some() {
            return;
        }
        let wait = match (error.retry_after(), error.http_status()) {
            (Some(wait), _) => wait,
            (None, Some(429 | 500..=599)) => unsaid,
            (None, _) => return,
        };
        if wait.is_zero() {
            return;
        }
        let Some(until) = now.checked_add(wait.min(LONGEST)) else { return };
        let mut waiting = self.lock();
        waiting.make_room(&key.0, now);
        waiting.until.insert(key, (until, error.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Sweeping when the map has doubled keeps it bounded by what waits, at a constant price per entry. `now` is
    /// a time of those who share `clock` only.
    fn make_room(&mut self, clock: &Neighbours, now: SystemTime) {
        if self.until.len() < MAX_ENTRIES.min(2 * self.swept + 64) {
            return;
        }
        self.until.retain(|(whose, _), (until, _)| whose.exist() && (whose != clock || *until > now));
        if self.until.len() > MAX_ENTRIES / 2 {
            let mut ends: Vec<_> = self.until.values().map(|(until, _)| *until).collect();
            let middle = ends.len() / 2;
            let (_, middle, _) = ends.select_nth_unstable(middle);
            self.until.retain(|_, (until, _)| *until > *middle);
        }
        self.swept = self.until.len();
    }
}

fn throttled(error: &Error, left: Duration) -> Error {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let why = match error.retry_after() {
        Some(_) => "as the service wished",
        None => "for the service did not say when to come again",
    };
    error
        .clone()
        .with_kind(ErrorKind::Throttled)
        .context(&format!("not asked again for {seconds} s, {why}"))
        .with_retry_after(Some(Duration::from_secs(seconds)))
        .with_retryable(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::clock::{Clock, SystemClock, system_clock};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn key(name: &str) -> Shared {
        (Neighbours::new(Default::default(), &system_clock()), name.to_owned())
    }

    fn busy(status: u16) -> Error {
        Error::new(ErrorKind::Rejected, "service_not_available", "busy").with_http_status(status)
    }

    fn wants(seconds: u64) -> Error {
        busy(503).with_retry_after(Some(Duration::from_secs(seconds)))
    }

    const NOT_AT_ALL: Duration = Duration::ZERO;
    const A_MINUTE: Duration = Duration::from_secs(60);

    /// Is exactly the request that was told to wait held back, until then, with the original error?
    #[test]
    fn retry_after_is_obeyed() {
        let throttle = Throttle::default();
        throttle.note(key("a"), &wants(60), NOT_AT_ALL, at(1000));
        let error = throttle.check(&key("a"), at(1059)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Throttled, "service_not_available"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        assert!(error.is_retryable() && error.message().contains("busy"), "{error}");
        throttle.check(&key("a"), at(1060)).unwrap();
        throttle.check(&key("b"), at(1001)).unwrap();
        let other: Arc<dyn Clock> = Arc::new(SystemClock);
        throttle.check(&(Neighbours::new(Default::default(), &other), "a".to_owned()), at(1001)).unwrap();
    }

    /// Is a proxy that cannot be passed no reason to leave the service alone?
    #[test]
    fn a_proxy_is_not_the_service() {
        let throttle = Throttle::default();
        let by_proxy = busy(503).with_transport(crate::error::TransportFailure::Proxy);
        throttle.note(key("a"), &by_proxy, A_MINUTE, at(1000));
        throttle.check(&key("a"), at(1001)).unwrap();
    }

    /// Where the service does not say how long: does the caller's time count after 429 and 5xx alone
    /// (managed_identity spec, section 7.4), and never in the place of what the service says?
    #[test]
    fn nothing_was_said() {
        let throttle = Throttle::default();
        for (status, waits) in
            [(429, true), (500, true), (599, true), (400, false), (401, false), (404, false)]
        {
            let name = key(&status.to_string());
            throttle.note(name.clone(), &busy(status), A_MINUTE, at(1000));
            assert_eq!(throttle.check(&name, at(1059)).is_err(), waits, "{status}");
            throttle.check(&name, at(1060)).unwrap();
        }
        for (name, error, unsaid) in [("none", busy(503), NOT_AT_ALL), ("at once", wants(0), A_MINUTE)] {
            throttle.note(key(name), &error, unsaid, at(1000));
            throttle.check(&key(name), at(1000)).unwrap();
        }
        throttle.note(key("longer"), &wants(100), A_MINUTE, at(1000));
        assert_eq!(
            throttle.check(&key("longer"), at(1000)).unwrap_err().retry_after(),
            Some(Duration::from_secs(100))
        );
    }

    /// Does no service hold a client for more than an hour, and no clock that is set back for longer?
    #[test]
    fn an_hour_is_the_limit() {
        let throttle = Throttle::default();
        throttle.note(key("a"), &wants(1_000_000), NOT_AT_ALL, at(10_000));
        throttle.check(&key("a"), at(13_599)).unwrap_err();
        throttle.check(&key("a"), at(13_600)).unwrap();
        throttle.check(&key("a"), at(5_000)).unwrap();
        throttle.note(key("b"), &Error::argument("no wish"), A_MINUTE, at(10_000));
        throttle.check(&key("b"), at(10_000)).unwrap();
    }

    /// Is the memory bounded by what waits now, and by a number where everything waits; do those who wait longest
    /// stay; and does nothing stay for a clock that is gone, nor go by another one's time?
    #[test]
    fn what_has_waited_is_forgotten() {
        let throttle = Throttle::default();
        let others: Arc<dyn Clock> = Arc::new(SystemClock);
        let theirs = (Neighbours::new(Default::default(), &others), "theirs".to_owned());
        throttle.note(theirs.clone(), &wants(1), NOT_AT_ALL, at(0));
        for n in 1..10_000_u64 {
            throttle.note(key(&n.to_string()), &wants(1), NOT_AT_ALL, at(10 * n));
        }
        assert!(throttle.lock().until.len() < 200);
        throttle.check(&theirs, at(0)).unwrap_err();
        drop(others);
        for n in 0..200 {
            throttle.note(key(&n.to_string()), &wants(1), NOT_AT_ALL, at(1_000_000));
        }
        assert!(!throttle.lock().until.contains_key(&theirs));

        throttle.note(key("longest"), &wants(3600), NOT_AT_ALL, at(2_000_000));
        for n in 0..3 * MAX_ENTRIES {
            throttle.note(key(&format!("all {n}")), &wants(1000), NOT_AT_ALL, at(2_000_000));
            assert!(throttle.lock().until.len() <= MAX_ENTRIES);
        }
        throttle.check(&key("longest"), at(2_000_000)).unwrap_err();
    }
}
