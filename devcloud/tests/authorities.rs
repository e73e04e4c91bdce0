//! Are authorities that are not Entra's own where their clients look for them?
#![allow(clippy::unwrap_used)]

mod common;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::signer::Signer;
use common::*;
use devcloud::Fault;
use devcloud::directory::*;
use serde_json::{Value, json};

#[test]
fn each_kind_has_its_path_and_signs_its_way() {
    let cloud = start();
    let signer = Signer::new(&cloud);
    let sni = cloud.files().sni();
    let tenant = TENANT_ID;
    for (url, only_rs256) in [
        (format!("https://a.dsts.core.azure-test.net/dstsv2/{tenant}/oauth2/v2.0/token"), true),
        ("https://a.dsts.core.azure-test.net/dstsv2/common/oauth2/v2.0/token".to_owned(), true),
        (format!("https://a.ciamlogin.com/{tenant}/oauth2/v2.0/token"), false),
        (format!("https://a.b2clogin.com/tfp/{tenant}/b2c_1_policy/oauth2/v2.0/token"), false),
        ("https://adfs.devcloud.test/adfs/oauth2/token".to_owned(), true),
        ("https://idp.devcloud.test/oauth2/token".to_owned(), true),
        ("https://idp2.devcloud.test/tenant-x/oauth2/token".to_owned(), true),
    ] {
        let client = [("client_id", APP_A_CLIENT_ID), GRAPH_SCOPE];
        let secret =
            token_at(&cloud, &url, None, &[&client[..], &[("client_secret", APP_A_SECRET)]].concat());
        assert_eq!(secret.json()["token_type"], "Bearer", "{url} {secret:?}");
        let bound = token_at(&cloud, &url, Some(&sni), &[&client[..], &[POP]].concat());
        assert_eq!(bound.json()["token_type"], "mtls_pop", "{url} {bound:?}");
        let downgrade = token_at(&cloud, &url, None, &[&client[..], &[POP]].concat());
        assert_eq!(downgrade.code(), 9002313, "{url} {downgrade:?}");
        let signed = signer.send_rs256(&url);
        assert_eq!(signed.status, 200, "{url} {signed:?}");
        let signed = signer.send_ps256(&url, None);
        assert_eq!(signed.status == 200, !only_rs256, "{url} {signed:?}");
    }
}

/// Does instance discovery know the private cloud, deny the unknown one, and both serve tokens?
#[test]
fn a_cloud_of_another_name_is_known_to_instance_discovery_or_not() {
    let cloud = start();
    let ask = |at: &str, about: &str| {
        let endpoint = format!("https://{about}/{OTHER_TENANT_ID}/oauth2/v2.0/authorize");
        let query = format!("api-version=1.1&authorization_endpoint={endpoint}");
        curl(&cloud, &[&format!("https://{at}/common/discovery/instance?{query}")])
    };
    for at in ["login.microsoftonline.com", "login.devcloud.test", "login.microsoftonline.us"] {
        for about in ["login.devcloud.test", "sts.devcloud.test", "eastus.login.devcloud.test"] {
            let known = ask(at, about).json();
            let metadata = known["metadata"].as_array().unwrap();
            let network = |entry: &&Value| entry["preferred_network"] == "login.devcloud.test";
            let entry = metadata.iter().find(network).unwrap();
            assert_eq!(entry["aliases"], json!(["login.devcloud.test", "sts.devcloud.test"]), "{at} {about}");
            assert_eq!(
                known["tenant_discovery_endpoint"],
                format!("https://{about}/{OTHER_TENANT_ID}/v2.0/.well-known/openid-configuration")
            );
        }
        for about in ["login.unknown.test", "eastus.login.unknown.test", "example.com", ""] {
            let denied = ask(at, about);
            assert_eq!(
                (denied.code(), &denied.json()["error"]),
                (50049, &"invalid_instance".into()),
                "{about}"
            );
        }
    }
    let sni = cloud.files().sni();
    let client = [("client_id", APP_A_CLIENT_ID), GRAPH_SCOPE];
    for domain in ["devcloud.test", "unknown.test"] {
        for region in ["", "eastus."] {
            let secret = [&client[..], &[("client_secret", APP_A_SECRET)]].concat();
            let login = token(&cloud, &format!("{region}login.{domain}"), None, &secret);
            assert_eq!(login.json()["token_type"], "Bearer", "{login:?}");
            let bound = [&client[..], &[POP]].concat();
            let mtls = token(&cloud, &format!("{region}mtlsauth.{domain}"), Some(&sni), &bound);
            assert_eq!(mtls.json()["token_type"], "mtls_pop", "{mtls:?}");
        }
    }
}

