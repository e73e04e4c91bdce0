//! How long an issued certificate is used, and when a new one is wanted. Not how to get one.

use std::time::{Duration, SystemTime};

use super::{Binding, Certificate};

/// What an issued certificate is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Use it.
    Fresh,
    /// Use it, and get the next one while there is time.
    RenewalDue,
    /// Get a new one first; use it where that fails.
    RenewFirst,
    /// Do not use it.
    Over,
}

const RENEW_FIRST: Duration = Duration::from_secs(24 * 3600);
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Judges `binding` at `now` (the design's table, row "certificate life").
pub(crate) fn lifetime(binding: &Binding, now: SystemTime) -> Lifetime {
    let certificate = &binding.certificate;
    judge(certificate.not_before(), certificate.not_after(), binding.renew_on, now)
}

/// When to renew `certificate`: at half of its life, moved by up to a twentieth of it either way, so
/// that hosts and processes that started together do not come back together. `random` is any number.
pub(crate) fn renewal_time(certificate: &Certificate, random: u32) -> SystemTime {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    let life = not_after.duration_since(not_before).unwrap_or_default();
    not_before + life.mul_f64(0.45 + 0.1 * f64::from(random) / f64::from(u32::MAX))
}

fn judge(not_before: SystemTime, not_after: SystemTime, renew_on: SystemTime, now: SystemTime) -> Lifetime {
    let left = not_after.duration_since(now).unwrap_or_default();
    // One that is issued for a day or so has its last hours in its last quarter.
    let quarter = not_after.duration_since(not_before).unwrap_or_default() / 4;
    match left {
        left if left <= MARGIN => Lifetime::Over,
        left if left <= RENEW_FIRST.min(quarter) => Lifetime::RenewFirst,
        _ if renew_on <= now => Lifetime::RenewalDue,
        _ => Lifetime::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// The design's table, row "certificate life", for a certificate of seven days and for a short one.
    #[test]
    fn seven_days() {
        let hours = |h: u64| UNIX_EPOCH + Duration::from_secs(h * 3600);
        let second = Duration::from_secs(1);
        let at = |now| judge(hours(1000), hours(1000 + 168), hours(1084), now);
        assert_eq!(at(hours(1000)), Lifetime::Fresh);
        assert_eq!(at(hours(1084) - second), Lifetime::Fresh);
        assert_eq!(at(hours(1084)), Lifetime::RenewalDue);
        assert_eq!(at(hours(1144) - second), Lifetime::RenewalDue);
        assert_eq!(at(hours(1144)), Lifetime::RenewFirst);
        assert_eq!(at(hours(1168) - 301 * second), Lifetime::RenewFirst);
        assert_eq!(at(hours(1168) - 300 * second), Lifetime::Over);
        assert_eq!(at(hours(9999)), Lifetime::Over);
        let short = |now| judge(hours(0), hours(8), hours(4), now);
        assert_eq!(short(hours(4) - second), Lifetime::Fresh);
        assert_eq!(short(hours(4)), Lifetime::RenewalDue);
        assert_eq!(short(hours(6)), Lifetime::RenewFirst);
    }
}
