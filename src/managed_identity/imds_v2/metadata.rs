//! `getplatformmetadata`: who this host and its identity are (managed_identity spec, section 5.2).

use serde::Deserialize;

use super::csr::CuId;
use crate::error::{Error, ErrorKind, Result, text};
use crate::http::{Client, Imds, Policy, Refusal, Request, send_with_retry};
use crate::managed_identity::ManagedIdentityId;
use crate::managed_identity::ManagedIdentitySource::Imds as SOURCE;
use crate::managed_identity::answer::{failed, refused, unreachable};
use crate::runtime::Call;

/// The answer, complete.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) cu_id: CuId,
    /// The canonical client id, whatever name the identity was asked for by.
    pub(crate) client_id: String,
    pub(crate) tenant_id: String,
    /// Where keys of this host are attested; a URL, or a bare host name.
    pub(crate) attestation_endpoint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    cu_id: Option<CuId>,
    client_id: Option<String>,
    tenant_id: Option<String>,
    attestation_endpoint: Option<String>,
}

const PATH: &str = "/metadata/identity/getplatformmetadata";

/// Asks for the metadata of the identity.
pub(crate) fn platform_metadata(
    imds: &Imds,
    client: &Client,
    id: &ManagedIdentityId,
    call: &Call,
) -> Result<Metadata> {
    let url = imds.url(PATH, &super::query(id));
    let request = Request::get(&url)
        .header("Metadata", "true")
        .header("x-ms-client-request-id", call.correlation_id.as_str())
        .header("Accept", "application/json");
    let response =
        send_with_retry(client, &request, call, Policy::Imds).map_err(|error| unreachable(SOURCE, error))?;
    match response.status {
        200 => {}
        404 => {
            return Err(Error::new(
                ErrorKind::NotSupported,
                "mtls_pop_token_not_supported_in_imds_v1",
                "the instance metadata service of this host has no IMDSv2, so it cannot issue the certificate \
                 that requests over mTLS need; ask for an ordinary Bearer token, or use a host that has IMDSv2",
            )
            .with_http_status(404));
        }
        _ => return Err(refused(SOURCE, &response, call.clock.now())),
    }
    let server = text::cut(response.header("server").unwrap_or_default(), 100);
    if !server.to_ascii_uppercase().contains("IMDS") {
        let text = format!("the answer to getplatformmetadata is not from IMDS (Server: {server:?})");
        return Err(Refusal::explain(failed(text).with_http_status(200), &response));
    }
    let answer = response.json().map_err(|_| incomplete("is not the JSON expected"));
    answer.and_then(check).map_err(|error| Refusal::explain(error, &response))
}

fn check(answer: Answer) -> Result<Metadata> {
    let text = |value: Option<String>, name: &str| {
        value.filter(|v| !v.is_empty()).ok_or_else(|| incomplete(&format!("lacks {name}")))
    };
    let cu_id = answer.cu_id.filter(CuId::names_something).ok_or_else(|| incomplete("lacks cuId"))?;
    Ok(Metadata {
        cu_id,
        client_id: text(answer.client_id, "clientId")?,
        tenant_id: text(answer.tenant_id, "tenantId")?,
        attestation_endpoint: text(answer.attestation_endpoint, "attestationEndpoint")?,
    })
}

fn incomplete(what: &str) -> Error {
    failed(format!("the answer to getplatformmetadata {what}")).with_http_status(200)
}
