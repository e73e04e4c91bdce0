//! What a service that said `Retry-After` is not asked again before that time (confidential_client spec, 6.5).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind};

/// The requests that have to wait, and what the service said.
#[derive(Default)]
pub(crate) struct Throttle {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    until: HashMap<String, (SystemTime, Error)>,
    /// How many there were after the last sweep.
    swept: usize,
}

/// No service is obeyed for longer.
const LONGEST: Duration = Duration::from_secs(3600);

impl Throttle {
    /// An error where `key` has to wait still: what the service said, with the time that is left.
    pub(crate) fn check(&self, key: &str, now: SystemTime) -> Result<(), Error> {
        let waiting = self.lock();
        let Some((until, error)) = waiting.until.get(key) else { return Ok(()) };
        match until.duration_since(now) {
            // Longer than was ever noted: the clock was set back.
            Ok(left) if !left.is_zero() && left <= LONGEST => Err(throttled(error, left)),
            _ => Ok(()),
        }
    }

    /// Takes note where a service that answered `error` wants to be left alone.
    pub(crate) fn note(&self, key: &str, error: &Error, now: SystemTime) {
        let Some(wait) = error.retry_after().filter(|wait| !wait.is_zero()) else { return };
        let Some(until) = now.checked_add(wait.min(LONGEST)) else { return };
        let mut waiting = self.lock();
        // Sweeping when the map has doubled keeps it bounded, at a constant price per entry.
        if waiting.until.len() > 2 * waiting.swept + 64 {
            waiting.until.retain(|_, (until, _)| *until > now);
            waiting.swept = waiting.until.len();
        }
        waiting.until.insert(key.to_owned(), (until, error.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn throttled(error: &Error, left: Duration) -> Error {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    error
        .clone()
        .with_kind(ErrorKind::Throttled)
        .context(&format!("not asked again for {seconds} s, as the service wished"))
        .with_retry_after(Some(Duration::from_secs(seconds)))
        .with_retryable(true)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn wants(seconds: u64) -> Error {
        Error::new(ErrorKind::Rejected, "service_not_available", "busy")
            .with_retry_after(Some(Duration::from_secs(seconds)))
    }

    /// Is exactly the request that was told to wait held back, until then, with the original error?
    #[test]
    fn retry_after_is_obeyed() {
        let throttle = Throttle::default();
        throttle.note("a", &wants(60), at(1000));
        let error = throttle.check("a", at(1059)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Throttled, "service_not_available"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        assert!(error.is_retryable() && error.message().contains("busy"), "{error}");
        throttle.check("a", at(1060)).unwrap();
        throttle.check("b", at(1001)).unwrap();
    }

    /// Does no service hold a client for more than an hour, and no clock that is set back for longer?
    #[test]
    fn an_hour_is_the_limit() {
        let throttle = Throttle::default();
        throttle.note("a", &wants(1_000_000), at(10_000));
        throttle.check("a", at(13_599)).unwrap_err();
        throttle.check("a", at(13_600)).unwrap();
        throttle.check("a", at(5_000)).unwrap();
        throttle.note("b", &Error::argument("no wish"), at(10_000));
        throttle.check("b", at(10_000)).unwrap();
    }

    /// Is the memory bounded by what waits now?
    #[test]
    fn what_has_waited_is_forgotten() {
        let throttle = Throttle::default();
        for n in 0..10_000_u64 {
            throttle.note(&n.to_string(), &wants(1), at(10 * n));
        }
        assert!(throttle.lock().until.len() < 200);
    }
}
