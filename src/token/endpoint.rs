//! The OAuth POST: a form to a token endpoint, a token or an error back (confidential_client spec, 4.2, 6.3).

use url::Url;
use url::form_urlencoded::Serializer;

use super::{Telemetry, TokenResponse, TokenType, parse_error};
use crate::authority::is_mtls_host;
use crate::error::{Error, Result};
use crate::http::{Client, HeaderName, Policy, Request, Response, send_with_retry, without_secrets};
use crate::runtime::Call;
use crate::secret::Secret;

const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");
const LIB_CAPABILITY: HeaderName = HeaderName::from_static("x-ms-lib-capability");

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
    let mut request = Request::post(post.endpoint, body.expose().as_bytes())
        .constant_header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .identified(call)
        .constant_header(LIB_CAPABILITY, "retry-after, h429")
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
            200 => TokenResponse::parse(&response, expected).map_err(|error| {
                let response = without_secrets(response, secrets(post.form));
                // Never a token: it would be another one than was issued.
                TokenResponse::parse(&response, expected).err().unwrap_or_else(|| {
                    let message = "the token endpoint answered 200 with a secret in the place of a token";
                    Error::new(error.kind(), "invalid_token_provider_response_value", message)
                })
            }),
            _ => {
                let response = without_secrets(response, secrets(post.form));
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

/// What of `form` must not come back in words.
fn secrets<'a>(form: &'a [(&str, &str)]) -> impl Iterator<Item = &'a str> {
    let is_secret = |name: &str| matches!(name, "client_secret" | "client_assertion");
    form.iter().filter(move |(name, _)| is_secret(name)).map(|(_, value)| *value)
}

/// `application/x-www-form-urlencoded`; empty values are left out. Wiped, for it may hold a secret.
fn encode(form: &[(&str, &str)]) -> Secret {
    let length = form.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut serializer = Serializer::new(String::with_capacity(length));
    serializer.extend_pairs(form.iter().filter(|(_, value)| !value.is_empty()));
    Secret::new(serializer.finish())
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
            encoded.expose().to_owned(),
            format!("cannot parse: {form:?}"),
            format!(r#"{{"error":"invalid_request","error_description":"you sent {}"}}"#, encoded.expose()),
            // As PHP and .NET write JSON.
            r#"{"error":"x","error_description":"the-client s\/3cret\u002Bof~app eyJh\u002eeyJz.c2ln"}"#
                .to_owned(),
        ] {
            let body = body.into_bytes().into();
            let response = Response { status: 400, headers: vec![], body, tls: None };
            let response = without_secrets(response, secrets(&form));
            let error = parse_error(&response, &"https://host/token".parse().unwrap(), std::time::UNIX_EPOCH);
            let message = error.message();
            assert!(message.contains("the-client") && message.matches("***").count() == 2, "{message}");
            assert!(!message.contains("3cret") && !message.contains("c2ln"), "{message}");
        }
    }

    /// The form as it goes onto the wire (confidential_client spec, section 4.2).
    #[test]
    fn form_encoding() {
        let form = [("client_id", "a"), ("scope", "https://vault.azure.net/.default x"), ("claims", "")];
        assert_eq!(encode(&form).expose(), "client_id=a&scope=https%3A%2F%2Fvault.azure.net%2F.default+x");
    }
}
