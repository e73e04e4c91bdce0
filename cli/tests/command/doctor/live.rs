//! The whole flow of a doctor, and the transcript of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use devcloud::directory::{APP_A_CLIENT_ID, APP_A_SECRET, APP_B_CLIENT_ID, TENANT_ID};
use devcloud::{Cloud, Fault, Options};
use serde_json::{Value, json};

use super::{API, finds, found};
use crate::support::{GRAPH, as_app, in_cloud};

/// Everything that proved anybody in this cloud: tokens, assertions, secrets and keys, also piece by piece.
fn secrets(cloud: &Cloud) -> BTreeSet<String> {
    let mut secrets = BTreeSet::from([APP_A_SECRET.to_owned(), "proxy-geheim".to_owned()]);
    for request in cloud.requests() {
        let authorizations = ["authorization", "proxy-authorization", "x-identity-header", "secret"];
        let headers = authorizations.iter().filter_map(|name| request.headers.get(*name));
        secrets.extend(headers.filter_map(|value| value.split(' ').next_back()).map(str::to_owned));
        let forms = ["client_assertion", "client_secret"];
        secrets.extend(forms.iter().filter_map(|name| request.form(name)));
    }
    for entry in fs::read_dir(&cloud.files().directory).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let of_a_key = text.split("PRIVATE KEY-----").nth(1).unwrap_or_default();
        secrets.extend(of_a_key.lines().filter(|line| line.len() > 40).map(str::to_owned));
        let is_token = entry.path().extension().is_some_and(|end| end == "jwt");
        secrets.extend(is_token.then(|| text.trim().to_owned()));
    }
    let parts: Vec<String> = secrets.iter().flat_map(|secret| secret.split('.')).map(str::to_owned).collect();
    // The head of a token is the same for many.
    secrets.extend(parts.into_iter().filter(|part| part.len() > 100));
    secrets
}

/// Does the whole flow go well for a certificate, a managed identity, a federated credential and a secret, behind a proxy with a
/// password; is its transcript for its owner alone, does it say where each request went and under which id it was answered; and
/// is none of the secrets in it, nor in what is printed?
#[test]
fn transcripts() {
    let cloud =
        Cloud::start(Options { proxy_auth: Some("me:proxy-geheim".into()), ..Options::default() }).unwrap();
    let place = tempfile::tempdir().unwrap();
    let live = format!("doctor --json --live --resource {GRAPH}");
    let app = |id: &str, options: &str| {
        let mut command = in_cloud(&cloud, &format!("{live} {options}"));
        command.env("AZURE_TENANT_ID", TENANT_ID).env("AZURE_CLIENT_ID", id);
        command
    };
    let federated = cloud.files().fic_assertion_unbound();
    let rows: [(Command, &str, &[&str]); 4] = [
        (
            app(APP_A_CLIENT_ID, &format!("--pop --certificate {} {API}", cloud.files().sni().display())),
            "mtls_pop",
            &["mtlsauth.microsoft.com", "mtlstb.graph.microsoft.com"],
        ),
        (
            in_cloud(&cloud, &format!("{live} --pop {API}")),
            "mtls_pop",
            &["issuecredential", "eastus.mtlsauth.microsoft.com", "mtlstb.graph.microsoft.com"],
        ),
        (
            app(APP_B_CLIENT_ID, &format!("--federated-token-file {}", federated.display())),
            "Bearer",
            &["login.microsoftonline.com"],
        ),
        (
            {
                let mut command = app(APP_A_CLIENT_ID, &format!("{GRAPH}/v1.0/applications"));
                command.env("AZURE_CLIENT_SECRET", APP_A_SECRET);
                command
            },
            "Bearer",
            &["login.microsoftonline.com", "graph.microsoft.com"],
        ),
    ];
    for (number, (mut command, kind, asked)) in rows.into_iter().enumerate() {
        let path = place.path().join(format!("{number}.json"));
        command.arg("--transcript").arg(&path);
        let checks = found(&mut command, 0);
        finds(&checks, "token", "ok", kind, "");
        finds(&checks, "transcript", "ok", &path.display().to_string(), "");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        let transcript: Value = serde_json::from_str(&text).unwrap();
        let exchanges = transcript["exchanges"].as_array().unwrap();
        for asked in asked {
            let is_it = |exchange: &&Value| {
                format!(
                    "https://{}{}",
                    exchange["host"].as_str().unwrap(),
                    exchange["path"].as_str().unwrap()
                )
                .contains(asked)
                    && exchange["answer"]["status"] == 200
            };
            let exchange =
                exchanges.iter().rfind(is_it).unwrap_or_else(|| panic!("nothing of {asked}: {text}"));
            assert!(exchange["correlation_id"].as_str().unwrap().len() == 36, "{exchange}");
        }
        let of_token = exchanges
            .iter()
            .rfind(|exchange| exchange["form"].as_array().unwrap().contains(&json!("client_id")));
        let of_token = of_token.unwrap();
        assert!(of_token["answer"]["ids"]["x-ms-request-id"].is_string(), "{of_token}");
        let claims = transcript["token"]["claims"].as_array().unwrap();
        assert_eq!(
            (claims.contains(&json!("aud")), claims.contains(&json!("cnf"))),
            (true, kind != "Bearer")
        );
        let printed = serde_json::to_string(&checks).unwrap();
        for secret in secrets(&cloud) {
            assert!(
                !text.contains(&secret) && !printed.contains(&secret),
                "{secret} is told: {text} {printed}"
            );
        }
    }
    assert!(secrets(&cloud).len() > 30, "what is searched for is there");
}

/// Is what only services know found as well: a wrong secret, a downgraded token, an API for which it is not; is all before it in the
/// transcript; and is nothing sent where it could not be proven, or where nobody said what for?
#[test]
fn faults_of_the_flow() {
    let cloud = crate::support::cloud();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("transcript.json");
    let live = |options: &str| {
        let options = format!("doctor --json --live --transcript {} {options}", path.display());
        as_app(&cloud, &options)
    };
    let graph = format!("--resource {GRAPH}");
    let transcript = || fs::read_to_string(&path).unwrap();
    let mut wrong = live(&graph);
    finds(
        &found(wrong.env("AZURE_CLIENT_SECRET", "falsch"), 1),
        "token",
        "fault",
        "AADSTS7000215",
        "ERRORS.md",
    );
    assert!(transcript().contains("\"status\": 401") && !transcript().contains("falsch"), "{}", transcript());
    // The look at the endpoint comes first.
    cloud.fault(Fault { times: 2, ..Fault::set("token", json!({ "token_type": "Bearer" })) }).unwrap();
    let checks = found(&mut live(&format!("--pop {graph}")), 1);
    finds(&checks, "token", "fault", "token_type_mismatch", "ERRORS.md");
    let other = format!("--resource https://vault.azure.net {GRAPH}/v1.0/applications");
    finds(&found(&mut live(&other), 1), "call", "fault", "HTTP 401", "--resource");

    let before = cloud.counter("token");
    finds(&found(&mut live(""), 0), "token", "skipped", "--resource says what for", "");
    let unreadable =
        live(&format!("{graph} --certificate /nowhere")).env_remove("AZURE_CLIENT_SECRET").output();
    assert_eq!(unreadable.unwrap().status.code(), Some(1));
    assert_eq!(cloud.counter("token"), before, "a token was asked for");
    assert_eq!(as_app(&cloud, "doctor --transcript x").output().unwrap().status.code(), Some(2));
}
