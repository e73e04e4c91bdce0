//! Are authorities that are not Entra's own where their clients look for them?
#![allow(clippy::unwrap_used)]

mod common;

use common::signer::Signer;
use common::*;
use devcloud::directory::*;

#[test]
fn each_kind_has_its_path_and_signs_its_way() {
    let cloud = start();
    let signer = Signer::new(&cloud);
    let sni = cloud.files().sni();
    let tenant = TENANT_ID;
    for (url, rs256) in [
        (format!("https://a.dsts.core.azure-test.net/dstsv2/{tenant}/oauth2/v2.0/token"), true),
        ("https://a.dsts.core.azure-test.net/dstsv2/common/oauth2/v2.0/token".to_owned(), true),
        (format!("https://a.ciamlogin.com/{tenant}/oauth2/v2.0/token"), false),
        (format!("https://a.b2clogin.com/tfp/{tenant}/b2c_1_policy/oauth2/v2.0/token"), false),
        ("https://adfs.devcloud.test/adfs/oauth2/token".to_owned(), true),
        ("https://idp.devcloud.test/oauth2/token".to_owned(), true),
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
        assert_eq!(signed.status == 200, rs256, "{url} {signed:?}");
    }
    let discovered = curl(&cloud, &["https://idp.devcloud.test/.well-known/openid-configuration"]);
    assert_eq!(discovered.json()["token_endpoint"], "https://idp.devcloud.test/oauth2/token");
}
