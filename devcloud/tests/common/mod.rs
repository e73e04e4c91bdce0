//! What the tests share: curl, as a client that knows nothing of devcloud, and requests it sends.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod csr;
pub mod evidence;
pub mod signer;
pub mod swtpm;

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use devcloud::directory::{GRAPH_RESOURCE, TENANT_ID, VM_ID};
use devcloud::{Cloud, Options};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub const JWT_POP: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-pop";
pub const GRAPH_SCOPE: (&str, &str) = ("scope", "https://graph.microsoft.com/.default");
pub const POP: (&str, &str) = ("token_type", "mtls_pop");

pub fn start() -> Cloud {
    Cloud::start(Options::default()).unwrap()
}

/// What curl got. `status` is 0 if there was no answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// What curl says on stderr, and its exit code.
    pub error: String,
    pub exit: i32,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The AADSTS number of a refusal; 0 if there is none.
    pub fn code(&self) -> u64 {
        self.json()["error_codes"][0].as_u64().unwrap_or_default()
    }

    pub fn token(&self) -> String {
        self.json()["access_token"].as_str().unwrap_or_else(|| panic!("no token: {self:?}")).to_owned()
    }
}

pub fn curl(cloud: &Cloud, arguments: &[&str]) -> Reply {
    let mut command = Command::new("curl");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["-q", "-sS", "-i", "--suppress-connect-headers", "--max-time", "20"]);
    command.args(["--proxy", &cloud.proxy_url(), "--noproxy", "127.0.0.1"]);
    command.arg("--cacert").arg(cloud.ca_pem_path());
    let output = command.args(["-w", "\n%{http_code}"]).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (answer, status) = text.rsplit_once('\n').unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    Reply {
        status: status.parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
        error: String::from_utf8(output.stderr).unwrap(),
        exit: output.status.code().unwrap(),
    }
}

/// A request to the token endpoint of `host`, with a client certificate or without.
pub fn token(cloud: &Cloud, host: &str, certificate: Option<&Path>, form: &[(&str, &str)]) -> Reply {
    token_at(cloud, &endpoint(host), certificate, form)
}

pub fn token_at(cloud: &Cloud, url: &str, certificate: Option<&Path>, form: &[(&str, &str)]) -> Reply {
    let mut arguments = vec![url.to_owned()];
    if let Some(certificate) = certificate {
        arguments.extend(["--cert".to_owned(), certificate.display().to_string()]);
    }
    for (name, value) in [("grant_type", "client_credentials")].iter().chain(form) {
        arguments.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
    }
    curl(cloud, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

pub fn endpoint(host: &str) -> String {
    format!("https://{host}/{TENANT_ID}/oauth2/v2.0/token")
}

/// A call of Graph (or another API) with a token.
pub fn call(cloud: &Cloud, url: &str, scheme: &str, token: &str, certificate: Option<&Path>) -> Reply {
    let authorization = format!("authorization: {scheme} {token}");
    let mut arguments = vec!["-H", &authorization, url];
    let path = certificate.map(|path| path.display().to_string());
    if let Some(path) = &path {
        arguments.extend(["--cert", path]);
    }
    curl(cloud, &arguments)
}

/// A request to IMDS.
pub fn imds(cloud: &Cloud, path_and_query: &str, body: Option<&Value>) -> Reply {
    let url = format!("{}/metadata/{path_and_query}", cloud.imds_url());
    let mut arguments = vec!["-H", "Metadata: true", &url];
    let body = body.map(Value::to_string);
    if let Some(body) = &body {
        arguments.extend(["-H", "content-type: application/json", "-d", body]);
    }
    curl(cloud, &arguments)
}

pub fn rsa_key() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

/// Asks IMDS for a certificate for `key`.
pub fn issue(cloud: &Cloud, client_id: &str, key: &KeyPair, attestation: Option<&str>) -> Reply {
    issue_for(cloud, client_id, &csr::Csr::new(client_id, TENANT_ID, VM_ID).der(key), attestation)
}

pub fn issue_for(cloud: &Cloud, client_id: &str, csr: &[u8], attestation: Option<&str>) -> Reply {
    let mut body = json!({ "csr": STANDARD.encode(csr) });
    if let Some(attestation) = attestation {
        body["attestation_token"] = json!(attestation);
    }
    imds(cloud, &format!("identity/issuecredential?cred-api-version=2.0&client_id={client_id}"), Some(&body))
}

/// Gets a certificate from IMDS and writes it, with its key, where curl finds it.
pub fn binding(cloud: &Cloud, client_id: &str) -> std::path::PathBuf {
    let key = rsa_key();
    let issued = issue(cloud, client_id, &key, None).json();
    let certificate = issued["certificate"].as_str().unwrap_or_else(|| panic!("{issued}"));
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n{}",
        key.serialize_pem()
    );
    let path = cloud.state_dir().join(format!("{client_id}.pem"));
    std::fs::write(&path, pem).unwrap();
    path
}

/// An access token for Graph, bound to app A's certificate.
pub fn bound_token(cloud: &Cloud) -> String {
    let form = [("client_id", devcloud::directory::APP_A_CLIENT_ID), GRAPH_SCOPE, POP];
    token(cloud, "mtlsauth.microsoft.com", Some(&cloud.files().sni()), &form).token()
}

/// The payload of a token.
pub fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

pub fn graph(path: &str) -> String {
    format!("{GRAPH_RESOURCE}{path}")
}
