//! Authorities of every kind: who is asked what before the token request, and where that goes.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use devcloud::{Close, Fault, ReceivedRequest, Service, directory};
use mtlspop::{App, AppOptions, Cancel, Credential, Error, ErrorKind, Secret, Token, TokenRequest};
use serde_json::json;

use crate::support::{GRAPH_SCOPE, TestClock, World, assert_bound, authority, bearer, pop, wait_for};

const OIDC: &str = "https://idp.devcloud.test";
const ADFS: &str = "https://adfs.devcloud.test/adfs";

/// App A with its certificate, at another authority and without a region.
fn options(world: &World) -> AppOptions {
    world.app_a_options(world.sni_credential()).with_azure_region("DisableMsalForceRegion")
}

fn at(world: &World, host: &str) -> AppOptions {
    options(world).with_authority(&authority(host))
}

fn ask(options: AppOptions, request: &TokenRequest) -> Result<Token, Error> {
    App::new(options).unwrap().acquire_token(request)
}

fn host(token: &Token) -> &str {
    token.token_endpoint().split('/').nth(2).unwrap()
}

fn received(world: &World, operation: &str) -> Vec<ReceivedRequest> {
    let is_it = |request: &ReceivedRequest| request.operation.as_deref() == Some(operation);
    world.cloud.requests().into_iter().filter(is_it).collect()
}

/// Kinds that are not Entra's own (section 1.7, second table): does each get Bearer and bound tokens at
/// its own endpoint, in spite of a region, and with the kind of assertion that it takes (section 1.1)?
#[test]
fn kinds_of_authority() {
    let world = World::new();
    let tenant = directory::TENANT_ID;
    let rows = [
        (format!("https://a.dsts.core.azure-test.net/dstsv2/{tenant}"), "/oauth2/v2.0/token"),
        (format!("https://a.ciamlogin.com/{tenant}"), "/oauth2/v2.0/token"),
        (format!("https://a.b2clogin.com/tfp/{tenant}/b2c_1_policy"), "/oauth2/v2.0/token"),
        (ADFS.to_owned(), "/oauth2/token"),
        (OIDC.to_owned(), "/oauth2/token"),
    ];
    for (text, path) in rows {
        let options = || {
            let options = world.app_a_options(world.sni_credential()).with_azure_region("eastus");
            if text == OIDC { options.with_oidc_authority(&text) } else { options.with_authority(&text) }
        };
        let signed = ask(options(), &bearer(GRAPH_SCOPE)).unwrap();
        let bound = ask(options(), &pop(GRAPH_SCOPE)).unwrap();
        assert_bound(&bound);
        for token in [&signed, &bound] {
            assert_eq!(token.token_endpoint(), format!("{text}{path}"));
            assert_eq!(token.region(), None);
        }
    }
}

