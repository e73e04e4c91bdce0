//! The OAuth POST: a form to a token endpoint, a token or an error back (confidential_client spec, 4.2, 6.3).

use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::{TokenResponse, TokenType, parse_error};
use crate::error::Result;
use crate::http::{Client, Policy, Request, send_with_retry};
use crate::runtime::Call;

/// Sends `form` to `endpoint` through `client`, whose TLS certificate is the one the token is to be
/// bound to, where it is. Retries as the STS policy says; anything but a token of the `expected` type
/// is an error.
pub(crate) fn request_token(
    client: &Client,
    endpoint: &Url,
    form: &[(&str, &str)],
    expected: TokenType,
    call: &Call,
) -> Result<TokenResponse> {
    let body = encode(form);
    let request = Request::post(endpoint, body.as_bytes())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .identified(call)
        .header("x-ms-lib-capability", "retry-after, h429")
        .repeatable(true);
    let host = endpoint.host_str().unwrap_or_default();
    call.log.info("token", || format!("asking {host} for a token of type {}", expected.as_str()));
    let result =
        send_with_retry(client, &request, call, Policy::Sts).and_then(|response| match response.status {
            200 => TokenResponse::parse(&response, expected),
            _ => Err(parse_error(&response, host, call.clock.now())),
        });
    result.map_err(|error| error.with_correlation_id(&call.correlation_id))
}

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

    /// The form as it goes onto the wire (confidential_client spec, section 4.2).
    #[test]
    fn form_encoding() {
        let form = [("client_id", "a"), ("scope", "https://vault.azure.net/.default x"), ("claims", "")];
        assert_eq!(encode(&form).as_str(), "client_id=a&scope=https%3A%2F%2Fvault.azure.net%2F.default+x");
    }
}
