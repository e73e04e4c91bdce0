//! When a token ends, in each of the ways in which sources write it (managed_identity spec, section 8.1).

use serde_json::Value;
use time::format_description::well_known::Iso8601;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::clock::unix_seconds;
use crate::token::{LONGEST_LIFE, whole_seconds};

/// Numbers below this are seconds from now, above it seconds since 1970.
const YEAR_2001: i64 = 978_307_200;
/// The same in milliseconds, which no time in seconds before the year 32,971 reaches.
const YEAR_2001_MILLISECONDS: i64 = YEAR_2001 * 1000;

/// The seconds that a token still lives at `now`; `None` for what is neither a number nor a date.
pub(super) fn seconds_left(expiry: &Value, now: i64) -> Option<i64> {
    let left = match whole_seconds(expiry) {
        Some(seconds) if seconds < YEAR_2001 => seconds,
        Some(seconds) if seconds < YEAR_2001_MILLISECONDS => seconds.saturating_sub(now).max(0),
        Some(milliseconds) => (milliseconds / 1000).saturating_sub(now).max(0),
        None => date(expiry.as_str()?)?.saturating_sub(now),
    };
    Some(left.min(LONGEST_LIFE))
}

/// Seconds since 1970. Without an offset, a date is taken to be UTC.
fn date(text: &str) -> Option<i64> {
    // Some write a narrow blank before PM, or one that does not break, or marks of direction.
    let blanks = |c: char| if c.is_whitespace() { ' ' } else { c };
    let text: String =
        text.chars().filter(|c| !matches!(c, '\u{200e}' | '\u{200f}' | '\u{feff}')).map(blanks).collect();
    let text = text.trim();
    if let Ok(date) = OffsetDateTime::parse(text, &Iso8601::PARSING) {
        return Some(date.unix_timestamp());
    }
    if let Ok(date) = PrimitiveDateTime::parse(text, &Iso8601::PARSING) {
        return Some(date.assume_utc().unix_timestamp());
    }
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(unix_seconds(date));
    }
    // What App Service's API of 2017 writes, ISO 8601 with blanks in it, and what is near to both.
    let (day, rest) = text.split_once([' ', 'T', 't'])?;
    let rest: String = rest.chars().filter(|c| *c != ' ').collect::<String>().to_ascii_uppercase();
    let (time, rest) =
        rest.split_at(rest.find(|c: char| !matches!(c, '0'..='9' | ':' | '.' | ',')).unwrap_or(rest.len()));
    let (half, offset) = match (rest.strip_prefix("AM"), rest.strip_prefix("PM")) {
        (Some(offset), _) => (Some(Half::Am), offset),
        (_, Some(offset)) => (Some(Half::Pm), offset),
        _ => (None, rest),
    };
    let date = PrimitiveDateTime::new(calendar_day(day)?, time_of_day(time, half)?);
    Some(date.assume_offset(utc_offset(offset)?).unix_timestamp())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Am,
    Pm,
}

