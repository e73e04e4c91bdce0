//! What is Key Vault's own: a header that announces a bound token, and a 401 that passes.

use std::time::Duration;

use serde_json::Value;

use super::client::HttpRequest;
use super::stream::HttpStream;
use crate::error::Result;
use crate::http::is_key_vault;
use crate::runtime::Call;

/// By its value `true` a vault knows that a token is bound, and asks for the certificate.
const HEADER: &str = "x-ms-tokenboundauth";
/// What a vault says in `error.message` when it could not validate a bound token just then.
const NOT_VALIDATED: &str = "[MtlsCnfClaimRequestDataValidationFailed]";
/// Errors are short; a longer answer is none of these.
const LONGEST: usize = 64 * 1024;
/// Before each further try, as the Azure SDKs have it by default: three, each after about twice the time.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Whether this is the header that goes out with bound tokens only.
pub(super) fn is_for_bound_tokens(name: &str) -> bool {
    name.eq_ignore_ascii_case(HEADER)
}

/// What a bound token for this host is announced with, where the caller has not set it.
pub(super) fn announcement(host: &str, headers: &[(String, String)]) -> Option<(&'static str, &'static str)> {
    let is_set = headers.iter().any(|(name, _)| is_for_bound_tokens(name));
    (!is_set && is_key_vault(host)).then_some((HEADER, "true"))
}

/// Whether a bound token for this host is announced.
pub(super) fn announces(host: &str, headers: &[(String, String)]) -> bool {
    let says = |(name, value): &(String, String)| {
        is_for_bound_tokens(name) && value.trim().eq_ignore_ascii_case("true")
    };
    announcement(host, headers).is_some() || headers.iter().any(says)
}

/// Makes `attempt`, and makes it again where a vault could not validate the token: the same request with the same
/// token. The last answer is the outcome, also where the time of `call` is too short for the next wait.
pub(crate) fn repeat_not_validated(
    request: &HttpRequest,
    call: &Call,
    attempt: impl Fn() -> Result<HttpStream>,
) -> Result<HttpStream> {
    for wait in WAITS {
        let mut stream = attempt()?;
        if !is_not_validated(request, &mut stream) || !request.can_be_sent() {
            return Ok(stream);
        }
        if call.remaining().is_some_and(|left| left <= wait) {
            call.note_cut_short();
            return Ok(stream);
        }
        call.log.info("resource", || format!("the vault could not validate the token: again in {wait:?}"));
        stream.discard();
        call.sleep(wait)?;
    }
    attempt()
}

/// Whether this is a vault's word that it could not validate the bound token just then: no reason for another token.
pub(crate) fn is_not_validated(request: &HttpRequest, stream: &mut HttpStream) -> bool {
    stream.response().status() == 401
        && request.announces_bound_token()
        && stream.peek(LONGEST).is_ok_and(says_not_validated)
}

fn says_not_validated(body: &[u8]) -> bool {
    let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
    json["error"]["message"].as_str().is_some_and(|message| message.contains(NOT_VALIDATED))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is it that 401 by its `error.message`, and by nothing else (facts of September 2026, section 10)?
    #[test]
    fn only_the_message_counts() {
        let message = format!("{NOT_VALIDATED} Could not validate token.");
        let rows = [
            (serde_json::json!({ "error": { "code": "Unauthorized", "message": message } }), true),
            (serde_json::json!({ "error": { "code": "Unauthorized", "message": "no" } }), false),
            (serde_json::json!({ "error": { "message": "no", "details": message } }), false),
            (serde_json::json!({ "error": { "message": [message] } }), false),
            (serde_json::json!({ "message": message }), false),
            (serde_json::json!([{ "error": { "message": message } }]), false),
            (serde_json::json!(message), false),
        ];
        for (body, expected) in rows {
            assert_eq!(says_not_validated(body.to_string().as_bytes()), expected, "{body}");
        }
        assert!(!says_not_validated(b"") && !says_not_validated(message.as_bytes()));
    }
}
