//! What the attestation service is made of, and what all of its statements have in common.

use std::error::Error;
use std::sync::Arc;

use serde_json::{Value, json};

use super::challenge::Challenges;
use crate::clock::Clock;
use crate::directory::ATTESTATION_ENDPOINT;
use crate::exchange::new_id;
use crate::jwt::SigningKey;
use crate::pki::Pki;

const LIFETIME: i64 = 8 * 3600;

/// The attestation service.
pub(crate) struct Attest {
    pub(super) clock: Clock,
    pub(super) key: Arc<SigningKey>,
    pub(super) pki: Arc<Pki>,
    pub(super) challenges: Challenges,
    /// TPM evidence needs the certificate of its attestation key.
    pub(super) require_aik_certificate: bool,
}

impl Attest {
    pub(crate) fn new(
        clock: Clock,
        key: Arc<SigningKey>,
        pki: Arc<Pki>,
        require_aik_certificate: bool,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Attest { clock, key, pki, challenges: Challenges::new()?, require_aik_certificate })
    }

    /// A statement of this service: `claims`, and those that all of its tokens have.
    pub(super) fn sign(&self, mut claims: Value) -> Result<String, String> {
        let now = self.clock.now();
        claims["iss"] = json!(ATTESTATION_ENDPOINT);
        claims["iat"] = json!(now);
        claims["nbf"] = json!(now);
        claims["exp"] = json!(now + LIFETIME);
        claims["jti"] = json!(new_id());
        self.key.sign(&claims).map_err(|error| error.to_string())
    }
}
