//! IMDSv2: a certificate for a key made here, to ask the token service with (managed_identity spec, section 5).

mod csr;
mod issue;
mod metadata;
mod switch;

use std::sync::Arc;

use super::ManagedIdentityId;
use crate::attestation::Attestor;
use crate::binding::Binding;
use crate::error::Result;
use crate::http::{Client, Imds};
use crate::key::PrivateKey;
use crate::runtime::Call;
use crate::secret::Secret;

pub(crate) use metadata::{Metadata, platform_metadata};
pub(crate) use switch::{Switch, TURNED_OFF, turned_off};

const API_VERSION: (&str, &str) = ("cred-api-version", "2.0");

/// What a certificate is to be like.
pub(crate) struct Order<'a> {
    pub(crate) metadata: &'a Metadata,
    pub(crate) key: Arc<dyn PrivateKey>,
    /// Attests the key first, or there is no certificate (section 5.6).
    pub(crate) attestor: Option<&'a Attestor<'a>>,
    /// IMDS is not to answer from its cache: the certificate it issued before was rejected.
    pub(crate) again: bool,
}

/// Has IMDS issue a certificate.
pub(crate) fn mint(
    imds: &Imds,
    client: &Client,
    id: &ManagedIdentityId,
    order: &Order<'_>,
    call: &Call,
) -> Result<Binding> {
    call.log.info("managed_identity", || "asking IMDSv2 for a binding certificate".to_owned());
    let Order { metadata, key, attestor, again } = order;
    let Metadata { client_id, tenant_id, cu_id, .. } = metadata;
    let csr = csr::certificate_request(key.as_ref(), client_id, tenant_id, cu_id, &call.wait())?;
    let attestation = attestor.map(|attestor| {
        attestor.token(&metadata.attestation_endpoint, &metadata.client_id, key, *again, call)
    });
    let attestation = attestation.transpose()?;
    let body = issue::Body { csr: &csr, attestation_token: attestation.as_ref().map(Secret::expose) };
    let issued = issue::issue_credential(imds, client, id, &body, key.clone(), *again, call);
    issued.inspect_err(|error| {
        // It may be the token that is refused; the next try, with the same key, has another.
        if let Some(attestor) = attestor.filter(|_| error.http_status() == Some(400)) {
            attestor.forget(&metadata.attestation_endpoint, key.as_ref());
        }
    })
}

/// The query of both calls.
fn query(id: &ManagedIdentityId) -> Vec<(&'static str, &str)> {
    let mut query = vec![API_VERSION];
    query.extend(id.query("mi_res_id"));
    query
}
