//! RSA public keys, as JWKs, certificates and TPMs have them.

use aws_lc_rs::signature::{RsaParameters, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

use super::base64url;

/// Modulus and exponent, big-endian, without leading zeros: equal keys are equal here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RsaKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

/// A JWK on the wire. Its other members say nothing that counts here.
#[derive(Debug, Deserialize)]
pub(super) struct Jwk {
    kty: String,
    n: String,
    e: String,
}

impl RsaKey {
    pub(super) fn new(n: &[u8], e: &[u8]) -> Self {
        let number = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes[zeros..].to_vec()
        };
        RsaKey { n: number(n), e: number(e) }
    }

    /// An RSAPublicKey.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        let (rest, key) = RSAPublicKey::from_der(der).map_err(|error| format!("no RSAPublicKey: {error}"))?;
        if !rest.is_empty() {
            return Err("there are bytes behind the RSAPublicKey".to_owned());
        }
        Ok(RsaKey::new(key.modulus, key.exponent))
    }

    /// `what` names the key in the error.
    pub(super) fn from_jwk(jwk: &Jwk, what: &str) -> Result<Self, String> {
        if jwk.kty != "RSA" {
            return Err(format!("{what}: kty must be RSA, it is {}", jwk.kty));
        }
        let number = |name: &str, text: &str| base64url(text, &format!("{what}.{name}"));
        Ok(RsaKey::new(&number("n", &jwk.n)?, &number("e", &jwk.e)?))
    }

    pub(super) fn jwk(&self) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "RSA", "n": number(&self.n), "e": number(&self.e) })
    }

    /// For the signature of a JWS.
    pub(super) fn decoding(&self) -> DecodingKey {
        DecodingKey::from_rsa_raw_components(&self.n, &self.e)
    }

    pub(super) fn verifies(&self, scheme: &RsaParameters, message: &[u8], signature: &[u8]) -> bool {
        RsaPublicKeyComponents { n: &self.n, e: &self.e }.verify(scheme, message, signature).is_ok()
    }
}
