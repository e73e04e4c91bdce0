//! The instance metadata service: tokens (v1), certificates (v2) and facts about the machine.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock::{self, Clock};
use crate::csr::{self, Expected};
use crate::directory::{
    self, ATTESTATION_ENDPOINT, LOCATION, MANAGED_IDENTITIES, MTLS_ENDPOINT, ManagedIdentity, TENANT_ID,
    TPM_ATTESTATION, VM_ID,
};
use crate::exchange::{Answer, Pairs, Request, base64, new_id};
use crate::issuer::{Grant, Issuer};
use crate::jwt::{SigningKey, Token};
use crate::pki::{IMDS_CERTIFICATE_LIFETIME, Pki, thumbprint};
use crate::registry::Registry;
use crate::rsa_key::RsaKey;

/// Clients tell IMDS from an impostor by this.
pub(crate) const SERVER: &str = "IMDS/150.870.65.1854";
/// Versions of the compute metadata, newest first.
const COMPUTE_VERSIONS: [&str; 2] = ["2023-07-01", "2021-02-01"];
/// Tokens of IMDS last a day.
const TOKEN_LIFETIME: i64 = 24 * 3600;

/// The instance metadata service, and what it judges by.
pub(crate) struct Imds {
    pub(crate) clock: Clock,
    pub(crate) pki: Arc<Pki>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) registry: Arc<Registry>,
    /// The attestation service's.
    pub(crate) attestation_key: Arc<SigningKey>,
    pub(crate) require_attestation: bool,
    /// Of a key in a TPM.
    pub(crate) require_tpm_attestation: bool,
}

impl Imds {
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        judge(self, request).unwrap_or_else(|refusal| refusal).header("server", SERVER)
    }
}

impl Imds {
    /// What IMDS hands on when Entra has refused: the numbers are a text that looks like an array.
    fn refusal_of_entra(&self, error: &str, description: &str) -> Answer {
        let mut body = json!({
            "error": error,
            "error_description": description,
            "timestamp": clock::text(self.clock.now()).replace('T', " "),
            "trace_id": new_id(),
            "correlation_id": new_id(),
        });
        if let Some(code) = code_in(description) {
            body["error_codes"] = json!(format!("[{code}]"));
            body["error_uri"] = json!(format!("https://login.microsoftonline.com/error?code={code}"));
        }
        Answer::json(400, &body)
    }
}

/// Both ways out are answers; `Err` is the one that says no.
fn judge(imds: &Imds, request: &Request<'_>) -> Result<Answer, Answer> {
    let handler = match (request.method, request.path) {
        ("GET", "/metadata/identity/oauth2/token") => token,
        ("GET", "/metadata/identity/getplatformmetadata") => platform_metadata,
        ("POST", "/metadata/identity/issuecredential") => issue_credential,
        ("GET", "/metadata/instance/compute") => compute,
        _ => return Err(Answer::not_found(request)),
    };
    if request.header("metadata").is_none_or(|value| !value.eq_ignore_ascii_case("true")) {
        return Err(refusal("invalid_request", "Required metadata header not specified"));
    }
    if request.header("x-forwarded-for").is_some() {
        return Err(refusal("invalid_request", "A request that was forwarded is not accepted"));
    }
    handler(imds, request)
}

fn token(imds: &Imds, request: &Request<'_>) -> Result<Answer, Answer> {
    let query = request.query();
    if query.get("api-version") != Some("2018-02-01") {
        return Err(refusal(
            "invalid_request",
            "Required query variable 'api-version' is missing or not supported",
        ));
    }
    let identity = identity(&query, "msi_res_id")?;
    let asked = query
        .get("resource")
        .ok_or_else(|| refusal("invalid_request", "Required query variable 'resource' is missing"))?;
    let Some(resource) = imds.registry.find(asked) else {
        let description =
            format!("AADSTS500011: The resource principal named {asked} was not found in the tenant.");
        return Err(imds.refusal_of_entra("invalid_resource", &description));
    };
    let now = imds.clock.now();
    let grant = Grant {
        tenant: directory::Tenant::home(),
        client: directory::Client::ManagedIdentity(identity),
        audience: asked,
        resource: &resource,
        by_secret: false,
        bound_to: None,
        claims: None,
        form: None,
        lifetime: imds.issuer.lifetime(TOKEN_LIFETIME),
    };
    let token = imds.issuer.access_token(&grant, request.fault).map_err(|error| Answer::text(500, error))?;
    let lifetime = grant.lifetime;
    Ok(Answer::json(
        200,
        &json!({
            "access_token": token,
            "client_id": identity.client_id,
            "expires_in": (lifetime - 1).to_string(),
            "expires_on": (now + lifetime).to_string(),
            "ext_expires_in": (lifetime - 1).to_string(),
            "not_before": (now - 300).to_string(),
            "resource": asked,
            "token_type": "Bearer",
        }),
    ))
}

fn platform_metadata(_: &Imds, request: &Request<'_>) -> Result<Answer, Answer> {
    let identity = v2_identity(request)?;
    Ok(Answer::json(
        200,
        &json!({
            "cuId": { "vmId": VM_ID },
            "clientId": identity.client_id,
            "tenantId": TENANT_ID,
            "attestationEndpoint": ATTESTATION_ENDPOINT,
        }),
    ))
}