/// Instance discovery of an unknown host (section 1.3): the request, the preferred name, and once per process, but
/// for an app that trusts other roots or has another clock?
#[test]
fn unknown_host() {
    let world = World::new();
    let app = App::new(at(&world, "sts.devcloud.test")).unwrap();
    let request = || bearer(GRAPH_SCOPE).with_force_refresh(true);
    let token = app.acquire_token(&request()).unwrap();
    assert_eq!(host(&token), "login.devcloud.test", "what discovery prefers");

    let asked = &received(&world, "instance_discovery")[0];
    assert_eq!((asked.method.as_str(), asked.host.as_str()), ("GET", "login.microsoftonline.com"));
    assert_eq!(asked.path, "/common/discovery/instance");
    let endpoint = format!("https://sts.devcloud.test/{}/oauth2/v2.0/authorize", directory::TENANT_ID);
    let encoded = endpoint.replace(':', "%3A").replace('/', "%2F");
    assert_eq!(asked.query, format!("api-version=1.1&authorization_endpoint={encoded}"));
    assert_eq!(asked.header("client-request-id"), Some(token.correlation_id()));
    assert_eq!(asked.header("return-client-request-id"), Some("true"));
    assert_eq!(asked.header("accept"), Some("application/json"));
    for name in ["x-client-sku", "x-client-ver", "x-client-os"] {
        assert!(asked.header(name).is_some(), "{name}");
    }
    assert_eq!((asked.header("x-client-current-telemetry"), &asked.client_certificate), (None, &None));

    app.acquire_token(&request()).unwrap();
    world.advance(Duration::from_secs(100_000));
    app.acquire_token(&request()).unwrap();
    let other = ask(at(&world, "sts.devcloud.test"), &pop(GRAPH_SCOPE)).unwrap_err();
    assert_eq!(other.code(), "mtls_pop_not_supported_for_environment", "asked of nobody");
    assert_eq!(host(&ask(at(&world, "sts.devcloud.test"), &request()).unwrap()), "login.devcloud.test");
    assert_eq!(world.cloud.counter("instance_discovery"), 1);

    let roots = std::fs::read(&world.env()["SSL_CERT_FILE"]).unwrap();
    ask(at(&world, "sts.devcloud.test").with_trusted_roots_pem(roots), &request()).unwrap();
    assert_eq!(world.cloud.counter("instance_discovery"), 2);
    let clock = TestClock::default();
    clock.advance(Duration::from_secs(100_000));
    ask(at(&world, "sts.devcloud.test").with_clock(Arc::new(clock)), &request()).unwrap();
    assert_eq!(world.cloud.counter("instance_discovery"), 3);
}

/// The rows of unknown hosts in the endpoint table (section 1.7), each asked about once.
#[test]
fn unknown_host_rows() {
    let rows = [
        ("login.devcloud.test", None, false, "login.devcloud.test"),
        ("login.devcloud.test", Some("westus2"), false, "westus2.login.devcloud.test"),
        ("login.devcloud.test", None, true, "mtlsauth.devcloud.test"),
        ("login.devcloud.test", Some("westus2"), true, "westus2.mtlsauth.devcloud.test"),
    ];
    for (name, region, bound, expected) in rows {
        let world = World::new();
        let options = at(&world, name).with_azure_region(region.unwrap_or("DisableMsalForceRegion"));
        let token = ask(options, &if bound { pop(GRAPH_SCOPE) } else { bearer(GRAPH_SCOPE) }).unwrap();
        assert_eq!((host(&token), token.region()), (expected, region));
        assert_eq!(world.cloud.counter("instance_discovery"), 1);
        assert_eq!(token.binding_certificate().is_some(), bound);
    }
}

/// Are known hosts never asked about (design), and unknown ones not where discovery is off (section 1.3)?
#[test]
fn no_discovery() {
    let world = World::new();
    for name in [
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoftonline.us",
        "login.sovcloud-identity.fr",
    ] {
        ask(at(&world, name), &bearer(GRAPH_SCOPE)).unwrap();
        ask(at(&world, name), &pop(GRAPH_SCOPE)).unwrap();
    }
    for name in ["login.devcloud.test", "login.unknown.test"] {
        let options = at(&world, name).with_instance_discovery(false);
        assert_eq!(host(&ask(options, &bearer(GRAPH_SCOPE)).unwrap()), name);
    }
    ask(options(&world).with_authority(ADFS).with_instance_discovery(false), &bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!((world.cloud.counter("instance_discovery"), world.cloud.counter("webfinger")), (0, 0));
}

/// A host that Entra denies: is nothing sent to it, Bearer or bound, with region or without (section 1.3,
/// invalid_instance), and is Entra asked again only after five minutes, whichever app asks?
#[test]
fn denied_host() {
    let world = World::new();
    for (region, request) in [
        ("DisableMsalForceRegion", bearer(GRAPH_SCOPE)),
        ("eastus", bearer(GRAPH_SCOPE)),
        ("eastus", pop(GRAPH_SCOPE)),
    ] {
        let error = ask(at(&world, "login.unknown.test").with_azure_region(region), &request).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, "invalid_instance"));
        assert_eq!((error.http_status(), error.aadsts_codes()), (Some(400), [50_049].as_slice()));
        assert!(error.message().contains("login.unknown.test"), "{error}");
        assert!(error.correlation_id().is_some());
    }
    assert_eq!(world.cloud.counter("instance_discovery"), 1);
    world.advance(Duration::from_secs(301));
    ask(at(&world, "login.unknown.test"), &bearer(GRAPH_SCOPE)).unwrap_err();
    assert_eq!(world.cloud.counter("instance_discovery"), 2);
    assert!(world.cloud.requests().iter().all(|request| request.host == "login.microsoftonline.com"));
    assert_eq!(world.cloud.counter("token"), 0);
}

