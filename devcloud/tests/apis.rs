//! Do the APIs have what an SDK asks for, and 404 in their own words where they have nothing?
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use devcloud::Cloud;
use devcloud::directory::*;
use serde_json::{Value, json};

/// A Bearer token of application A for one resource, and requests with it.
struct Client<'a> {
    cloud: &'a Cloud,
    authorization: String,
}

impl<'a> Client<'a> {
    fn new(cloud: &'a Cloud, resource: &str) -> Self {
        let scope = format!("{resource}/.default");
        let form =
            [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), ("scope", scope.as_str())];
        let token = token(cloud, "login.microsoftonline.com", None, &form).token();
        Client { cloud, authorization: format!("authorization: Bearer {token}") }
    }

    fn send(&self, arguments: &[&str]) -> Reply {
        curl(self.cloud, &[&["-H", &self.authorization][..], arguments].concat())
    }
}

/// Is a secret set, read by name and by version, listed in pages, deleted, and brought back (Key Vault REST API 7)?
#[test]
fn secrets_of_a_vault() {
    let cloud = start();
    let client = Client::new(&cloud, VAULT_RESOURCE);
    let vault = "https://a.vault.azure.net";
    let set = |name: &str, body: Value| {
        client.send(&[
            "-X",
            "PUT",
            "-d",
            &body.to_string(),
            &format!("{vault}/secrets/{name}?api-version=7.6"),
        ])
    };
    let get = |path: &str| client.send(&[&format!("{vault}/{path}")]);
    let first = set("one", json!({ "value": "1", "contentType": "text/plain", "tags": { "a": "b" } })).json();
    set("one", json!({ "value": "2" }));
    assert_eq!(get("secrets/one").json()["value"], "2");
    let id = first["id"].as_str().unwrap();
    let by_version = client.send(&[id]).json();
    assert_eq!((&by_version["value"], &by_version["contentType"]), (&json!("1"), &json!("text/plain")));
    assert!(by_version["attributes"]["created"].is_number());
    assert_eq!(get("secrets/one/versions").json()["value"].as_array().unwrap().len(), 2);

    let mut names = Vec::new();
    let mut next = json!(format!("{vault}/secrets?api-version=7.6&maxresults=1"));
    while let Some(url) = next.as_str() {
        let page = client.send(&[url]).json();
        assert!(page["value"][0].get("value").is_none(), "lists give no values");
        names.push(page["value"][0]["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
        next = page["nextLink"].clone();
    }
    assert_eq!(names, ["demo", "one"]);

    let url = format!("{vault}/secrets/one");
    assert!(client.send(&["-X", "DELETE", &url]).json()["recoveryId"].is_string());
    assert_eq!(get("secrets/one").json()["error"]["code"], "SecretNotFound");
    assert_eq!((set("one", json!({ "value": "3" })).status, get("deletedsecrets/one").status), (409, 200));
    client.send(&["-X", "POST", "-d", "", &format!("{vault}/deletedsecrets/one/recover")]);
    assert_eq!(get("secrets/one").json()["value"], "2");
    for (reply, status, code) in [
        (get("secrets/none"), 404, "SecretNotFound"),
        (get("keys/none"), 404, "KeyNotFound"),
        (get("certificates/none"), 404, "CertificateNotFound"),
        (set("two", json!({ "value": 2 })), 400, "BadParameter"),
        (set("two_2", json!({ "value": "2" })), 400, "BadParameter"),
        (client.send(&["-X", "PUT", "-d", "no JSON", &format!("{vault}/secrets/two")]), 400, "BadParameter"),
    ] {
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &json!(code)), "{reply:?}");
    }
    assert_eq!(client.send(&["https://b.vault.azure.net/secrets/one"]).status, 404, "another vault");
}