/// `month/day/year`, `year/month/day` or `year-month-day`, the year in four digits.
fn calendar_day(text: &str) -> Option<Date> {
    let mut parts = text.split(['/', '-']);
    let (one, two, three) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = match one.len() {
        4 => (one, two, three),
        _ if text.contains('/') => (three, one, two),
        _ => return None,
    };
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

/// `hour:minute[:second[.fraction]]`. App Service writes noon as `00:00:00 PM`, and others `13:00:00 PM`.
fn time_of_day(text: &str, half: Option<Half>) -> Option<Time> {
    let whole = text.split(['.', ',']).next()?;
    let mut parts = whole.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let hour = match (half, hour) {
        (Some(Half::Am), 12) => 0,
        (Some(Half::Am), 13..) => return None,
        (Some(Half::Pm), 0..=11) => hour + 12,
        _ => hour,
    };
    Time::from_hms(hour, minute, second).ok().filter(|_| parts.next().is_none())
}

/// `+hh:mm`, `+hhmm`, `+hh`, or a name of UTC; nothing means the same.
fn utc_offset(text: &str) -> Option<UtcOffset> {
    if matches!(text, "" | "Z" | "UTC" | "GMT") {
        return Some(UtcOffset::UTC);
    }
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix(['-', '\u{2212}'])) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |text: &str| text.parse::<i8>().ok().filter(|number| *number >= 0);
    UtcOffset::from_hms(sign * number(hours)?, sign * number(minutes)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 8.1: which numbers are durations, which are points in time, and which texts are dates?
    #[test]
    fn expiry_forms() {
        let now = 1_700_000_000; // 2023-11-14T22:13:20Z
        let rows = [
            (r#""1700003600""#, Some(3600)),
            ("1700003600", Some(3600)),
            (r#""3600""#, Some(3600)),
            ("3600", Some(3600)),
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("978307199", Some(978_307_199)),
            ("978307200", Some(0)),
            (r#""2023-11-14T23:13:20Z""#, Some(3600)),
            (r#""2023-11-14T23:13:20.9Z""#, Some(3600)),
            (r#""2023-11-15T00:13:20+01:00""#, Some(3600)),
            (r#""2023-11-14T18:13:20-05:00""#, Some(3600)),
            (r#""2023-11-14T23:13:20""#, Some(3600)),
            (r#""2023-11-14 23:13:20 +00:00""#, Some(3600)),
            (r#""2023-11-14 23:13:20""#, Some(3600)),
            (r#""11/14/2023 11:13:20 PM +00:00""#, Some(3600)),
            (r#""11/15/2023 1:13:20 AM +02:00""#, Some(3600)),
            (r#""11/14/2023 11:13:20 PM""#, Some(3600)),
            (r#""11/14/2023 23:13:20 +00:00""#, Some(3600)),
            (r#""11/14/2023 23:13:20""#, Some(3600)),
            (r#""Tue, 14 Nov 2023 23:13:20 GMT""#, Some(3600)),
            (r#""2023-11-14T21:13:20Z""#, Some(-3600)),
            // Fractions, milliseconds, and what is said to live for ever.
            ("3599.9", Some(3599)),
            (r#""3599.9""#, Some(3599)),
            ("1700003600.9", Some(3600)),
            (r#""1700003600.9""#, Some(3600)),
            ("1.7000036e9", Some(3600)),
            ("1700003600000", Some(3600)),
            (r#""1700003600123""#, Some(3600)),
            ("1699990000000", Some(0)),
            ("253402300799", Some(LONGEST_LIFE)),
            ("9223372036854775807", Some(LONGEST_LIFE)),
            ("18446744073709551615", Some(LONGEST_LIFE)),
            (r#""9999-12-31T23:59:59Z""#, Some(LONGEST_LIFE)),
            (r#""12/31/9999 11:59:59 PM +00:00""#, Some(LONGEST_LIFE)),
            // App Service: noon, the blanks of newer ICU, lower case, glued, offsets.
            (r#""11/15/2023 00:00:00 PM +00:00""#, Some(49_600)),
            (r#""11/15/2023 12:00:00 PM +00:00""#, Some(49_600)),
            (r#""11/15/2023 12:00:00 AM +00:00""#, Some(6400)),
            (r#""11/15/2023 00:00:00 AM +00:00""#, Some(6400)),
            (r#""11/14/2023 23:13:20 PM +00:00""#, Some(3600)),
            ("\"11/14/2023 11:13:20\u{202f}PM +00:00\"", Some(3600)),
            ("\"11/14/2023 11:13:20\u{a0}PM\"", Some(3600)),
            ("\"\u{200e}11/\u{200e}14/\u{200e}2023 11:13:20 PM\"", Some(3600)),
            (r#""11/14/2023 11:13:20 pm +00:00""#, Some(3600)),
            (r#""11/14/2023 11:13:20PM""#, Some(3600)),
            (r#""11/14/2023 11:13 PM""#, Some(3580)),
            (r#""11/15/2023 4:43:20 AM +05:30""#, Some(3600)),
            (r#""11/14/2023 6:13:20 PM -05:00""#, Some(3600)),
            (r#""11/14/2023 6:13:20 PM -0500""#, Some(3600)),
            (r#""11/14/2023 11:13:20 PM Z""#, Some(3600)),
            (r#""2023/11/14 23:13:20""#, Some(3600)),
            // ISO 8601, with blanks.
            (r#""2023-11-14 23:13:20Z""#, Some(3600)),
            (r#""2023-11-14 23:13:20.1234567Z""#, Some(3600)),
            (r#""2023-11-14 23:13:20.123+00:00""#, Some(3600)),
            (r#""2023-11-14 23:13:20 UTC""#, Some(3600)),
            (r#""2023-11-14t23:13:20z""#, Some(3600)),
            (r#""2023-11-14T23:13:20 +00:00""#, Some(3600)),
            (r#""2023-11-14T23:13:20+0000""#, Some(3600)),
            (r#""2023-11-14T23:13:20,5Z""#, Some(3600)),
            ("\"2023-11-14 18:13:20 \u{2212}05:00\"", Some(3600)),
            // No times.
            (r#""11/14/2023 13:13:20 AM""#, None),
            (r#""11/14/23 23:13:20""#, None),
            (r#""14-11-2023 23:13:20""#, None),
            (r#""11/14/2023 24:13:20""#, None),
            (r#""11/14/2023 23:13:20 +99:00""#, None),
            (r#""11/14/2023 23:13:20 CEST""#, None),
            (r#""11/14/2023 23:13:20:00""#, None),
            (r#""2023-02-30 23:13:20""#, None),
            (r#""nan""#, None),
            (r#""inf""#, None),
            (r#""T""#, None),
            (r#""\u00e4/\u00e4/\u00e4\u00e4 \u00e4""#, None),
            (r#""soon""#, None),
            (r#""""#, None),
            (r#""14/14/2023 23:13:20""#, None),
            ("1.5", Some(1)),
            ("true", None),
            ("[]", None),
        ];
        for (json, expected) in rows {
            assert_eq!(seconds_left(&serde_json::from_str(json).unwrap(), now), expected, "{json}");
        }
    }
}