/// No answer to instance discovery, of any sort: is the host used as given, without asking again before
/// five minutes have passed (section 1.3; design: failed discovery is forgotten after a short while)?
#[test]
fn discovery_out_of_order() {
    let faults = [
        Fault::status("instance_discovery", 503),
        Fault::status("instance_discovery", 404),
        Fault { body: Some("<html>".to_owned()), ..Fault::on("instance_discovery") },
        Fault { body: Some("{}".to_owned()), ..Fault::on("instance_discovery") },
        Fault { close: Some(Close::BeforeResponse), ..Fault::on("instance_discovery") },
    ];
    for fault in faults {
        let world = World::new();
        let app = App::new(at(&world, "sts.devcloud.test")).unwrap();
        let ask = || app.acquire_token(&bearer(GRAPH_SCOPE).with_force_refresh(true)).unwrap();
        world.cloud.fault(fault.clone()).unwrap();
        assert_eq!(host(&ask()), "sts.devcloud.test", "{fault:?}");
        assert_eq!(host(&ask()), "sts.devcloud.test", "{fault:?}");
        assert_eq!(world.cloud.counter("instance_discovery"), 1, "no retry (section 6.2), {fault:?}");
        world.advance(Duration::from_secs(301));
        assert_eq!(host(&ask()), "login.devcloud.test", "{fault:?}");
        assert_eq!(world.cloud.counter("instance_discovery"), 2);
    }
}

/// Do callers who want different tokens at once, of two apps, cause one discovery, and does one who gives up leave
/// no trace (section 1.3, cancellation)?
#[test]
fn discovery_once_for_all() {
    let world = World::new();
    let app = App::new(at(&world, "sts.devcloud.test")).unwrap();
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("instance_discovery") }).unwrap();
    let cancel = Cancel::new();
    let request = bearer(GRAPH_SCOPE).with_cancel(cancel.clone());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| app.acquire_token(&request).unwrap_err());
        wait_for(|| world.cloud.counter("instance_discovery") == 1);
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    world.cloud.reset();
    let another = App::new(at(&world, "sts.devcloud.test")).unwrap();
    thread::scope(|scope| {
        for number in 0..8 {
            let request = bearer(GRAPH_SCOPE).with_claims(&json!({ "number": number }).to_string());
            let app = [&app, &another][number % 2];
            scope.spawn(move || {
                assert_eq!(host(&app.acquire_token(&request).unwrap()), "login.devcloud.test")
            });
        }
    });
    assert_eq!((world.cloud.counter("instance_discovery"), world.cloud.counter("token")), (1, 8));
}

/// dSTS without a tenant: Bearer tokens only, and nothing is sent for a bound one, whoever names none, the app or the
/// request (since July 2026, section 11)?
#[test]
fn dsts_without_a_tenant() {
    let world = World::new();
    let dsts = |tenant: &str| format!("https://a.dsts.core.azure-test.net/dstsv2/{tenant}");
    let app = |tenant: &str| {
        let options = world.app_a_options(world.sni_credential()).with_authority(&dsts(tenant));
        App::new(options).unwrap()
    };
    for tenant in ["common", "Organizations"] {
        let refused = |app: &App, request: &TokenRequest| {
            assert_eq!(
                app.acquire_token(request).unwrap_err().code(),
                "missing_tenanted_authority",
                "{tenant}"
            );
        };
        refused(&app(tenant), &pop(GRAPH_SCOPE));
        refused(&app(directory::TENANT_ID), &pop(GRAPH_SCOPE).with_tenant_id(tenant));
        refused(&app(directory::TENANT_ID), &pop(GRAPH_SCOPE).with_authority(&dsts(tenant)));
    }
    assert_eq!(world.cloud.requests().len(), 0);
    let token = app("common").acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.token_endpoint(), dsts("common/oauth2/v2.0/token"));
}

