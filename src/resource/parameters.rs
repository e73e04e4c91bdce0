//! The parameters in a `WWW-Authenticate` header, as APIs really write it (RFC 9110, section 11, and what is
//! near to it). Parsers that hold to the grammar give up where a parameter breaks it, and lose the next.

use std::borrow::Cow;

/// Names and values, in their order, of all challenges in a header. What stands inside a quoted value is part of
/// that value. Beyond the grammar these are read:
///
/// - values without quotes that need them, as URLs and padded base64: up to a blank, comma or semicolon;
/// - blanks or semicolons in place of commas, or nothing where a quote ends;
/// - names without a value;
/// - a value whose closing quote is missing: it ends before the next parameter.
pub(crate) struct Parameters<'a> {
    rest: &'a str,
    /// A parameter belongs to a scheme, which stands somewhere before it.
    after_scheme: bool,
}

impl<'a> Parameters<'a> {
    pub(crate) fn new(header: &'a str) -> Self {
        Self { rest: header, after_scheme: false }
    }

    /// The value that `text` starts with, of which what follows it is kept.
    fn value(&mut self, text: &'a str) -> Cow<'a, str> {
        let value = text.trim_start();
        if let Some(inside) = value.strip_prefix('"') {
            return self.quoted(inside);
        }
        // In `realm= claims="..."` there is none.
        let is_next = value.len() < text.len() && starts_parameter(value);
        let end = if is_next { 0 } else { value.find(is_separator).unwrap_or(value.len()) };
        self.rest = &value[end..];
        Cow::Borrowed(&value[..end])
    }

    /// The value that `text` starts with, behind the quote that opens it.
    fn quoted(&mut self, text: &'a str) -> Cow<'a, str> {
        let mut escaped = false;
        let close = text.find(|c: char| match c {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"',
        });
        let Some(close) = close else {
            // Happens once in a header: any later quote behind a `=` would have been found.
            let end = text.find([',', ';']).unwrap_or(text.len());
            self.rest = &text[end..];
            return Cow::Borrowed("");
        };
        let (inside, after) = (&text[..close], &text[close + 1..]);
        // In `a="b, c="d"` the second quote opens the value of c.
        if !after.is_empty()
            && !after.starts_with(is_separator)
            && let Some(name) = name_at_end(inside)
        {
            self.rest = &text[name..];
            return unescaped(inside[..name].trim_end_matches(is_separator));
        }
        self.rest = after;
        unescaped(inside)
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = self.rest.trim_start_matches(is_separator);
            let (name, after) = text.split_at(text.find(ends_name).unwrap_or(text.len()));
            self.rest = after;
            // Blanks may stand before a `=`, but the first word of all is a scheme.
            let behind = if self.after_scheme { after.trim_start() } else { after };
            if name.is_empty() {
                // A quote or `=` that belongs to nothing.
                let mut stray = after.chars();
                stray.next()?;
                self.rest = stray.as_str();
            } else if let Some(value) = behind.strip_prefix('=') {
                let value = self.value(value);
                if self.after_scheme {
                    return Some((name, value));
                }
            } else {
                // A scheme, or what Negotiate and NTLM put behind theirs.
                self.after_scheme = true;
            }
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';') || c.is_whitespace()
}

fn ends_name(c: char) -> bool {
    matches!(c, '=' | '"') || is_separator(c)
}

/// Whether `text` is a name, `=` and a value, and no base64 with its padding.
fn starts_parameter(text: &str) -> bool {
    let value = text.find(ends_name).and_then(|end| text[end..].strip_prefix('='));
    value.is_some_and(|value| !value.is_empty() && !value.starts_with(|c| c == '=' || is_separator(c)))
}

/// Where the name starts if `inside` ends in a separator, a name and `=`.
fn name_at_end(inside: &str) -> Option<usize> {
    let before = inside.strip_suffix('=')?;
    let (at, separator) = before.char_indices().rfind(|(_, c)| is_separator(*c))?;
    let name = at + separator.len_utf8();
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    is_name(&before[name..]).then_some(name)
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        value.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn parameters(header: &str) -> Vec<(&str, String)> {
        Parameters::new(header).map(|(name, value)| (name, value.into_owned())).collect()
    }

    /// Is each parameter found, with its own value, in what the grammar allows and in what breaks it?
    #[test]
    fn forms() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("Bearer", &[]),
            (r#"Bearer realm="", a="b", c=d"#, &[("realm", ""), ("a", "b"), ("c", "d")]),
            (r#"Bearer a = "b" , c= d"#, &[("a", "b"), ("c", "d")]),
            (r#"Bearer a="b \"c\", d=\\", e="f""#, &[("a", r#"b "c", d=\"#), ("e", "f")]),
            // Dataverse; Storage, which leaves the comma out.
            (
                "Bearer authorization_uri=https://x/t/authorize?a=b&c=d, resource_id=https://y/",
                &[("authorization_uri", "https://x/t/authorize?a=b&c=d"), ("resource_id", "https://y/")],
            ),
            (
                "Bearer authorization_uri=https://x/t/authorize resource_id=https://y",
                &[("authorization_uri", "https://x/t/authorize"), ("resource_id", "https://y")],
            ),
            (
                r#"Bearer a="b" c="d"; e=f;g="h"i=j"#,
                &[("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j")],
            ),
            ("Bearer a=e30=, b=e30== c=x", &[("a", "e30="), ("b", "e30=="), ("c", "x")]),
            (r#"Bearer a= b="c""#, &[("a", ""), ("b", "c")]),
            ("Bearer a= b=c", &[("a", ""), ("b", "c")]),
            ("Bearer a= e30= b=c", &[("a", "e30="), ("b", "c")]),
            ("Bearer a=, b=c", &[("a", ""), ("b", "c")]),
            ("NTLM TlRMTVNTUAAB, Negotiate oYH==, Bearer a=b", &[("oYH", "="), ("a", "b")]),
            // A quote is missing: before the next parameter, at its own end, or one is too many.
            (r#"Bearer a="b, c="d", e="f""#, &[("a", "b"), ("c", "d"), ("e", "f")]),
            (r#"Bearer a="b, c=d"#, &[("a", ""), ("c", "d")]),
            (r#"Bearer a=b", c="d""#, &[("a", "b\""), ("c", "d")]),
            (r#"Bearer a="b"", c="d""#, &[("a", "b"), ("c", "d")]),
            (
                "Bearer a=\"\u{fc}ber\u{fffd}\", \u{e4}=\u{20ac} b=c",
                &[("a", "\u{fc}ber\u{fffd}"), ("\u{e4}", "\u{20ac}"), ("b", "c")],
            ),
            // Nothing stands before them: no challenge.
            ("a=b, c=d", &[]),
        ];
        for (header, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            assert_eq!(parameters(header), expected, "{header}");
        }
    }

    proptest! {
        /// Is any text read without a panic, and is each name and value in it no longer than the text?
        #[test]
        fn any_text(header in r#"([a-c]|claims|Bearer|[=", ;\\\t]|\PC){0,60}"#) {
            let total: usize = Parameters::new(&header).map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(total <= header.len());
        }

        /// Is a value in quotes read as it was, whatever is in it, and is nothing in it taken for a parameter?
        #[test]
        fn quoted_values_are_whole(value in r#"( |,|;|=|"|\\|claims|e30|\PC){0,30}"#) {
            let quoted = value.replace('\\', r"\\").replace('"', r#"\""#);
            let header = format!(r#"Bearer realm="{quoted}", error="x""#);
            prop_assert_eq!(parameters(&header), vec![("realm", value), ("error", "x".to_owned())]);
        }

        /// Is a parameter found beside one that breaks the grammar, before and behind it?
        #[test]
        fn one_broken_parameter_hides_no_other(
            broken in prop_oneof![
                r"authorization_uri=https://[a-z./?&=:%-]{0,20}",
                r#"error_description="[a-z ,.]{0,20}"#,
                r"scope=[a-z]{1,9} [a-z]{1,9}",
                r"realm=",
                r#"realm="[a-z]{0,9}""{1,2}"#,
                r#""{1,2}"#,
                r"[=]{1,3}",
                "realm=\"[\u{a0}-\u{ff}]{1,9}\"",
            ],
            separator in prop_oneof![Just(", "), Just(","), Just("; "), Just(" ")],
        ) {
            let claims = (String::from("claims"), String::from("e30="));
            for header in [
                format!(r#"Bearer {broken}{separator}claims="e30=""#),
                format!(r#"Bearer claims="e30="{separator}{broken}"#),
                format!(r#"Bearer claims=e30={separator}{broken}"#),
            ] {
                let found = Parameters::new(&header).map(|(name, value)| (name.to_owned(), value.into_owned()));
                prop_assert!(found.into_iter().any(|found| found == claims), "{}", header);
            }
        }
    }

    /// Does a header of 64 KB, made to be slow, take time by its length and not by its square, which would be
    /// minutes?
    #[test]
    fn hostile_headers() {
        let started = Instant::now();
        for unit in [
            "=",
            "\"",
            "\\",
            "=\"",
            "a=\"",
            ",",
            " ",
            "a ",
            "a= ",
            "a= b",
            "a=\"\\\"",
            "a=\", b=\"c",
            "a=\"b,",
            "claims=\"",
            "\u{e4}=",
            " =\"",
            "=\" ",
            "a=\"\\\",",
        ] {
            let header = format!("Bearer {}", unit.repeat((64 << 10) / unit.len()));
            assert!(Parameters::new(&header).count() <= header.len(), "{unit}");
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
