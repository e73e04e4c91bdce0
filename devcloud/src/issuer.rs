//! Writes and signs the access tokens of the cloud, whoever hands them out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::Clock;
use crate::directory::{BLUEPRINT_CLIENT_ID, Client, Tenant, agent_subject};
use crate::exchange::Pairs;
use crate::fault::{Fault, merge};
use crate::jwt::SigningKey;
use crate::registry::Resource;

/// Claims of our own that show tests what was asked for, and the parameters that they come from.
const ECHOES: [(&str, &str); 3] =
    [("fmi_path", "fmi_path"), ("devcloud_claims", "claims"), ("devcloud_scope", "scope")];

/// A claim of our own, too: how strongly a bound token is bound, in the words of Key Vault's policy.
pub(crate) const STRENGTH: &str = "devcloud_binding_strength";

/// How strongly a token is bound, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ValueEnum)]
pub enum TokenBindingStrength {
    /// Nobody looks.
    #[default]
    NoValidation,
    /// To a key that nobody has vouched for.
    Unattested,
    /// To a key that is attested on a trusted-launch machine, as this one is.
    AttestedTrustedLaunch,
    /// To a key that is attested on a confidential machine.
    AttestedConfidential,
}

/// Who signs them.
pub(crate) struct Issuer {
    clock: Clock,
    key: Arc<SigningKey>,
    /// How long every token lives, where the owner of the cloud says so.
    lifetime: Option<i64>,
    /// `x5t#S256` of the certificates that IMDS issued for attested keys.
    attested: Mutex<BTreeSet<String>>,
}

/// What a token says.
pub(crate) struct Grant<'a> {
    pub(crate) tenant: &'static Tenant,
    pub(crate) client: Client,
    /// `aud`, as it was asked for.
    pub(crate) audience: &'a str,
    pub(crate) resource: &'a Resource,
    /// Whether the client has proven itself by a secret, and not by a signature.
    pub(crate) by_secret: bool,
    /// `x5t#S256` of the certificate the token is bound to.
    pub(crate) bound_to: Option<&'a str>,
    /// The `claims` parameter of the request.
    pub(crate) claims: Option<&'a Value>,
    /// The form of the request, where there was one.
    pub(crate) form: Option<&'a Pairs>,
    pub(crate) lifetime: i64,
}

impl Issuer {
    pub(crate) fn new(clock: Clock, key: Arc<SigningKey>, lifetime: Option<i64>) -> Self {
        Issuer { clock, key, lifetime, attested: Mutex::default() }
    }

    /// How long a token lives that usually does so for `usual` seconds.
    pub(crate) fn lifetime(&self, usual: i64) -> i64 {
        self.lifetime.unwrap_or(usual)
    }

    /// An access token, signed. The error is for people.
    pub(crate) fn access_token(&self, grant: &Grant<'_>, fault: Option<&Fault>) -> Result<String, String> {
        let now = self.clock.now();
        let client_id = grant.client.client_id();
        let mut claims = json!({
            "aud": grant.audience,
            "iss": grant.tenant.issuer(),
            "iat": now,
            "nbf": now,
            "exp": now + grant.lifetime,
            "app_displayname": grant.client.name(),
            "idtyp": "app",
            "oid": grant.client.object_id(),
            "sub": grant.client.object_id(),
            "tid": grant.tenant.id,
            "uti": Uuid::new_v4().simple().to_string(),
        });
        // As Entra has it: 1 is a secret, 2 a signature.
        let acr = if grant.by_secret { "1" } else { "2" };
        match grant.resource.token_version {
            1 => {
                claims["ver"] = json!("1.0");
                claims["iss"] = json!(grant.tenant.issuer_of_v1());
                (claims["appid"], claims["appidacr"]) = (json!(client_id), json!(acr));
            }
            _ => {
                claims["ver"] = json!("2.0");
                (claims["azp"], claims["azpacr"]) = (json!(client_id), json!(acr));
            }
        }
        if !grant.resource.roles.is_empty() {
            claims["roles"] = json!(grant.resource.roles);
        }
        if let Client::ManagedIdentity(identity) = grant.client
            && let Some(resource_id) = identity.resource_id
        {
            claims["xms_mirid"] = json!(resource_id);
        }
        if let Some(thumbprint) = grant.bound_to {
            claims["cnf"] = json!({ "x5t#S256": thumbprint });
            claims[STRENGTH] = json!(match self.is_attested(thumbprint) {
                true => TokenBindingStrength::AttestedTrustedLaunch,
                false => TokenBindingStrength::Unattested,
            });
        }
        if let Some(asked) = grant.claims {
            let asked = &asked["access_token"];
            if let Some(capabilities) = asked["xms_cc"]["values"].as_array() {
                claims["xms_cc"] = json!(capabilities);
            }
            if let Some(context) = asked["acrs"]["value"].as_str() {
                claims["acrs"] = json!([context]);
            }
        }
        if let Some(form) = grant.form {
            for (claim, parameter) in ECHOES {
                if let Some(value) = form.get(parameter) {
                    claims[claim] = json!(value);
                }
            }
        }
        let agent = grant.form.and_then(|form| form.get("fmi_path"));
        if let Some(agent) = agent.filter(|_| client_id == BLUEPRINT_CLIENT_ID) {
            claims["sub"] = json!(agent_subject(client_id, agent));
        }
        if let Some(fault) = fault {
            merge(&mut claims, &fault.claims);
        }
        self.key.sign(&claims).map_err(|error| format!("the token could not be signed: {error}"))
    }

    /// Remembers that the key of a certificate has been attested.
    pub(crate) fn note_attested(&self, x5t_s256: String) {
        self.attested.lock().unwrap_or_else(PoisonError::into_inner).insert(x5t_s256);
    }

    fn is_attested(&self, x5t_s256: &str) -> bool {
        self.attested.lock().unwrap_or_else(PoisonError::into_inner).contains(x5t_s256)
    }
}
