//! Does each source of managed identities other than IMDS serve what it should, and refuse the rest in its words?
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use common::*;
use devcloud::directory::*;
use devcloud::{ArcAgent, Cloud, Fault, Options, Source};
use serde_json::json;

const RESOURCE: &str = "resource=https://graph.microsoft.com/";

/// A client of one source that knows what its environment says.
struct Client<'a> {
    cloud: &'a Cloud,
    env: BTreeMap<String, String>,
}

impl<'a> Client<'a> {
    fn new(cloud: &'a Cloud, source: Source) -> Self {
        Self { cloud, env: cloud.source_env(source).into_iter().collect() }
    }

    fn get(&self, query: &str, headers: &[&str]) -> Reply {
        let endpoint = self.env.get("IDENTITY_ENDPOINT").or(self.env.get("MSI_ENDPOINT")).unwrap();
        let url = format!("{endpoint}?{query}");
        // The certificate of Service Fabric's server is not what these tests are about.
        let mut arguments = vec!["-k"];
        headers.iter().for_each(|header| arguments.extend(["-H", header]));
        arguments.push(&url);
        curl(self.cloud, &arguments)
    }
}

fn good(cloud: &Cloud, reply: &Reply) {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["token_type"], "Bearer");
    assert_eq!(call(cloud, &graph("/v1.0/me"), "Bearer", &reply.token(), None).status, 200);
}

#[test]
fn app_service() {
    let cloud = start();
    let client = Client::new(&cloud, Source::AppService);
    let secret = format!("X-IDENTITY-HEADER: {}", client.env["IDENTITY_HEADER"]);
    let right = format!("api-version=2019-08-01&{RESOURCE}");
    let token = client.get(&right, &[&secret]);
    good(&cloud, &token);
    assert!(token.json()["expires_on"].is_string());
    for name in [
        format!("client_id={USER_ASSIGNED_CLIENT_ID}"),
        format!("object_id={USER_ASSIGNED_OBJECT_ID}"),
        format!("principal_id={USER_ASSIGNED_OBJECT_ID}"),
        format!("mi_res_id={USER_ASSIGNED_RESOURCE_ID}"),
    ] {
        let token = client.get(&format!("{right}&{name}"), &[&secret]);
        assert_eq!(token.json()["client_id"], USER_ASSIGNED_CLIENT_ID, "{name}");
    }
    let capable = client.get(&format!("{right}&xms_cc=cp1,cp2"), &[&secret]);
    assert_eq!(claims(&capable.token())["xms_cc"], json!(["cp1", "cp2"]));
    for (query, headers, status) in [
        (right.as_str(), &[][..], 401),
        (&right, &["X-IDENTITY-HEADER: wrong"], 401),
        (&format!("api-version=2017-09-01&{RESOURCE}"), &[&secret], 400),
        ("api-version=2019-08-01", &[&secret], 400),
        (&format!("{right}&msi_res_id=x"), &[&secret], 400),
        (&format!("{right}&client_id=stranger"), &[&secret], 400),
        (&format!("{right}&client_id=x&principal_id=x"), &[&secret], 400),
        (&format!("{right}&object_id=x&principal_id=x"), &[&secret], 400),
    ] {
        let refused = client.get(query, headers);
        assert_eq!((refused.status, &refused.json()["statusCode"]), (status, &status.into()), "{query}");
        assert!(refused.json()["correlationId"].is_string());
    }
    cloud.fault(Fault::status("app_service", 503)).unwrap();
    assert_eq!(client.get(&right, &[&secret]).status, 503);
}

