//! Work that one caller at a time may try, and nobody again for a while after a try that failed.

use std::time::Duration;

use crate::clock::{Clock, unix_seconds};
use crate::runtime::sync::{Arc, AtomicI64, Ordering};

/// Hands out the claim to one piece of work. Clones are one. Takes no lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// Unix seconds before which nobody gets it; [`i64::MAX`] while somebody has it.
    quiet_until: Arc<AtomicI64>,
}

/// The right to try. When it goes, others have to wait for the pause, unless the work was done.
pub(crate) struct Claim {
    claims: Claims,
    clock: Arc<dyn Clock>,
    pause: i64,
}

/// What became of asking for it.
pub(crate) enum Claimed {
    Yours(Claim),
    /// Somebody is at it.
    Taken,
    /// Somebody tried a moment ago, and failed. The time until the next try.
    Paused(Duration),
}

impl Claims {
    /// Claims the work for the caller; `None` where somebody has it or had it less than `pause`
    /// seconds ago.
    pub(crate) fn claim(&self, clock: &Arc<dyn Clock>, pause: i64) -> Option<Claim> {
        match self.ask(clock, pause) {
            Claimed::Yours(claim) => Some(claim),
            Claimed::Taken | Claimed::Paused(_) => None,
        }
    }

    /// The same, and tells why not.
    pub(crate) fn ask(&self, clock: &Arc<dyn Clock>, pause: i64) -> Claimed {
        let now = unix_seconds(clock.now());
        let quiet_until = self.quiet_until.load(Ordering::Relaxed);
        if quiet_until == i64::MAX {
            return Claimed::Taken;
        }
        // Longer than any pause: the clock was set back meanwhile.
        if now < quiet_until && quiet_until - now <= pause {
            return Claimed::Paused(Duration::from_secs((quiet_until - now).unsigned_abs()));
        }
        let (relaxed, taken) = (Ordering::Relaxed, i64::MAX);
        match self.quiet_until.compare_exchange(quiet_until, taken, relaxed, relaxed) {
            Ok(_) => Claimed::Yours(Claim { claims: self.clone(), clock: clock.clone(), pause }),
            Err(_) => Claimed::Taken,
        }
    }
}

impl Claim {
    /// The work is done: whoever needs it next need not wait.
    pub(crate) fn done(mut self) {
        self.pause = 0;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let now = unix_seconds(self.clock.now());
        self.claims.quiet_until.store(now + self.pause, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::clock::from_unix_seconds;
    use crate::runtime::Cancel;

    #[derive(Debug)]
    struct StoppedClock(AtomicI64);

    impl Clock for StoppedClock {
        fn now(&self) -> SystemTime {
            from_unix_seconds(self.0.load(Ordering::SeqCst))
        }

        fn monotonic(&self) -> Instant {
            Instant::now()
        }

        fn sleep(&self, _: Duration, _: &Cancel) {}
    }

    /// Does one at a time have it, after a failure only one per pause, after success the next at once?
    #[test]
    fn one_at_a_time_and_not_again_at_once() {
        let claims = Claims::default();
        let stopped = Arc::new(StoppedClock(AtomicI64::new(100)));
        let clock: Arc<dyn Clock> = stopped.clone();
        let at = |seconds| stopped.0.store(seconds, Ordering::SeqCst);
        let first = claims.claim(&clock, 30).expect("nobody has it");
        at(1000);
        assert!(claims.claim(&clock, 30).is_none(), "it is still being tried, however long that takes");
        drop(first);
        at(1029);
        assert!(matches!(claims.clone().ask(&clock, 30), Claimed::Paused(left) if left.as_secs() == 1));
        at(1030);
        claims.claim(&clock, 30).expect("the pause is over").done();
        drop(claims.claim(&clock, 30).expect("the work was done"));
        assert!(claims.claim(&clock, 30).is_none());
        at(0);
        assert!(claims.claim(&clock, 30).is_some(), "no pause lasts for as long as a clock was wrong");
    }
}
