//! What the sources of Bearer tokens have in common: how they are asked, and how they answer
//! (managed_identity spec, sections 6.0 and 8).

use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use url::Url;

use super::ManagedIdentitySource;
use super::expiry::seconds_left;
use crate::clock::unix_seconds;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result, text};
use crate::http::{
    Client, Policy, Refusal, Request, Response, TlsDetails, add_query, local_endpoint, retry_after,
    send_with_retry, without_secrets,
};
use crate::runtime::Call;
use crate::secret::Secret;
use crate::token::is_token;

/// A token as the host hands it out.
pub(crate) struct IssuedToken {
    pub(crate) access_token: Secret,
    /// Seconds from now.
    pub(crate) expires_in: i64,
    /// Seconds from now; half the life of tokens that live longer than two hours (section 8.2).
    pub(crate) refresh_in: Option<i64>,
    /// The URL that was asked, without its query.
    pub(crate) endpoint: String,
    /// The TLS of the connection that it came over; `None` for plain http.
    pub(crate) tls: Option<TlsDetails>,
}

/// The URL in the environment variable `name`.
pub(super) fn endpoint(env: &dyn Env, name: &str) -> Result<Url> {
    local_endpoint(name, &env.var(name).unwrap_or_default())
}

/// `endpoint` with `query` behind the one that it has.
pub(super) fn with_query(endpoint: &Url, query: &[(&str, &str)]) -> Url {
    let mut url = endpoint.clone();
    url.set_fragment(None);
    add_query(&mut url, query);
    url
}

/// Asks `source` and reads the token in its answer.
pub(super) fn acquire(
    source: ManagedIdentitySource,
    client: &Client,
    request: &Request<'_>,
    endpoint: &Url,
    call: &Call,
) -> Result<IssuedToken> {
    let response = send(policy(source), source, client, request, call)?;
    read(source, response, request, endpoint, call.clock.now())
}

/// Asks `source`. Any status is an answer.
pub(super) fn send(
    policy: Policy,
    source: ManagedIdentitySource,
    client: &Client,
    request: &Request<'_>,
    call: &Call,
) -> Result<Response> {
    call.log.info("managed_identity", || format!("asking {} for a Bearer token", source.name()));
    let response =
        send_with_retry(client, request, call, policy).map_err(|error| unreachable(source, error))?;
    Ok(match response.status {
        200 => response,
        _ => without_secrets(response, request.secrets()),
    })
}

/// Reads the token in an answer to `request`.
pub(super) fn read(
    source: ManagedIdentitySource,
    response: Response,
    request: &Request<'_>,
    endpoint: &Url,
    now: SystemTime,
) -> Result<IssuedToken> {
    if response.status != 200 {
        return Err(refused(source, &response, now));
    }
    issued(source, &response, endpoint, now).map_err(|_| {
        // What it says goes into the error. Never a token: it would be another one than was issued.
        let response = without_secrets(response, request.secrets());
        let error = issued(source, &response, endpoint, now).err().unwrap_or_else(|| {
            let text = format!("{} answered 200 with a secret in the place of a token", source.peer());
            failed(text).with_http_status(200)
        });
        Refusal::explain(error, &response)
    })
}

fn issued(
    source: ManagedIdentitySource,
    response: &Response,
    endpoint: &Url,
    now: SystemTime,
) -> Result<IssuedToken> {
    let peer = source.peer();
    let answer = match response.body.trim_ascii() {
        b"" => None,
        _ => response.json::<Option<Answer>>().map_err(|_| {
            let text = format!("{peer} answered 200 with something that is not the JSON of a token");
            Error::new(ErrorKind::InvalidResponse, "managed_identity_response_parse_failure", text)
                .with_http_status(200)
        })?,
    };
    let (Some(access_token), Some(expiry)) = answer.map(|a| (a.access_token, a.expiry)).unwrap_or_default()
    else {
        let text = format!("{peer} answered 200 without access_token or without expires_on");
        return Err(failed(text).with_http_status(200));
    };
    if !is_token(access_token.expose()) {
        let text = format!("{peer} sent a token that has characters which may not stand in a header");
        return Err(Error::new(ErrorKind::InvalidResponse, "invalid_token_provider_response_value", text));
    }
    let expires_in = seconds_left(&expiry, unix_seconds(now)).ok_or_else(|| {
        let text =
            format!("{peer} sent an expiry that is not a time: {}", text::cut(&expiry.to_string(), 100));
        Error::new(ErrorKind::InvalidResponse, "invalid_timestamp_format", text)
    })?;
    if expires_in <= 0 {
        let text = format!("{peer} sent a token that has already expired; check this host's clock");
        return Err(Error::new(ErrorKind::InvalidResponse, "invalid_token_provider_response_value", text));
    }
    let refresh_in = (expires_in > 7200).then_some(expires_in / 2);
    let mut endpoint = endpoint.clone();
    endpoint.set_query(None);
    endpoint.set_fragment(None);
    Ok(IssuedToken { access_token, expires_in, refresh_in, endpoint: endpoint.into(), tls: response.tls })
}

