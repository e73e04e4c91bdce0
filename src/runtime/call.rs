//! One call of the library: how long it may take, who may stop it, and under which id it is logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Logger;
use crate::runtime::{Cancel, Limit, Wait};

/// Passed down through every room that waits or talks to the network.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cancel: Cancel,
    pub(crate) log: Logger,
    /// Lower-case hyphenated UUID, sent as `client-request-id`.
    pub(crate) correlation_id: String,
    started: Instant,
    deadline: Option<(Instant, Limit)>,
    cut_short: Arc<AtomicBool>,
    spent: Arc<Spent>,
}

/// Where the time of a call went; added up by whoever spends it.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    http_us: AtomicU64,
    cache_us: AtomicU64,
}

impl Spent {
    pub(crate) fn add_http(&self, duration: Duration) {
        self.http_us.fetch_add(micros(duration), Ordering::Relaxed);
    }

    pub(crate) fn add_cache(&self, duration: Duration) {
        self.cache_us.fetch_add(micros(duration), Ordering::Relaxed);
    }

    pub(crate) fn in_http(&self) -> Duration {
        Duration::from_micros(self.http_us.load(Ordering::Relaxed))
    }

    pub(crate) fn in_cache(&self) -> Duration {
        Duration::from_micros(self.cache_us.load(Ordering::Relaxed))
    }
}

/// Something that took any time at all took some: zero means that there was nothing.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1)
}

impl Call {
    /// `timeout` covers the whole call, from now on; `None` leaves only the limits of its steps.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        cancel: Cancel,
        log: Logger,
        correlation_id: String,
        timeout: Option<Duration>,
    ) -> Self {
        let started = clock.monotonic();
        let deadline =
            timeout.and_then(|timeout| Some((started.checked_add(timeout)?, Limit::call(timeout))));
        let (cut_short, spent) = Default::default();
        Self { clock, cancel, log, correlation_id, started, deadline, cut_short, spent }
    }

    /// The time since it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.started)
    }

    pub(crate) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The same call with `limit` from now on, where it does not have less time anyway.
    pub(crate) fn limited(&self, limit: Duration) -> Self {
        let end = self.clock.monotonic().checked_add(limit).map(|end| (end, Limit::step(limit)));
        let deadline = [self.deadline, end].into_iter().flatten().min_by_key(|(end, _)| *end);
        Self { deadline, cut_short: Arc::default(), ..self.clone() }
    }

    /// Notes that another try was given up because this call has no time for it: its outcome is no
    /// answer for callers who have more.
    pub(crate) fn note_cut_short(&self) {
        self.cut_short.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_cut_short(&self) -> bool {
        self.cut_short.load(Ordering::Relaxed)
    }

    /// The time left, `None` without a deadline.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|(end, _)| end.saturating_duration_since(self.clock.monotonic()))
    }

    /// The same for who knows nothing of calls.
    pub(crate) fn wait(&self) -> Wait {
        Wait::new(&self.cancel, self.remaining()).named(self.deadline.map(|(_, limit)| limit))
    }

    /// `limit`, or less where the call's own time is shorter.
    pub(crate) fn bounded(&self, limit: Duration) -> Duration {
        self.remaining().map_or(limit, |left| left.min(limit))
    }

    /// The same with the name of the one that is shorter.
    pub(crate) fn bounded_by(&self, limit: Limit) -> (Duration, Limit) {
        match (self.remaining(), self.deadline) {
            (Some(left), Some((_, own))) if left < limit.length() => (left, own),
            _ => (limit.length(), limit),
        }
    }

    /// `error` with what the call has taken.
    pub(crate) fn timed(&self, error: Error) -> Error {
        error.with_durations(self.elapsed(), self.spent.in_http(), self.spent.in_cache())
    }

    /// An error where the call was cancelled or its time is over.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(self.cancelled());
        }
        if self.remaining().is_some_and(|left| left.is_zero()) {
            return Err(self.timed_out());
        }
        Ok(())
    }

    /// The end of the call, where it is over and a step failed with `error`: in the words of the step where that
    /// one met the end, as it knows whom it waited for.
    pub(crate) fn end(&self, error: &Error) -> Option<Error> {
        let own = self.check().err()?;
        let met = (error.kind(), error.code()) == (own.kind(), own.code());
        Some(if met { error.clone() } else { own })
    }

    /// Waits between two attempts. Fails at once, without waiting, if the call's time would not
    /// suffice; fails as soon as the call is cancelled.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<()> {
        if self.remaining().is_some_and(|left| left <= duration) {
            return Err(self.timed_out());
        }
        self.clock.sleep(duration, &self.cancel);
        self.check()
    }

    pub(crate) fn cancelled(&self) -> Error {
        Error::new(ErrorKind::Cancelled, "operation_cancelled", "the call was cancelled")
            .with_correlation_id(&self.correlation_id)
    }

    pub(crate) fn timed_out(&self) -> Error {
        let over = match self.deadline {
            Some((_, limit)) => format!("{limit} is over"),
            None => "the time is over".to_owned(),
        };
        Error::new(ErrorKind::Timeout, "request_timeout", over)
            .with_correlation_id(&self.correlation_id)
            .with_retryable(true)
    }
}
