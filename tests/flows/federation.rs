//! Federated credentials: the audience by cloud, and who stands behind whom (since_july_2026, sections 4, 5 and 8).

use std::sync::Arc;

use devcloud::directory;
use mtlspop::{
    App, AppOptions, AssertionRequest, Credential, Error, ErrorKind, Result, Secret, SignedAssertion,
    federated_credential_audience,
};

use crate::support::{GRAPH_SCOPE, Provider, World, authority, bearer, claims};

fn secret_app(world: &World, host: &str) -> App {
    let options = AppOptions::confidential_client(directory::APP_A_CLIENT_ID)
        .with_authority(&authority(host))
        .with_credential(Credential::Secret(Secret::new(directory::APP_A_SECRET)))
        .with_env(Arc::new(world.env()));
    App::new(options).unwrap()
}

/// App B, whose credential is a token of `first` for what `audience` makes of the authority.
fn second_leg(
    world: &World,
    host: &str,
    first: App,
    audience: fn(&str) -> Option<&'static str>,
) -> Result<mtlspop::Token> {
    let credential = move |request: &AssertionRequest<'_>| {
        let audience = audience(request.authority)
            .ok_or_else(|| Error::new(ErrorKind::Callback, "unknown_cloud", "no audience is known"))?;
        let token = first.acquire_token(&bearer(&format!("{audience}/.default")))?;
        Ok(SignedAssertion { assertion: Secret::new(token.access_token()), certificate: None })
    };
    let options = world.fic_options(Provider(credential)).with_authority(&authority(host));
    App::new(options.with_azure_region("DisableMsalForceRegion"))?.acquire_token(&bearer(GRAPH_SCOPE))
}

/// Two legs in each cloud: is the audience that the library names the one that the cloud takes (section 5)?
#[test]
fn the_audience_of_each_cloud_is_taken() {
    let world = World::new();
    for host in [
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.sovcloud-identity.fr",
        "login.sovcloud-identity.de",
        "login.sovcloud-identity.sg",
    ] {
        let token = second_leg(&world, host, secret_app(&world, host), federated_credential_audience);
        assert_eq!(token.unwrap().token_type().as_str(), "Bearer", "{host}");
    }
    let private = secret_app(&world, "login.devcloud.test");
    let error =
        second_leg(&world, "login.devcloud.test", private, federated_credential_audience).unwrap_err();
    assert_eq!(error.code(), "unknown_cloud");
}

/// An agent identity in two legs: is the blueprint's token that names it its credential, and nothing else (section 8)?
#[test]
fn agent_identities() {
    let world = World::new();
    let home = authority("login.microsoftonline.com");
    let client = |id: &str, credential| {
        let options = AppOptions::confidential_client(id).with_authority(&home).with_credential(credential);
        App::new(options.with_env(Arc::new(world.env()))).unwrap()
    };
    let agent = |id: &str, first: App, path: &'static str, audience: &'static str| {
        let ask = move |request: &AssertionRequest<'_>| {
            let path = if path == "its own" { request.client_id } else { path };
            let token = first.acquire_token(&bearer(&format!("{audience}/.default")).with_fmi_path(path))?;
            Ok(SignedAssertion { assertion: Secret::new(token.access_token()), certificate: None })
        };
        client(id, Credential::Assertion(Arc::new(Provider(ask)))).acquire_token(&bearer(GRAPH_SCOPE))
    };
    let blueprint = || client(directory::BLUEPRINT_CLIENT_ID, world.sni_credential());
    let right = "api://AzureADTokenExchange";
    let token = agent(directory::AGENT_CLIENT_ID, blueprint(), "its own", right).unwrap();
    assert_eq!(claims(&token)["appid"], directory::AGENT_CLIENT_ID);
    let legs: Vec<_> = world.cloud.requests().into_iter().filter(|r| r.form("client_id").is_some()).collect();
    assert_eq!(legs[0].form("fmi_path").as_deref(), Some(directory::AGENT_CLIENT_ID));
    assert_eq!((legs[1].form("fmi_path"), legs.len()), (None, 2));

    let app_a = client(directory::APP_A_CLIENT_ID, world.sni_credential());
    let rows = [
        ("the token of another application", app_a, "its own", right, 700_213),
        ("for another agent", blueprint(), directory::OTHER_AGENT_CLIENT_ID, right, 700_213),
        ("for another cloud", blueprint(), "its own", "api://AzureADTokenExchangeUSGov", 70_022_204),
    ];
    for (what, first, path, audience, code) in rows {
        let error = agent(directory::AGENT_CLIENT_ID, first, path, audience).unwrap_err();
        println!("{what} | {} | {error}", error.code());
        assert_eq!((error.code(), error.aadsts_codes()), ("invalid_client", [code].as_slice()), "{what}");
    }
    let own = client(directory::AGENT_CLIENT_ID, world.sni_credential());
    let error = own.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    println!("a certificate of its own | {} | {error}", error.code());
    assert_eq!(error.aadsts_codes(), [700_027], "{error}");
}

/// The audience of another cloud: does the error of the last leg name the right one for the cloud that was asked, be it
/// asked by its older name (section 5)?
#[test]
fn a_wrong_audience_is_corrected() {
    let world = World::new();
    let of_public = |_: &str| Some("api://AzureADTokenExchange");
    for (host, right) in [
        ("login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
        ("login.usgovcloudapi.net", "api://AzureADTokenExchangeUSGov"),
        ("login.chinacloudapi.cn", "api://AzureADTokenExchangeChina"),
        ("login.sovcloud-identity.fr", "api://AzureADTokenExchangeFrance"),
    ] {
        let error = second_leg(&world, host, secret_app(&world, host), of_public).unwrap_err();
        assert_eq!((error.code(), error.aadsts_codes()), ("invalid_client", [70_022_204].as_slice()));
        let correction = format!("with {host} as the authority it is {right}");
        assert!(error.message().ends_with(&correction), "{error}");
    }
    let us_government = |_: &str| Some("api://AzureADTokenExchangeUSGov");
    let host = "login.microsoftonline.com";
    let error = second_leg(&world, host, secret_app(&world, host), us_government).unwrap_err();
    assert!(error.message().ends_with(" it is api://AzureADTokenExchange"), "{error}");
}
