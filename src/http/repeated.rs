//! Secrets that an answer repeats: its words go into errors, and a gateway that somebody is debugging says what it was sent.

use zeroize::Zeroizing;

use super::message::Response;

/// What is shorter is in every text, and guessed anyway.
const SHORTEST: usize = 8;

/// `response` without `secrets`, each as it was sent, or as forms, JSON and HTML write it.
pub(crate) fn without_secrets<'a>(
    mut response: Response,
    secrets: impl IntoIterator<Item = &'a str>,
) -> Response {
    for secret in secrets.into_iter().filter(|secret| secret.len() >= SHORTEST) {
        let text = Zeroizing::new(String::from_utf8_lossy(&response.body).into_owned());
        if let Some(clean) = without(&text, secret) {
            response.body = clean.into_bytes().into();
        }
    }
    response
}

/// `None` where it is not in there.
fn without(text: &str, secret: &str) -> Option<String> {
    let (mut clean, mut rest, mut found) = (String::with_capacity(text.len()), text, false);
    while let Some(first) = rest.chars().next() {
        let step = match length_of_all(rest, secret) {
            Some(length) => {
                clean.push_str("***");
                found = true;
                length
            }
            None => {
                clean.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    found.then_some(clean)
}

/// How much of `text` is `secret`, which it starts with: as it is, or spelled in other ways.
fn length_of_all(text: &str, secret: &str) -> Option<usize> {
    let plain = || text.starts_with(secret).then_some(secret.len());
    let spelled = || secret.chars().try_fold(0, |length, c| Some(length + length_of(&text[length..], c)?));
    plain().or_else(spelled)
}

/// How long the spelling of `c` is that `text` starts with.
fn length_of(text: &str, c: char) -> Option<usize> {
    spelled(text, c).or_else(|| text.starts_with(c).then_some(c.len_utf8()))
}

/// The same where it is another one than the letter itself.
fn spelled(text: &str, c: char) -> Option<usize> {
    let starts = |spelling: &str| {
        let start = text.get(..spelling.len())?;
        start.eq_ignore_ascii_case(spelling).then_some(spelling.len())
    };
    match text.as_bytes().first()? {
        b'+' if c == ' ' => Some(1),
        b'%' => {
            starts(&c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02x}")).collect::<String>())
        }
        b'\\' if matches!(c, '"' | '\\' | '/') && text[1..].starts_with(c) => Some(2),
        b'\\' => starts(
            &c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>(),
        ),
        b'&' => {
            let name = match c {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                _ => "&apos;",
            };
            let named = if matches!(c, '&' | '<' | '>' | '"' | '\'') { starts(name) } else { None };
            let number = u32::from(c);
            named.or_else(|| starts(&format!("&#{number};"))).or_else(|| starts(&format!("&#x{number:x};")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(body: &str, secret: &str) -> String {
        let response =
            Response { status: 400, headers: vec![], body: body.as_bytes().to_vec().into(), tls: None };
        String::from_utf8(without_secrets(response, [secret]).body.to_vec()).unwrap()
    }

    /// Is a secret gone in each way of writing it, each of its letters in one of its own?
    #[test]
    fn each_spelling() {
        let secret = "s/3cret+of <\u{e4}\u{1f600}>\"&'";
        for spelled in [
            secret.to_owned(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            serde_json::to_string(secret)
                .unwrap()
                .trim_matches('"')
                .replace('/', "\\/")
                .replace("\\\\/", "\\/"),
            secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect(),
            secret.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
            "s/3cret&#x2B;of &lt;\u{e4}\u{1f600}&gt;&quot;&amp;&apos;".to_owned(),
        ] {
            assert_eq!(
                cleaned(&format!("sent {spelled}, twice {spelled}!"), secret),
                "sent ***, twice ***!",
                "{spelled}"
            );
        }
    }

    /// Is everything else left as it is, and what is too short to be a secret?
    #[test]
    fn nothing_else() {
        for (text, secret) in [
            ("a short one changes nothing", "short"),
            ("s/3cret+o", "s/3cret+of"),
            ("\\u00", "\\u00\\u00\\u"),
            ("100 % & \\ \u{e4}", "100 % & \\ \u{fc}"),
            ("", "s/3cret+of"),
        ] {
            assert_eq!(cleaned(text, secret), text);
        }
    }
}
