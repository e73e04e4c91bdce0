//! Reading the token that a token endpoint answers with (confidential_client spec, 2.4, 6.4).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{LONGEST_LIFE, TokenType, is_token, whole_seconds};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Refusal, Response, TlsDetails};
use crate::secret::Secret;

/// A successful answer, checked against what was asked.
#[derive(Debug)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: Secret,
    /// Seconds from now.
    pub(crate) expires_in: i64,
    /// Seconds from now.
    pub(crate) refresh_in: Option<i64>,
    /// Space-separated, where the server said what it granted.
    pub(crate) scope: Option<String>,
    /// What else the server said, by name: values that are no text as JSON.
    pub(crate) response_parameters: Vec<(String, String)>,
    /// The TLS of the connection that it came over.
    pub(crate) tls: Option<TlsDetails>,
}

#[derive(Deserialize)]
struct Success {
    token_type: Option<String>,
    access_token: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<i64>,
    #[serde(default, deserialize_with = "seconds")]
    refresh_in: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "text")]
    client_info: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Members of an answer that are no additional parameters: known, or none of an app's.
const KNOWN: [&str; 6] = ["ext_expires_in", "refresh_token", "id_token", "foci", "spa_code", "authority"];

impl TokenResponse {
    /// Reads an HTTP 200. A token of another type than `expected` is an error, never a token: a
    /// service that answers Bearer to a PoP request has weakened what was asked.
    pub(crate) fn parse(response: &Response, expected: TokenType) -> Result<Self> {
        Self::read(response, expected).map_err(|error| Refusal::explain(error, response))
    }

    fn read(response: &Response, expected: TokenType) -> Result<Self> {
        let mut answer: Success = response.json().map_err(|_| {
            let text = "the token endpoint answered 200 with something that is not the JSON of a token";
            bad("non_parsable_oauth_error", text)
        })?;
        // Out of the structure at once: a Secret wipes it, a String would not.
        let access_token =
            answer.access_token.take().map(Secret::new).filter(|token| !token.expose().is_empty());
        let token_type = answer.token_type.as_deref().unwrap_or_default();
        if token_type.is_empty() {
            return Err(bad(
                "token_type_missing",
                "the token endpoint did not say which type of token it issued",
            ));
        }
        if !token_type.eq_ignore_ascii_case(expected.as_str()) {
            let shown: String = token_type.chars().take(40).collect();
            let hint = match expected {
                TokenType::MtlsPop => {
                    "; the tenant, the resource or the region may not be enabled for mTLS proof-of-possession"
                }
                TokenType::Bearer => "",
            };
            return Err(bad(
                "token_type_mismatch",
                format!(
                    "asked for a token of type {} but the token endpoint issued {shown:?}; it was discarded{hint}",
                    expected.as_str()
                ),
            ));
        }
        let access_token = access_token.ok_or_else(|| invalid_value("without an access_token"))?;
        if !is_token(access_token.expose()) {
            return Err(invalid_value(
                "with an access_token that has characters which may not stand in a header",
            ));
        }
        let expires_in = answer.expires_in.filter(|seconds| *seconds > 0);
        let expires_in =
            expires_in.ok_or_else(|| invalid_value("whose expires_in is not a number of seconds to come"))?;
        let refresh_in = answer.refresh_in.filter(|seconds| *seconds > 0);
        Ok(Self {
            access_token,
            expires_in: expires_in.min(LONGEST_LIFE),
            refresh_in: refresh_in.map(|seconds| seconds.min(LONGEST_LIFE)),
            scope: answer.scope.filter(|scope| !scope.is_empty()),
            response_parameters: response_parameters(answer.others, answer.client_info.as_deref())?,
            tls: response.tls,
        })
    }
}

/// What a caller may want to know of an answer: members that are not known here, and those of
/// `client_info` but for the account's ids (section 6.4).
fn response_parameters(
    others: Map<String, Value>,
    client_info: Option<&str>,
) -> Result<Vec<(String, String)>> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let others = others.into_iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    let mut parameters: Vec<_> = others.map(|(name, value)| (name, text(value))).collect();
    if let Some(client_info) = client_info.filter(|text| !text.is_empty()) {
        let json = URL_SAFE_NO_PAD.decode(client_info.trim_end_matches('=')).ok();
        let members = json.and_then(|json| serde_json::from_slice::<Map<String, Value>>(&json).ok());
        let members = members.ok_or_else(|| {
            bad("json_parse_failed", "the token endpoint answered 200 with a client_info that cannot be read")
        })?;
        let members = members.into_iter().filter(|(name, _)| !matches!(name.as_str(), "uid" | "utid"));
        parameters.extend(members.map(|(name, value)| (name, text(value))));
    }
    Ok(parameters)
}

fn bad(code: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidResponse, code, message).with_http_status(200)
}

fn invalid_value(what: &str) -> Error {
    bad("invalid_token_provider_response_value", format!("the token endpoint answered 200 {what}"))
}

/// Seconds; anything else is left out.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<i64>, D::Error> {
    Ok(whole_seconds(&Value::deserialize(deserializer)?))
}

