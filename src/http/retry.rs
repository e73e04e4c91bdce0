//! When a request is sent again: one table for the rules of MSAL, one loop that follows it.

use std::time::{Duration, SystemTime};

use super::client::Client;
use super::message::{Request, Response};
use crate::error::{ErrorKind, Result};
use crate::runtime::Call;

/// Whose rules apply: the whole table of the two specs, also for what is not asked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Token endpoints, OpenID configuration, WebFinger.
    Sts,
    /// Tokens, metadata and certificates from IMDS.
    Imds,
    /// Is there an IMDS? A host without one must be found out about soon.
    ImdsProbe,
    /// The region from IMDS.
    Region,
    /// The other managed-identity endpoints.
    ManagedIdentity,
    /// The agent of Azure Arc about a user-assigned identity: 404 is its no to that one (since_july_2026 spec, section 1).
    UserAssigned,
}

/// One row of the table.
struct Rule {
    /// Statuses after which it is worth another try.
    statuses: fn(u16) -> bool,
    max: u32,
    wait: Wait,
    retry_after: RetryAfter,
}

enum Wait {
    Constant(Duration),
    /// 1 s, 2 s, 4 s, 4 s, ...
    Doubling,
    /// The same, but 10 s after a 410, which IMDS sends while it is being updated, and then up to
    /// seven times.
    Imds,
}

#[derive(PartialEq, Eq)]
enum RetryAfter {
    /// The server's wish ends the tries; it is for the caller to obey.
    Stops,
    Prolongs,
    Ignored,
}

impl Policy {
    /// Whether an answer of this status is worth another try.
    pub(crate) fn retries(self, status: u16) -> bool {
        (self.rule().statuses)(status)
    }

    fn rule(self) -> Rule {
        match self {
            Self::Sts => Rule {
                statuses: |status| status >= 500,
                max: 1,
                wait: Wait::Constant(Duration::from_secs(1)),
                retry_after: RetryAfter::Stops,
            },
            Self::Imds => Rule {
                statuses: |status| matches!(status, 404 | 408 | 410 | 429 | 500..=599),
                max: 3,
                wait: Wait::Imds,
                retry_after: RetryAfter::Ignored,
            },
            Self::ImdsProbe => {
                Rule { statuses: |status| matches!(status, 408 | 410 | 429 | 500..=599), ..Self::Imds.rule() }
            }
            Self::Region => Rule {
                statuses: |status| matches!(status, 410 | 429 | 500..=599),
                wait: Wait::Doubling,
                ..Self::Imds.rule()
            },
            Self::ManagedIdentity => Rule {
                statuses: |status| matches!(status, 404 | 408 | 429 | 500 | 503 | 504),
                max: 3,
                wait: Wait::Constant(Duration::from_secs(1)),
                retry_after: RetryAfter::Prolongs,
            },
            Self::UserAssigned => Rule {
                statuses: |status| matches!(status, 408 | 429 | 500 | 503 | 504),
                ..Self::ManagedIdentity.rule()
            },
        }
    }
}

/// Sends `request` until it succeeds, fails for good, or `policy` has no more tries.
///
/// Where the call's time is too short for the next wait, the last answer or error is the outcome: it
/// says more than a timeout.
pub(crate) fn send_with_retry(
    client: &Client,
    request: &Request<'_>,
    call: &Call,
    policy: Policy,
) -> Result<Response> {
    let mut max = None;
    let mut retries = 0;
    loop {
        let outcome = client.send(request, call);
        let rule = policy.rule();
        if !rule.wants_retry(&outcome, call) {
            return outcome;
        }
        // The first answer decides how many tries there are.
        let max = *max.get_or_insert_with(|| rule.max(&outcome));
        let wait = rule.wait(&outcome, retries, call);
        if retries >= max {
            return outcome;
        }
        if call.remaining().is_some_and(|left| left <= wait) {
            call.note_cut_short();
            return outcome;
        }
        retries += 1;
        call.log.info("http", || {
            let reason = match &outcome {
                Ok(response) => format!("status {}", response.status),
                Err(error) => error.to_string(),
            };
            format!(
                "retry {retries} of {max} ({policy:?}) in {wait:?} after {reason} [{}]",
                call.correlation_id
            )
        });
        call.sleep(wait)?;
    }
}

/// How long the server asks to be left alone, from `now` on. Seconds, possibly with a fraction, or a date.
pub(crate) fn retry_after(response: &Response, now: SystemTime) -> Option<Duration> {
    let value = response.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

impl Rule {
    fn wants_retry(&self, outcome: &Result<Response>, call: &Call) -> bool {
        match outcome {
            Ok(response) => {
                let stopped = self.retry_after == RetryAfter::Stops
                    && retry_after(response, call.clock.now()).is_some();
                (self.statuses)(response.status) && !stopped
            }
            // A server that is too slow is asked again. Not one that does not take the connection: the time
            // for that was all there is for it.
            Err(error) => error.kind() == ErrorKind::Timeout && error.transport().is_none(),
        }
    }

    fn max(&self, outcome: &Result<Response>) -> u32 {
        match (&self.wait, outcome) {
            (Wait::Imds, Ok(response)) if response.status == 410 => 7,
            _ => self.max,
        }
    }

    fn wait(&self, outcome: &Result<Response>, retries: u32, call: &Call) -> Duration {
        let wait = match (&self.wait, outcome) {
            (Wait::Constant(wait), _) => *wait,
            (Wait::Imds, Ok(response)) if response.status == 410 => Duration::from_secs(10),
            (Wait::Imds | Wait::Doubling, _) => Duration::from_secs(1 << retries.min(2)),
        };
        match outcome {
            Ok(response) if self.retry_after == RetryAfter::Prolongs => {
                retry_after(response, call.clock.now()).map_or(wait, |asked| asked.max(wait))
            }
            _ => wait,
        }
    }
}
