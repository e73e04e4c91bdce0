//! Time, injected: the wall clock that rules are judged by, and waiting that can be cut short.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use once_cell::sync::Lazy;

use crate::runtime::Cancel;

/// Where the library reads the time and waits. Production uses [`SystemClock`]; a test drives its own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock, for expiry of tokens and certificates.
    fn now(&self) -> SystemTime;

    /// The same in seconds since 1970-01-01T00:00:00Z, negative before, for what is looked at often.
    fn unix_seconds(&self) -> i64 {
        unix_seconds(self.now())
    }

    /// A clock that never jumps, for deadlines.
    fn monotonic(&self) -> Instant;

    /// Waits for `duration` or until `cancel` fires, whichever comes first.
    fn sleep(&self, duration: Duration, cancel: &Cancel);
}

/// The clock of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// As of the last tick, a few milliseconds ago at most: rules are told by seconds, and this costs next to nothing.
    fn now(&self) -> SystemTime {
        let since_1970 = |tick: libc::timespec| {
            let (seconds, nanoseconds) =
                (u64::try_from(tick.tv_sec).ok()?, u32::try_from(tick.tv_nsec).ok()?);
            UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
        };
        tick().and_then(since_1970).unwrap_or_else(SystemTime::now)
    }

    fn unix_seconds(&self) -> i64 {
        tick().map_or_else(|| unix_seconds(SystemTime::now()), |tick| tick.tv_sec)
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration, cancel: &Cancel) {
        // A fuzzer has no time for it.
        if cfg!(not(fuzzing)) {
            cancel.wait(duration);
        }
    }
}

/// Seconds and nanoseconds. Not by rustix, which looks for the kernel's own function in a place that is not there under
/// valgrind.
#[allow(unsafe_code)]
fn tick() -> Option<libc::timespec> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a place for what it writes.
    (unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) } == 0).then_some(now)
}

/// The clock of the host, as all apps have it that are not given another one.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    static CLOCK: Lazy<Arc<dyn Clock>> = Lazy::new(|| Arc::new(SystemClock));
    CLOCK.clone()
}

/// Seconds since 1970-01-01T00:00:00Z; negative before.
pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}

/// A point in time for a person: the date as HTTP writes it, seconds where it has none.
pub(crate) fn date_text(time: SystemTime) -> String {
    match time < UNIX_EPOCH {
        true => format!("{} seconds after 1970", unix_seconds(time)),
        false => httpdate::fmt_http_date(time),
    }
}

/// The time `seconds` after 1970-01-01T00:00:00Z, as far as the host can represent it.
pub(crate) fn from_unix_seconds(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds >= 0 { UNIX_EPOCH.checked_add(distance) } else { UNIX_EPOCH.checked_sub(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is the time of the last tick the time?
    #[test]
    fn the_last_tick_was_a_moment_ago() {
        let before = SystemTime::now();
        let now = SystemClock.now();
        let second = Duration::from_secs(1);
        assert!(before - second < now && now <= SystemTime::now());
        assert!((unix_seconds(now)..=unix_seconds(now) + 1).contains(&SystemClock.unix_seconds()));
    }
}
