//! Reading what a token endpoint answers: a token, or an error (confidential_client spec, 2.4, 6.4, 7.2).

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::{Position, Url};

use super::{LONGEST_LIFE, TokenType, is_token, whole_seconds};
use crate::error::aadsts::{LOOP_DETECTED, advice};
use crate::error::{Error, ErrorKind, Result, text};
use crate::http::{Response, TlsDetails, retry_after};
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
    scope: Option<String>,
    client_info: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Members of an answer that are no additional parameters: known, or none of an app's.
const KNOWN: [&str; 6] = ["ext_expires_in", "refresh_token", "id_token", "foci", "spa_code", "authority"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    error: Option<String>,
    error_description: Option<String>,
    #[serde(deserialize_with = "codes")]
    error_codes: Vec<u32>,
    suberror: Option<String>,
    correlation_id: Option<String>,
    claims: Option<String>,
}

impl TokenResponse {
    /// Reads an HTTP 200. A token of another type than `expected` is an error, never a token: a
    /// service that answers Bearer to a PoP request has weakened what was asked.
    pub(crate) fn parse(response: &Response, expected: TokenType) -> Result<Self> {
        let mut answer: Success = serde_json::from_slice(&response.body).map_err(|_| {
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

/// Turns an answer of `endpoint` other than 200 into an error (section 7.2).
pub(crate) fn parse_error(response: &Response, endpoint: &Url, now: SystemTime) -> Error {
    let status = response.status;
    let failure: Option<Failure> = serde_json::from_slice(&response.body).ok();
    let parsed = failure.is_some();
    let mut failure = failure.unwrap_or_default();
    if failure.error_codes.is_empty() {
        failure.error_codes = failure.error_description.as_deref().map(codes_in).unwrap_or_default();
    }
    let code = match failure.error.as_deref() {
        Some("invalid_client") => "invalid_client",
        _ if status >= 500 => "service_not_available",
        Some(error) if !error.is_empty() => error,
        _ if !parsed && !response.body.is_empty() && status == 429 => "request_throttled",
        _ if !parsed && !response.body.is_empty() => "non_parsable_oauth_error",
        _ if status == 404 => "not_found",
        _ => "http_status_not_200",
    };
    let kind = match code {
        "non_parsable_oauth_error" => ErrorKind::InvalidResponse,
        _ => failure.kind(status),
    };
    let retryable = status >= 500 || matches!(status, 429 | 408) || code == "temporarily_unavailable";
    let error = Error::new(kind, code, failure.message(status, code, endpoint))
        .with_http_status(status)
        .with_aadsts(failure.error_codes)
        .with_sub_error(failure.suberror)
        .with_claims(failure.claims)
        .with_retry_after(retry_after(response, now))
        .with_retryable(retryable);
    match failure.correlation_id {
        Some(id) if !id.is_empty() => error.with_correlation_id(&id),
        _ => error,
    }
}

impl Failure {
    /// The classes of section 7.1. They go by what the service said, also where the code is of our making.
    fn kind(&self, status: u16) -> ErrorKind {
        // With these, signing in would not help either.
        let hopeless =
            matches!(self.suberror.as_deref(), Some("client_mismatch" | "protection_policy_required"));
        match self.error.as_deref() {
            _ if status == 429 || self.error_codes.contains(&LOOP_DETECTED) => ErrorKind::Throttled,
            Some("invalid_grant") if hopeless => ErrorKind::Rejected,
            Some("invalid_grant" | "interaction_required") => ErrorKind::InteractionRequired,
            _ => ErrorKind::Rejected,
        }
    }

    /// What the service said, and what we know about it.
    fn message(&self, status: u16, code: &str, endpoint: &Url) -> String {
        let mut message = match self.error_description.as_deref().unwrap_or_default() {
            "" => {
                let host = endpoint.host_str().unwrap_or_default();
                format!("{host} answered HTTP {status} without saying why ({code})")
            }
            said => text::said(said),
        };
        if let Some(advice) = advice(&self.error_codes) {
            message += &format!(" [{advice}]");
        }
        if status == 404 {
            let asked = &endpoint[..Position::AfterPath];
            message += &format!(
                " [the token endpoint was {asked}: check the authority, and the region if one is set]"
            );
        }
        message
    }
}

fn bad(code: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidResponse, code, message).with_http_status(200)
}

fn invalid_value(what: &str) -> Error {
    bad("invalid_token_provider_response_value", format!("the token endpoint answered 200 {what}"))
}

/// `AADSTS` numbers in a description, in order.
fn codes_in(description: &str) -> Vec<u32> {
    let numbers = description.split("AADSTS").skip(1);
    numbers
        .filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
        .collect()
}

/// Seconds; anything else is left out.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<i64>, D::Error> {
    Ok(whole_seconds(&Value::deserialize(deserializer)?))
}

/// Error codes, as numbers or strings; anything else is left out.
fn codes<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<u32>, D::Error> {
    let Value::Array(values) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    Ok(values.iter().filter_map(number).collect())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::error::aadsts::ADVICE;

    const ENDPOINT: &str = "https://eastus.login.microsoft.com/t/oauth2/v2.0/token";

    fn error(status: u16, body: &str) -> Error {
        parse_error(&response(status, body), &ENDPOINT.parse().unwrap(), UNIX_EPOCH)
    }

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
            ("<html>", "non_parsable_oauth_error"),
            ("", "non_parsable_oauth_error"),
            ("null", "non_parsable_oauth_error"),
        ];
        for (body, code) in rows {
            assert_eq!(success(body).unwrap_err(), code, "{body}");
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

    /// Sections 7.1 and 7.2, rule by rule: code, class, and whether it is worth another try.
    #[test]
    fn error_answers() {
        use ErrorKind::*;
        let rows = [
            // 1. An empty body, or JSON without `error`.
            (404, "", "not_found", Rejected, false),
            (404, "{}", "not_found", Rejected, false),
            (400, "", "http_status_not_200", Rejected, false),
            (400, "{}", "http_status_not_200", Rejected, false),
            (400, r#"{"error":""}"#, "http_status_not_200", Rejected, false),
            (429, "", "http_status_not_200", Throttled, true),
            (408, "", "http_status_not_200", Rejected, true),
            // 2. Not JSON.
            (400, "<html>", "non_parsable_oauth_error", InvalidResponse, false),
            (404, "<html>", "non_parsable_oauth_error", InvalidResponse, false),
            (429, "<html>", "request_throttled", Throttled, true),
            // 3. The service's word, verbatim.
            (400, r#"{"error":"unauthorized_client"}"#, "unauthorized_client", Rejected, false),
            (404, r#"{"error":"x"}"#, "x", Rejected, false),
            (429, r#"{"error":"x"}"#, "x", Throttled, true),
            (400, r#"{"error":"temporarily_unavailable"}"#, "temporarily_unavailable", Rejected, true),
            (400, r#"{"error":"invalid_grant"}"#, "invalid_grant", InteractionRequired, false),
            (400, r#"{"error":"invalid_grant","suberror":"x"}"#, "invalid_grant", InteractionRequired, false),
            (
                400,
                r#"{"error":"invalid_grant","suberror":"client_mismatch"}"#,
                "invalid_grant",
                Rejected,
                false,
            ),
            (
                400,
                r#"{"error":"invalid_grant","suberror":"protection_policy_required"}"#,
                "invalid_grant",
                Rejected,
                false,
            ),
            (400, r#"{"error":"interaction_required"}"#, "interaction_required", InteractionRequired, false),
            // 4. `invalid_client`, whatever the status.
            (401, r#"{"error":"invalid_client"}"#, "invalid_client", Rejected, false),
            (503, r#"{"error":"invalid_client"}"#, "invalid_client", Rejected, true),
            // 5. The loop.
            (400, r#"{"error":"invalid_grant","error_codes":[50196]}"#, "invalid_grant", Throttled, false),
            (400, r#"{"error":"x","error_description":"AADSTS50196: loop"}"#, "x", Throttled, false),
            // 7. A code of its own for 5xx; the class is still the service's.
            (500, "", "service_not_available", Rejected, true),
            (503, "<html>", "service_not_available", Rejected, true),
            (503, r#"{"error":"x"}"#, "service_not_available", Rejected, true),
            (503, r#"{"error":"invalid_grant"}"#, "service_not_available", InteractionRequired, true),
        ];
        for (status, body, code, kind, retryable) in rows {
            let error = error(status, body);
            let got = (error.code(), error.kind(), error.is_retryable(), error.http_status());
            assert_eq!(got, (code, kind, retryable, Some(status)), "{status} {body}");
        }
    }

    /// Rule 6 of section 7.2: does a 404, and only that, say where authority and region led to?
    #[test]
    fn not_found_names_the_endpoint() {
        for body in ["", "<html>", r#"{"error":"x","error_description":"AADSTS90002: no tenant"}"#] {
            let message = error(404, body).message().to_owned();
            assert!(message.contains(ENDPOINT) && message.contains("region"), "{message}");
            assert!(!error(400, body).message().contains(ENDPOINT), "{body}");
        }
        let secret: Url = format!("{ENDPOINT}?key=hidden").parse().unwrap();
        assert!(!parse_error(&response(404, ""), &secret, UNIX_EPOCH).message().contains("hidden"));
    }

    /// Does each AADSTS number of the table get its advice behind the description, once, whichever way
    /// the number comes?
    #[test]
    fn every_number_is_explained() {
        for (code, advice) in ADVICE {
            let described = format!(r#""error_description":"AADSTS{code}: as AADSTS{code} says.""#);
            for body in [
                format!(r#"{{"error":"invalid_client",{described}}}"#),
                format!(r#"{{"error":"invalid_client",{described},"error_codes":[{code},{code}]}}"#),
            ] {
                let error = error(400, &body);
                assert!(error.aadsts_codes().contains(code), "{code}: {:?}", error.aadsts_codes());
                let expected = format!("AADSTS{code}: as AADSTS{code} says. [{advice}]");
                assert_eq!((error.code(), error.message()), ("invalid_client", expected.as_str()));
            }
        }
    }

    /// Are the numbers, ids and claims of an answer carried?
    #[test]
    fn error_details() {
        let body = r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application not found.",
            "error_codes":[700016,"7"],"suberror":"s","correlation_id":"c","claims":"{}"}"#;
        let error = error(400, body);
        assert_eq!(error.aadsts_codes(), [700_016, 7]);
        assert_eq!(
            (error.sub_error(), error.correlation_id(), error.claims()),
            (Some("s"), Some("c"), Some("{}"))
        );
    }
}
