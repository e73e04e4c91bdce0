//! The OAuth POST: a form to a token endpoint, a token or an error back (confidential_client spec, 4.2, 6.3).

use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::{Telemetry, TokenResponse, TokenType, parse_error};
use crate::authority::is_mtls_host;
use crate::error::{Error, Result};
use crate::http::{Client, Policy, Request, Response, send_with_retry};
use crate::runtime::Call;

/// One question to a token endpoint.
pub(crate) struct TokenPost<'a> {
    pub(crate) endpoint: &'a Url,
    pub(crate) form: &'a [(&'a str, &'a str)],
    /// Anything but a token of this type is an error.
    pub(crate) expected: TokenType,
    pub(crate) telemetry: &'a Telemetry<'a>,
    /// The caller's headers; they replace those of the library.
    pub(crate) extra_headers: &'a [(String, String)],
}

/// Asks through `client`, whose TLS certificate is the one the token is to be bound to, where it is.
/// Retries as the STS policy says.
pub(crate) fn request_token(client: &Client, post: &TokenPost<'_>, call: &Call) -> Result<TokenResponse> {
    let body = encode(post.form);
    let needs_certificate = client.has_certificate() && is_mtls_host(post.endpoint);
    let mut request = Request::post(post.endpoint, body.as_bytes())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .identified(call)
        .header("x-ms-lib-capability", "retry-after, h429")
        .header("x-client-current-telemetry", post.telemetry.header())
        .needs_certificate(needs_certificate)
        .repeatable(true);
    for (name, value) in post.extra_headers {
        request = request.replace_header(name, value);
    }
    let (host, expected) = (post.endpoint.host_str().unwrap_or_default(), post.expected);
    call.log.info("token", || format!("asking {host} for a token of type {}", expected.as_str()));
    let result =
        send_with_retry(client, &request, call, Policy::Sts).and_then(|response| match response.status {
            200 => TokenResponse::parse(&response, expected),
            _ => {
                let response = without_secrets(response, post.form);
                let error = parse_error(&response, post.endpoint, call.clock.now());
                Err(refused(&response, needs_certificate, error))
            }
        });
    result.map_err(|error| error.with_correlation_id(&call.correlation_id))
}

/// Who misses our certificate, and did not ask for it, is told so.
fn refused(response: &Response, needs_certificate: bool, error: Error) -> Error {
    let about_us =
        matches!(response.status, 401 | 403) || matches!(error.code(), "invalid_client" | "invalid_request");
    match response.tls {
        Some(tls) if needs_certificate && about_us => tls.blamed_for(error),
        _ => error,
    }
}

/// A refusal without the secrets of `form`: its words go into the error, and a gateway that somebody is debugging
/// repeats what it was sent.
fn without_secrets(mut response: Response, form: &[(&str, &str)]) -> Response {
    for (name, secret) in form {
        if !matches!(*name, "client_secret" | "client_assertion") || secret.len() < SHORTEST_SECRET {
            continue;
        }
        let encoded =
            Zeroizing::new(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>());
        for shown in [*secret, encoded.as_str()] {
            let text = Zeroizing::new(String::from_utf8_lossy(&response.body).into_owned());
            if text.contains(shown) {
                response.body = text.replace(shown, "***").into_bytes().into();
            }
        }
    }
    response
}

/// What is shorter is in every text, and guessed anyway.
const SHORTEST_SECRET: usize = 8;

/// `application/x-www-form-urlencoded`; empty values are left out. Wiped, for it may hold a secret.
fn encode(form: &[(&str, &str)]) -> Zeroizing<String> {
    let length = form.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut serializer = Serializer::new(String::with_capacity(length));
    serializer.extend_pairs(form.iter().filter(|(_, value)| !value.is_empty()));
    Zeroizing::new(serializer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does an answer that repeats what it was sent put no secret into the error, in whatever form it does?
    #[test]
    fn secrets_are_not_repeated() {
        let form = [
            ("client_id", "the-client"),
            ("client_secret", "s/3cret+of~app"),
            ("client_assertion", "eyJh.eyJz.c2ln"),
        ];
        let encoded = encode(&form);
        for body in [
            encoded.to_string(),
            format!("cannot parse: {form:?}"),
            format!(r#"{{"error":"invalid_request","error_description":"you sent {}"}}"#, encoded.as_str()),
        ] {
            let body = body.into_bytes().into();
            let response = without_secrets(Response { status: 400, headers: vec![], body, tls: None }, &form);
            let error = parse_error(&response, &"https://host/token".parse().unwrap(), std::time::UNIX_EPOCH);
            let message = error.message();
            assert!(message.contains("the-client") && message.matches("***").count() == 2, "{message}");
            assert!(!message.contains("3cret") && !message.contains("c2ln"), "{message}");
        }
        let body = b"a short one changes nothing".to_vec();
        let response = Response { status: 400, headers: vec![], body: body.clone().into(), tls: None };
        assert_eq!(*without_secrets(response, &[("client_secret", "short")]).body, body);
    }

    /// The form as it goes onto the wire (confidential_client spec, section 4.2).
    #[test]
    fn form_encoding() {
        let form = [("client_id", "a"), ("scope", "https://vault.azure.net/.default x"), ("claims", "")];
        assert_eq!(encode(&form).as_str(), "client_id=a&scope=https%3A%2F%2Fvault.azure.net%2F.default+x");
    }
}
