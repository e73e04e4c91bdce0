//! Reading what a token endpoint answers in place of a token (confidential_client spec, 7.1 and 7.2).

use std::time::SystemTime;

use url::{Position, Url};

use crate::error::aadsts::{LOOP_DETECTED, advice};
use crate::error::{Error, ErrorKind};
use crate::http::{Refusal, Response, retry_after};

/// Turns an answer of `endpoint` other than 200 into an error (section 7.2).
pub(crate) fn parse_error(response: &Response, endpoint: &Url, now: SystemTime) -> Error {
    let status = response.status;
    let refusal = Refusal::read(response);
    let code = match refusal.error.as_deref() {
        Some("invalid_client") => "invalid_client",
        _ if status >= 500 => "service_not_available",
        Some(error) => error,
        None if !refusal.readable && status == 429 => "request_throttled",
        None if !refusal.readable => "non_parsable_oauth_error",
        None if status == 404 => "not_found",
        None => "http_status_not_200",
    };
    let kind = match code {
        "non_parsable_oauth_error" => ErrorKind::InvalidResponse,
        _ => kind(&refusal, status),
    };
    let retryable = status >= 500 || matches!(status, 429 | 408) || code == "temporarily_unavailable";
    let error = Error::new(kind, code, message(&refusal, status, endpoint))
        .with_http_status(status)
        .with_retry_after(retry_after(response, now))
        .with_retryable(retryable);
    refusal.details(error)
}

/// The classes of section 7.1. They go by what the service said, also where the code is of our making.
fn kind(refusal: &Refusal, status: u16) -> ErrorKind {
    // With these, signing in would not help either.
    let hopeless =
        matches!(refusal.sub_error.as_deref(), Some("client_mismatch" | "protection_policy_required"));
    match refusal.error.as_deref() {
        _ if status == 429 || refusal.aadsts.contains(&LOOP_DETECTED) => ErrorKind::Throttled,
        Some("invalid_grant") if hopeless => ErrorKind::Rejected,
        Some("invalid_grant" | "interaction_required") => ErrorKind::InteractionRequired,
        Some(_) => ErrorKind::Rejected,
        None => Refusal::kind(status),
    }
}

/// What the service said, and what we know about it.
fn message(refusal: &Refusal, status: u16, endpoint: &Url) -> String {
    let mut message = refusal.description.clone().unwrap_or_else(|| {
        let host = endpoint.host_str().unwrap_or_default();
        format!("{host} answered HTTP {status}: {}", refusal.said())
    });
    if let Some(advice) = advice(&refusal.aadsts) {
        message += &format!(" [{advice}]");
    }
    if status == 404 {
        let asked = &endpoint[..Position::AfterPath];
        message +=
            &format!(" [the token endpoint was {asked}: check the authority, and the region if one is set]");
    }
    message
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
            // Neither a token nor a no.
            (302, "", "http_status_not_200", InvalidResponse, false),
            (201, "{}", "http_status_not_200", InvalidResponse, false),
            // What gateways write is no OAuth, but JSON.
            (401, r#"{"error":{"code":"x","message":"m"}}"#, "http_status_not_200", Rejected, false),
            (401, r#"{"statusCode":401,"message":"m"}"#, "http_status_not_200", Rejected, false),
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

    /// Does what is said reach a person where it is said in another way than OAuth's, with the number, the advice
    /// and the host (the forms themselves are tested where they are read)?
    #[test]
    fn other_forms() {
        let rows = [
            (
                401,
                r#"{"error":{"code":"Denied","message":"AADSTS700016: gone"}}"#,
                "Denied: AADSTS700016: gone [",
            ),
            (403, r#"{"statusCode":403,"message":"Out of call volume quota."}"#, "Out of call volume quota."),
            (400, "AADSTS700016: as text", "AADSTS700016: as text ["),
            (502, "<html><title>502 Bad Gateway</title>", "a page with the title \"502 Bad Gateway\""),
            (503, "", "no further information (Service Unavailable)"),
            (400, r#"{"error":"slow_down"}"#, "slow_down"),
            (400, r#"{"error":"x","error_description":"\u202eAADSTS700016: x"}"#, "AADSTS700016: x ["),
        ];
        for (status, body, said) in rows {
            let error = error(status, body);
            assert!(error.message().contains(said), "{error}");
            assert_eq!(error.aadsts_codes().contains(&700_016), body.contains("700016"), "{body}");
            let is_oauth = body.contains("description");
            assert_eq!(error.message().contains("eastus.login.microsoft.com answered"), !is_oauth, "{error}");
        }
    }
}
