//! What the token service is made of, and what a form asks it for.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::refusal::Refusal;
use crate::clock::Clock;
use crate::directory::{Client, Tenant};
use crate::exchange::Pairs;
use crate::issuer::Issuer;
use crate::jwt::SigningKey;
use crate::registry::Registry;
use crate::tenants::Tenants;
use crate::trust::Trust;

/// The security token service, and what it judges by.
pub(crate) struct Sts {
    pub(crate) clock: Clock,
    pub(crate) trust: Arc<Trust>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tenants: Arc<Tenants>,
    /// Its own.
    pub(crate) key: Arc<SigningKey>,
    /// The federated issuer's.
    pub(crate) federated_key: Arc<SigningKey>,
    /// What application A has registered, beside its subject name.
    pub(crate) registered: CertificateDer<'static>,
    /// When clients are told to replace a token early.
    pub(crate) refresh_in: Option<i64>,
}

/// What the form asks for, once its shape has been found good.
pub(super) struct TokenRequest<'a> {
    pub(super) form: &'a Pairs,
    /// In the form, or by HTTP Basic.
    pub(super) secret: Option<&'a str>,
    pub(super) client: Client,
    pub(super) tenant: &'static Tenant,
    /// Asked for with `token_type=mtls_pop`.
    pub(super) bound: bool,
    /// The URL it was sent to, which is the audience of a client's own assertion.
    pub(super) endpoint: &'a str,
    /// The host of it.
    pub(super) host: &'a str,
    /// By the token proxy of the cluster, for a pod.
    pub(super) in_cluster: bool,
    /// Its assertions must be signed with RS256.
    pub(super) rs256: bool,
}

/// The tenant that a path names.
pub(super) fn tenant(sts: &Sts, name: &str) -> Result<&'static Tenant, Refusal> {
    if let Some(tenant) = sts.tenants.find(name) {
        return Ok(tenant);
    }
    if ["common", "organizations", "consumers"].contains(&name) {
        let text = "No tenant-identifying information found in either the request or implied by any provided credentials.";
        return Err(Refusal::new("invalid_request", 50059, text));
    }
    let text = format!(
        "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the \
         correct cloud. Check with your subscription administrator, this may happen if there are no active \
         subscriptions for the tenant."
    );
    Err(Refusal::new("invalid_request", 90002, text))
}
