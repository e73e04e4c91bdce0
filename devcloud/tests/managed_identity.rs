//! Does IMDS hand out what the STS and Graph then accept, and refuse what it should?
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use devcloud::directory::*;
use devcloud::{Cloud, Fault, Options};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::PublicKeyData as _;
use serde_json::json;

fn pop(cloud: &Cloud, client_id: &str, certificate: &std::path::Path) -> Reply {
    token(
        cloud,
        "eastus.mtlsauth.microsoft.com",
        Some(certificate),
        &[("client_id", client_id), GRAPH_SCOPE, POP],
    )
}

#[test]
fn an_issued_certificate_gets_a_token_that_graph_accepts_on_its_connections() {
    let cloud = start();
    let certificate = binding(&cloud, USER_ASSIGNED_CLIENT_ID);
    let token = pop(&cloud, USER_ASSIGNED_CLIENT_ID, &certificate);
    assert_eq!(token.json()["token_type"], "mtls_pop");
    let called = call(&cloud, &graph("/v1.0/me"), "mtls_pop", &token.token(), Some(&certificate));
    assert_eq!(called.status, 200, "{called:?}");
    assert_eq!(called.json()["x5t#S256"], claims(&token.token())["cnf"]["x5t#S256"]);
    assert_eq!((cloud.counter("issuecredential"), cloud.counter("token"), cloud.counter("graph")), (1, 1, 1));
}

/// since_july_2026 spec, section 2: is a Bearer token given for the certificate, bound to nothing, to who says so?
#[test]
fn an_issued_certificate_gets_a_bearer_token_that_is_asked_for_by_name() {
    let cloud = start();
    let certificate = binding(&cloud, SYSTEM_ASSIGNED_CLIENT_ID);
    let ask =
        |form: &[(&str, &str)]| token(&cloud, "eastus.mtlsauth.microsoft.com", Some(&certificate), form);
    let id = ("client_id", SYSTEM_ASSIGNED_CLIENT_ID);
    for name in ["bearer", "Bearer"] {
        let issued = ask(&[id, GRAPH_SCOPE, ("token_type", name)]);
        assert_eq!(issued.json()["token_type"], "Bearer");
        assert!(claims(&issued.token()).get("cnf").is_none());
        assert_eq!(call(&cloud, &graph("/v1.0/me"), "Bearer", &issued.token(), None).status, 200);
    }
    assert_eq!(ask(&[id, GRAPH_SCOPE]).code(), 51000);
    assert_eq!(ask(&[id, GRAPH_SCOPE, ("token_type", "pop")]).code(), 9002313);
}

#[test]
fn a_certificate_speaks_for_its_own_identity_and_only_while_it_is_valid() {
    let cloud = start();
    let certificate = binding(&cloud, SYSTEM_ASSIGNED_CLIENT_ID);
    assert_eq!(pop(&cloud, USER_ASSIGNED_CLIENT_ID, &certificate).code(), 1000610);
    assert_eq!(pop(&cloud, SYSTEM_ASSIGNED_CLIENT_ID, &cloud.files().sni()).code(), 1000610);
    cloud.advance_clock(Duration::from_secs(7 * 24 * 3600 + 1));
    let expired = pop(&cloud, SYSTEM_ASSIGNED_CLIENT_ID, &certificate);
    assert_eq!((expired.code(), &expired.json()["error"]), (1000610, &"invalid_client".into()));
}

#[test]
fn one_identity_has_three_names_and_strangers_have_none() {
    let cloud = start();
    for name in [
        format!("client_id={USER_ASSIGNED_CLIENT_ID}"),
        format!("object_id={USER_ASSIGNED_OBJECT_ID}"),
        format!("mi_res_id={USER_ASSIGNED_RESOURCE_ID}"),
    ] {
        let metadata =
            imds(&cloud, &format!("identity/getplatformmetadata?cred-api-version=2.0&{name}"), None);
        assert_eq!(metadata.json()["clientId"], USER_ASSIGNED_CLIENT_ID, "{name}");
        assert!(metadata.head.contains("server: imds/"), "{metadata:?}");
    }
    let v1 = "identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com/";
    let token = imds(&cloud, v1, None);
    assert_eq!(claims(&token.token())["aud"], "https://graph.microsoft.com/");
    assert!(token.json()["expires_on"].is_string());
    assert_eq!(call(&cloud, &graph("/v1.0/me"), "Bearer", &token.token(), None).status, 200);

    let stranger = imds(&cloud, &format!("{v1}&client_id=stranger"), None);
    assert_eq!((stranger.status, &stranger.json()["error_description"]), (400, &"Identity not found".into()));
    let v2_name = imds(&cloud, &format!("{v1}&mi_res_id={USER_ASSIGNED_RESOURCE_ID}"), None);
    assert_eq!(v2_name.status, 400);
    let bare = curl(&cloud, &[&format!("{}/metadata/{v1}", cloud.imds_url())]);
    assert_eq!(bare.status, 400);
}