fn issue_credential(imds: &Imds, request: &Request<'_>) -> Result<Answer, Answer> {
    let invalid = |description: String| refusal("invalid_request", &description);
    let identity = v2_identity(request)?;
    let body = request.json().map_err(invalid)?;
    let csr = body["csr"].as_str().ok_or_else(|| invalid("csr is missing or no string".to_owned()))?;
    let expected = Expected { client_id: identity.client_id, tenant_id: TENANT_ID, vm_id: VM_ID };
    let public_key = csr::judge(csr, expected).map_err(invalid)?;
    let required = imds.require_attestation || imds.require_tpm_attestation;
    match &body["attestation_token"] {
        Value::Null if required => {
            return Err(invalid("Attestation token is missing or empty".to_owned()));
        }
        Value::Null => {}
        Value::String(token) => judge_attestation(imds, token, &public_key).map_err(invalid)?,
        _ => return Err(invalid("attestation_token is no string".to_owned())),
    }
    let lifetime =
        request.fault.and_then(|fault| fault.certificate_seconds).unwrap_or(IMDS_CERTIFICATE_LIFETIME);
    let other_key = request.fault.is_some_and(|fault| fault.other_key);
    let public_key = if other_key { imds.pki.fic_binding.key.public_key_raw().to_vec() } else { public_key };
    let certificate = imds
        .pki
        .issue_imds(identity.client_id, TENANT_ID, &public_key, imds.clock.now(), lifetime)
        .map_err(|error| Answer::text(500, error.to_string()))?;
    if body["attestation_token"].is_string() {
        imds.issuer.note_attested(thumbprint(&certificate));
    }
    Ok(Answer::json(
        200,
        &json!({
            "client_id": identity.client_id,
            "tenant_id": TENANT_ID,
            "certificate": base64(&certificate),
            "identity_type": identity.kind,
            "mtls_authentication_endpoint": MTLS_ENDPOINT,
        }),
    ))
}

/// Whether the token is the attestation service's, valid now, and about this key (RSAPublicKey, DER). The error says
/// why not.
fn judge_attestation(imds: &Imds, token: &str, public_key: &[u8]) -> Result<(), String> {
    let token = Token::parse(token).map_err(|error| format!("Attestation token is invalid: {error}"))?;
    if !imds.attestation_key.signed(&token) {
        return Err("Attestation token is invalid: it is not signed by the attestation endpoint".to_owned());
    }
    let now = imds.clock.now();
    if token.number("exp").is_none_or(|exp| now >= exp) {
        return Err("Attestation token is invalid: it has expired".to_owned());
    }
    if imds.require_tpm_attestation && token.text("x-ms-attestation-type") != Some(TPM_ATTESTATION) {
        return Err("Attestation token is invalid: it is not about a key in a TPM".to_owned());
    }
    let attested = &token.claims["x-ms-runtime"]["keys"][0];
    let key = RsaKey::from_der(public_key)?.jwk();
    if attested["n"] != key["n"] || attested["e"] != key["e"] {
        return Err("Attestation token is invalid: it is about another key than that of the CSR".to_owned());
    }
    Ok(())
}

fn compute(_: &Imds, request: &Request<'_>) -> Result<Answer, Answer> {
    if !request.query().get("api-version").is_some_and(|version| COMPUTE_VERSIONS.contains(&version)) {
        let body = json!({
            "error": "Bad request. api-version is invalid or was not specified in the request. For more information refer to aka.ms/azureimds",
            "newest-versions": COMPUTE_VERSIONS,
        });
        return Err(Answer::json(400, &body));
    }
    Ok(Answer::json(
        200,
        &json!({
            "azEnvironment": "AzurePublicCloud",
            "location": LOCATION,
            "name": "devcloud-vm",
            "osType": "Linux",
            "resourceGroupName": "devcloud",
            "securityProfile": { "secureBootEnabled": "true", "securityType": "TrustedLaunch", "virtualTpmEnabled": "true" },
            "subscriptionId": "5c1b0d3e-0000-4000-8000-00000000dc01",
            "vmId": VM_ID,
        }),
    ))
}

fn v2_identity(request: &Request<'_>) -> Result<&'static ManagedIdentity, Answer> {
    let query = request.query();
    if query.get("cred-api-version") != Some("2.0") {
        return Err(refusal(
            "invalid_request",
            "Required query variable 'cred-api-version' is missing or not supported",
        ));
    }
    identity(&query, "mi_res_id")
}

/// The identity that the query names; the system-assigned one when it names none.
fn identity(query: &Pairs, resource_id_name: &str) -> Result<&'static ManagedIdentity, Answer> {
    let other_version = if resource_id_name == "mi_res_id" { "msi_res_id" } else { "mi_res_id" };
    if query.get(other_version).is_some() {
        let description =
            format!("{other_version} is of another version of this API; here it is {resource_id_name}");
        return Err(refusal("invalid_request", &description));
    }
    let client_id = query.get("client_id");
    let object_id = query.get("object_id");
    let resource_id = query.get(resource_id_name);
    let names = [client_id, object_id, resource_id].into_iter().flatten().count();
    if names > 1 {
        return Err(refusal("invalid_request", "An identity may be named in one way only"));
    }
    let same = |named: Option<&str>, own: &str| named.is_some_and(|named| named.eq_ignore_ascii_case(own));
    MANAGED_IDENTITIES
        .iter()
        .find(|identity| {
            names == 0
                || same(client_id, identity.client_id)
                || same(object_id, identity.object_id)
                || identity.resource_id.is_some_and(|own| same(resource_id, own))
        })
        .ok_or_else(|| refusal("invalid_request", "Identity not found"))
}

fn refusal(error: &str, description: &str) -> Answer {
    Answer::json(400, &json!({ "error": error, "error_description": description }))
}

/// The number in a description that starts with `AADSTSnnnn:`.
fn code_in(description: &str) -> Option<u32> {
    description.strip_prefix("AADSTS")?.split(':').next()?.parse().ok()
}
