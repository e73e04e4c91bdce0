//! The attestation service: a signed statement that whoever asks holds a key.
//!
//! That the key cannot leave its store is proved by a TPM (`tpm`). For every other kind of attestation stands
//! one that proves possession only; its statement says `devcloud` in the place of evidence.

mod challenge;
mod evidence;
mod key;
mod message;
mod structures;
mod tpm;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use self::key::RsaKey;
use crate::directory::ATTESTATION_ENDPOINT;
use crate::exchange::{Answer, Request, new_id};
use crate::jwt::Token;
use crate::world::World;

pub(crate) use self::challenge::Challenges;

const LIFETIME: i64 = 8 * 3600;
/// The `x-ms-attestation-type` of a report on TPM evidence.
const TPM: &str = "tpm";

/// Base64url, with padding or without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) fn answer(world: &World, request: &Request<'_>) -> Answer {
    match (request.method, &request.segments()[..]) {
        ("GET", ["certs"]) => Answer::json(200, &world.keys.attest.jwks()),
        ("POST", _) if tpm::is_for(request) => said(tpm::answer(world, request)),
        ("POST", ["attest", ..]) => said(attest(world, request).map(|token| json!({ "token": token }))),
        _ => Answer::not_found(request),
    }
}

/// The operation that a request is counted as, and that faults name.
pub(crate) fn operation(request: &Request<'_>) -> &'static str {
    if request.method == "POST" && tpm::is_for(request) { tpm::operation(request) } else { "attest" }
}

/// A statement about this public key (a JWK), without asking for proof: for tests, through the library.
pub(crate) fn token(world: &World, jwk: &Value, nonce: Option<&str>) -> Result<String, String> {
    let claims = json!({
        "nonce": nonce,
        "x-ms-attestation-type": "devcloud",
        "x-ms-runtime": { "keys": [jwk] },
    });
    sign(world, claims)
}

/// Whether the token is ours, valid now, and about this key (RSAPublicKey, DER). The error says why not.
pub(crate) fn verify(world: &World, token: &str, public_key: &[u8]) -> Result<(), String> {
    let token = Token::parse(token).map_err(|error| format!("Attestation token is invalid: {error}"))?;
    if !world.keys.attest.signed(&token) {
        return Err("Attestation token is invalid: it is not signed by the attestation endpoint".to_owned());
    }
    let now = world.clock.now();
    if token.number("exp").is_none_or(|exp| now >= exp) {
        return Err("Attestation token is invalid: it has expired".to_owned());
    }
    if world.options.require_tpm_attestation && token.text("x-ms-attestation-type") != Some(TPM) {
        return Err("Attestation token is invalid: it is not about a key in a TPM".to_owned());
    }
    let attested = &token.claims["x-ms-runtime"]["keys"][0];
    let key = RsaKey::from_der(public_key)?.jwk();
    if attested["n"] != key["n"] || attested["e"] != key["e"] {
        return Err("Attestation token is invalid: it is about another key than that of the CSR".to_owned());
    }
    Ok(())
}

/// The JWK of an RSAPublicKey (DER).
pub(crate) fn jwk(public_key: &[u8]) -> Result<Value, String> {
    Ok(RsaKey::from_der(public_key)?.jwk())
}

fn attest(world: &World, request: &Request<'_>) -> Result<String, String> {
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
        Ok(true) => token(world, &body["jwk"], Some(nonce)),
        _ => Err("signature is not that of nonce with the key in jwk".to_owned()),
    }
}

/// A statement of this service: `claims`, and those that all of its tokens have.
fn sign(world: &World, mut claims: Value) -> Result<String, String> {
    let now = world.clock.now();
    claims["iss"] = json!(ATTESTATION_ENDPOINT);
    claims["iat"] = json!(now);
    claims["nbf"] = json!(now);
    claims["exp"] = json!(now + LIFETIME);
    claims["jti"] = json!(new_id());
    world.keys.attest.sign(&claims).map_err(|error| error.to_string())
}

fn said(answer: Result<Value, String>) -> Answer {
    match answer {
        Ok(body) => Answer::json(200, &body),
        Err(message) => {
            Answer::json(400, &json!({ "error": { "code": "InvalidParameter", "message": message } }))
        }
    }
}

/// `what` names the text in the error.
fn base64url(text: &str, what: &str) -> Result<Vec<u8>, String> {
    BASE64URL.decode(text).map_err(|error| format!("{what} is not base64url: {error}"))
}
