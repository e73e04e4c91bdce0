//! Times in words, in the zone of this host.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// In seconds since the epoch.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

/// As `az` prints it: the time of this host, without its zone.
pub(crate) fn local(seconds: i64) -> Option<String> {
    formatted(seconds, "%Y-%m-%d %H:%M:%S.000000")
}

/// For people: the time, and how far from now it is.
pub(crate) fn in_words(seconds: i64) -> String {
    match formatted(seconds, "%Y-%m-%d %H:%M:%S %:z") {
        Some(text) => {
            format!("{text}, {}", distance(seconds.saturating_sub(self::seconds(SystemTime::now()))))
        }
        None => "no time that a calendar has".to_owned(),
    }
}

fn formatted(seconds: i64, format: &str) -> Option<String> {
    let time = Timestamp::from_second(seconds).ok()?;
    Some(time.to_zoned_datetime(TimeZone::system()).strftime(format).to_string())
}

fn distance(seconds: i64) -> String {
    let size = seconds.unsigned_abs();
    let (count, unit) = match size {
        0..60 => (size, "second"),
        60..3600 => (size / 60, "minute"),
        3600..86400 => (size / 3600, "hour"),
        _ => (size / 86400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {count} {unit}{plural}"),
        _ => format!("{count} {unit}{plural} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is the distance told in the largest unit that it fills?
    #[test]
    fn distances() {
        for (seconds, text) in [
            (0, "now"),
            (1, "in 1 second"),
            (-59, "59 seconds ago"),
            (3599, "in 59 minutes"),
            (7200, "in 2 hours"),
            (-86400, "1 day ago"),
        ] {
            assert_eq!(distance(seconds), text);
        }
    }

    /// Are times that no calendar has told as such?
    #[test]
    fn far_away() {
        assert_eq!(in_words(i64::MAX), "no time that a calendar has");
        assert_eq!(local(i64::MIN), None);
    }
}
