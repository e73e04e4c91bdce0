//! Does each tenant have the applications, and tokens of its own?
#![allow(clippy::unwrap_used)]

mod common;

use common::signer::Signer;
use common::*;
use devcloud::Assertion;
use devcloud::directory::*;

const MTLS: &str = "eastus.mtlsauth.microsoft.com";

fn of_tenant(host: &str, tenant: &str) -> String {
    format!("https://{host}/{tenant}/oauth2/v2.0/token")
}

/// Do secrets, SN/I certificates and federated assertions work in each, under either of its names?
#[test]
fn the_applications_are_in_every_tenant() {
    let cloud = start();
    let (signer, sni) = (Signer::new(&cloud), cloud.files().sni());
    let federated = cloud.mint_assertion(&Assertion::default()).unwrap();
    let a = [("client_id", APP_A_CLIENT_ID), GRAPH_SCOPE];
    let b = [("client_id", APP_B_CLIENT_ID), GRAPH_SCOPE];
    for tenant in &TENANTS {
        for name in [tenant.id, tenant.domain] {
            let login = of_tenant("login.microsoftonline.com", name);
            let mtls = of_tenant(MTLS, name);
            let secret = [("client_secret", APP_A_SECRET)];
            let assertion = [("client_assertion_type", JWT_BEARER), ("client_assertion", &federated)];
            for (kind, issued) in [
                ("Bearer", token_at(&cloud, &login, None, &[&a[..], &secret].concat())),
                ("Bearer", signer.send_ps256(&login, None)),
                ("Bearer", token_at(&cloud, &login, None, &[&b[..], &assertion].concat())),
                ("mtls_pop", token_at(&cloud, &mtls, Some(&sni), &[&a[..], &[POP]].concat())),
            ] {
                assert_eq!(issued.json()["token_type"], kind, "{name} {issued:?}");
                let claims = claims(&issued.token());
                let issuer = format!("https://sts.windows.net/{}/", tenant.id);
                assert_eq!((&claims["tid"], &claims["iss"]), (&tenant.id.into(), &issuer.into()), "{name}");
                let called = call(&cloud, &graph("/v1.0/me"), kind, &issued.token(), Some(&sni));
                assert_eq!(called.status, 200, "{name} {called:?}");
            }
        }
        let configuration =
            format!("https://login.microsoftonline.com/{}/v2.0/.well-known/openid-configuration", tenant.id);
        let endpoint = of_tenant("login.microsoftonline.com", tenant.id);
        assert_eq!(curl(&cloud, &[&configuration]).json()["token_endpoint"], endpoint);
    }
}

/// Is what belongs to one tenant nothing in another?
#[test]
fn managed_identities_and_their_federation_stay_at_home() {
    let cloud = start();
    let certificate = binding(&cloud, SYSTEM_ASSIGNED_CLIENT_ID);
    let url = of_tenant(MTLS, OTHER_TENANT_ID);
    let identity = [("client_id", SYSTEM_ASSIGNED_CLIENT_ID), GRAPH_SCOPE, POP];
    assert_eq!(token_at(&cloud, &url, Some(&certificate), &identity).code(), 700016);

    // Application B trusts application A of the first tenant, not that of the other one.
    let exchange = ("scope", "api://AzureADTokenExchange/.default");
    let first_leg = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), exchange];
    for (tenant, code) in [(TENANT_ID, None), (OTHER_TENANT_ID, Some(700211))] {
        let url = of_tenant("login.microsoftonline.com", tenant);
        let first = token_at(&cloud, &url, None, &first_leg).token();
        let assertion = [("client_assertion_type", JWT_BEARER), ("client_assertion", &first)];
        let second_leg = [&[("client_id", APP_B_CLIENT_ID), GRAPH_SCOPE][..], &assertion].concat();
        let second = token_at(&cloud, &url, None, &second_leg);
        assert_eq!(second.json()["error_codes"][0].as_u64(), code, "{second:?}");
    }
    let unknown = of_tenant("login.microsoftonline.com", "99999999-0000-4000-8000-000000000000");
    assert_eq!(token_at(&cloud, &unknown, None, &first_leg).code(), 90002);
}