/// Are paths taken with a slash after them, which MSAL for Node sends, by IMDS and by the token service; and is what was
/// sent what the log shows (since_july_2026, section 12)?
#[test]
fn a_slash_after_the_path() {
    let cloud = start();
    let of_imds = "identity/oauth2/token/?api-version=2018-02-01&resource=https://graph.microsoft.com/";
    assert_eq!(imds(&cloud, of_imds, None).json()["token_type"], "Bearer");
    let url = format!("{}/", endpoint("westus2.login.microsoft.com"));
    let form = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), GRAPH_SCOPE];
    assert_eq!(token_at(&cloud, &url, None, &form).json()["token_type"], "Bearer");
    assert_eq!((cloud.counter("imds_token"), cloud.counter("token")), (1, 1));
    let requests = cloud.requests();
    let mut paths = requests.iter().map(|request| &request.path).filter(|path| path.contains("oauth2"));
    assert!(paths.all(|path| path.ends_with("/token/")), "{requests:?}");
}

/// What does IMDS say when Entra refused (managed_identity spec; since_july_2026, section 12), in both forms of the numbers
/// that clients have met?
#[test]
fn imds_hands_on_what_entra_said() {
    let cloud = start();
    let ask =
        || imds(&cloud, "identity/oauth2/token?api-version=2018-02-01&resource=api://nothing", None).json();
    let refused = ask();
    assert_eq!(
        (&refused["error"], &refused["error_codes"]),
        (&"invalid_resource".into(), &"[500011]".into())
    );
    for member in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
        assert!(refused[member].is_string(), "{member}");
    }
    cloud.fault(Fault::set("imds_token", json!({ "error_codes": [500_011] }))).unwrap();
    assert_eq!(ask()["error_codes"], json!([500_011]));
}

/// Can a client that is refused learn a version of the compute metadata that is served?
#[test]
fn compute_metadata_names_the_versions_that_it_has() {
    let cloud = start();
    let compute = |query: &str| imds(&cloud, &format!("instance/compute{query}"), None);
    for query in ["", "?api-version=2020-09-01", "?format=json"] {
        let refused = compute(query);
        let versions = json!(["2023-07-01", "2021-02-01"]);
        assert_eq!((refused.status, &refused.json()["newest-versions"]), (400, &versions), "{query}");
        assert!(refused.json()["error"].is_string());
    }
    let first = "?api-version=2021-02-01";
    cloud.fault(Fault::status("compute", 400)).unwrap();
    assert_eq!(compute(first).status, 400);
    assert_eq!(compute("").json()["newest-versions"][0], "2023-07-01");
    assert_eq!(compute("?api-version=2023-07-01").json()["location"], LOCATION);

    cloud.fault(Fault::set("compute", json!({ "location": "East US 2" }))).unwrap();
    assert_eq!(compute(first).json()["location"], "East US 2");
    assert_eq!(compute(first).json()["location"], LOCATION);
}

#[test]
fn attestation_must_be_ours_and_about_the_key_in_the_csr() {
    let cloud = Cloud::start(Options { require_attestation: true, ..Options::default() }).unwrap();
    let (key, other) = (rsa_key(), rsa_key());
    let issue = |attestation: Option<&str>| issue(&cloud, SYSTEM_ASSIGNED_CLIENT_ID, &key, attestation);
    let right = cloud.mint_attestation(key.der_bytes()).unwrap();
    assert_eq!(issue(Some(&right)).status, 200);

    let about_other = cloud.mint_attestation(other.der_bytes()).unwrap();
    for (attestation, says) in [
        (None, "missing or empty"),
        (Some(about_other.as_str()), "another key"),
        (Some("e30.e30.e30"), "not signed"),
    ] {
        let refused = issue(attestation);
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains(says), "{says:?} is not in {refused:?}");
    }
}

#[test]
fn the_attestation_endpoint_believes_only_the_holder_of_the_key() {
    let cloud = start();
    let key = rsa_key();
    let private = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();
    let jwk = Jwk::from_encoding_key(&private, Algorithm::PS256).unwrap();
    let attest = |signed: &str| {
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &private, Algorithm::PS256).unwrap();
        let body =
            json!({ "jwk": jwk, "nonce": "nonce", "alg": "PS256", "signature": signature }).to_string();
        curl(
            &cloud,
            &["-d", &body, &format!("{ATTESTATION_ENDPOINT}/attest/keyguard?api-version=2020-10-01")],
        )
    };
    assert_eq!(attest("another nonce").status, 400);
    let token = attest("nonce").json()["token"].as_str().unwrap().to_owned();
    assert_eq!(issue(&cloud, SYSTEM_ASSIGNED_CLIENT_ID, &key, Some(&token)).status, 200);
}

#[test]
fn faults_strike_as_often_as_asked() {
    let cloud = start();
    let metadata = || imds(&cloud, "identity/getplatformmetadata?cred-api-version=2.0", None);
    cloud.fault(Fault { times: 2, ..Fault::status("metadata", 503) }).unwrap();
    cloud.fault(Fault::set("metadata", json!({ "tenantId": null, "clientId": "bent" }))).unwrap();
    assert_eq!((metadata().status, metadata().status), (503, 503));
    let bent = metadata().json();
    assert_eq!((&bent["clientId"], bent.get("tenantId")), (&"bent".into(), None));
    assert_eq!(metadata().json()["clientId"], SYSTEM_ASSIGNED_CLIENT_ID);
    assert!(cloud.fault(Fault::on("metadatum")).is_err());

    cloud.fault(Fault { certificate_seconds: Some(60), ..Fault::on("issuecredential") }).unwrap();
    let certificate = binding(&cloud, SYSTEM_ASSIGNED_CLIENT_ID);
    cloud.advance_clock(Duration::from_secs(61));
    assert_eq!(pop(&cloud, SYSTEM_ASSIGNED_CLIENT_ID, &certificate).code(), 1000610);
}
