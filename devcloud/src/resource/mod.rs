//! The APIs that tokens are for: Microsoft Graph, Azure Key Vault and Blob Storage.
//!
//! What they say about a bound token begins with the real ones' words, as MSAL for Go's tests have seen them.
//!
//! They answer once the token has been found good: signature, audience, dates, and for a bound token the scheme and the
//! TLS client certificate. Paths that SDKs ask for have what the real ones have there, or 404 (`graph`, `secrets`, `blobs`); any
//! other tells about the token.

mod blobs;
mod graph;
mod secrets;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::{self, Clock};
use crate::directory::{GRAPH_RESOURCE, MANAGED_HSM_RESOURCE, STORAGE_RESOURCE, TENANT_ID, VAULT_RESOURCE};
use crate::exchange::{Answer, Request, base64, new_id};
use crate::hosts::Service;
use crate::jwt::{SigningKey, Token};
use crate::pki::thumbprint;
use crate::stream::Stream;
use crate::vault::{self, Policy};

pub(crate) use blobs::Blobs;
pub(crate) use secrets::Secrets;

/// `/big/{bytes}` gives no more than this.
const MAX_BIG: usize = 64 << 20;
const BIG_LIMIT: &str = "/big/{bytes} takes a number of bytes, 67108864 (64 MiB) at most.";

/// The APIs, and what they judge by.
pub(crate) struct Resources {
    pub(crate) clock: Clock,
    /// The STS's: that of every token.
    pub(crate) key: Arc<SigningKey>,
    /// The vaults'.
    pub(crate) policy: Policy,
    pub(crate) secrets: Secrets,
    pub(crate) blobs: Blobs,
}

impl Resources {
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let answer = match judge(self, request) {
            Ok(token) => of_the_api(self, request, &token).unwrap_or_else(|| paths(self, request, &token)),
            Err(reason) => unauthorized(self, request, &reason),
        };
        let answer = answer.header("request-id", new_id());
        match request.header("client-request-id") {
            Some(id) => answer.header("client-request-id", id),
            None => answer,
        }
    }
}

/// The token of the request, if it is good for it. The error says why not.
fn judge(apis: &Resources, request: &Request<'_>) -> Result<Token, String> {
    let authorization = request.header("authorization").ok_or("Access token is empty.")?;
    let (scheme, token) = authorization.split_once(' ').ok_or("The Authorization header has no scheme.")?;
    let token =
        Token::parse(token.trim()).map_err(|error| format!("CompactToken parsing failed: {error}."))?;
    if !apis.key.signed(&token) {
        return Err("Access token validation failure. The signature is invalid.".to_owned());
    }
    let audience = audience(request);
    if token.text("aud").map(|aud| aud.trim_end_matches('/')) != Some(audience) {
        return Err(format!("Access token validation failure. Invalid audience: {}.", token.claims["aud"]));
    }
    let now = apis.clock.now();
    if token.number("exp").is_none_or(|exp| now >= exp) || token.number("nbf").is_some_and(|nbf| now < nbf) {
        return Err("Lifetime validation failed, the token is expired or not yet valid.".to_owned());
    }
    let vault = request.connection.service == Service::Vault;
    if vault && let Some(reason) = apis.policy.get().refusal(&token) {
        return Err(reason);
    }
    match (&*scheme.to_ascii_lowercase(), token.bound_to()) {
        ("bearer", None) => Ok(token),
        ("bearer", Some(_)) => Err("Cnf claim not supported over Bearer protocol.".to_owned()),
        ("mtls_pop", None) => {
            Err("The scheme is mtls_pop, but the token is not bound to a certificate.".to_owned())
        }
        ("mtls_pop", Some(bound_to)) => {
            let Some(certificate) =
                request.client_certificate().filter(|_| !vault || vault::is_announced(request.headers))
            else {
                return Err(match vault {
                    true => vault::NO_CERTIFICATE.to_owned(),
                    false => {
                        "MtlsMissingClientCertificate: the token is bound, but TLS has no client certificate."
                            .to_owned()
                    }
                });
            };
            let presented = thumbprint(certificate);
            match presented == bound_to {
                true => Ok(token),
                false if vault => Err(vault::OTHER_CERTIFICATE.to_owned()),
                false => Err(format!(
                    "MtlsCnfClaimRequestDataValidationFailed: the token is bound to the certificate {bound_to}, TLS has {presented}."
                )),
            }
        }
        _ => Err(format!("The authentication scheme '{scheme}' is not supported.")),
    }
}

