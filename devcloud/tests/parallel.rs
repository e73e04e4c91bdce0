//! Do tests that share a cloud not meet, where each has a tenant of its own?
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use devcloud::directory::*;
use devcloud::{Cloud, Fault};
use serde_json::{Value, json};

const SECRET: [(&str, &str); 2] = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET)];

fn control(cloud: &Cloud, path: &str, body: Option<Value>) -> Reply {
    let (url, body) = (format!("{}{path}", cloud.control_url()), body.map(|body| body.to_string()));
    let arguments: Vec<&str> = body.iter().flat_map(|body| ["-d", body]).chain([url.as_str()]).collect();
    curl(cloud, &arguments)
}

fn tenant(cloud: &Cloud) -> (String, String) {
    let made = control(cloud, "/tenants", Some(json!({}))).json();
    (made["id"].as_str().unwrap().to_owned(), made["domain"].as_str().unwrap().to_owned())
}

fn ask(cloud: &Cloud, tenant: &str, client: &[(&str, &str)]) -> Reply {
    let url = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
    token_at(cloud, &url, None, &[client, &[GRAPH_SCOPE]].concat())
}

/// Has a tenant that a test made the applications, under its id and its name, and are its tokens its own?
#[test]
fn a_tenant_for_a_test() {
    let cloud = start();
    let (id, domain) = tenant(&cloud);
    assert_ne!(tenant(&cloud).0, id);
    for name in [&id, &domain] {
        let issued = ask(&cloud, name, &SECRET).token();
        assert_eq!(claims(&issued)["tid"], *id);
        assert_eq!(call(&cloud, &graph("/v1.0/me"), "Bearer", &issued, None).status, 200);
    }
    let configuration =
        format!("https://login.microsoftonline.com/{domain}/v2.0/.well-known/openid-configuration");
    assert!(curl(&cloud, &[&configuration]).json()["issuer"].as_str().unwrap().contains(&id));
    let of_another_cloud = start();
    assert_eq!(ask(&of_another_cloud, &id, &SECRET).code(), 90002);
}

/// Does a fault of one tenant strike nobody else, at the token service and at an API, and are requests told apart?
#[test]
fn faults_and_requests_of_one_tenant() {
    let cloud = start();
    let ((mine, domain), (yours, _)) = (tenant(&cloud), tenant(&cloud));
    let fault = |operation: &str| Fault { tenant: Some(mine.clone()), ..Fault::status(operation, 503) };
    cloud.fault(fault("token")).unwrap();
    cloud.fault(fault("graph")).unwrap();
    assert_eq!(ask(&cloud, &yours, &SECRET).status, 200);
    assert_eq!(ask(&cloud, &domain, &SECRET).status, 503);
    let (my_token, your_token) = (ask(&cloud, &mine, &SECRET).token(), ask(&cloud, &yours, &SECRET).token());
    let status = |token: &str| call(&cloud, &graph("/v1.0/me"), "Bearer", token, None).status;
    assert_eq!((status(&your_token), status(&my_token), status(&my_token)), (200, 503, 200));

    let counters = |query: &str| control(&cloud, &format!("/counters{query}"), None).json();
    assert_eq!(counters(&format!("?tenant={mine}")), json!({ "token": 2, "graph": 2 }));
    assert_eq!(counters(&format!("?tenant={yours}")), json!({ "token": 2, "graph": 1 }));
    assert_eq!(counters("")["token"], 4);
    let requests = control(&cloud, &format!("/requests?tenant={yours}"), None).json();
    assert!(requests.as_array().unwrap().iter().all(|request| request["client_id"] == APP_A_CLIENT_ID));
    assert_eq!(control(&cloud, "/requests?tenent=x", None).status, 400);
}

/// Does a fault of one client strike no other in the same tenant, also of an identity at IMDS; and is one refused that would
/// never strike, as requests of its kind do not tell whose they are?
#[test]
fn faults_of_one_client() {
    let cloud = start();
    cloud.fault(Fault { client_id: Some(APP_B_CLIENT_ID.into()), ..Fault::status("token", 503) }).unwrap();
    assert_eq!(ask(&cloud, TENANT_ID, &SECRET).status, 200);
    assert_eq!(ask(&cloud, TENANT_ID, &[("client_id", APP_B_CLIENT_ID)]).status, 503);
    let identity =
        Fault { client_id: Some(USER_ASSIGNED_CLIENT_ID.into()), ..Fault::status("imds_token", 503) };
    cloud.fault(identity).unwrap();
    let path = "identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com";
    assert_eq!(imds(&cloud, path, None).status, 200);
    assert_eq!(imds(&cloud, &format!("{path}&client_id={USER_ASSIGNED_CLIENT_ID}"), None).status, 503);
    for operation in ["connect", "tls_client_certificate", "imds_token", "app_service", "instance_discovery"]
    {
        let scoped = Fault { tenant: Some(TENANT_ID.into()), ..Fault::on(operation) };
        assert!(
            cloud.fault(scoped).unwrap_err().to_string().contains("does not tell its tenant"),
            "{operation}"
        );
    }
    for operation in ["connect", "machine_learning", "cloud_shell", "openid_configuration"] {
        let scoped = Fault { client_id: Some(APP_A_CLIENT_ID.into()), ..Fault::on(operation) };
        assert!(cloud.fault(scoped).is_err(), "{operation}");
    }
}

/// Does one cloud give each test the environment of the host that it is about?
#[test]
fn environments_of_hosts() {
    let cloud = start();
    let env = |query: &str| control(&cloud, &format!("/env{query}"), None).json()["set"].clone();
    assert_eq!(env("?as=secret")["AZURE_CLIENT_SECRET"], APP_A_SECRET);
    let workload = env("?as=workload");
    assert_eq!(workload["AZURE_CLIENT_ID"], APP_B_CLIENT_ID);
    assert!(workload.get("AZURE_CLIENT_SECRET").is_none());
    assert!(env("?as=managed-identity&source=app-service")["IDENTITY_HEADER"].is_string());
    let unset = control(&cloud, "/env?as=secret", None).json()["unset"].clone();
    assert!(
        ["https_proxy", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"]
            .iter()
            .all(|name| unset.as_array().unwrap().contains(&json!(name)))
    );
    assert_eq!(control(&cloud, "/env?as=nobody", None).status, 400);
}
