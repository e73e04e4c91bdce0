//! `issuecredential`: a certificate for our key (managed_identity spec, sections 5.7 and 5.8).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::binding::{Binding, Certificate, renewal_time};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Imds, Policy, Refusal, Request, https_url, send_with_retry, without_secrets};
use crate::key::PrivateKey;
use crate::managed_identity::ManagedIdentityId;
use crate::managed_identity::ManagedIdentitySource::Imds as SOURCE;
use crate::managed_identity::answer::{failed, refused, unreachable};
use crate::runtime::Call;

/// What is sent.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    pub(super) csr: &'a str,
    /// Absent where nothing was attested: neither null nor empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attestation_token: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    client_id: Option<String>,
    tenant_id: Option<String>,
    certificate: Option<String>,
    identity_type: Option<String>,
    mtls_authentication_endpoint: Option<String>,
}

const PATH: &str = "/metadata/identity/issuecredential";

/// Sends `body` and puts the certificate that comes back together with `key`.
pub(super) fn issue_credential(
    imds: &Imds,
    client: &Client,
    id: &ManagedIdentityId,
    body: &Body<'_>,
    key: Arc<dyn PrivateKey>,
    again: bool,
    call: &Call,
) -> Result<Binding> {
    let mut query = super::query(id);
    if again {
        query.push(("bypass_cache", "true"));
    }
    let url = imds.url(PATH, &query);
    let json = body.to_json()?;
    let request = Request::post(&url, &json)
        .header("Metadata", "true")
        .header("x-ms-client-request-id", call.correlation_id.as_str())
        .header("Accept", "application/json")
        .header("Content-Type", "application/json; charset=utf-8")
        .repeatable(true);
    let response =
        send_with_retry(client, &request, call, Policy::Imds).map_err(|error| unreachable(SOURCE, error))?;
    if response.status != 200 {
        let response = without_secrets(response, body.attestation_token);
        let error = refused(SOURCE, &response, call.clock.now()).context("issuecredential");
        return Err(match body.attestation_token {
            None if wants_attestation(response.status, &response.body) => error.context(
                "this host issues certificates for attested keys only, so set an attestation callback, or have a TPM attest them",
            ),
            _ => error,
        });
    }
    let answer = response.json().map_err(|_| incomplete("is not the JSON expected"));
    answer
        .and_then(|answer| bind(answer, key, body.attestation_token.is_some(), &*call.clock))
        .map_err(|error| Refusal::explain(error, &without_secrets(response, body.attestation_token)))
}

impl Body<'_> {
    /// Wiped, and large enough from the start: growing would leave copies of the token behind.
    fn to_json(&self) -> Result<Zeroizing<Vec<u8>>> {
        let length = self.csr.len() + self.attestation_token.map_or(0, str::len) + 64;
        let mut json = Zeroizing::new(Vec::with_capacity(length));
        serde_json::to_writer(&mut *json, self)
            .map_err(|e| Error::internal(format!("issuecredential: {e}")))?;
        Ok(json)
    }
}

/// Whether the answer says that the attestation token is missing or empty (section 5.7).
fn wants_attestation(status: u16, body: &[u8]) -> bool {
    let said = String::from_utf8_lossy(body).to_ascii_lowercase();
    status == 400 && said.contains("attestation") && (said.contains("missing") || said.contains("empty"))
}

fn bind(answer: Answer, key: Arc<dyn PrivateKey>, attested: bool, clock: &dyn Clock) -> Result<Binding> {
    let text = |value: Option<String>, name: &str| {
        value.filter(|v| !v.is_empty()).ok_or_else(|| incomplete(&format!("lacks {name}")))
    };
    text(answer.identity_type, "identity_type")?;
    let client_id = text(answer.client_id, "client_id")?;
    let tenant_id = text(answer.tenant_id, "tenant_id")?;
    let base = text(answer.mtls_authentication_endpoint, "mtls_authentication_endpoint")?;
    let base64: String =
        text(answer.certificate, "certificate")?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(base64).map_err(|_| invalid("IMDS issued a certificate that is not Base64"))?;
    let certificate = Certificate::new(vec![der], key)
        .map_err(|e| invalid(&format!("IMDS issued a certificate that cannot be used: {e}")))?
        .with_attestation(attested);
    let renew_on = renewal_time(&certificate, Uuid::new_v4().as_fields().0);
    let endpoint = endpoint(&base, &tenant_id)?;
    let (minted, minted_here) = (clock.now(), Some(clock.monotonic()));
    Ok(Binding { certificate, endpoint, client_id, tenant_id, minted, minted_here, renew_on })
}

/// Section 5.8, and never anything but https: the certificate will be presented there.
fn endpoint(base: &str, tenant_id: &str) -> Result<Url> {
    let tenant = tenant_id.trim_matches('/');
    if !tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')) {
        return Err(incomplete("names a tenant_id that is none"));
    }
    https_url(&format!("{}/{tenant}", base.trim().trim_end_matches('/')))
        .filter(|url| url.query().is_none() && url.fragment().is_none())
        .ok_or_else(|| incomplete("names an mtls_authentication_endpoint that is not an https URL"))
}

fn incomplete(what: &str) -> Error {
    failed(format!("the answer to issuecredential {what}")).with_http_status(200)
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidResponse, "invalid_certificate", message)
}