/// An answer of a source that does not say no, and is not what was asked for either.
pub(super) fn failed(message: String) -> Error {
    Error::new(ErrorKind::InvalidResponse, "managed_identity_request_failed", message)
}

/// Keeps cancellation and deadlines as they are, names everything else as MSAL does.
pub(super) fn unreachable(source: ManagedIdentitySource, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Network => {
            let advice = match source {
                ManagedIdentitySource::Imds => "does this host have a managed identity?".to_owned(),
                _ => format!("check {}, which this host sets", source.variables()),
            };
            let context = format!("no answer from {} ({advice})", source.peer());
            error.with_code("managed_identity_unreachable_network").context(&context)
        }
        _ => error,
    }
}

/// Turns an answer other than 200 into an error that quotes what the service said (section 6.0).
pub(super) fn refused(source: ManagedIdentitySource, response: &Response, now: SystemTime) -> Error {
    let status = response.status;
    let refusal = Refusal::read(response);
    let hint = match (status, source) {
        (400, _) => " (is the identity assigned to this host, and does the resource exist?)".to_owned(),
        (401 | 403, ManagedIdentitySource::AzureArc) => {
            " (is the key in the agent's file the one it asked for?)".to_owned()
        }
        (401 | 403 | 404, source) if source != ManagedIdentitySource::Imds => {
            format!(" (check {}, which this host sets)", source.variables())
        }
        (404, _) => " (this host has no such metadata service)".to_owned(),
        _ => String::new(),
    };
    let message = format!("{} answered HTTP {status}: {}{hint}", source.peer(), refusal.said());
    let error = Error::new(Refusal::kind(status), "managed_identity_request_failed", message)
        .with_http_status(status)
        .with_retry_after(retry_after(response, now))
        .with_retryable(policy(source).retries(status));
    refusal.details(error)
}

fn policy(source: ManagedIdentitySource) -> Policy {
    match source {
        ManagedIdentitySource::Imds => Policy::Imds,
        _ => Policy::ManagedIdentity,
    }
}

/// What is read of an answer of success.
#[derive(Default)]
struct Answer {
    access_token: Option<Secret>,
    /// The last of `expires_on` and `expires_in`: both names carry either meaning.
    expiry: Option<Value>,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnswerVisitor)
    }
}

/// By hand, because the order of the members counts.
struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
        let mut answer = Answer::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "access_token" => {
                    let token: Option<String> = map.next_value()?;
                    answer.access_token = token.map(Secret::new).filter(|token| !token.expose().is_empty());
                }
                "expires_on" | "expires_in" => {
                    answer.expiry = map.next_value::<Option<Value>>()?.or(answer.expiry);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 6.0: which of the two names of the expiry counts?
    #[test]
    fn the_last_expiry_counts() {
        let rows = [
            (r#"{"access_token":"t","expires_on":1,"expires_in":2}"#, Some(2)),
            (r#"{"expires_in":2,"access_token":"t","x":{"expires_in":3},"expires_on":1}"#, Some(1)),
            (r#"{"access_token":"t","expires_on":1,"expires_in":null}"#, Some(1)),
            (r#"{"access_token":"t"}"#, None),
        ];
        for (json, expiry) in rows {
            let answer: Answer = serde_json::from_str(json).unwrap();
            assert_eq!(answer.expiry.and_then(|value| value.as_i64()), expiry, "{json}");
            assert_eq!(answer.access_token, Some(Secret::new("t")), "{json}");
        }
    }
}