/// Is what needs no traffic refused before a host is asked about (sections 1.6 and 1.7)?
#[test]
fn refused_before_discovery() {
    let world = World::new();
    let code = |text: &str| {
        ask(options(&world).with_authority(text), &pop(GRAPH_SCOPE)).unwrap_err().code().to_owned()
    };
    assert_eq!(code("https://login.devcloud.test/common"), "missing_tenanted_authority");
    assert_eq!(code("https://login.devcloud.test/organizations"), "missing_tenanted_authority");
    assert_eq!(code(&authority("sts.devcloud.test")), "mtls_pop_not_supported_for_environment");
    assert_eq!(code(&authority("mtlsauth.devcloud.test")), "mtls_pop_not_supported_for_environment");
    let secret = Credential::Secret(Secret::new(directory::APP_A_SECRET));
    let options = world.app_a_options(secret).with_authority(&authority("login.devcloud.test"));
    assert_eq!(ask(options, &pop(GRAPH_SCOPE)).unwrap_err().code(), "mtls_certificate_not_provided");
    assert_eq!(world.cloud.requests().len(), 0);
}

/// An OpenID provider (section 1.1): is it asked once per app for its token endpoint, and not shown the
/// certificate while it is asked?
#[test]
fn openid_provider() {
    let world = World::new();
    let app = App::new(options(&world).with_oidc_authority(OIDC)).unwrap();
    for request in [pop(GRAPH_SCOPE), bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE).with_force_refresh(true)] {
        assert_eq!(
            app.acquire_token(&request).unwrap().token_endpoint(),
            "https://idp.devcloud.test/oauth2/token"
        );
    }
    let asked = received(&world, "openid_configuration");
    let [asked] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert_eq!(
        (asked.path.as_str(), &asked.client_certificate),
        ("/.well-known/openid-configuration", &None)
    );
    assert!(asked.header("x-client-sku").is_some());
    assert_eq!(world.cloud.counter("instance_discovery"), 0);
}

/// What makes an OpenID provider unusable (section 1.1), and is none of it remembered?
#[test]
fn openid_provider_out_of_order() {
    let world = World::new();
    let app = App::new(options(&world).with_oidc_authority(OIDC)).unwrap();
    let operation = "openid_configuration";
    let rows = [
        (Fault { close: Some(Close::BeforeResponse), ..Fault::on(operation) }, "oidc_failure"),
        (Fault::set(operation, json!({ "issuer": "https://evil.test" })), "authority_validation_failed"),
        (Fault::set(operation, json!({ "issuer": null })), "authority_validation_failed"),
        (
            Fault::set(operation, json!({ "token_endpoint": "http://idp.devcloud.test/oauth2/token" })),
            "oidc_failure",
        ),
        (Fault::set(operation, json!({ "token_endpoint": null })), "oidc_failure"),
        (Fault { body: Some("<html>".to_owned()), ..Fault::on(operation) }, "oidc_failure"),
        (Fault::status(operation, 404), "oidc_failure"),
        (Fault { times: 2, ..Fault::status(operation, 503) }, "oidc_failure"),
    ];
    for (fault, code) in rows {
        world.cloud.fault(fault.clone()).unwrap();
        let error = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}");
    }
    assert_eq!(world.cloud.counter("token"), 0);
    assert_eq!(world.cloud.counter(operation), 9, "a 503 is tried once more (section 6.2)");
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let foreign = options(&world).with_oidc_authority("https://idp2.devcloud.test/tenant-x");
    let error = ask(foreign, &bearer(GRAPH_SCOPE)).unwrap_err();
    assert_eq!(error.code(), "authority_validation_failed");
    assert!(error.message().contains("https://issuer.test"), "{error}");
}

