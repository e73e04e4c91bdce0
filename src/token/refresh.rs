//! When a token is still good, and when it should be replaced early. Not how.

use super::AccessToken;

/// What a cached token is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Serve it.
    Fresh,
    /// Serve it, and fetch the next one.
    RefreshDue,
    /// Do not serve it.
    Expired,
}

/// Why the network was asked, or why not. The numbers are MSAL's and part of the C ABI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum CacheRefreshReason {
    /// It was not: the cache had a good token.
    #[default]
    NotApplicable = 0,
    /// The request bypasses the cache.
    ForceRefreshOrClaims = 1,
    /// The cache had no token.
    NoCachedAccessToken = 2,
    /// The cache had one that is over.
    Expired = 3,
    /// The token in the cache was still good, but due for replacement: this call fetched the next one, or had it
    /// fetched in the background.
    ProactivelyRefreshed = 4,
}

impl CacheRefreshReason {
    /// MSAL's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotApplicable => "NotApplicable",
            Self::ForceRefreshOrClaims => "ForceRefreshOrClaims",
            Self::NoCachedAccessToken => "NoCachedAccessToken",
            Self::Expired => "Expired",
            Self::ProactivelyRefreshed => "ProactivelyRefreshed",
        }
    }
}

/// A token is not served in its last five minutes (confidential_client spec, section 5.3).
pub(super) const MARGIN: i64 = 5 * 60;
/// How far a clock may be set back before what it said does not count any more: less than the margin, so that no token is
/// served after its end. Two hosts may be as far apart.
pub(super) const SLACK: i64 = 4 * 60;
/// An expiry further away than this is a corrupt entry (same place).
const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;
/// Half the width of the window over which refreshes of many hosts are spread (section 5.6).
const JITTER: i64 = 300;

/// Judges `token` at `now`, Unix seconds. A bound token lives no longer than its certificate, and none longer than it said when it came:
/// where the clock stands before that, it was wrong then or is now, and nobody knows what is left.
#[inline(always)]
pub(crate) fn freshness(token: &AccessToken, now: i64) -> Freshness {
    let certificate_ended = token.certificate.as_ref().is_some_and(|c| c.ends_on() <= now);
    let set_back = i64::from(token.received_on) > now + SLACK;
    let bad_end = token.expires_on <= now + MARGIN || token.expires_on > now + TEN_YEARS;
    if certificate_ended || set_back || bad_end {
        return Freshness::Expired;
    }
    match token.refresh_on {
        Some(refresh_on) if i64::from(refresh_on.get()) <= now => Freshness::RefreshDue,
        _ => Freshness::Fresh,
    }
}

/// When to refresh a token that came at `now` with `refresh_in` seconds: that time, moved by up to
/// five minutes, so that hosts started together do not come back together. `random` is in 0..=u32::MAX.
pub(crate) fn refresh_time(now: i64, refresh_in: i64, random: u32) -> i64 {
    let jitter = i64::from(random) % (2 * JITTER + 1) - JITTER;
    // A short interval is moved by at most a quarter of itself.
    let bound = JITTER.min(refresh_in / 4);
    now.saturating_add(refresh_in).saturating_add(jitter.clamp(-bound, bound))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::token::test::bearer;

    fn token(expires_on: i64, refresh_on: Option<u32>) -> AccessToken {
        AccessToken { expires_on, refresh_on: refresh_on.and_then(NonZeroU32::new), ..bearer("t") }
    }

    /// The limits of section 5.3, second by second.
    #[test]
    fn limits() {
        let judge = |expires_on, refresh_on| freshness(&token(expires_on, refresh_on), 1_000_000);
        assert_eq!(judge(1_000_300, None), Freshness::Expired);
        assert_eq!(judge(1_000_301, None), Freshness::Fresh);
        assert_eq!(judge(1_000_301, Some(1_000_000)), Freshness::RefreshDue);
        assert_eq!(judge(1_000_301, Some(1_000_001)), Freshness::Fresh);
        assert_eq!(judge(1_000_000 + TEN_YEARS + 1, None), Freshness::Expired);
    }

    /// A clock that was set back since the token came: is it given up before it may have ended?
    #[test]
    fn set_back() {
        let judge = |received_on: u32, now: i64| {
            let token = AccessToken { received_on, ..token(i64::from(received_on) + 3600, None) };
            freshness(&token, now)
        };
        assert_eq!(judge(1_000_000, 1_000_000 - SLACK), Freshness::Fresh);
        assert_eq!(judge(1_000_000, 1_000_000 - SLACK - 1), Freshness::Expired);
        assert_eq!(judge(1_000_000, 1_003_299), Freshness::Fresh);
        assert_eq!(judge(0, 0), Freshness::Fresh, "who does not say when it came");
        const { assert!(SLACK < MARGIN) };
    }

    /// Does the jitter stay within five minutes either way, and within a quarter of a short interval?
    #[test]
    fn jitter_is_bounded() {
        for random in [0, 1, 300, 600, 601, u32::MAX] {
            let long = refresh_time(0, 43_200, random);
            assert!((42_900..=43_500).contains(&long), "{long}");
            let short = refresh_time(0, 40, random);
            assert!((30..=50).contains(&short), "{short}");
        }
    }
}
