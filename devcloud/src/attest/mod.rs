//! The attestation service: a signed statement that whoever asks holds a key.
//!
//! That the key cannot leave its store is proved by a TPM (`tpm`). For every other kind of attestation stands
//! one that proves possession only; its statement says `devcloud` in the place of evidence.

mod challenge;
mod evidence;
mod message;
mod statement;
mod structures;
mod tpm;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use crate::exchange::{Answer, Request};

pub(crate) use self::statement::Attest;

impl Attest {
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        match (request.method, &request.segments()[..]) {
            ("GET", ["certs"]) => Answer::json(200, &self.key.jwks()),
            ("POST", _) if tpm::is_for(request) => said(tpm::answer(self, request)),
            ("POST", ["attest", ..]) => {
                said(possession(self, request).map(|token| json!({ "token": token })))
            }
            _ => Answer::not_found(request),
        }
    }

    /// A statement about this public key (a JWK), without asking for proof: for tests, through the library.
    pub(crate) fn token(&self, jwk: &Value, nonce: Option<&str>) -> Result<String, String> {
        self.sign(json!({
            "nonce": nonce,
            "x-ms-attestation-type": "devcloud",
            "x-ms-runtime": { "keys": [jwk] },
        }))
    }
}

/// The operation that a request is counted as, and that faults name.
pub(crate) fn operation(request: &Request<'_>) -> &'static str {
    if request.method == "POST" && tpm::is_for(request) { tpm::operation(request) } else { "attest" }
}

fn possession(attest: &Attest, request: &Request<'_>) -> Result<String, String> {
    let body = request.json()?;
    let text = |name: &str| body[name].as_str().ok_or_else(|| format!("{name} is missing or no string"));
    let (nonce, signature) = (text("nonce")?, text("signature")?);
    let algorithm = match text("alg")? {
        "PS256" => Algorithm::PS256,
        "RS256" => Algorithm::RS256,
        "ES256" => Algorithm::ES256,
        other => return Err(format!("alg must be PS256, RS256 or ES256, it is {other}")),
    };
    let jwk: Jwk = serde_json::from_value(body["jwk"].clone()).map_err(|error| format!("jwk: {error}"))?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|error| format!("jwk: {error}"))?;
    match jsonwebtoken::crypto::verify(signature, nonce.as_bytes(), &key, algorithm) {
        Ok(true) => attest.token(&body["jwk"], Some(nonce)),
        _ => Err("signature is not that of nonce with the key in jwk".to_owned()),
    }
}

fn said(answer: Result<Value, String>) -> Answer {
    match answer {
        Ok(body) => Answer::json(200, &body),
        Err(message) => {
            Answer::json(400, &json!({ "error": { "code": "InvalidParameter", "message": message } }))
        }
    }
}
