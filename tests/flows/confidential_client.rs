//! Confidential clients: what goes onto the wire for each credential, and what is refused before it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use devcloud::{Fault, Service, directory};
use mtlspop::{
    App, AppOptions, Certificate, Credential, Error, ErrorKind, HttpRequest, ManagedIdentityId, Secret,
    TokenSource,
};
use serde_json::json;

use crate::support::{GRAPH_SCOPE, Provider, World, assert_bound, authority, bearer, claims, pop};

/// SN/I with PoP: is the certificate in TLS the only proof (confidential_client spec, section 2.3)?
#[test]
fn sni_pop() {
    let world = World::new();
    let token = world.sni().acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let x5t = assert_bound(&token);
    assert_eq!(token.source(), TokenSource::IdentityProvider);
    assert_eq!(token.region(), Some("eastus"));
    assert_eq!(token.tenant_id(), Some(directory::TENANT_ID));
    assert!(token.authorization().starts_with("mtls_pop ey"));

    let requests = world.cloud.requests_to(Service::Mtlsauth);
    let [request] = requests.as_slice() else { panic!("one request, got {}", requests.len()) };
    assert_eq!(request.host, "eastus.mtlsauth.microsoft.com");
    assert_eq!(request.path, format!("/{}/oauth2/v2.0/token", directory::TENANT_ID));
    assert_eq!(request.client_certificate.as_deref(), Some(x5t.as_str()));
    let form = |name: &str| request.form(name);
    assert_eq!(form("client_id").as_deref(), Some(directory::APP_A_CLIENT_ID));
    assert_eq!(form("scope").as_deref(), Some(GRAPH_SCOPE));
    assert_eq!(form("grant_type").as_deref(), Some("client_credentials"));
    assert_eq!(form("token_type").as_deref(), Some("mtls_pop"));
    for absent in ["client_assertion", "client_assertion_type", "client_secret", "req_cnf", "resource"] {
        assert_eq!(form(absent), None, "{absent}");
    }
    assert_eq!(request.header("client-request-id"), Some(token.correlation_id()));
    assert_eq!(request.header("return-client-request-id"), Some("true"));
}

/// SN/I with Bearer: does the assertion pass the judgement of the token service (section 4.3)? devcloud
/// checks signature, x5t#S256, x5c as an array with the chain, aud, and the types of exp and nbf.
#[test]
fn sni_bearer() {
    let world = World::new();
    let token = world.sni().acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.token_type().as_str(), "Bearer");
    assert!(token.binding_certificate().is_none());
    assert!(claims(&token).get("cnf").is_none());
    let request = &world.cloud.requests_to(Service::Login)[0];
    assert_eq!(request.host, "eastus.login.microsoft.com");
    assert_eq!(request.client_certificate, None);
    let kind = request.form("client_assertion_type").unwrap();
    assert_eq!(kind, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!(request.form("token_type"), None);
}

/// Does a client secret work for Bearer, and is it refused for PoP before any traffic (section 2.2)?
#[test]
fn secret() {
    let world = World::new();
    let app = |secret| App::new(world.app_a_options(Credential::Secret(Secret::new(secret)))).unwrap();
    app(directory::APP_A_SECRET).acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let before = world.cloud.requests().len();
    let error = app(directory::APP_A_SECRET).acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidArgument, "mtls_certificate_not_provided"));
    assert_eq!(world.cloud.requests().len(), before);
    let error = app("wrong").acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    assert_eq!((error.code(), error.aadsts_codes()), ("invalid_client", [7_000_215].as_slice()));
    assert!(error.message().contains("not its id"), "{error}");
}