/// A text; anything else is left out, and spoils nothing.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response { status, headers: vec![], body: body.as_bytes().to_vec().into(), tls: None }
    }

    fn success(body: &str) -> std::result::Result<TokenResponse, String> {
        TokenResponse::parse(&response(200, body), TokenType::MtlsPop).map_err(|e| e.code().to_owned())
    }

    /// Section 2.4: which answers are tokens, and what the others are called.
    #[test]
    fn token_answers() {
        let fine =
            success(r#"{"token_type":"MTLS_PoP","access_token":"t","expires_in":"3599","refresh_in":7}"#);
        let fine = fine.unwrap();
        assert_eq!((fine.expires_in, fine.refresh_in, fine.scope), (3599, Some(7), None));
        let rows = [
            (r#"{"token_type":"Bearer","access_token":"t","expires_in":1}"#, "token_type_mismatch"),
            (r#"{"access_token":"t","expires_in":1}"#, "token_type_missing"),
            (r#"{"token_type":"","access_token":"t","expires_in":1}"#, "token_type_missing"),
            (r#"{"token_type":"mtls_pop","expires_in":1}"#, "invalid_token_provider_response_value"),
            (
                r#"{"token_type":"mtls_pop","access_token":"","expires_in":1}"#,
                "invalid_token_provider_response_value",
            ),
            (r#"{"token_type":"mtls_pop","access_token":"t"}"#, "invalid_token_provider_response_value"),
            (
                r#"{"token_type":"mtls_pop","access_token":"t","expires_in":"soon"}"#,
                "invalid_token_provider_response_value",
            ),
            (
                r#"{"token_type":"mtls_pop","access_token":"t","expires_in":0}"#,
                "invalid_token_provider_response_value",
            ),
            // Two tokens, or two types of one: which is meant?
            (
                r#"{"token_type":"Bearer","token_type":"mtls_pop","access_token":"t","expires_in":1}"#,
                "non_parsable_oauth_error",
            ),
            ("<html>", "non_parsable_oauth_error"),
            ("", "non_parsable_oauth_error"),
            ("null", "non_parsable_oauth_error"),
        ];
        for (body, code) in rows {
            assert_eq!(success(body).unwrap_err(), code, "{body}");
        }
    }

    /// Does a mark before the JSON, or a member of another type that nobody needs, cost no token?
    #[test]
    fn odd_members_spoil_nothing() {
        let needed = r#""token_type":"mtls_pop","access_token":"t","expires_in":3599"#;
        for odd in [r#""scope":["a"]"#, r#""refresh_in":{}"#, r#""client_info":7"#, r#""x":null"#] {
            let token = success(&format!("\u{feff}{{{needed},{odd}}}")).unwrap();
            assert_eq!((token.expires_in, token.scope, token.refresh_in), (3599, None, None), "{odd}");
        }
    }

    /// RFC 6749, A.12: is a token refused that could end the header it is put into?
    #[test]
    fn characters_of_tokens() {
        let with = |token: &str| {
            let token = serde_json::to_string(token).unwrap();
            success(&format!(r#"{{"token_type":"mtls_pop","access_token":{token},"expires_in":1}}"#))
        };
        with("eyJ.a-b_c~+/=").unwrap();
        for token in ["a\r\nX: y", "a\n", "a\0", "\u{e4}", "a\u{202e}", "\u{7f}", " "] {
            assert_eq!(with(token).unwrap_err(), "invalid_token_provider_response_value", "{token:?}");
        }
    }

    /// Is no lifetime so long that its end cannot be written as a date?
    #[test]
    fn long_lives() {
        for (seconds, life) in [
            ("86400", 86_400),
            ("3599.5", 3599),
            ("\"3599.5\"", 3599),
            ("2147483647", 2_147_483_647),
            ("253402300800", LONGEST_LIFE),
            ("9223372036854775807", LONGEST_LIFE),
            ("1e300", LONGEST_LIFE),
            ("\"99999999999999999999\"", LONGEST_LIFE),
        ] {
            let body = format!(
                r#"{{"token_type":"mtls_pop","access_token":"t","expires_in":{seconds},"refresh_in":{seconds}}}"#
            );
            let token = success(&body).unwrap();
            assert_eq!((token.expires_in, token.refresh_in), (life, Some(life)), "{seconds}");
        }
    }

    /// Is told what an answer of success says that is none: a refusal with 200, or a page; and never a token?
    #[test]
    fn what_is_no_token_speaks() {
        let told = |body| TokenResponse::parse(&response(200, body), TokenType::MtlsPop).unwrap_err();
        let refused = told(r#"{"error":"invalid_client","error_description":"AADSTS7000215: no"}"#);
        assert_eq!((refused.code(), refused.aadsts_codes()), ("token_type_missing", [7_000_215].as_slice()));
        assert!(refused.message().ends_with(": invalid_client: AADSTS7000215: no"), "{refused}");
        let page = told("<html><title>Sign in to Wi-Fi</title>eyJ.x");
        assert!(page.message().ends_with(": a page with the title \"Sign in to Wi-Fi\""), "{page}");
        for body in [
            "<html>eyJ.x",
            r#"{"access_token":"eyJ"#,
            r#"{"access_token":"eyJ","token_type":"Bearer","expires_in":1}"#,
            r#"{"access_token":"eyJ\u0000","token_type":"mtls_pop","expires_in":1}"#,
        ] {
            assert!(!told(body).message().contains("eyJ"), "{body}");
        }
    }
}