/// AD FS (section 1.1): is the host asked about itself once per app, in the words of webfinger?
#[test]
fn adfs() {
    let world = World::new();
    let app = App::new(options(&world).with_authority(ADFS)).unwrap();
    for request in [pop(GRAPH_SCOPE), bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE).with_force_refresh(true)] {
        app.acquire_token(&request).unwrap();
    }
    let asked = received(&world, "webfinger");
    let [asked] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert_eq!((asked.service, asked.path.as_str()), (Service::Authority, "/.well-known/webfinger"));
    assert_eq!(asked.query("rel").as_deref(), Some("http://schemas.microsoft.com/rel/trusted-realm"));
    assert_eq!(asked.query("resource").as_deref(), Some("https://adfs.devcloud.test"));
    assert_eq!(asked.client_certificate, None);
}

/// AD FS that does not vouch for itself, or does not answer: does the call fail, and only this one?
#[test]
fn adfs_out_of_order() {
    let world = World::new();
    let app = App::new(options(&world).with_authority(ADFS)).unwrap();
    world.cloud.fault(Fault { close: Some(Close::BeforeResponse), ..Fault::on("webfinger") }).unwrap();
    assert_eq!(app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err().kind(), ErrorKind::Network);
    let rows = [
        (Fault::set("webfinger", json!({ "links": [] })), "authority_validation_failed", false),
        (Fault::status("webfinger", 404), "authority_validation_failed", false),
        (Fault { times: 2, ..Fault::status("webfinger", 503) }, "authority_validation_failed", true),
    ];
    for (fault, code, retryable) in rows {
        world.cloud.fault(fault.clone()).unwrap();
        let error = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{fault:?}");
    }
    assert_eq!(world.cloud.counter("token"), 0);
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
}

/// The tenant of a request (section 1.4): is it the effective one, for the token, for the rule that PoP needs
/// a tenant, and for the cache; and are placeholders in it ignored?
#[test]
fn tenant_of_a_request() {
    let world = World::new();
    let common = || options(&world).with_authority("https://login.microsoftonline.com/common");
    let app = App::new(common().with_credential(world.sni_credential())).unwrap();
    let code = |request: &TokenRequest| app.acquire_token(request).unwrap_err().code().to_owned();
    assert_eq!(code(&pop(GRAPH_SCOPE)), "missing_tenanted_authority");
    assert_eq!(code(&pop(GRAPH_SCOPE).with_tenant_id("organizations")), "missing_tenanted_authority");
    assert_eq!(code(&pop(GRAPH_SCOPE).with_tenant_id("a/b")), "invalid_argument");
    assert_eq!(world.cloud.requests().len(), 0);
    for tenant in [directory::TENANT_ID, directory::OTHER_TENANT_ID] {
        let token = app.acquire_token(&pop(GRAPH_SCOPE).with_tenant_id(tenant)).unwrap();
        assert_eq!(token.tenant_id(), Some(tenant));
        assert_eq!(crate::support::claims(&token)["tid"], tenant);
    }

    // The same by another authority of the cloud: only without a region, and only of the cloud.
    let own = options(&world).with_authority(&authority("login.microsoftonline.com"));
    let app = App::new(own.with_credential(world.sni_credential())).unwrap();
    let other = |host: &str| {
        bearer(GRAPH_SCOPE).with_authority(&format!("https://{host}/{}", directory::OTHER_TENANT_ID))
    };
    let token = app.acquire_token(&other("login.windows.net")).unwrap();
    assert_eq!(token.tenant_id(), Some(directory::OTHER_TENANT_ID));
    let refused = |request| app.acquire_token(&request).unwrap_err().code().to_owned();
    assert_eq!(refused(other("login.microsoftonline.us")), "authority_host_mismatch");
    assert_eq!(
        refused(bearer(GRAPH_SCOPE).with_authority("https://d.example/dstsv2/t")),
        "authority_type_mismatch"
    );
    let regional = world.sni().acquire_token(&other("login.windows.net")).unwrap_err();
    assert_eq!(regional.code(), "authority_override_regional");
}
