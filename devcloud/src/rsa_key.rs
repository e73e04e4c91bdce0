//! RSA public keys, as JWKs, certificates and TPMs have them.

use aws_lc_rs::signature::{RsaParameters, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// Base64url, with padding or without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Modulus and exponent, big-endian, without leading zeros: equal keys are equal here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RsaKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

/// A JWK on the wire. Its other members say nothing that counts here.
#[derive(Debug, Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    n: String,
    e: String,
}

impl RsaKey {
    pub(crate) fn new(n: &[u8], e: &[u8]) -> Self {
        let number = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes[zeros..].to_vec()
        };
        RsaKey { n: number(n), e: number(e) }
    }

    /// An RSAPublicKey.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, String> {
        let (rest, key) = RSAPublicKey::from_der(der).map_err(|error| format!("no RSAPublicKey: {error}"))?;
        if !rest.is_empty() {
            return Err("there are bytes behind the RSAPublicKey".to_owned());
        }
        Ok(RsaKey::new(key.modulus, key.exponent))
    }

    /// `what` names the key in the error.
    pub(crate) fn from_jwk(jwk: &Jwk, what: &str) -> Result<Self, String> {
        if jwk.kty != "RSA" {
            return Err(format!("{what}: kty must be RSA, it is {}", jwk.kty));
        }
        let number = |name: &str, text: &str| base64url(text, &format!("{what}.{name}"));
        Ok(RsaKey::new(&number("n", &jwk.n)?, &number("e", &jwk.e)?))
    }

    pub(crate) fn jwk(&self) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "RSA", "n": number(&self.n), "e": number(&self.e) })
    }

    /// For the signature of a JWS.
    pub(crate) fn decoding(&self) -> DecodingKey {
        DecodingKey::from_rsa_raw_components(&self.n, &self.e)
    }

    pub(crate) fn verifies(&self, scheme: &RsaParameters, message: &[u8], signature: &[u8]) -> bool {
        RsaPublicKeyComponents { n: &self.n, e: &self.e }.verify(scheme, message, signature).is_ok()
    }
}

/// `what` names the text in the error.
pub(crate) fn base64url(text: &str, what: &str) -> Result<Vec<u8>, String> {
    BASE64URL.decode(text).map_err(|error| format!("{what} is not base64url: {error}"))
}
