//! JSON Web Tokens: the cloud's signing keys, and verification with any key.

use std::error::Error;

use aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use crate::pki::{self, thumbprint};

/// An RSA key that signs RS256 tokens under one key id.
pub(crate) struct SigningKey {
    kid: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    jwk: Value,
}

/// A token taken apart; nothing in it has been verified.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    signed: String,
    signature: String,
}

impl SigningKey {
    pub(crate) fn new(key: &KeyPair) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let encoding = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes())?;
        let kid = thumbprint(key.der_bytes());
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&encoding, Algorithm::RS256)?)?;
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        let certificate = pki::signing_certificate(key)?;
        jwk["x5c"] = json!([STANDARD.encode(&certificate)]);
        jwk["x5t"] =
            json!(URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate)));
        Ok(SigningKey { kid, encoding, decoding: DecodingKey::from_rsa_der(key.der_bytes()), jwk })
    }

    pub(crate) fn sign(&self, claims: &Value) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, claims, &self.encoding)
    }

    /// Whether this key signed the token.
    pub(crate) fn signed(&self, token: &Token) -> bool {
        token.algorithm() == "RS256" && verify(token, Algorithm::RS256, &self.decoding)
    }

    /// The key set, as published.
    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }
}

impl Token {
    /// Takes a compact JWS apart. The error says what is malformed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(format!("a JWT has three parts, this has {}", parts.len()));
        };
        let object = |part: &str, name: &str| -> Result<Value, String> {
            let bytes =
                URL_SAFE_NO_PAD.decode(part).map_err(|error| format!("{name} is not base64url: {error}"))?;
            let value: Value =
                serde_json::from_slice(&bytes).map_err(|error| format!("{name} is not JSON: {error}"))?;
            if value.is_object() { Ok(value) } else { Err(format!("{name} is not a JSON object")) }
        };
        Ok(Token {
            header: object(header, "the header")?,
            claims: object(claims, "the payload")?,
            signed: format!("{header}.{claims}"),
            signature: signature.to_owned(),
        })
    }

    pub(crate) fn algorithm(&self) -> &str {
        self.header["alg"].as_str().unwrap_or_default()
    }

    /// A claim that is a string.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims[claim].as_str()
    }

    /// A claim that is a number, as RFC 7519 wants dates; a string that looks like one is none.
    pub(crate) fn number(&self, claim: &str) -> Option<i64> {
        self.claims[claim].as_f64().map(|number| number as i64)
    }

    /// A date, as the token service reads those of assertions: MSAL.NET writes them as strings.
    pub(crate) fn date(&self, claim: &str) -> Option<i64> {
        self.number(claim).or_else(|| self.text(claim)?.parse().ok())
    }

    /// The certificate the token is bound to.
    pub(crate) fn bound_to(&self) -> Option<&str> {
        self.claims["cnf"]["x5t#S256"].as_str()
    }

    /// Whether the holder of this RSA key (RSAPublicKey, DER) signed the token in this way.
    pub(crate) fn signed_with(&self, algorithm: Algorithm, rsa_public_key: &[u8]) -> bool {
        self.signed_by(algorithm, &DecodingKey::from_rsa_der(rsa_public_key))
    }

    /// Whether the holder of the key signed the token in this way.
    pub(crate) fn signed_by(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        verify(self, algorithm, key)
    }
}

fn verify(token: &Token, algorithm: Algorithm, key: &DecodingKey) -> bool {
    jsonwebtoken::crypto::verify(&token.signature, token.signed.as_bytes(), key, algorithm).unwrap_or(false)
}
