//! What any token is held to, whoever issued it: how long it lives, and of which characters it is.

use serde_json::Value;

/// Seconds, a hundred years. What is said to live longer, as "never" is written by some, is taken to live so long:
/// every language that the library is bound to can write that date.
pub(crate) const LONGEST_LIFE: i64 = 36_525 * 24 * 3600;

/// A number of seconds, which services send as a number or a text, some with a fraction, which is left out.
pub(crate) fn whole_seconds(value: &Value) -> Option<i64> {
    let whole = |seconds: f64| seconds.is_finite().then_some(seconds as i64);
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

/// Whether it is `1*VSCHAR` (RFC 6749, A.12) and not blank: all that may stand in an `Authorization` header.
pub(crate) fn is_token(text: &str) -> bool {
    // All of it, in steps of many bytes, rather than to the first that is wrong.
    text.bytes().fold(true, |fine, byte| fine & matches!(byte, b' '..=b'~')) && !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Which values are a number of seconds?
    #[test]
    fn seconds() {
        let rows = [
            (json!(3599), Some(3599)),
            (json!("3599"), Some(3599)),
            (json!(" 3599 "), Some(3599)),
            (json!("\u{202f}3599\u{a0}"), Some(3599)),
            (json!(3599.9), Some(3599)),
            (json!("3599.9"), Some(3599)),
            (json!("3.6e3"), Some(3600)),
            (json!(-1), Some(-1)),
            (json!(u64::MAX), Some(i64::MAX)),
            (json!("99999999999999999999"), Some(i64::MAX)),
            (json!(1e300), Some(i64::MAX)),
            (json!("inf"), None),
            (json!("nan"), None),
            (json!("soon"), None),
            (json!(""), None),
            (json!(null), None),
            (json!([3599]), None),
            (json!(true), None),
        ];
        for (value, seconds) in rows {
            assert_eq!(whole_seconds(&value), seconds, "{value}");
        }
    }

    /// RFC 6749, A.12: is every character refused that could end a header, or is none of ASCII?
    #[test]
    fn characters() {
        for c in '\0'..='\u{ff}' {
            assert_eq!(is_token(&format!("a{c}b")), (' '..='~').contains(&c), "{c:?}");
        }
        for text in ["", " ", "eyJ\r\nHost: x", "eyJ\n", "\u{feff}eyJ", "eyJ\u{200b}"] {
            assert!(!is_token(text), "{text:?}");
        }
        assert!(is_token("eyJ0eXAi.eyJh-_~+/=.x"));
    }
}
