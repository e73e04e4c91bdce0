//! Does each fault do to a client what it says, and no more?
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use devcloud::directory::{APP_A_CLIENT_ID, APP_A_SECRET, SYSTEM_ASSIGNED_CLIENT_ID};
use devcloud::{Close, Cloud, Fault, Options};
use serde_json::{Value, json};

const INSTANCE: &str = "https://login.microsoftonline.com/common/discovery/instance";
const METADATA: &str = "identity/getplatformmetadata?cred-api-version=2.0";

fn metadata(cloud: &Cloud) -> Reply {
    imds(cloud, METADATA, None)
}

/// Is a connection reset, and not merely closed, also beneath TLS in a tunnel?
#[test]
fn a_reset_is_one_of_tcp() {
    let cloud = start();
    for operation in ["metadata", "instance_discovery"] {
        cloud.fault(Fault { close: Some(Close::Reset), ..Fault::on(operation) }).unwrap();
    }
    for reply in [metadata(&cloud), curl(&cloud, &[INSTANCE])] {
        assert!(reply.error.to_lowercase().contains("reset by peer"), "{reply:?}");
    }
    assert_eq!((metadata(&cloud).status, curl(&cloud, &[INSTANCE]).status), (200, 400));
}

/// Does a slow body come whole, and does it take the time?
#[test]
fn a_body_comes_slowly() {
    let cloud = start();
    let quick = metadata(&cloud);
    cloud.fault(Fault { body_ms: 200, ..Fault::on("metadata") }).unwrap();
    let start = std::time::Instant::now();
    assert_eq!(metadata(&cloud).body, quick.body);
    assert!(start.elapsed().as_millis() >= 200);
}

/// Is what a huge body begins with the answer itself, and is its length announced?
#[test]
fn a_body_is_followed_by_blanks() {
    let cloud = start();
    let (quick, blanks) = (metadata(&cloud), 3_000_000);
    cloud.fault(Fault { blanks, ..Fault::on("metadata") }).unwrap();
    let huge = metadata(&cloud);
    assert_eq!(huge.body.len(), quick.body.len() + 3_000_000);
    assert_eq!(huge.json(), quick.json());
    assert!(huge.head.contains(&format!("content-length: {}", huge.body.len())), "{}", huge.head);
}

/// Is a stranger taken for the host by nobody who looks, and only that once?
#[test]
fn a_server_has_a_certificate_of_its_own_making() {
    let cloud = start();
    let vault = "https://devcloud.vault.azure.net/secrets";
    for (url, status) in [(INSTANCE, 400), (vault, 401)] {
        cloud.fault(Fault::on("tls_server_certificate")).unwrap();
        let refused = curl(&cloud, &[url]);
        assert!(refused.status == 0 && refused.error.contains("certificate"), "{refused:?}");
        assert_eq!(curl(&cloud, &[url]).status, status);
    }
    assert_eq!(cloud.counter("tls_failures"), 2);
    cloud.fault(Fault::on("tls_server_certificate")).unwrap();
    assert_eq!(curl(&cloud, &["--insecure", INSTANCE]).status, 400);
}

/// Is a certificate for another key of no use to who asked for it?
#[test]
fn a_certificate_is_for_another_key() {
    let cloud = start();
    cloud.fault(Fault { other_key: true, ..Fault::on("issuecredential") }).unwrap();
    let certificate = binding(&cloud, SYSTEM_ASSIGNED_CLIENT_ID);
    let form = [("client_id", SYSTEM_ASSIGNED_CLIENT_ID), GRAPH_SCOPE, POP];
    let refused = token(&cloud, "eastus.mtlsauth.microsoft.com", Some(&certificate), &form);
    assert!(refused.status == 0 && refused.error.contains("key"), "{refused:?}");
}

/// Has a status alone the body that the service's own errors have, and may a body be JSON by itself?
#[test]
fn a_status_alone_says_what_the_service_would() {
    let cloud = start();
    let fault = |operation: &str, body: Value| {
        let mut fault = json!({ "operation": operation, "status": 503 });
        fault.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let reply = curl(&cloud, &["-d", &fault.to_string(), &format!("{}/faults", cloud.control_url())]);
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let form = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), GRAPH_SCOPE];
    let get_token = || token(&cloud, "login.microsoftonline.com", None, &form);
    fault("token", json!({}));
    let refused = get_token();
    assert_eq!((refused.status, refused.code()), (503, 90033));
    assert_eq!(refused.json()["error"], "temporarily_unavailable");
    fault("metadata", json!({}));
    assert!(metadata(&cloud).json()["error_description"].is_string());
    fault("graph", json!({}));
    let refused = curl(&cloud, &["https://graph.microsoft.com/v1.0/users"]);
    assert_eq!(refused.json()["error"]["code"], "ServiceUnavailable");
    fault("token", json!({ "body": { "error": "mine" } }));
    assert_eq!(get_token().json(), json!({ "error": "mine" }));
    fault("token", json!({ "body": "mine" }));
    assert_eq!(get_token().body, "mine");
    cloud.fault(Fault::status("token", 503)).unwrap();
    assert_eq!(get_token().body, "");
}

/// Do a share and a window strike until they are cleared, and are strikes counted by name until a reset?
#[test]
fn faults_that_last_are_counted() {
    let cloud = start();
    let always =
        Fault { probability: Some(1.0), name: Some("busy".into()), ..Fault::status("metadata", 503) };
    cloud.fault(always).unwrap();
    cloud.fault(Fault { for_ms: Some(600_000), ..Fault::status("compute", 503) }).unwrap();
    for _ in 0..3 {
        assert_eq!(metadata(&cloud).status, 503);
        assert_eq!(imds(&cloud, "instance/compute?api-version=2021-02-01", None).status, 503);
    }
    cloud.clear_faults();
    assert_eq!((metadata(&cloud).status, cloud.counter("fault:busy")), (200, 3));
    cloud.reset();
    assert_eq!(cloud.counter("fault:busy"), 0);
    for probability in [-0.1, 1.1, f64::NAN] {
        let nonsense = Fault { probability: Some(probability), ..Fault::on("metadata") };
        assert!(cloud.fault(nonsense).is_err(), "{probability}");
    }
}

/// Do all tokens live as long as the owner of the cloud says, and say the services so?
#[test]
fn tokens_live_as_long_as_told() {
    let options = Options { token_seconds: Some(320), refresh_in: Some(10), ..Options::default() };
    let cloud = Cloud::start(options).unwrap();
    let form = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), GRAPH_SCOPE];
    let of_service = token(&cloud, "login.microsoftonline.com", None, &form);
    assert_eq!(
        (&of_service.json()["expires_in"], &of_service.json()["refresh_in"]),
        (&json!(320), &json!(10))
    );
    let resource = "identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com/";
    let of_imds = imds(&cloud, resource, None);
    assert_eq!(of_imds.json()["expires_in"], "319");
    for reply in [of_service, of_imds] {
        let claims = claims(&reply.token());
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 320);
    }
}
