//! What authorities publish: instance discovery, OpenID configurations, signing keys and trusted realms.

use serde_json::{Value, json};

use super::asked::{Sts, tenant};
use super::refusal::Refusal;
use crate::exchange::{Answer, Request};
use crate::hosts::{
    ADFS_HOST, FOREIGN_PROVIDER_HOST, OPENID_PROVIDER_HOST, Service, host_name, is_valid_instance, mtlsauth,
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

/// Issuers of tokens, for any tenant.
const V2_ISSUER: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
const V1_ISSUER: &str = "https://sts.windows.net/{tenantid}/";
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
            openid_configuration(sts, request, tenant).unwrap_or_else(refused)
        }
        [tenant, ".well-known", "openid-configuration"] if login => {
            openid_configuration_of_v1(sts, request, tenant).unwrap_or_else(refused)
        }
        [name, "discovery", "v2.0", "keys"] if login => keys(sts, name, V2_ISSUER).unwrap_or_else(refused),
        [name, "discovery", "keys"] if login => keys(sts, name, V1_ISSUER).unwrap_or_else(refused),
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

/// What the path names: a tenant by its id, or any. With any the documents have templates for the tenant's id.
fn named<'a>(sts: &Sts, name: &'a str) -> Result<(&'a str, &'static str), Refusal> {
    match name {
        "common" | "organizations" => Ok((name, "{tenantid}")),
        name => tenant(sts, name).map(|tenant| (tenant.id, tenant.id)),
    }
}

fn openid_configuration(sts: &Sts, request: &Request<'_>, name: &str) -> Result<Answer, Refusal> {
    let (name, id) = named(sts, name)?;
    let base = format!("https://{}/{name}", request.host);
    let mut document = metadata(&base, "/v2.0", &V2_ISSUER.replace("{tenantid}", id));
    document["mtls_endpoint_aliases"] =
        json!({ "token_endpoint": format!("https://{}/{name}/oauth2/v2.0/token", mtlsauth(request.host)) });
    document["tls_client_certificate_bound_access_tokens"] = json!(true);
    document["scopes_supported"] = json!(["openid", "profile", "email", "offline_access"]);
    document["request_uri_parameter_supported"] = json!(false);
    Ok(Answer::json(200, &document))
}

fn openid_configuration_of_v1(sts: &Sts, request: &Request<'_>, name: &str) -> Result<Answer, Refusal> {
    let (name, id) = named(sts, name)?;
    let base = format!("https://{}/{name}", request.host);
    let mut document = metadata(&base, "", &V1_ISSUER.replace("{tenantid}", id));
    document["jwks_uri"] = json!(format!("https://{}/common/discovery/keys", request.host));
    document["scopes_supported"] = json!(["openid"]);
    Ok(Answer::json(200, &document))
}

/// What both versions say, with paths of `version`.
fn metadata(base: &str, version: &str, issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/oauth2{version}/authorize"),
        "device_authorization_endpoint": format!("{base}/oauth2{version}/devicecode"),
        "end_session_endpoint": format!("{base}/oauth2{version}/logout"),
        "token_endpoint": format!("{base}/oauth2{version}/token"),
        "token_endpoint_auth_methods_supported": [
            "client_secret_post", "private_key_jwt", "client_secret_basic", "self_signed_tls_client_auth"
        ],
        "jwks_uri": format!("{base}/discovery{version}/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "tid", "ver"],
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "tenant_region_scope": "NA",
        "cloud_instance_name": "microsoftonline.com",
        "msgraph_host": "graph.microsoft.com",
    })
}

/// The keys of the token service, which sign for every tenant, with the issuer that they sign as.
fn keys(sts: &Sts, name: &str, issuer: &str) -> Result<Answer, Refusal> {
    let (_, id) = named(sts, name)?;
    let mut set = sts.key.jwks();
    set["keys"][0]["issuer"] = json!(issuer.replace("{tenantid}", id));
    Ok(Answer::json(200, &set))
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
