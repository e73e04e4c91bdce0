//! The attestation service: a signed statement that whoever asks holds a key.
//!
//! What real attestation proves beyond that (that the key cannot leave a guarded store) nobody can
//! prove to devcloud; its statement says `devcloud` in the place of evidence.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

use crate::directory::ATTESTATION_ENDPOINT;
use crate::exchange::{Answer, Request, new_id};
use crate::jwt::Token;
use crate::world::World;

const LIFETIME: i64 = 8 * 3600;

pub(crate) fn answer(world: &World, request: &Request<'_>) -> Answer {
    match (request.method, &request.segments()[..]) {
        ("GET", ["certs"]) => Answer::json(200, &world.keys.attest.jwks()),
        ("POST", ["attest", ..]) => match attest(world, request) {
            Ok(token) => Answer::json(200, &json!({ "token": token })),
            Err(message) => {
                Answer::json(400, &json!({ "error": { "code": "InvalidParameter", "message": message } }))
            }
        },
        _ => Answer::not_found(request),
    }
}

/// A statement about this public key (a JWK), without asking for proof: for tests, through the library.
pub(crate) fn token(world: &World, jwk: &Value, nonce: Option<&str>) -> Result<String, String> {
    let now = world.clock.now();
    let claims = json!({
        "iss": ATTESTATION_ENDPOINT,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
        "jti": new_id(),
        "nonce": nonce,
        "x-ms-attestation-type": "devcloud",
        "x-ms-runtime": { "keys": [jwk] },
    });
    world.keys.attest.sign(&claims).map_err(|error| error.to_string())
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
    let attested = &token.claims["x-ms-runtime"]["keys"][0];
    let (n, e) = modulus_and_exponent(public_key)?;
    if attested["n"] != json!(n) || attested["e"] != json!(e) {
        return Err("Attestation token is invalid: it is about another key than that of the CSR".to_owned());
    }
    Ok(())
}

/// The JWK of an RSAPublicKey (DER).
pub(crate) fn jwk(public_key: &[u8]) -> Result<Value, String> {
    let (n, e) = modulus_and_exponent(public_key)?;
    Ok(json!({ "kty": "RSA", "n": n, "e": e }))
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

fn modulus_and_exponent(public_key: &[u8]) -> Result<(String, String), String> {
    let (_, key) = RSAPublicKey::from_der(public_key).map_err(|error| format!("no RSAPublicKey: {error}"))?;
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        URL_SAFE_NO_PAD.encode(&bytes[zeros..])
    };
    Ok((number(key.modulus), number(key.exponent)))
}
