//! What a service says when it does not give what it was asked for, in each of the forms in which services,
//! gateways and proxies say it.

use ureq::http::StatusCode;
use url::Url;

use super::json::Json;
use super::message::{Response, without_mark};
use super::page::{title, words_of};
use crate::error::{Error, ErrorKind, text};

/// What is found in the body, the header `Location` and the status of an answer. One part of another type, or
/// one that comes twice, hides no other.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// OAuth's `error`.
    pub(crate) error: Option<String>,
    /// OAuth's `error_description`, for a person.
    pub(crate) description: Option<String>,
    /// The numbers behind `AADSTS`.
    pub(crate) aadsts: Vec<u32>,
    pub(crate) sub_error: Option<String>,
    /// JSON, as it is.
    pub(crate) claims: Option<String>,
    /// The service's own id for the call.
    pub(crate) correlation_id: Option<String>,
    /// Whether the body is a JSON object, or there is none.
    pub(crate) readable: bool,
    said: String,
    /// Whether nothing is said for a person.
    silent: bool,
}

/// Texts for a person and the codes before them, in this order. ARM, API Management, OAuth, RFC 9457, ASP.NET.
const TEXTS: [&str; 7] =
    ["error", "code", "message", "error_description", "title", "detail", "exceptionMessage"];
/// Where ARM and others put more of the same.
const NESTED: [&str; 4] = ["error", "innererror", "details", "errors"];
const DEEPEST: usize = 4;
/// So many parts of what is said, and AADSTS numbers, are enough.
const MOST: usize = 16;
const LONGEST_ID: usize = 100;

impl Refusal {
    pub(crate) fn read(response: &Response) -> Self {
        // Bytes that are no UTF-8 cost a character, not the whole text.
        let body = String::from_utf8_lossy(without_mark(&response.body));
        let body = body.trim();
        // What is no refusal may hold a token: then nothing is quoted but what is meant for a person.
        let refused = response.status >= 400;
        let mut refusal = match serde_json::from_str(body) {
            Ok(json @ Json::Object(_)) => Self::of_json(&json),
            Ok(json @ Json::Array(_)) if refused => Self::of_json(&json),
            Ok(Json::Text(text)) if refused => Self { said: text::said(&text), ..Self::default() },
            Ok(_) => Self::default(),
            Err(_) => Self {
                readable: body.is_empty(),
                said: if refused { words_of(body) } else { title(body).unwrap_or_default() },
                ..Self::default()
            },
        };
        if refusal.aadsts.is_empty() {
            refusal.aadsts = numbers_in(body);
        }
        if let Some(redirect) = redirect(response) {
            refusal.said = redirect;
        } else if refusal.said.is_empty() {
            refusal.silent = true;
            refusal.said = format!("no further information{}", reason(response.status));
        }
        refusal
    }

    /// What there is for a person: never empty, one line, and not long.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// Gives `error` the numbers, the claims and the ids.
    pub(crate) fn details(self, error: Error) -> Error {
        let error = error.with_aadsts(self.aadsts).with_sub_error(self.sub_error).with_claims(self.claims);
        match self.correlation_id {
            Some(id) => error.with_correlation_id(&id),
            None => error,
        }
    }

    /// Adds to `error`, about an answer that cannot be used, what the answer says of itself: some services refuse
    /// with 200, and some networks put a page in its place.
    pub(crate) fn explain(error: Error, response: &Response) -> Error {
        let refusal = Self::read(response);
        let error = if refusal.silent { error } else { error.with_words(&refusal.said) };
        refusal.details(error)
    }

    /// The class of an answer of this status: a service that says no, one that wants to be left alone, or what
    /// is neither a no nor what was asked for.
    pub(crate) fn kind(status: u16) -> ErrorKind {
        match status {
            429 => ErrorKind::Throttled,
            400.. => ErrorKind::Rejected,
            _ => ErrorKind::InvalidResponse,
        }
    }

    fn of_json(json: &Json) -> Self {
        let mut parts = Vec::new();
        collect(json, 0, &mut parts);
        let aadsts =
            find(json, &["error_codes"], &|value| Some(numbers(value)).filter(|found| !found.is_empty()));
        Self {
            error: json.text(&["error"]).map(str::to_owned),
            description: json.text(&["error_description"]).map(text::said).filter(|text| !text.is_empty()),
            aadsts: aadsts.unwrap_or_default(),
            sub_error: find(json, &["suberror"], &|value| value.as_text().map(str::to_owned)),
            claims: find(json, &["claims"], &claims),
            correlation_id: find(json, &["correlation_id", "correlationId"], &|value| {
                let id = value.as_text()?.trim();
                let plain = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
                plain.then(|| id.to_owned())
            }),
            readable: matches!(json, Json::Object(_)),
            said: text::said(&parts.join(": ")),
            silent: false,
        }
    }
}

