//! What authorities publish: instance discovery, OpenID configurations, signing keys and trusted realms.

use serde_json::json;

use super::asked::{Sts, tenant};
use super::refusal::Refusal;
use crate::directory::Tenant;
use crate::exchange::{Answer, Request};
use crate::hosts::{
    ADFS_HOST, FOREIGN_PROVIDER_HOST, OPENID_PROVIDER_HOST, Service, host_name, is_valid_instance,
};

/// Preferred network name, preferred cache name and aliases of each cloud.
const CLOUDS: [(&str, &str, &[&str]); 7] = [
    (
        "login.microsoftonline.com",
        "login.windows.net",
        &["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
    ),
    (
        "login.partner.microsoftonline.cn",
        "login.partner.microsoftonline.cn",
        &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
    ),
    (
        "login.microsoftonline.us",
        "login.microsoftonline.us",
        &["login.microsoftonline.us", "login.usgovcloudapi.net"],
    ),
    ("login.sovcloud-identity.fr", "login.sovcloud-identity.fr", &["login.sovcloud-identity.fr"]),
    ("login.sovcloud-identity.de", "login.sovcloud-identity.de", &["login.sovcloud-identity.de"]),
    ("login.sovcloud-identity.sg", "login.sovcloud-identity.sg", &["login.sovcloud-identity.sg"]),
    ("login.devcloud.test", "login.devcloud.test", &["login.devcloud.test", "sts.devcloud.test"]),
];

/// What the foreign provider says that its issuer is.
const FOREIGN_ISSUER: &str = "https://issuer.test/tenant-x";
/// The relation of a realm to an ADFS that it trusts.
const TRUSTED_REALM: &str = "http://schemas.microsoft.com/rel/trusted-realm";

pub(crate) fn answer(sts: &Sts, request: &Request<'_>) -> Answer {
    let login = request.connection.service == Service::Login;
    let refused = |refusal: Refusal| refusal.answer(request, sts.clock.now());
    match request.segments()[..] {
        ["common", "discovery", "instance"] if login => instance(request).unwrap_or_else(refused),
        [tenant, "v2.0", ".well-known", "openid-configuration"] if login => {
            openid_configuration(request, tenant).unwrap_or_else(refused)
        }
        [_, "discovery", "v2.0", "keys"] if login => Answer::json(200, &sts.key.jwks()),
        [".well-known", "openid-configuration"] if request.host == OPENID_PROVIDER_HOST => {
            let base = format!("https://{OPENID_PROVIDER_HOST}");
            openid_provider(&base, &base)
        }
        ["tenant-x", ".well-known", "openid-configuration"] if request.host == FOREIGN_PROVIDER_HOST => {
            openid_provider(&format!("https://{FOREIGN_PROVIDER_HOST}/tenant-x"), FOREIGN_ISSUER)
        }
        ["keys"] if request.host == OPENID_PROVIDER_HOST => Answer::json(200, &sts.key.jwks()),
        ["tenant-x", "keys"] if request.host == FOREIGN_PROVIDER_HOST => Answer::json(200, &sts.key.jwks()),
        [".well-known", "webfinger"] if request.host == ADFS_HOST => webfinger(request),
        _ => Answer::not_found(request),
    }
}

fn instance(request: &Request<'_>) -> Result<Answer, Refusal> {
    let query = request.query();
    if !matches!(query.get("api-version"), Some("1.0" | "1.1")) {
        let text = "The request body must contain the following parameter: 'api-version'.";
        return Err(Refusal::new("invalid_request", 900144, text));
    }
    let endpoint = query.get("authorization_endpoint").unwrap_or_default();
    let (authority, path) =
        endpoint.strip_prefix("https://").and_then(|rest| rest.split_once('/')).unwrap_or_default();
    let host = host_name(authority);
    let tenant = path.split('/').next().unwrap_or_default();
    let known = CLOUDS.iter().any(|(_, _, aliases)| aliases.contains(&host.as_str()));
    if !known && !is_valid_instance(&host) {
        return Err(Refusal::new(
            "invalid_instance",
            50049,
            format!("Unknown or invalid instance: '{host}'."),
        ));
    }
    let metadata: Vec<_> = CLOUDS
        .iter()
        .map(|(network, cache, aliases)| json!({ "preferred_network": network, "preferred_cache": cache, "aliases": aliases }))
        .collect();
    Ok(Answer::json(
        200,
        &json!({
            "tenant_discovery_endpoint": format!("https://{host}/{tenant}/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": metadata,
        }),
    ))
}

fn openid_configuration(request: &Request<'_>, name: &str) -> Result<Answer, Refusal> {
    let tenant = match name {
        "common" | "organizations" => Tenant::home(),
        name => tenant(name)?,
    };
    let base = format!("https://{}/{}", request.host, tenant.id);
    Ok(Answer::json(
        200,
        &json!({
            "issuer": tenant.issuer(),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "tls_client_auth"],
            "mtls_endpoint_aliases": { "token_endpoint": format!("{}/oauth2/v2.0/token", base.replacen("login.", "mtlsauth.", 1)) },
        }),
    ))
}

/// A provider whose token endpoint must be discovered. Its tokens are the STS's, issuer included.
fn openid_provider(base: &str, issuer: &str) -> Answer {
    Answer::json(
        200,
        &json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{base}/oauth2/authorize"),
            "token_endpoint": format!("{base}/oauth2/token"),
            "jwks_uri": format!("{base}/keys"),
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "tls_client_auth"],
        }),
    )
}

/// RFC 7033: the ADFS is a realm that it trusts itself; it knows of no other.
fn webfinger(request: &Request<'_>) -> Answer {
    let realm = format!("https://{ADFS_HOST}");
    let query = request.query();
    if query.get("rel") != Some(TRUSTED_REALM) || query.get("resource") != Some(&realm) {
        return Answer::not_found(request);
    }
    let links = json!([{ "rel": TRUSTED_REALM, "href": realm }]);
    Answer::json(200, &json!({ "subject": realm, "links": links }))
}
