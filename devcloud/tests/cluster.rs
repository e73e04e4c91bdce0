//! The token proxy of the cluster: whom it serves, and who vouches for it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;

use common::{GRAPH_SCOPE, JWT_BEARER, Reply, curl, start, token};
use devcloud::Cloud;
use devcloud::directory::{APP_A_CLIENT_ID, APP_A_SECRET, TENANT_ID, USER_ASSIGNED_CLIENT_ID};

/// A request to the proxy, by the name that it has in TLS and with the authority in `ca`.
fn ask(cloud: &Cloud, ca: &str, name: &str, path: &str, form: &[(&str, &str)]) -> Reply {
    let env = cloud.env();
    let proxy = &env.iter().find(|(key, _)| key == "AZURE_KUBERNETES_TOKEN_PROXY").unwrap().1;
    let address = proxy.trim_start_matches("https://").split('/').next().unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let connect = format!("{name}:{port}:{host}:{port}");
    let url = format!("https://{name}:{port}{path}");
    let mut arguments = vec!["--noproxy", "*", "--cacert", ca, "--connect-to", &connect, &url];
    let fields: Vec<String> = form.iter().map(|(key, value)| format!("{key}={value}")).collect();
    for field in &fields {
        arguments.extend(["--data-urlencode", field]);
    }
    curl(cloud, &arguments)
}

/// Does it exchange a pod's token for one of the user-assigned managed identity, and nothing else for anybody?
#[test]
fn it_serves_pods() {
    let cloud = start();
    let ca = cloud.files().cluster_ca().display().to_string();
    let path = format!("/identity-binding/{TENANT_ID}/oauth2/v2.0/token");
    let pods = fs::read_to_string(cloud.files().identity_binding()).unwrap();
    let unbound = fs::read_to_string(cloud.files().fic_assertion_unbound()).unwrap();
    let grant = ("grant_type", "client_credentials");
    let form = |client, assertion| {
        let kind = ("client_assertion_type", JWT_BEARER);
        [grant, ("client_id", client), kind, ("client_assertion", assertion), GRAPH_SCOPE]
    };
    let pod = form(USER_ASSIGNED_CLIENT_ID, pods.as_str());
    let issued = ask(&cloud, &ca, "devcloud.ests.aks", &path, &pod);
    assert_eq!(issued.json()["token_type"], "Bearer", "{issued:?}");

    let secret = [grant, ("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), GRAPH_SCOPE];
    let of_app_a = form(APP_A_CLIENT_ID, pods.as_str());
    let of_another_audience = form(USER_ASSIGNED_CLIENT_ID, unbound.as_str());
    for (code, refused) in [(9_002_313, &secret[..]), (700_211, &of_app_a), (700_212, &of_another_audience)] {
        let refused = ask(&cloud, &ca, "devcloud.ests.aks", &path, refused);
        assert_eq!(refused.code(), code, "{refused:?}");
    }
    for path in ["/", "/identity-binding/common/discovery/instance", &path["/identity-binding".len()..]] {
        assert_eq!(ask(&cloud, &ca, "devcloud.ests.aks", path, &pod).status, 404, "{path}");
    }
    // Entra itself does not know the pods of the cluster.
    assert_eq!(token(&cloud, "login.microsoftonline.com", None, &pod[1..]).code(), 700_211);
}

/// Does its own authority vouch for it, and no other, by its one name, and another one after a rotation?
#[test]
fn its_authority_is_its_own() {
    let cloud = start();
    let own = cloud.files().cluster_ca();
    let status = |ca: &std::path::Path, name| ask(&cloud, ca.to_str().unwrap(), name, "/", &[]).status;
    assert_eq!(status(&own, "devcloud.ests.aks"), 404);
    assert_eq!(status(&own, "other.ests.aks"), 0);
    assert_eq!(status(&cloud.ca_pem_path(), "devcloud.ests.aks"), 0);
    let next = cloud.state_dir().join("next.pem");
    fs::write(&next, cloud.rotate_cluster_authority().unwrap()).unwrap();
    assert_eq!((status(&own, "devcloud.ests.aks"), status(&next, "devcloud.ests.aks")), (0, 404));
}
