//! The JWT with which a certificate proves itself in the request body (RFC 7523; confidential_client spec, 4.3).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Ask;
use crate::binding::Certificate;
use crate::clock::unix_seconds;
use crate::error::{Error, ErrorKind, Result};
use crate::key::SignatureScheme;
use crate::runtime::Call;
use crate::secret::Secret;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Payload<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    nbf: i64,
    exp: i64,
    jti: String,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

/// Seconds for which an assertion is valid.
pub(super) const LIFETIME: i64 = 600;
/// The claims that are ours to make.
const OURS: [&str; 7] = ["aud", "iss", "sub", "nbf", "exp", "iat", "jti"];

/// An assertion and when it ends, in Unix seconds.
pub(super) struct Signed {
    pub(super) jwt: Secret,
    pub(super) expires_on: i64,
}

/// Signs an assertion for the endpoint that is asked. The signature is made by the key wherever it
/// lives, which is why no JWT library is used here: they want to hold the key.
///
/// A key that cannot sign with PSS (many an HSM) is asked again for PKCS#1 v1.5, which Entra takes too.
pub(super) fn sign(certificate: &Certificate, send_x5c: bool, ask: &Ask<'_>, call: &Call) -> Result<Signed> {
    let extra = extra_claims(ask.extra_assertion_claims)?;
    let now = unix_seconds(call.clock.now());
    let payload = part(&Payload {
        aud: ask.audience(),
        iss: ask.client_id,
        sub: ask.client_id,
        nbf: now,
        exp: now + LIFETIME,
        jti: Uuid::new_v4().to_string(),
        extra: &extra,
    })?;
    let expires_on = now + LIFETIME;
    if !ask.sha2 {
        return Ok(Signed { jwt: sign_as(RS256, certificate, send_x5c, &payload, call)?, expires_on });
    }
    let jwt = sign_as(PS256, certificate, send_x5c, &payload, call).or_else(|error| {
        if let Some(end) = call.end(&error) {
            return Err(end);
        }
        // A key in a TPM has shown that it can, and wrong tries may lock it.
        let tested = certificate.key().in_tpm().is_some();
        if tested || matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Timeout) {
            return Err(error);
        }
        call.log.warn("credential", || {
            format!("the key did not sign the client assertion as PS256, trying RS256: {error}")
        });
        sign_as(RS256, certificate, send_x5c, &payload, call)
    })?;
    Ok(Signed { jwt, expires_on })
}

const PS256: SignatureScheme = SignatureScheme::RsaPssSha256;
const RS256: SignatureScheme = SignatureScheme::RsaPkcs1Sha256;

/// Thumbprints are SHA-256 with PS256, SHA-1 with RS256.
fn sign_as(
    scheme: SignatureScheme,
    certificate: &Certificate,
    send_x5c: bool,
    payload: &str,
    call: &Call,
) -> Result<Secret> {
    let sha2 = scheme == PS256;
    let chain = || certificate.chain_der().iter().map(|der| STANDARD.encode(der)).collect();
    let header = part(&Header {
        alg: scheme.jose_name(),
        typ: "JWT",
        x5t_s256: sha2.then(|| certificate.x5t_s256()),
        x5t: (!sha2).then(|| URL_SAFE_NO_PAD.encode(certificate.sha1())),
        x5c: send_x5c.then(chain),
    })?;
    let mut jwt = format!("{header}.{payload}");
    let signature = certificate.key().sign_within(scheme, jwt.as_bytes(), &call.wait())?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(Secret::new(jwt))
}

/// The caller's claims for an assertion (section 3.7): a JSON object without those that are ours.
pub(super) fn extra_claims(json: Option<&str>) -> Result<Map<String, Value>> {
    let Some(json) = json else { return Ok(Map::new()) };
    let bad = |message: String| Error::new(ErrorKind::InvalidArgument, "invalid_json_claims_format", message);
    let Ok(Value::Object(claims)) = serde_json::from_str(json) else {
        return Err(bad("the extra claims for the client assertion are not a JSON object".to_owned()));
    };
    match OURS.iter().find(|name| claims.contains_key(**name)) {
        Some(name) => Err(bad(format!(
            "the extra claims for the client assertion must not hold {name}: it is set here"
        ))),
        None => Ok(claims),
    }
}

fn part(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_vec(value).map_err(|e| Error::internal(format!("client assertion: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}
