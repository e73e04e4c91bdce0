//! When a token ends, in each of the ways in which sources write it (managed_identity spec, section 8.1).

use serde_json::Value;
use time::format_description::{self, well_known::Iso8601};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::clock::unix_seconds;

/// Numbers below this are seconds from now, above it seconds since 1970.
const YEAR_2001: i64 = 978_307_200;

/// What APIs of 2017 write, and what is near to it; ISO 8601 and HTTP's dates are read by others.
const FORMATS: [&str; 3] = [
    "[month padding:none]/[day padding:none]/[year] [hour padding:none repr:12]:[minute]:[second] [period]",
    "[month padding:none]/[day padding:none]/[year] [hour padding:none]:[minute]:[second]",
    "[year]-[month]-[day] [hour padding:none]:[minute]:[second]",
];
const OFFSET: &str = " [offset_hour sign:mandatory]:[offset_minute]";

/// The seconds that a token still lives at `now`; `None` for what is neither a number nor a date.
pub(super) fn seconds_left(expiry: &Value, now: i64) -> Option<i64> {
    let number = match expiry {
        Value::Number(number) => number.as_i64()?,
        Value::String(text) => match text.trim().parse() {
            Ok(number) => number,
            Err(_) => return Some(date(text.trim())?.saturating_sub(now)),
        },
        _ => return None,
    };
    Some(if number < YEAR_2001 { number } else { (number - now).max(0) })
}

/// Seconds since 1970. Without an offset, a date is taken to be UTC.
fn date(text: &str) -> Option<i64> {
    if let Ok(date) = OffsetDateTime::parse(text, &Iso8601::PARSING) {
        return Some(date.unix_timestamp());
    }
    if let Ok(date) = PrimitiveDateTime::parse(text, &Iso8601::PARSING) {
        return Some(date.assume_utc().unix_timestamp());
    }
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(unix_seconds(date));
    }
    FORMATS.iter().find_map(|format| {
        let with_offset = format!("{format}{OFFSET}");
        let with_offset = format_description::parse_borrowed::<2>(&with_offset).ok()?;
        let without = format_description::parse_borrowed::<2>(format).ok()?;
        let date = OffsetDateTime::parse(text, &with_offset)
            .or_else(|_| PrimitiveDateTime::parse(text, &without).map(PrimitiveDateTime::assume_utc));
        Some(date.ok()?.unix_timestamp())
    })
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
            (r#""soon""#, None),
            (r#""""#, None),
            (r#""14/14/2023 23:13:20""#, None),
            ("1.5", None),
            ("true", None),
            ("[]", None),
        ];
        for (json, expected) in rows {
            assert_eq!(seconds_left(&serde_json::from_str(json).unwrap(), now), expected, "{json}");
        }
    }
}