/// FIC: which assertion type goes where, for each answer of the callback (section 4.1, rows G to I)?
#[test]
fn fic_matrix() {
    let world = World::new();
    let app = |bound| world.fic(bound);
    let jwt = |kind| format!("urn:ietf:params:oauth:client-assertion-type:jwt-{kind}");

    let token = app(true).acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let x5t = assert_bound(&token);
    let token = app(true).acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert!(token.binding_certificate().is_none() && claims(&token).get("cnf").is_none());
    let requests = world.cloud.requests_to(Service::Mtlsauth);
    assert_eq!(requests.len(), 2);
    for (request, token_type) in requests.iter().zip([Some("mtls_pop"), None]) {
        assert_eq!(request.host, "eastus.mtlsauth.microsoft.com");
        assert_eq!(request.client_certificate.as_deref(), Some(x5t.as_str()));
        assert_eq!(request.form("client_assertion_type"), Some(jwt("pop")));
        assert_eq!(request.form("token_type").as_deref(), token_type);
    }

    app(false).acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let request = &world.cloud.requests_to(Service::Login)[0];
    assert_eq!(request.form("client_assertion_type"), Some(jwt("bearer")));
    let sent = world.cloud.requests().len();
    let error = app(false).acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
    assert_eq!(error.code(), "mtls_certificate_not_provided");
    // Since July 2026, section 11.
    assert_eq!(world.cloud.requests().len(), sent, "nothing was sent");
}

/// Is the callback asked once per network call, told what it needs, and left alone on hits (the design's
/// table, row "assertion callback")?
#[test]
fn callback_is_asked_once() {
    let world = World::new();
    let asked = Arc::new(AtomicU32::new(0));
    let (count, answer) = (asked.clone(), world.fic_answer(true));
    let provider = Provider(move |request: &mtlspop::AssertionRequest<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(request.client_id, directory::APP_B_CLIENT_ID);
        assert_eq!(request.tenant_id, Some(directory::TENANT_ID));
        assert_eq!(request.authority, authority("login.microsoftonline.com") + "/");
        let endpoint =
            format!("https://eastus.mtlsauth.microsoft.com/{}/oauth2/v2.0/token", directory::TENANT_ID);
        assert_eq!(request.token_endpoint, endpoint);
        Ok(answer.clone())
    });
    let app = App::new(world.fic_options(provider)).unwrap();
    let first = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let second = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(second.source(), TokenSource::Cache);
    assert_eq!(second.binding_certificate(), first.binding_certificate());
}

/// Is a service that answers Bearer to a PoP request refused, and its token not kept (design, decision 3)?
#[test]
fn downgrade_is_refused() {
    let world = World::new();
    let app = world.sni();
    world.cloud.fault(Fault::set("token", json!({"token_type": "Bearer"}))).unwrap();
    let error = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidResponse, "token_type_mismatch"));
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(world.cloud.counter("token"), 2);
}

/// Do sovereign clouds go to their own hosts (section 1.7)?
#[test]
fn sovereign_hosts() {
    let world = World::new();
    for (host, mtls_host) in [
        ("login.microsoftonline.us", "eastus.mtlsauth.microsoftonline.us"),
        ("login.partner.microsoftonline.cn", "eastus.mtlsauth.partner.microsoftonline.cn"),
        ("login.sovcloud-identity.fr", "eastus.mtlsauth.sovcloud-identity.fr"),
    ] {
        let options = world.app_a_options(world.sni_credential()).with_authority(&authority(host));
        let token = App::new(options).unwrap().acquire_token(&pop(GRAPH_SCOPE)).unwrap();
        assert!(token.token_endpoint().contains(mtls_host), "{}", token.token_endpoint());
    }
}

/// EC certificates: PoP works end to end, Bearer is refused in words (section 4.3: RSA only)?
#[test]
fn ec_certificate() {
    let world = World::new();
    let certificate = Certificate::from_file(&world.cloud.files().sni_ec(), None, None).unwrap();
    let credential = Credential::Certificate { certificate, send_x5c: true };
    let app = App::new(world.app_a_options(credential)).unwrap();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_bound(&token);
    let graph = HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me");
    assert_eq!(app.send(&token, &graph).unwrap().status(), 200);
    let error = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    assert_eq!(error.code(), "certificate_not_rsa");
}

