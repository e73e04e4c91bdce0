//! How long an issued certificate is used, and when a new one is wanted. Not how to get one.

use std::time::{Duration, SystemTime};

use super::Certificate;

/// What an issued certificate is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Use it.
    Fresh,
    /// Get a new one first; use it where that fails.
    RenewFirst,
    /// Do not use it.
    Over,
}

const RENEW_FIRST: Duration = Duration::from_secs(24 * 3600);
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Judges `certificate` at `now`.
pub(crate) fn lifetime(certificate: &Certificate, now: SystemTime) -> Lifetime {
    judge(certificate.not_before(), certificate.not_after(), now)
}

fn judge(not_before: SystemTime, not_after: SystemTime, now: SystemTime) -> Lifetime {
    let left = not_after.duration_since(now).unwrap_or_default();
    // One that is issued for a day or less is not replaced at once, but in its second half.
    let half = not_after.duration_since(not_before).unwrap_or_default() / 2;
    match left {
        left if left <= MARGIN => Lifetime::Over,
        left if left <= RENEW_FIRST.min(half) => Lifetime::RenewFirst,
        _ => Lifetime::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// The design's table, row "certificate life", for a certificate of seven days.
    #[test]
    fn seven_days() {
        let hours = |h: u64| UNIX_EPOCH + Duration::from_secs(h * 3600);
        let at = |now| judge(hours(1000), hours(1000 + 168), now);
        assert_eq!(at(hours(1000)), Lifetime::Fresh);
        assert_eq!(at(hours(1144) - Duration::from_secs(1)), Lifetime::Fresh);
        assert_eq!(at(hours(1144)), Lifetime::RenewFirst);
        assert_eq!(at(hours(1168) - Duration::from_secs(301)), Lifetime::RenewFirst);
        assert_eq!(at(hours(1168) - Duration::from_secs(300)), Lifetime::Over);
        assert_eq!(at(hours(9999)), Lifetime::Over);
        let short = |now| judge(hours(0), hours(8), now);
        assert_eq!(short(hours(3)), Lifetime::Fresh);
        assert_eq!(short(hours(4)), Lifetime::RenewFirst);
    }
}
