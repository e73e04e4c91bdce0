//! Do tokens say of their API and their client what Entra's do, and are a team's own APIs what its configuration says?
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::*;
use devcloud::directory::*;
use devcloud::{Cloud, Config, Options};
use serde_json::json;

const LOGIN: &str = "login.microsoftonline.com";
const ID: (&str, &str) = ("client_id", APP_A_CLIENT_ID);
const SECRET: (&str, &str) = ("client_secret", APP_A_SECRET);
const CONFIG: &str = r#"
[[resource]]
audience = "api://orders"
roles = ["Orders.Read", "Orders.Write"]

[[resource]]
audience = "https://stock.example"
token_version = 1
mtls_pop = false
"#;

fn configured(text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("devcloud.toml");
    fs::write(&path, text).unwrap();
    Config::read(&path)
}

fn scope(resource: &str) -> String {
    format!("{resource}/.default")
}

/// Are version, issuer, name of the client and how it proved itself of one piece, for Microsoft's APIs (version 1) and others?
#[test]
fn versions_of_tokens() {
    let cloud = start();
    let certificate = binding(&cloud, SYSTEM_ASSIGNED_CLIENT_ID);
    let of_secret = |resource: &str| {
        claims(&token(&cloud, LOGIN, None, &[ID, SECRET, ("scope", &scope(resource))]).token())
    };
    let of_certificate = |resource: &str| {
        let form = [("client_id", SYSTEM_ASSIGNED_CLIENT_ID), POP, ("scope", &scope(resource))];
        claims(&token(&cloud, "mtlsauth.microsoft.com", Some(&certificate), &form).token())
    };
    let v1 = format!("https://sts.windows.net/{TENANT_ID}/");
    for (said, version, issuer, client, acr) in [
        (of_secret(GRAPH_RESOURCE), "1.0", v1.as_str(), ("appid", APP_A_CLIENT_ID), ("appidacr", "1")),
        (
            of_secret("https://database.windows.net"),
            "1.0",
            &v1,
            ("appid", APP_A_CLIENT_ID),
            ("appidacr", "1"),
        ),
        (of_secret("api://orders"), "2.0", STS_ISSUER, ("azp", APP_A_CLIENT_ID), ("azpacr", "1")),
        (of_certificate(VAULT_RESOURCE), "1.0", &v1, ("appid", SYSTEM_ASSIGNED_CLIENT_ID), ("appidacr", "2")),
        (
            of_certificate(FEDERATION_AUDIENCE),
            "2.0",
            STS_ISSUER,
            ("azp", SYSTEM_ASSIGNED_CLIENT_ID),
            ("azpacr", "2"),
        ),
    ] {
        assert_eq!(
            (&said["ver"], &said["iss"], &said["idtyp"]),
            (&json!(version), &json!(issuer), &json!("app"))
        );
        assert_eq!((&said[client.0], &said[acr.0]), (&json!(client.1), &json!(acr.1)));
        let other = if version == "1.0" { ["azp", "azpacr"] } else { ["appid", "appidacr"] };
        assert!(other.iter().all(|name| said.get(name).is_none()), "{said}");
    }
}

/// Has each API of the configuration its roles and version, does one that takes no bound tokens say so as Entra does, and is
/// there no other?
#[test]
fn apis_of_a_configuration() {
    let options = Options { config: configured(CONFIG).unwrap(), ..Options::default() };
    let cloud = Cloud::start(options).unwrap();
    let ask = |resource: &str| token(&cloud, LOGIN, None, &[ID, SECRET, ("scope", &scope(resource))]);
    let orders = claims(&ask("api://orders").token());
    assert_eq!((&orders["roles"], &orders["ver"]), (&json!(["Orders.Read", "Orders.Write"]), &json!("2.0")));
    let stock = claims(&ask("https://stock.example/").token());
    assert_eq!(
        (&stock["aud"], &stock["ver"], stock.get("roles")),
        (&json!("https://stock.example"), &json!("1.0"), None)
    );
    assert_eq!(ask("api://other").code(), 500_011);
    assert_eq!(ask(GRAPH_RESOURCE).status, 200, "Microsoft's stay");
    let managed = "identity/oauth2/token?api-version=2018-02-01&resource=api://";
    assert_eq!(claims(&imds(&cloud, &format!("{managed}orders"), None).token())["roles"][0], "Orders.Read");
    assert_eq!(imds(&cloud, &format!("{managed}other"), None).status, 400);

    let sni = cloud.files().sni();
    let bound = |resource: &str| {
        token(&cloud, "mtlsauth.microsoft.com", Some(&sni), &[ID, POP, ("scope", &scope(resource))])
    };
    assert_eq!(bound("api://orders").json()["token_type"], "mtls_pop");
    let refused = bound("https://stock.example");
    assert_eq!((refused.status, refused.code()), (400, 392_196));
}

/// Is a configuration that is wrong named with its file and what is wrong with it, before anything starts?
#[test]
fn wrong_configurations() {
    for (text, says) in [
        ("[[resource]]\nname = 'x'", "unknown field `name`"),
        ("[[resource]]\naudience = 'api://x'\ntoken_version = 3", "token_version of api://x is 1 or 2"),
        ("[[resource]]\naudience = 'api://x/'", "ends with a slash"),
        ("[[resource]]\nroles = ['x']", "missing field `audience`"),
        ("resource = ", "devcloud.toml"),
    ] {
        let error = configured(text).unwrap_err();
        assert!(error.contains(says) && error.contains("devcloud.toml"), "{error}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_devcloud"))
        .args(["run", "--config", "/no/such", "--", "true"])
        .output();
    assert!(String::from_utf8_lossy(&output.unwrap().stderr).contains("/no/such: No such file"));
}