/// Are collections of Graph read in pages, by id, by application id and by a filter, and is nothing a 404?
#[test]
fn collections_of_graph() {
    let cloud = start();
    let client = Client::new(&cloud, GRAPH_RESOURCE);
    let get = |path: &str| client.send(&["--globoff", &graph(path)]).json();
    let mut names = Vec::new();
    let mut next = json!(graph("/v1.0/users?$top=2"));
    while let Some(url) = next.as_str() {
        let page = client.send(&[url]).json();
        names.extend(page["value"].as_array().unwrap().iter().map(|user| user["displayName"].clone()));
        next = page["@odata.nextLink"].clone();
    }
    assert_eq!(names, ["Ada Lovelace", "Grace Hopper", "Radia Perlman"]);
    let app = get(&format!("/v1.0/applications/{APP_A_OBJECT_ID}"));
    assert_eq!(app["appId"], APP_A_CLIENT_ID);
    assert_eq!(get(&format!("/v1.0/applications(appId='{APP_A_CLIENT_ID}')"))["id"], APP_A_OBJECT_ID);
    let filtered =
        get(&format!("/v1.0/servicePrincipals?$count=true&$filter=appId%20eq%20'{APP_B_CLIENT_ID}'"));
    assert_eq!(
        (&filtered["@odata.count"], &filtered["value"][0]["id"]),
        (&json!(1), &json!(APP_B_OBJECT_ID))
    );
    for (path, code) in [
        ("/v1.0/applications/none", "Request_ResourceNotFound"),
        ("/v1.0/groups", "BadRequest"),
        ("/v1.0/users?$filter=startswith(mail,'a')", "Request_UnsupportedQuery"),
    ] {
        let refused = get(path);
        assert_eq!(refused["error"]["code"], code, "{path}");
        assert!(refused["error"]["innerError"]["request-id"].is_string());
    }
}

/// Are blobs put whole and in blocks, read whole and in parts, listed by level and in pages, and deleted, each error with its
/// code in a header?
#[test]
fn blobs_of_an_account() {
    let cloud = start();
    let client = Client::new(&cloud, STORAGE_RESOURCE);
    let at = |path: &str| format!("https://a.blob.core.windows.net/{path}");
    let put = |path: &str, body: &str| {
        let kind = [
            "-H",
            "x-ms-blob-type: BlockBlob",
            "-H",
            "x-ms-meta-of: devcloud",
            "-H",
            "content-type: text/plain",
        ];
        client.send(&[&["-X", "PUT"][..], &kind, &["-d", body, &at(path)]].concat())
    };
    assert!(put("box/one", "x").head.contains("x-ms-error-code: containernotfound"));
    let create = || client.send(&["-X", "PUT", "-d", "", &at("box?restype=container")]).status;
    assert_eq!((create(), create()), (201, 409));
    for path in ["box/a/one", "box/a/two", "box/b%20c", "box/d"] {
        assert_eq!(put(path, "0123456789").status, 201);
    }
    let whole = client.send(&[&at("box/b%20c")]);
    assert_eq!((whole.status, whole.body.as_str()), (200, "0123456789"));
    assert!(whole.head.contains("x-ms-meta-of: devcloud") && whole.head.contains("content-type: text/plain"));
    let part = client.send(&["-H", "x-ms-range: bytes=2-3", &at("box/d")]);
    assert_eq!((part.status, part.body.as_str()), (206, "23"));
    assert!(part.head.contains("content-range: bytes 2-3/10"));
    assert_eq!(client.send(&["-H", "x-ms-range: bytes=10-", &at("box/d")]).status, 416);
    let head = client.send(&["-I", &at("box/d")]);
    assert!(head.head.contains("content-length: 10") && head.body.is_empty(), "{head:?}");

    for (id, body) in [("AA==", "block "), ("AQ==", "list")] {
        let url = at(&format!("box/blocks?comp=block&blockid={id}"));
        assert_eq!(client.send(&["-X", "PUT", "-d", body, &url]).status, 201);
    }
    let listed = "<BlockList><Latest>AA==</Latest><Uncommitted>AQ==</Uncommitted></BlockList>";
    assert_eq!(client.send(&["-X", "PUT", "-d", listed, &at("box/blocks?comp=blocklist")]).status, 201);
    assert_eq!(client.send(&[&at("box/blocks")]).body, "block list");

    let list = |query: &str| client.send(&[&at(&format!("box?restype=container&comp=list{query}"))]).body;
    let names = |text: &str| {
        let names = text.split("<Name>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&list("")), ["a/one", "a/two", "b c", "blocks", "d"]);
    assert_eq!(names(&list("&prefix=a/")), ["a/one", "a/two"]);
    assert_eq!(names(&list("&delimiter=/&prefix=a")), ["a/"]);
    let first = list("&maxresults=2");
    assert!(first.contains("<NextMarker>b c</NextMarker>"), "{first}");
    assert_eq!(names(&list("&maxresults=2&marker=b%20c")), ["b c", "blocks"]);
    assert_eq!(client.send(&["-X", "DELETE", &at("box/d")]).status, 202);
    let gone = client.send(&[&at("box/d")]);
    assert!(gone.status == 404 && gone.head.contains("x-ms-error-code: blobnotfound"), "{gone:?}");
    let anonymous = curl(&cloud, &[&at("box/a/one")]);
    assert!(anonymous.status == 401 && anonymous.head.contains("resource_id=https://storage.azure.com"));
}
