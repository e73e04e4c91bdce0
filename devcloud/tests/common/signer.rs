//! Signs client assertions as application A, well or badly.

use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use devcloud::Cloud;
use devcloud::directory::APP_A_CLIENT_ID;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::{GRAPH_SCOPE, JWT_BEARER, Reply, endpoint, token_at};

pub struct Signer<'a> {
    cloud: &'a Cloud,
    key: EncodingKey,
    certificate: CertificateDer<'static>,
    pub x5c: Vec<String>,
}

impl<'a> Signer<'a> {
    pub fn new(cloud: &'a Cloud) -> Self {
        Signer::with(cloud, &cloud.files().sni())
    }

    pub fn with(cloud: &'a Cloud, file: &Path) -> Self {
        let chain: Vec<_> = CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect();
        let pem = std::fs::read_to_string(file).unwrap();
        let key = &pem[pem.find("-----BEGIN PRIVATE KEY").unwrap()..];
        Signer {
            cloud,
            key: EncodingKey::from_rsa_pem(key.as_bytes()).unwrap(),
            x5c: chain.iter().map(|der| STANDARD.encode(der)).collect(),
            certificate: chain[0].clone(),
        }
    }

    pub fn thumbprint(&self) -> String {
        Cloud::thumbprint(&self.certificate)
    }

    /// SHA-1 of the certificate, as `x5t` has it.
    pub fn x5t(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.certificate))
    }

    pub fn payload(&self, host: &str) -> Value {
        self.payload_for(&endpoint(host))
    }

    pub fn payload_for(&self, url: &str) -> Value {
        let now = self.cloud.now();
        json!({
            "aud": url, "iss": APP_A_CLIENT_ID, "sub": APP_A_CLIENT_ID,
            "nbf": now, "exp": now + 600, "jti": uuid::Uuid::new_v4().to_string(),
        })
    }

    /// Sends a PS256 assertion. `header` is merged into its header; it may break it.
    pub fn send(&self, host: &str, certificate: Option<&Path>, header: &Value, payload: &Value) -> Reply {
        let mut whole = json!({ "x5t#S256": self.thumbprint() });
        whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        self.send_to(&endpoint(host), certificate, Algorithm::PS256, whole, payload)
    }

    /// Sends a PS256 assertion with `x5c` to any URL.
    pub fn send_ps256(&self, url: &str, certificate: Option<&Path>) -> Reply {
        let header = json!({ "x5t#S256": self.thumbprint(), "x5c": self.x5c });
        self.send_to(url, certificate, Algorithm::PS256, header, &self.payload_for(url))
    }

    /// Sends an RS256 assertion, with `x5t`.
    pub fn send_rs256(&self, url: &str) -> Reply {
        let header = json!({ "x5t": self.x5t(), "x5c": self.x5c });
        self.send_to(url, None, Algorithm::RS256, header, &self.payload_for(url))
    }

    /// Sends an assertion with just this header, but for `alg` and `typ`.
    pub fn send_to(
        &self,
        url: &str,
        certificate: Option<&Path>,
        algorithm: Algorithm,
        header: Value,
        payload: &Value,
    ) -> Reply {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut whole = serde_json::to_value(Header::new(algorithm)).unwrap();
        whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let signed = format!("{}.{}", encode(&whole), encode(payload));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, algorithm).unwrap();
        let assertion = format!("{signed}.{signature}");
        let form = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.as_str())];
        let client = [("client_id", APP_A_CLIENT_ID), GRAPH_SCOPE];
        token_at(self.cloud, url, certificate, &[client, form].concat())
    }
}