/// Which resource the request is for.
fn audience(request: &Request<'_>) -> &'static str {
    match request.connection.service {
        Service::Vault if request.host.ends_with(".managedhsm.azure.net") => MANAGED_HSM_RESOURCE,
        Service::Vault => VAULT_RESOURCE,
        Service::Storage => STORAGE_RESOURCE,
        _ => GRAPH_RESOURCE,
    }
}

/// What the API itself has at this path.
fn of_the_api(apis: &Resources, request: &Request<'_>, token: &Token) -> Option<Answer> {
    match request.connection.service {
        // A Managed HSM has keys only.
        Service::Vault if audience(request) == VAULT_RESOURCE => apis.secrets.answer(request),
        Service::Vault => None,
        Service::Storage => Some(apis.blobs.answer(request)),
        _ => graph::answer(request, &description(request, token), apis.clock.now()),
    }
}

/// Whether the body of a request is not read before the request was judged, and never kept.
pub(crate) fn is_upload(service: Service, path: &str) -> bool {
    service == Service::Graph
        && matches!(path, "/upload" | "/claims-challenge/upload" | "/claims-challenge/upload-first")
}

fn paths(apis: &Resources, request: &Request<'_>, token: &Token) -> Answer {
    let number = |text: &str| text.parse::<usize>().ok();
    let challenged = !token.claims["acrs"].as_array().is_some_and(|all| all.contains(&json!("c1")));
    match request.segments()[..] {
        ["redirect"] => {
            Answer::text(302, "").header("location", "https://devcloud.vault.azure.net/redirected")
        }
        ["status", code] => match number(code) {
            Some(code @ 200..600) => Answer::json(code as u16, &json!({ "status": code })),
            _ => Answer::not_found(request),
        },
        ["big", bytes] => match number(bytes) {
            Some(bytes @ 0..=MAX_BIG) => {
                Answer::text(200, vec![b'x'; bytes]).header("content-type", "text/plain")
            }
            _ => Answer::json(400, &json!({ "error": { "code": "BadRequest", "message": BIG_LIMIT } })),
        },
        ["slow", milliseconds] => match number(milliseconds) {
            Some(milliseconds) => {
                let answer = Answer::json(200, &description(request, token));
                Answer { delay: Duration::from_millis(milliseconds as u64), ..answer }
            }
            None => Answer::not_found(request),
        },
        ["echo"] => Answer::json(
            200,
            &json!({
                "method": request.method,
                "query": request.query,
                "headers": request.headers,
                "body": String::from_utf8_lossy(request.body),
            }),
        ),
        ["stall"] => Answer::text(200, "").streaming(Stream::Stall),
        ["stream", bytes] => match bytes.parse() {
            Ok(bytes) => {
                let announced = request.query != "chunked";
                Answer::text(200, "").streaming(Stream::Give { bytes, announced })
            }
            Err(_) => Answer::not_found(request),
        },
        ["claims-challenge"] | ["claims-challenge", "upload"] if challenged => {
            claims_challenge(apis, request)
        }
        ["claims-challenge", "upload-first"] if challenged => {
            claims_challenge(apis, request).streaming(Stream::Take)
        }
        _ if is_upload(request.connection.service, request.path) => {
            Answer::text(200, "").streaming(Stream::Take)
        }
        _ => Answer::json(200, &description(request, token)),
    }
}

/// Of the token, for tests.
fn description(request: &Request<'_>, token: &Token) -> Value {
    json!({
        "@odata.context": format!("https://{}/v1.0/$metadata#servicePrincipals/$entity", request.host),
        "displayName": token.claims["app_displayname"],
        "appid": token.text("appid").or(token.text("azp")),
        "token_type": if token.bound_to().is_some() { "mtls_pop" } else { "Bearer" },
        "x5t#S256": token.bound_to(),
        "method": request.method,
        "path": request.path,
    })
}

/// Asks for a token that carries the authentication context `c1`.
fn claims_challenge(apis: &Resources, request: &Request<'_>) -> Answer {
    let claims = json!({ "access_token": { "acrs": { "essential": true, "value": "c1" } } });
    let challenge = format!(
        "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
         error=\"insufficient_claims\", claims=\"{}\"",
        base64(claims.to_string().as_bytes())
    );
    unauthorized(
        apis,
        request,
        "Continuous access evaluation resulted in challenge: the token needs the claim acrs=c1.",
    )
    .header("www-authenticate", challenge)
}

fn unauthorized(apis: &Resources, request: &Request<'_>, reason: &str) -> Answer {
    let inner = json!({
        "date": clock::text(apis.clock.now()),
        "request-id": new_id(),
        "client-request-id": request.header("client-request-id"),
    });
    if request.connection.service == Service::Storage {
        let challenge = format!(
            "Bearer authorization_uri=https://login.microsoftonline.com/{TENANT_ID}/oauth2/authorize resource_id={STORAGE_RESOURCE}"
        );
        return blobs::refusal(401, "InvalidAuthenticationInfo", reason)
            .header("www-authenticate", challenge);
    }
    let (code, challenge): (&str, String) = match request.connection.service {
        Service::Vault => (
            "Unauthorized",
            format!(
                "Bearer authorization=\"https://login.microsoftonline.com/{TENANT_ID}\", resource=\"{}\"",
                audience(request)
            ),
        ),
        _ => (
            "InvalidAuthenticationToken",
            format!(
                "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
                 client_id=\"00000003-0000-0000-c000-000000000000\", error=\"invalid_token\", error_description=\"{}\"",
                reason.replace('"', "'")
            ),
        ),
    };
    let mut error: Value = json!({ "code": code, "message": reason });
    if request.connection.service == Service::Graph {
        error["innerError"] = inner;
    }
    Answer::json(401, &json!({ "error": error })).header("www-authenticate", challenge)
}
