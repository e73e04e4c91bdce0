//! Bearer tokens from IMDSv1 (managed_identity spec, sections 6.0, 6.1 and 8).

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use super::ManagedIdentityId;
use crate::clock::unix_seconds;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Imds, Policy, Request, Response, retry_after, send_with_retry};
use crate::runtime::Call;
use crate::secret::Secret;

/// A token as IMDS hands it out.
pub(crate) struct IssuedToken {
    pub(crate) access_token: Secret,
    /// Seconds from now.
    pub(crate) expires_in: i64,
    /// Seconds from now; half the life of tokens that live longer than two hours (section 8.2).
    pub(crate) refresh_in: Option<i64>,
    /// The URL that was asked, without its query.
    pub(crate) endpoint: String,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_on: Option<Value>,
    expires_in: Option<Value>,
}

const PATH: &str = "/metadata/identity/oauth2/token";
/// Numbers below this are seconds from now, above it seconds since 1970 (section 8.1).
const YEAR_2001: i64 = 978_307_200;

/// Asks for a token for `resource`.
pub(crate) fn acquire(
    imds: &Imds,
    client: &Client,
    id: &ManagedIdentityId,
    resource: &str,
    call: &Call,
) -> Result<IssuedToken> {
    let mut query = vec![("api-version", "2018-02-01"), ("resource", resource)];
    query.extend(id.query("msi_res_id"));
    let url = imds.url(PATH, &query);
    let request = Request::get(&url)
        .header("Metadata", "true")
        .header("x-ms-client-request-id", call.correlation_id.as_str())
        .header("x-client-SKU", "mtlspop")
        .header("x-client-Ver", env!("CARGO_PKG_VERSION"))
        .header("Accept", "application/json");
    call.log.info("managed_identity", || "asking IMDSv1 for a Bearer token".to_owned());
    let response = send_with_retry(client, &request, call, Policy::Imds).map_err(unreachable)?;
    if response.status != 200 {
        return Err(refused(&response, call.clock.now()));
    }
    read(&response, call.clock.now(), imds.url(PATH, &[]))
}

/// An error of the instance metadata service that is not a connection problem.
pub(crate) fn failed(message: String) -> Error {
    Error::new(ErrorKind::Rejected, "managed_identity_request_failed", message)
}

/// Keeps cancellation and deadlines as they are, names everything else as MSAL does.
pub(crate) fn unreachable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Network => error.with_code("managed_identity_unreachable_network").context(
            "no answer from the instance metadata service (does this host have a managed identity?)",
        ),
        _ => error,
    }
}

/// Turns an answer other than 200 into an error that quotes what the service said (section 6.0).
pub(crate) fn refused(response: &Response, now: SystemTime) -> Error {
    let status = response.status;
    let said = said(&response.body);
    let hint = match status {
        400 => " (is the identity assigned to this host, and does the resource exist?)",
        404 => " (this host has no such metadata service)",
        _ => "",
    };
    let kind = if status == 429 { ErrorKind::Throttled } else { ErrorKind::Rejected };
    let message = format!("the instance metadata service answered HTTP {status}: {said}{hint}");
    Error::new(kind, "managed_identity_request_failed", message)
        .with_http_status(status)
        .with_retry_after(retry_after(response, now))
        .with_retryable(matches!(status, 404 | 408 | 410 | 429 | 500..=599))
}

/// The error text of a body in any of the shapes in use, or its beginning.
pub(super) fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return if text.trim().is_empty() {
            "no further information".into()
        } else {
            text.chars().take(300).collect()
        };
    };
    let nested = json.get("error").filter(|error| error.is_object()).unwrap_or(&json);
    let parts = ["error", "code", "message", "error_description"];
    let found: Vec<&str> = parts.iter().filter_map(|name| nested.get(name)?.as_str()).collect();
    if found.is_empty() { text.chars().take(300).collect() } else { found.join(": ") }
}

fn read(response: &Response, now: SystemTime, url: url::Url) -> Result<IssuedToken> {
    let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| {
        let text =
            "the instance metadata service answered 200 with something that is not the JSON of a token";
        Error::new(ErrorKind::InvalidResponse, "managed_identity_response_parse_failure", text)
            .with_http_status(200)
    })?;
    let access_token = answer.access_token.map(Secret::new).filter(|token| !token.expose().is_empty());
    // Both names carry either meaning; expires_on is the one every source sends.
    let expiry = answer.expires_on.or(answer.expires_in);
    let (Some(access_token), Some(expiry)) = (access_token, expiry) else {
        let text = "the instance metadata service answered 200 without access_token or without expires_on";
        return Err(failed(text.to_owned()).with_http_status(200));
    };
    let expires_in = seconds_left(&expiry, unix_seconds(now)).ok_or_else(|| {
        let text = format!("the instance metadata service sent an expiry that is not a time: {expiry}");
        Error::new(ErrorKind::InvalidResponse, "invalid_timestamp_format", text)
    })?;
    if expires_in <= 0 {
        let text =
            "the instance metadata service sent a token that has already expired; check this host's clock";
        return Err(Error::new(ErrorKind::InvalidResponse, "invalid_token_provider_response_value", text));
    }
    let refresh_in = (expires_in > 7200).then_some(expires_in / 2);
    let endpoint = format!("{}{}", url.origin().ascii_serialization(), PATH);
    Ok(IssuedToken { access_token, expires_in, refresh_in, endpoint })
}

fn seconds_left(expiry: &Value, now: i64) -> Option<i64> {
    let number = match expiry {
        Value::Number(number) => number.as_i64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Some(if number < YEAR_2001 { number } else { (number - now).max(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 8.1: which numbers are durations and which are points in time.
    #[test]
    fn expiry_forms() {
        let now = 1_700_000_000;
        let rows = [
            (r#""1700003600""#, Some(3600)),
            ("1700003600", Some(3600)),
            (r#""3600""#, Some(3600)),
            ("3600", Some(3600)),
            ("978307199", Some(978_307_199)),
            ("978307200", Some(0)),
            (r#""soon""#, None),
            ("null", None),
        ];
        for (json, expected) in rows {
            assert_eq!(seconds_left(&serde_json::from_str(json).unwrap(), now), expected, "{json}");
        }
    }

    /// Section 6.0: is the service's own explanation found in every shape of error body?
    #[test]
    fn error_shapes() {
        assert_eq!(
            said(br#"{"error":"invalid_request","error_description":"Identity not found"}"#),
            "invalid_request: Identity not found"
        );
        assert_eq!(said(br#"{"error":{"code":"A","message":"b"}}"#), "A: b");
        assert_eq!(said(br#"{"statusCode":500,"message":"m"}"#), "m");
        assert_eq!(said(b"<html>"), "<html>");
        assert_eq!(said(b""), "no further information");
    }
}