/// The texts in `json`, each once.
fn collect<'a>(json: &'a Json, depth: usize, parts: &mut Vec<&'a str>) {
    let mut add = |text: &'a str| {
        let text = text.trim();
        if parts.len() < MOST && !text.is_empty() && !parts.contains(&text) {
            parts.push(text);
        }
    };
    match json {
        Json::Text(text) => add(text),
        Json::Object(_) => {
            TEXTS.iter().filter_map(|name| json.text(std::slice::from_ref(name))).for_each(add)
        }
        _ => {}
    }
    if depth == DEEPEST {
        return;
    }
    let items = match json {
        Json::Array(items) => items.as_slice(),
        _ => &[],
    };
    let nested = json.members(&NESTED).filter(|value| matches!(value, Json::Object(_) | Json::Array(_)));
    for inner in items.iter().chain(nested).take(MOST) {
        collect(inner, depth + 1, parts);
    }
}

/// The first member of one of these names that `read` makes something of, at the top or where errors are nested.
fn find<T>(json: &Json, names: &[&str], read: &dyn Fn(&Json) -> Option<T>) -> Option<T> {
    fn within<T>(json: &Json, names: &[&str], read: &dyn Fn(&Json) -> Option<T>, depth: usize) -> Option<T> {
        let here = json.members(names).find_map(read);
        here.or_else(|| {
            let mut nested = json.members(&NESTED).take(if depth == DEEPEST { 0 } else { MOST });
            nested.find_map(|inner| within(inner, names, read, depth + 1))
        })
    }
    within(json, names, read, 0)
}

/// Claims are a text that holds JSON; an object is taken as what it is.
fn claims(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) if !text.trim().is_empty() => Some(text.as_str().to_owned()),
        Json::Object(_) => serde_json::to_string(value).ok(),
        _ => None,
    }
}

/// Error codes: numbers or texts of them, alone, in an array, or in an array that is a text (`"[500011]"`).
fn numbers(value: &Json) -> Vec<u32> {
    let mut found = Vec::new();
    let mut add = |value: &Json| match value {
        Json::Number(number) => found.extend(number.as_u64().and_then(|n| u32::try_from(n).ok())),
        Json::Text(text) => {
            let digits = text.split(|c: char| !c.is_ascii_digit());
            found.extend(digits.filter_map(|digits| digits.parse::<u32>().ok()).take(MOST));
        }
        _ => {}
    };
    match value {
        Json::Array(items) => items.iter().take(MOST).for_each(add),
        other => add(other),
    }
    found
}

/// `AADSTS` numbers in a text, in their order.
fn numbers_in(text: &str) -> Vec<u32> {
    let rests = text.split("AADSTS").skip(1);
    let numbers = rests.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    numbers.take(MOST).collect()
}

/// Where an answer would have the caller go. Nobody goes there: it may be another's host.
fn redirect(response: &Response) -> Option<String> {
    let location = response.header("location").filter(|_| (300..400).contains(&response.status))?;
    // It may leave out this host, the scheme alone (`//host/path`), or neither; `invalid` is nobody's name.
    let here = Url::parse("https://invalid").ok();
    let host = Url::options().base_url(here.as_ref()).parse(location).ok();
    let host = host.and_then(|url| url.host_str().filter(|host| *host != "invalid").map(text::said));
    let host = host.unwrap_or_else(|| "another path of this host".to_owned());
    Some(format!("a redirect to {host}, which is not followed"))
}