/// Which settings are refused when the app is made, and which requests before any traffic?
#[test]
fn refused_before_any_traffic() {
    let world = World::new();
    let build = |options: AppOptions| App::new(options).unwrap_err();
    let options = || world.app_a_options(world.sni_credential());
    let code = |error: Error| error.code().to_owned();
    assert_eq!(code(build(options().with_azure_region("east.us/x"))), "invalid_argument");
    assert_eq!(
        code(build(options().with_authority("https://login.microsoftonline.com"))),
        "invalid_authority"
    );
    assert_eq!(code(build(options().with_oidc_authority("http://idp.devcloud.test"))), "invalid_authority");
    assert_eq!(code(build(AppOptions::confidential_client("x"))), "missing_tenanted_authority");
    assert_eq!(
        code(build(AppOptions::confidential_client(" ").with_authority(&authority("login.windows.net")))),
        "no_client_id"
    );

    let misplaced = options().with_managed_identity_id(ManagedIdentityId::ClientId("x".into()));
    assert_eq!(code(build(misplaced)), "invalid_argument");

    let ask = |host: &str, tenant: &str| {
        let options = options().with_authority(&format!("https://{host}/{tenant}"));
        App::new(options).unwrap().acquire_token(&pop(GRAPH_SCOPE)).unwrap_err()
    };
    assert_eq!(code(ask("login.microsoftonline.com", "common")), "missing_tenanted_authority");
    let error = ask("sts.windows.net", "t");
    assert_eq!(error.code(), "mtls_pop_not_supported_for_environment");
    assert!(error.message().contains("login.microsoftonline.com"), "{error}");
    let app = world.sni();
    assert_eq!(code(app.acquire_token(&pop(" ")).unwrap_err()), "scopes_required_client_credentials");
    assert_eq!(
        code(app.acquire_token(&pop(GRAPH_SCOPE).with_claims("[1]")).unwrap_err()),
        "invalid_json_claims_format"
    );
    assert_eq!(world.cloud.requests().len(), 0);
}

/// Does an error of the service carry what a person needs: code, advice, correlation id (section 7)?
#[test]
fn service_errors() {
    let world = World::new();
    let options = AppOptions::confidential_client("99999999-0000-4000-8000-000000000000")
        .with_authority(&authority("login.microsoftonline.com"))
        .with_credential(world.sni_credential())
        .with_env(Arc::new(world.env()));
    let id = "0d1c1a2e-5b1f-4a3e-9d56-3b1a0a2f7c11";
    let request = bearer(GRAPH_SCOPE).with_correlation_id(id.parse().unwrap());
    let error = App::new(options).unwrap().acquire_token(&request).unwrap_err();
    assert_eq!((error.kind(), error.aadsts_codes()), (ErrorKind::Rejected, [700_016].as_slice()));
    assert_eq!(error.correlation_id(), Some(id));
    assert!(!error.is_retryable());
    assert!(error.message().contains("check client id and tenant"), "{error}");
}

/// Is a 503 without Retry-After tried once more after a second, and one with it not (section 6.2)?
#[test]
fn sts_retry() {
    let world = World::new();
    let app = world.sni();
    world.cloud.fault(Fault::status("token", 503)).unwrap();
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(world.cloud.counter("token"), 2);
    let fault =
        Fault { headers: [("retry-after".to_owned(), "7".to_owned())].into(), ..Fault::status("token", 503) };
    world.cloud.fault(fault).unwrap();
    let error = app.acquire_token(&pop(GRAPH_SCOPE).with_force_refresh(true)).unwrap_err();
    assert_eq!((error.code(), error.http_status()), ("service_not_available", Some(503)));
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(7));
    assert!(error.is_retryable());
    assert_eq!(world.cloud.counter("token"), 3);
}