#[test]
fn azure_arc_believes_who_can_read_a_file_once() {
    let cloud = start();
    let client = Client::new(&cloud, Source::AzureArc);
    let right = format!("api-version=2020-06-01&{RESOURCE}");
    let challenge = client.get(&right, &["Metadata: true"]);
    assert_eq!(challenge.status, 401);
    let file = fs::read_dir(cloud.files().arc_tokens()).unwrap().next().unwrap().unwrap();
    let path = file.path();
    let header = format!(
        "www-authenticate: basic realm=/var/opt/azcmagent/tokens/{}",
        file.file_name().to_str().unwrap()
    );
    assert!(challenge.head.lines().any(|line| line == header), "{challenge:?}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let authorization = format!("Authorization: Basic {}", fs::read_to_string(&path).unwrap());
    good(&cloud, &client.get(&right, &["Metadata: true", &authorization]));
    assert!(!path.exists());
    for (query, headers, status) in [
        (right.as_str(), &["Metadata: true", authorization.as_str()][..], 401),
        (&right, &["Metadata: true", "Authorization: Basic "], 401),
        (&right, &[], 400),
        (&format!("api-version=2019-08-01&{RESOURCE}"), &["Metadata: true"], 400),
        (&format!("{right}&principalId=x"), &["Metadata: true"], 400),
    ] {
        let refused = client.get(query, headers);
        assert_eq!(refused.status, status, "{query}: {refused:?}");
        assert!(refused.json()["error_description"].is_string());
    }
}

/// since_july_2026 spec, section 1: does the agent answer for the identity that is named, and say so by that name; does it
/// take no notice of `mi_res_id`; and does an older one answer for the system-assigned identity, without a word?
#[test]
fn azure_arc_knows_user_assigned_identities_or_not() {
    let ask = |cloud: &Cloud, more: &str| {
        let client = Client::new(cloud, Source::AzureArc);
        let query = format!("api-version=2020-06-01&{RESOURCE}&{more}");
        let challenge = client.get(&query, &["Metadata: true"]);
        let name = challenge.head.lines().find_map(|line| line.rsplit_once("/tokens/")).unwrap().1;
        let key = fs::read_to_string(cloud.files().arc_tokens().join(name.trim())).unwrap();
        client.get(&query, &["Metadata: true", &format!("Authorization: Basic {key}")])
    };
    let (current, legacy) =
        (start(), Cloud::start(Options { arc_agent: ArcAgent::Legacy, ..Options::default() }).unwrap());
    for (name, value) in [
        ("client_id", USER_ASSIGNED_CLIENT_ID),
        ("object_id", USER_ASSIGNED_OBJECT_ID),
        ("msi_res_id", USER_ASSIGNED_RESOURCE_ID),
        ("mi_res_id", USER_ASSIGNED_RESOURCE_ID),
    ] {
        let named = format!("{name}={value}");
        let (new, old) = (ask(&current, &named), ask(&legacy, &named));
        let known = name != "mi_res_id";
        let whose = if known { USER_ASSIGNED_OBJECT_ID } else { SYSTEM_ASSIGNED_OBJECT_ID };
        assert_eq!(claims(&new.token())["oid"], whose, "{name}");
        assert_eq!(claims(&old.token())["oid"], SYSTEM_ASSIGNED_OBJECT_ID, "{name}");
        for echo in ["client_id", "object_id", "msi_res_id", "mi_res_id"] {
            assert_eq!(new.json().get(echo).is_some(), known && echo == name, "{name}: {new:?}");
            assert!(old.json().get(echo).is_none(), "{name}: {old:?}");
        }
    }
    let stranger = ask(&current, "client_id=stranger");
    assert_eq!((stranger.status, &stranger.json()["error"]), (404, &json!("identity_not_found")));
    assert_eq!(ask(&current, &format!("client_id={USER_ASSIGNED_CLIENT_ID}&object_id=x")).status, 400);
}

#[test]
fn service_fabric_is_known_by_its_thumbprint_and_keeps_its_tokens() {
    let cloud = start();
    let client = Client::new(&cloud, Source::ServiceFabric);
    assert_eq!(client.env["IDENTITY_SERVER_THUMBPRINT"].len(), 40);
    let untrusted = curl(&cloud, &[&client.env["IDENTITY_ENDPOINT"]]);
    assert_eq!((untrusted.status, untrusted.exit), (0, 60), "{untrusted:?}");

    let secret = format!("secret: {}", client.env["IDENTITY_HEADER"]);
    let right = format!("api-version=2020-05-01&{RESOURCE}");
    let get = |more: &str| client.get(&format!("{right}{more}"), &[&secret]);
    let first = get("");
    good(&cloud, &first);
    assert!(first.json()["expires_on"].is_number());
    assert_eq!(get("").token(), first.token());
    let hash = |token: &str| -> String {
        digest(&SHA256, token.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
    };
    let refresh = format!("&token_sha256_to_refresh={}", hash(&first.token()));
    let second = get(&refresh);
    good(&cloud, &second);
    assert_ne!(second.token(), first.token());
    assert_eq!(get(&refresh).token(), second.token());
    cloud.advance_clock(Duration::from_secs(25 * 3600));
    assert_ne!(get("").token(), second.token());

    assert_eq!(claims(&get("&xms_cc=cp1,cp2").token())["xms_cc"], json!(["cp1", "cp2"]));
    let user = get(&format!("&principalId={USER_ASSIGNED_OBJECT_ID}"));
    assert_eq!(claims(&user.token())["oid"], USER_ASSIGNED_OBJECT_ID);
    for more in ["&client_id=x", "&token_sha256_to_refresh=ABC", "&principalId=stranger"] {
        let refused = get(more);
        assert_eq!(refused.status, 400, "{more}");
        assert!(refused.json()["error"]["code"].is_string());
    }
    assert_eq!(client.get(&right, &["secret: wrong"]).json()["error"]["code"], "SecretHeaderInvalid");
    assert_eq!(client.get(&right, &[]).json()["error"]["code"], "SecretHeaderNotFound");
}

#[test]
fn cloud_shell_is_posted_to() {
    let cloud = start();
    let client = Client::new(&cloud, Source::CloudShell);
    let endpoint = client.env["MSI_ENDPOINT"].as_str();
    let post = |arguments: &[&str]| curl(&cloud, &[&[endpoint], arguments].concat());
    let metadata = ["-H", "Metadata: true"];
    good(&cloud, &post(&[&metadata[..], &["--data-urlencode", RESOURCE]].concat()));
    let charset = ["-H", "Content-Type: application/x-www-form-urlencoded;charset=utf-8"];
    good(&cloud, &post(&[&metadata[..], &charset, &["--data-urlencode", RESOURCE]].concat()));
    for arguments in [
        &["-d", RESOURCE][..],
        &[&metadata[..], &["-d", "resource=https://nobody.invalid"]].concat(),
        &[&metadata[..], &["-d", RESOURCE, "-d", "client_id=x"]].concat(),
        &[&metadata[..], &["-d", RESOURCE, "-H", "Content-Type: text/plain"]].concat(),
    ] {
        let refused = post(arguments);
        assert_eq!(refused.status, 400, "{arguments:?}");
        assert!(refused.json()["error"]["code"].is_string());
    }
    assert_eq!(client.get(RESOURCE, &metadata[1..]).status, 405);
}

#[test]
fn machine_learning_answers_as_the_api_of_2017() {
    let cloud = start();
    let client = Client::new(&cloud, Source::MachineLearning);
    let secret = format!("secret: {}", client.env["MSI_SECRET"]);
    let headers = ["Metadata: true", &secret];
    let right =
        format!("api-version=2017-09-01&{RESOURCE}&clientid={}", client.env["DEFAULT_IDENTITY_CLIENT_ID"]);
    // MSAL for Python sends no Metadata, may name no identity, and reads seconds.
    for (query, headers) in [
        (right.as_str(), &headers[..]),
        (&right, &headers[1..]),
        (&format!("api-version=2017-09-01&{RESOURCE}"), &headers),
    ] {
        let token = client.get(query, headers);
        good(&cloud, &token);
        assert!(token.json()["expires_on"].as_str().unwrap().parse::<u64>().is_ok(), "{token:?}");
    }
    for (query, headers, status) in [
        (right.as_str(), &headers[..1], 401),
        (&right.replace("clientid", "client_id"), &headers, 400),
        (&right.replace("2017-09-01", "2019-08-01"), &headers, 400),
    ] {
        let refused = client.get(query, headers);
        assert_eq!(refused.status, status, "{query}");
        assert!(refused.json()["error"]["message"].is_string());
    }
}