/// The standard reason phrase; that of the answer itself does not come through the HTTP client.
fn reason(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response { status, headers: Vec::new(), body: body.into().into(), tls: None }
    }

    fn read(body: impl Into<Vec<u8>>) -> Refusal {
        Refusal::read(&response(502, body))
    }

    /// Does what a service says reach a person, in each form that is in use (managed_identity spec, section 6.0)?
    #[test]
    fn every_form_is_quoted() {
        let arm = r#"{"error":{"code":"A","message":"b","details":[{"code":"D","message":"e"}],
            "innererror":{"code":"C","message":"b","innererror":{"message":"deep"}}}}"#;
        let page = "<!DOCTYPE html>\n<HTML><head><Title lang=en>502 Bad\n Gateway &amp; more</TITLE></head>\
            <body><h1>no</h1></body>";
        let untitled = "<html><head><style>b { c }</style><script>if (a < b) {}</script></head>\
            <body><h2>Our services aren&#39;t available</h2><p>right now</p></body></html>";
        let xml = "\u{feff}<?xml version=\"1.0\"?><Error><Code>AuthFailed</Code><Message>Not here</Message></Error>";
        let rows = [
            (r#"{"error":"invalid_request","error_description":"Not found"}"#, "invalid_request: Not found"),
            (r#"{"error":{"code":"A","message":"b"}}"#, "A: b"),
            (r#"{"error":{"message":"b"}}"#, "b"),
            (arm, "A: b: D: e: C: deep"),
            (r#"{"statusCode":500,"message":"m"}"#, "m"),
            (r#"{"Message":"An error has occurred.","ExceptionMessage":"x"}"#, "An error has occurred.: x"),
            (r#"{"type":"about:blank","title":"Gone","status":410,"detail":"d"}"#, "Gone: d"),
            (r#"{"errors":["one",{"message":"two"}]}"#, "one: two"),
            (r#"[{"error":"x"}]"#, "x"),
            (r#""just text""#, "just text"),
            ("\u{feff}{\"message\":\"marked\"}", "marked"),
            (r#"{"other":1}"#, "no further information (Bad Gateway)"),
            ("[]", "no further information (Bad Gateway)"),
            ("null", "no further information (Bad Gateway)"),
            ("upstream connect error\r\n", "upstream connect error"),
            ("error code: 502", "error code: 502"),
            (page, "a page with the title \"502 Bad Gateway & more\""),
            (untitled, "Our services aren't available right now"),
            (xml, "AuthFailed Not here"),
            ("<html><title></title></html>", "no further information (Bad Gateway)"),
            ("<html", "no further information (Bad Gateway)"),
            (" \r\n", "no further information (Bad Gateway)"),
            ("\u{feff}", "no further information (Bad Gateway)"),
        ];
        for (body, said) in rows {
            assert_eq!(read(body).said(), said, "{body}");
        }
        assert_eq!(Refusal::read(&response(599, "")).said(), "no further information");
        assert_eq!(read(b"caf\xe9 \x1b[31mred\xe2\x80\xae".to_vec()).said(), "caf\u{fffd} [31mred");
        assert_eq!(read("x".repeat(1 << 20)).said().len(), 1003);
    }

    /// Is nothing quoted of what is no refusal and may hold a token, but for a word to a person?
    #[test]
    fn no_token_is_quoted() {
        let said = |body: &str| Refusal::read(&response(201, body)).said().to_owned();
        for body in [
            r#"{"access_token":"eyJ"}"#,
            r#"{"access_token":"eyJ"#,
            "\"eyJ\"",
            r#"["eyJ"]"#,
            "eyJ",
            "<x>eyJ</x>",
        ] {
            assert_eq!(said(body), "no further information (Created)");
        }
        assert_eq!(said(r#"{"access_token":"eyJ","error":"x"}"#), "x");
        assert_eq!(said("<html><title>Hello</title>eyJ"), "a page with the title \"Hello\"");
    }

    /// Is it said where a redirect leads, and nothing of its path, which may hold what is not for others?
    #[test]
    fn redirects_name_their_host() {
        let to = |location: &str| {
            let headers = vec![("location".to_owned(), location.to_owned())];
            let body = b"<html><title>Object moved</title>".to_vec().into();
            Refusal::read(&Response { status: 302, headers, body, tls: None }).said().to_owned()
        };
        let said = to("https://login.contoso.example/saml?SAMLRequest=secret");
        assert_eq!(said, "a redirect to login.contoso.example, which is not followed");
        let said = to("//login.contoso.example/saml?SAMLRequest=secret");
        assert_eq!(said, "a redirect to login.contoso.example, which is not followed");
        for location in ["/login?x=secret", "login?x=secret", "?x=secret", ""] {
            assert_eq!(to(location), "a redirect to another path of this host, which is not followed");
        }
    }

    /// Does no member that is odd hide another: one of another type, one that comes twice, one that is not
    /// UTF-8, a mark before all of them?
    #[test]
    fn nothing_hides_the_rest() {
        let id = "3f0d2f43-4c2b-4a5f-9f55-0a5f4f3b1c2d";
        let all = format!(
            r#""error":"e","error_description":"AADSTS50053: d","error_codes":[50053],"suberror":"s",
            "claims":"{{}}","correlation_id":"{id}""#
        );
        let odd = [
            r#""x":1"#,
            r#""timestamp":[]"#,
            r#""error":null"#,
            r#""error":{"x":1}"#,
            r#""error_description":7"#,
            r#""error_description":"""#,
            r#""error_codes":null"#,
            r#""error_codes":"none""#,
            r#""suberror":{}"#,
            r#""claims":null"#,
            r#""correlation_id":5"#,
            r#""correlation_id":"""#,
            r#""trace_id":"\ud83d\ude00""#,
            "\"x\":\"\u{fffd}\"",
        ];
        for member in odd {
            for body in [format!("{{{all},{member}}}"), format!("\u{feff}{{{member},{all}}}")] {
                let bytes = body.replace("\"\u{fffd}\"", "\"?\"").into_bytes();
                let bytes: Vec<u8> = bytes.into_iter().map(|b| if b == b'?' { 0xe9 } else { b }).collect();
                let found = read(bytes);
                assert_eq!(found.error.as_deref(), Some("e"), "{body}");
                assert_eq!(found.description.as_deref(), Some("AADSTS50053: d"), "{body}");
                assert_eq!((found.aadsts.as_slice(), found.readable), ([50_053].as_slice(), true), "{body}");
                assert_eq!((found.sub_error.as_deref(), found.claims.as_deref()), (Some("s"), Some("{}")));
                assert_eq!(found.correlation_id.as_deref(), Some(id), "{body}");
            }
        }
    }

    /// Are AADSTS numbers read however they are written, and where there is no list, from the text?
    #[test]
    fn aadsts_numbers() {
        let rows = [
            (json!({"error_codes": [500011, "7"]}).to_string(), vec![500_011, 7]),
            (json!({"error_codes": "[500011]"}).to_string(), vec![500_011]),
            (json!({"error_codes": "500011, 7"}).to_string(), vec![500_011, 7]),
            (json!({"error_codes": 500011}).to_string(), vec![500_011]),
            (
                json!({"error_codes": [], "error_description": "AADSTS7000215: x"}).to_string(),
                vec![7_000_215],
            ),
            (json!({"error_codes": [-1, 1.5, 99999999999_u64, null]}).to_string(), vec![]),
            (json!({"error": {"code": "x", "message": "AADSTS90002: y"}}).to_string(), vec![90_002]),
            (json!({"error": {"innererror": {"error_codes": [5]}}}).to_string(), vec![5]),
            (json!({"odata.error": {"message": {"value": "AADSTS90002: y"}}}).to_string(), vec![90_002]),
            (json!("AADSTS90002: y").to_string(), vec![90_002]),
            ("AADSTS90002: no such tenant".to_owned(), vec![90_002]),
            (r#"{"error":"x","error_description":"AADSTS90002: cut o"#.to_owned(), vec![90_002]),
            ("<p>AADSTS165000: x AADSTS and AADSTSx</p>".to_owned(), vec![165_000]),
        ];
        for (body, numbers) in rows {
            assert_eq!(read(&*body).aadsts, numbers, "{body}");
        }
        assert_eq!(read("AADSTS1".repeat(100_000)).aadsts.len(), MOST);
    }

    /// Are claims that came as an object handed on as the JSON that they are; and is what is no id no id?
    #[test]
    fn claims_and_ids() {
        let body =
            r#"{"claims":{"access_token":{"nbf":{"essential":true,"value":"1"}},"n":[1,-2,1.5,null]}}"#;
        let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}},"n":[1,-2,1.5,null]}"#;
        assert_eq!(read(body).claims.as_deref(), Some(claims));
        for id in ["a b", "a\\nb", "\\u202e", "ä"] {
            assert_eq!(read(format!(r#"{{"correlationId":"{id}"}}"#)).correlation_id, None, "{id}");
        }
        assert_eq!(read(r#"{"correlationId":"x-1"}"#).correlation_id.as_deref(), Some("x-1"));
    }

    /// Does a body made to be slow or deep cost no more than its length?
    #[test]
    fn hostile_bodies() {
        for unit in ["<", "<title", "<title>", "<script>", "&", "[", "{\"error\":", "AADSTS", "\u{202e}"] {
            let refusal = read(unit.repeat((1 << 20) / unit.len()));
            assert!(!refusal.said().is_empty() && refusal.said().chars().count() < 1010, "{unit}");
        }
    }
}
