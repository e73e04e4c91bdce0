//! The federated issuer: what it publishes, and the assertions it mints.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Clock;
use crate::directory::{FEDERATED_ISSUER, FEDERATED_SUBJECT, FEDERATION_AUDIENCE};
use crate::exchange::{Answer, Request, new_id};
use crate::jwt::SigningKey;

/// An assertion to mint; what is not said is what application B trusts, for an hour.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Assertion {
    /// `sub`.
    pub subject: String,
    /// `aud`.
    pub audience: String,
    /// `exp` is so many seconds from now; negative for one that has expired.
    pub expires_in: i64,
    /// `x5t#S256` of the certificate to bind the assertion to.
    pub bound_to: Option<String>,
}

impl Default for Assertion {
    fn default() -> Self {
        Assertion {
            subject: FEDERATED_SUBJECT.to_owned(),
            audience: FEDERATION_AUDIENCE.to_owned(),
            expires_in: 3600,
            bound_to: None,
        }
    }
}

/// The federated issuer.
pub(crate) struct Oidc {
    pub(crate) clock: Clock,
    pub(crate) key: Arc<SigningKey>,
}

impl Oidc {
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        match (request.method, request.path) {
            ("GET", "/.well-known/openid-configuration") => Answer::json(
                200,
                &json!({
                    "issuer": FEDERATED_ISSUER,
                    "jwks_uri": format!("{FEDERATED_ISSUER}jwks"),
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }),
            ),
            ("GET", "/jwks") => Answer::json(200, &self.key.jwks()),
            _ => Answer::not_found(request),
        }
    }

    /// Mints an assertion. The error is for people.
    pub(crate) fn mint(&self, assertion: &Assertion) -> Result<String, String> {
        let now = self.clock.now();
        let mut claims = json!({
            "iss": FEDERATED_ISSUER,
            "sub": assertion.subject,
            "aud": assertion.audience,
            "iat": now.min(now + assertion.expires_in),
            "nbf": now.min(now + assertion.expires_in),
            "exp": now + assertion.expires_in,
            "jti": new_id(),
        });
        if let Some(thumbprint) = &assertion.bound_to {
            claims["cnf"] = json!({ "x5t#S256": thumbprint });
        }
        self.key.sign(&claims).map_err(|error| error.to_string())
    }
}