/// Does Entra publish what clients and validators of tokens read, for a tenant and for any, in both versions; and does it
/// name hosts that it has (since_july_2026, section 12)?
#[test]
fn entra_publishes_its_configuration() {
    let cloud = start();
    let get = |url: &str| curl(&cloud, &[url]).json();
    for (host, mtls) in [
        ("login.microsoftonline.com", "mtlsauth.microsoft.com"),
        ("sts.windows.net", "mtlsauth.microsoft.com"),
        ("login.usgovcloudapi.net", "mtlsauth.microsoftonline.us"),
        ("login.chinacloudapi.cn", "mtlsauth.partner.microsoftonline.cn"),
        ("sts.devcloud.test", "mtlsauth.devcloud.test"),
        ("login.sovcloud-identity.fr", "mtlsauth.sovcloud-identity.fr"),
    ] {
        let published = get(&format!("https://{host}/{TENANT_DOMAIN}/v2.0/.well-known/openid-configuration"));
        let endpoint = format!("https://{host}/{TENANT_ID}/oauth2/v2.0/token");
        assert_eq!(
            (&published["issuer"], &published["token_endpoint"]),
            (&json!(STS_ISSUER), &json!(endpoint))
        );
        for list in
            ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"]
        {
            assert!(!published[list].as_array().unwrap().is_empty(), "{list}");
        }
        let alias = published["mtls_endpoint_aliases"]["token_endpoint"].as_str().unwrap();
        assert_eq!(alias, format!("https://{mtls}/{TENANT_ID}/oauth2/v2.0/token"));
        let bound = [("client_id", APP_A_CLIENT_ID), GRAPH_SCOPE, POP];
        let issued = token_at(&cloud, alias, Some(&cloud.files().sni()), &bound);
        assert_eq!(issued.json()["token_type"], "mtls_pop", "{issued:?}");
        let key = &get(published["jwks_uri"].as_str().unwrap())["keys"][0];
        assert_eq!((&key["use"], &key["issuer"]), (&json!("sig"), &json!(STS_ISSUER)));
        let certificate = STANDARD.decode(key["x5c"][0].as_str().unwrap()).unwrap();
        let x5t = URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate));
        assert_eq!(key["x5t"], x5t);
    }
    let login = "https://login.microsoftonline.com";
    for (path, issuer, keys) in [
        ("common/v2.0", format!("{login}/{{tenantid}}/v2.0"), format!("{login}/common/discovery/v2.0/keys")),
        (
            "organizations/v2.0",
            format!("{login}/{{tenantid}}/v2.0"),
            format!("{login}/organizations/discovery/v2.0/keys"),
        ),
        (
            "common",
            "https://sts.windows.net/{tenantid}/".to_owned(),
            format!("{login}/common/discovery/keys"),
        ),
        (
            TENANT_ID,
            format!("https://sts.windows.net/{TENANT_ID}/"),
            format!("{login}/common/discovery/keys"),
        ),
    ] {
        let published = get(&format!("{login}/{path}/.well-known/openid-configuration"));
        assert_eq!((&published["issuer"], &published["jwks_uri"]), (&json!(issuer), &json!(keys)), "{path}");
        assert!(get(&keys)["keys"][0]["n"].is_string(), "{keys}");
    }
    assert_eq!(curl(&cloud, &[&format!("{login}/nobody/.well-known/openid-configuration")]).code(), 90002);
}

/// Do OpenID providers say where their token endpoint is, one of them for an issuer that is somebody else?
#[test]
fn openid_providers_publish_their_configuration() {
    let cloud = start();
    for (base, issuer) in [
        ("https://idp.devcloud.test", "https://idp.devcloud.test"),
        ("https://idp2.devcloud.test/tenant-x", "https://issuer.test/tenant-x"),
    ] {
        let url = format!("{base}/.well-known/openid-configuration");
        let published = curl(&cloud, &[&url]).json();
        assert_eq!(published["token_endpoint"], format!("{base}/oauth2/token"));
        assert_eq!(published["issuer"], issuer);
        assert_eq!(curl(&cloud, &[published["jwks_uri"].as_str().unwrap()]).status, 200);

        cloud.fault(Fault::set("openid_configuration", json!({ "issuer": "https://bent.test" }))).unwrap();
        assert_eq!(curl(&cloud, &[&url]).json()["issuer"], "https://bent.test");
    }
    assert_eq!(cloud.counter("openid_configuration"), 4);
}

/// Does ADFS vouch for itself, and for nobody else?
#[test]
fn adfs_is_a_realm_that_it_trusts() {
    let cloud = start();
    let ask = |rel: &str, resource: &str| {
        let query = format!("rel=http://schemas.microsoft.com/rel/{rel}&resource={resource}");
        curl(&cloud, &[&format!("https://adfs.devcloud.test/.well-known/webfinger?{query}")])
    };
    let own = "https://adfs.devcloud.test";
    let answer = ask("trusted-realm", own).json();
    assert_eq!(answer["subject"], own);
    let link = json!({ "rel": "http://schemas.microsoft.com/rel/trusted-realm", "href": own });
    assert_eq!(answer["links"], json!([link]));
    assert_eq!(ask("trusted-realm", "https://adfs.other.test").status, 404);
    assert_eq!(ask("other", own).status, 404);

    cloud.fault(Fault::status("webfinger", 503)).unwrap();
    assert_eq!(ask("trusted-realm", own).status, 503);
    assert_eq!(cloud.counter("webfinger"), 4);
}
