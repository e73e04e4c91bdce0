//! Federated credentials: the audience by cloud, and who stands behind whom (since_july_2026, sections 4, 5 and 8).

use std::sync::Arc;

use devcloud::directory;
use mtlspop::{
    App, AppOptions, AssertionRequest, Credential, Error, ErrorKind, Result, Secret, SignedAssertion,
    federated_credential_audience,
};

use crate::support::{GRAPH_SCOPE, Provider, World, authority, bearer};

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
