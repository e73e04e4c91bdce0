//! AD FS: does a host say of itself that it may be trusted (confidential_client spec, section 1.1)?
//!
//! The question goes to the very host that the token request goes to. So where it gets no answer, the
//! call fails, as it does in MSAL: the token request would hardly fare better.

use serde::Deserialize;
use url::Url;

use super::parse::Authority;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Policy, Refusal, Request, Response, add_query, retry_after, send_with_retry};
use crate::runtime::Call;

#[derive(Deserialize)]
struct Finger {
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    rel: String,
    #[serde(default)]
    href: String,
}

const TRUSTED_REALM: &str = "http://schemas.microsoft.com/rel/trusted-realm";

/// An error unless the host of `authority` names itself as a trusted realm.
pub(super) fn validate(authority: &Authority, client: &Client, call: &Call) -> Result<()> {
    let realm = format!("https://{}{}", authority.host, authority.port);
    let query = [("rel", TRUSTED_REALM), ("resource", realm.as_str())];
    let mut url = Url::parse(&format!("{realm}/.well-known/webfinger"))
        .map_err(|error| Error::internal(format!("webfinger of {realm}: {error}")))?;
    add_query(&mut url, &query);
    let response = send_with_retry(client, &Request::get(&url).identified(call), call, Policy::Sts)?;
    judge(&response, &realm).map_err(|error| {
        error
            .with_http_status(response.status)
            .with_retry_after(retry_after(&response, call.clock.now()))
            .with_retryable(matches!(response.status, 408 | 429 | 500..))
    })
}

fn judge(response: &Response, realm: &str) -> Result<()> {
    let denied = |kind, how: &str| {
        let message = format!(
            "{realm} did not confirm that it is an AD FS host (webfinger, {how}): check the authority, or switch \
             instance discovery off"
        );
        Err(Error::new(kind, "authority_validation_failed", message))
    };
    if response.status != 200 {
        let refusal = Refusal::read(response);
        let how = format!("HTTP {}: {}", response.status, refusal.said());
        return denied(Refusal::kind(response.status), &how).map_err(|error| refusal.details(error));
    }
    let explain = |error| Refusal::explain(error, response);
    let Ok(finger) = response.json::<Finger>() else {
        let how = "HTTP 200 with something that is not the JSON expected";
        return denied(ErrorKind::InvalidResponse, how).map_err(explain);
    };
    let is_proof =
        |link: &Link| link.rel.eq_ignore_ascii_case(TRUSTED_REALM) && link.href.eq_ignore_ascii_case(realm);
    match finger.links.iter().any(is_proof) {
        true => Ok(()),
        false => denied(ErrorKind::Rejected, "HTTP 200 without a link that says so").map_err(explain),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Which answers vouch for a host (section 1.1, AD FS validation)?
    #[test]
    fn answers() {
        let fine = json!({ "subject": "x", "links": [{ "rel": "other", "href": "https://fs.x" }, {
            "rel": "http://schemas.microsoft.com/REL/trusted-realm", "href": "https://FS.x",
        }] });
        let rows = [
            (200, fine.clone(), None),
            (404, fine.clone(), Some(ErrorKind::Rejected)),
            (302, fine, Some(ErrorKind::InvalidResponse)),
            (
                200,
                json!({ "links": [{ "rel": TRUSTED_REALM, "href": "https://fs.y" }] }),
                Some(ErrorKind::Rejected),
            ),
            (
                200,
                json!({ "links": [{ "rel": "other", "href": "https://fs.x" }] }),
                Some(ErrorKind::Rejected),
            ),
            (200, json!({ "links": [{}] }), Some(ErrorKind::Rejected)),
            (200, json!({}), Some(ErrorKind::Rejected)),
            (200, json!(7), Some(ErrorKind::InvalidResponse)),
        ];
        for (status, body, expected) in rows {
            let text = body.to_string();
            let response =
                Response { status, headers: Vec::new(), body: text.clone().into_bytes().into(), tls: None };
            let error = judge(&response, "https://fs.x").err();
            assert_eq!(error.map(|error| error.kind()), expected, "{status} {text}");
        }
    }
}
