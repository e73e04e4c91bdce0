//! IMDSv2: a certificate for a key made here, to ask the token service with (managed_identity spec, section 5).

mod csr;
mod issue;
mod metadata;

use std::sync::Arc;

use super::ManagedIdentityId;
use crate::binding::Binding;
use crate::error::Result;
use crate::http::{Client, Imds};
use crate::key::PrivateKey;
use crate::runtime::Call;

pub(crate) use metadata::{Metadata, platform_metadata};

const API_VERSION: (&str, &str) = ("cred-api-version", "2.0");

/// Has IMDS issue a certificate for `key`. `again` asks IMDS not to answer from its
/// cache, after the certificate it issued before was rejected.
pub(crate) fn mint(
    imds: &Imds,
    client: &Client,
    id: &ManagedIdentityId,
    metadata: &Metadata,
    key: Arc<dyn PrivateKey>,
    again: bool,
    call: &Call,
) -> Result<Binding> {
    call.log.info("managed_identity", || "asking IMDSv2 for a binding certificate".to_owned());
    let csr =
        csr::certificate_request(key.as_ref(), &metadata.client_id, &metadata.tenant_id, &metadata.cu_id)?;
    issue::issue_credential(imds, client, id, &csr, key, again, call)
}

/// The query of both calls.
fn query(id: &ManagedIdentityId) -> Vec<(&'static str, &str)> {
    let mut query = vec![API_VERSION];
    query.extend(id.query("mi_res_id"));
    query
}
