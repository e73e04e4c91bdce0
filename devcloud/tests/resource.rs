//! Does a resource take a token only from whom, and how, it was meant to come?
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use devcloud::Fault;
use devcloud::directory::*;

#[test]
fn a_bound_token_needs_its_scheme_and_its_certificate() {
    let cloud = start();
    let (token, files) = (bound_token(&cloud), cloud.files());
    let me = graph("/v1.0/me");
    assert_eq!(call(&cloud, &me, "mtls_pop", &token, Some(&files.sni())).status, 200);
    for (scheme, certificate, says) in [
        ("Bearer", Some(files.sni()), "Cnf claim not supported over Bearer protocol."),
        ("mtls_pop", Some(files.sni_rotated()), "MtlsCnfClaimRequestDataValidationFailed: "),
        ("mtls_pop", None, "MtlsMissingClientCertificate: "),
    ] {
        let refused = call(&cloud, &me, scheme, &token, certificate.as_deref());
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (401, &"InvalidAuthenticationToken".into())
        );
        assert!(
            refused.body.contains(says) && refused.head.contains("www-authenticate: bearer "),
            "{refused:?}"
        );
    }
}

#[test]
fn a_token_is_for_one_audience_and_one_hour() {
    let cloud = start();
    let form = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET)];
    let get = |scope: &str| {
        token(&cloud, "login.microsoftonline.com", None, &[&form[..], &[("scope", scope)]].concat()).token()
    };
    let (graph_token, vault_token) =
        (get("https://graph.microsoft.com/.default"), get("https://vault.azure.net/.default"));
    let status = |url: &str, token: &str| call(&cloud, url, "Bearer", token, None).status;
    let vault = "https://a.vault.azure.net/secrets/demo";
    assert_eq!(
        (status(&graph("/v1.0/me"), &graph_token), status(&graph("/v1.0/me"), &vault_token)),
        (200, 401)
    );
    assert_eq!((status(vault, &vault_token), status(vault, &graph_token)), (200, 401));

    cloud.fault(Fault::claims("token", serde_json::json!({ "exp": 1 }))).unwrap();
    assert_eq!(
        status(&graph("/v1.0/me"), &get("https://graph.microsoft.com/.default")),
        401,
        "a fault made it expired"
    );
    cloud.advance_clock(Duration::from_secs(3600));
    assert_eq!(status(&graph("/v1.0/me"), &graph_token), 401);
}

#[test]
fn key_vault_wants_to_be_told_that_a_token_is_bound() {
    let cloud = start();
    let form = [("client_id", APP_A_CLIENT_ID), ("scope", "https://vault.azure.net/.default"), POP];
    let sni = cloud.files().sni();
    let token = token(&cloud, "mtlsauth.microsoft.com", Some(&sni), &form).token();
    let url = "https://a.vault.azure.net/secrets/demo";
    assert_eq!(call(&cloud, url, "mtls_pop", &token, Some(&sni)).status, 401);
    let authorization = format!("authorization: mtls_pop {token}");
    let told =
        ["-H", &authorization, "-H", "x-ms-tokenboundauth: true", "--cert", sni.to_str().unwrap(), url];
    assert_eq!(curl(&cloud, &told).status, 200);
}

#[test]
fn a_claims_challenge_is_met_with_its_claims() {
    let cloud = start();
    let form = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), GRAPH_SCOPE];
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"},"xms_cc":{"values":["cp1"]}}}"#;
    let url = graph("/claims-challenge");
    let plain = token(&cloud, "login.microsoftonline.com", None, &form).token();
    let challenged = call(&cloud, &url, "Bearer", &plain, None);
    assert_eq!(challenged.status, 401);
    assert!(challenged.head.contains("error=\"insufficient_claims\", claims=\""), "{challenged:?}");
    let met = token(&cloud, "login.microsoftonline.com", None, &[&form[..], &[("claims", claims)]].concat())
        .token();
    assert_eq!(common::claims(&met)["xms_cc"][0], "cp1");
    assert_eq!(call(&cloud, &url, "Bearer", &met, None).status, 200);
}

#[test]
fn special_paths_do_what_they_say() {
    let cloud = start();
    let form = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), GRAPH_SCOPE];
    let token = token(&cloud, "login.microsoftonline.com", None, &form).token();
    let get = |path: &str| call(&cloud, &graph(path), "Bearer", &token, None);
    assert!(get("/redirect").head.contains("location: https://devcloud.vault.azure.net/"));
    assert_eq!(get("/status/418").status, 418);
    assert_eq!(get("/big/100000").body.len(), 100_000);
    for beyond in ["/big/67108865", "/big/many", "/big/-1"] {
        let refused = get(beyond);
        assert_eq!(refused.status, 400);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains("67108864 (64 MiB) at most"));
    }
    assert_eq!(get("/slow/1").status, 200);
    let authorization = format!("authorization: Bearer {token}");
    let echo = curl(&cloud, &["-H", &authorization, "-d", "hello", &graph("/echo")]).json();
    assert_eq!((&echo["body"], &echo["method"]), (&"hello".into(), &"POST".into()));
}
