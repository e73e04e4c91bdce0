//! Managed identities: IMDSv1 for Bearer, IMDSv2 and mTLS for PoP, rejected and ending certificates.

use std::time::Duration;

use devcloud::{Close, Fault, ReceivedRequest, Service, directory};
use mtlspop::{App, Clock, ErrorKind, ManagedIdentityId, TokenSource};
use serde_json::json;

use crate::support::{GRAPH, SYSTEM, World, assert_bound, authority, bearer, claims, pop};

fn calls(world: &World) -> [u64; 4] {
    ["imds_token", "metadata", "issuecredential", "token"].map(|name| world.cloud.counter(name))
}

/// PoP: exactly three exchanges when cold, none when warm (managed_identity spec, sections 1 and 5)?
#[test]
fn cold_and_warm() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    let x5t = assert_bound(&token);
    assert_eq!(calls(&world), [0, 1, 1, 1]);
    assert_eq!(token.tenant_id(), Some(directory::TENANT_ID));
    assert_eq!(claims(&token)["oid"], directory::SYSTEM_ASSIGNED_OBJECT_ID);

    let request = &world.cloud.requests_to(Service::Mtlsauth)[0];
    assert_eq!(request.host, "eastus.mtlsauth.microsoft.com");
    assert_eq!(request.client_certificate.as_deref(), Some(x5t.as_str()));
    assert_eq!(request.form("scope").as_deref(), Some("https://graph.microsoft.com/.default"));
    assert_eq!(request.form("client_id").as_deref(), Some(directory::SYSTEM_ASSIGNED_CLIENT_ID));
    assert_eq!(request.form("token_type").as_deref(), Some("mtls_pop"));
    for absent in ["client_assertion", "client_info", "client_secret", "resource"] {
        assert_eq!(request.form(absent), None, "{absent}");
    }

    assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap().source(), TokenSource::Cache);
    // The design's table, row "new app object": it can use what the process already has.
    assert_eq!(
        world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap().source(),
        TokenSource::Cache
    );
    assert_eq!(calls(&world), [0, 1, 1, 1]);
}

/// Another resource, a forced refresh, claims: is the certificate reused (section 9.1, 9.2)?
#[test]
fn certificate_is_reused() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let x5t = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let requests = [
        pop("https://vault.azure.net/.default"),
        pop(GRAPH).with_force_refresh(true),
        pop(GRAPH).with_claims(r#"{"access_token":{"acrs":{"values":["c1"]}}}"#),
    ];
    for request in &requests {
        let token = app.acquire_token(request).unwrap();
        assert_eq!((assert_bound(&token), token.source()), (x5t.clone(), TokenSource::IdentityProvider));
    }
    // getplatformmetadata only when a certificate is minted (the design's table).
    assert_eq!(calls(&world), [0, 1, 1, 4]);
}

/// Bearer: one call to IMDSv1, with the headers and parameters of section 6.1?
#[test]
fn bearer_from_imds_v1() {
    let world = World::new();
    let id = ManagedIdentityId::ResourceId(directory::USER_ASSIGNED_RESOURCE_ID.to_owned());
    let app = world.managed_identity(id);
    let token = app.acquire_token(&bearer("https://vault.azure.net/.default")).unwrap();
    assert_eq!(token.token_type().as_str(), "Bearer");
    assert_eq!(claims(&token)["aud"], "https://vault.azure.net");
    assert_eq!(calls(&world), [1, 0, 0, 0]);
    let request = &world.cloud.requests_to(Service::Imds)[0];
    let query = |name: &str| request.query(name);
    assert_eq!(query("api-version").as_deref(), Some("2018-02-01"));
    assert_eq!(query("resource").as_deref(), Some("https://vault.azure.net"));
    assert_eq!(query("msi_res_id").as_deref(), Some(directory::USER_ASSIGNED_RESOURCE_ID));
    assert_eq!(request.header("metadata"), Some("true"));
    assert!(request.header("x-ms-client-request-id").is_some());
    assert_eq!(app.acquire_token(&bearer("https://vault.azure.net")).unwrap().source(), TokenSource::Cache);
}

/// One user-assigned identity by three names: one certificate (the design's table)?
#[test]
fn three_names_one_certificate() {
    let world = World::new();
    let names = [
        (ManagedIdentityId::ClientId(directory::USER_ASSIGNED_CLIENT_ID.into()), "client_id"),
        (ManagedIdentityId::ObjectId(directory::USER_ASSIGNED_OBJECT_ID.into()), "object_id"),
        (ManagedIdentityId::ResourceId(directory::USER_ASSIGNED_RESOURCE_ID.into()), "mi_res_id"),
    ];
    let mut thumbprints = Vec::new();
    for (id, parameter) in names {
        let token = world.managed_identity(id).acquire_token(&pop(GRAPH)).unwrap();
        thumbprints.push(assert_bound(&token));
        let requests = world.cloud.requests_to(Service::Imds);
        assert!(requests.iter().any(|request| request.query(parameter).is_some()), "{parameter}");
    }
    thumbprints.dedup();
    assert_eq!(thumbprints.len(), 1);
    assert_eq!(world.cloud.counter("issuecredential"), 1);
}

/// Is an identity that the host does not have an error that says so?
#[test]
fn unknown_identity() {
    let world = World::new();
    let app = world.managed_identity(ManagedIdentityId::ClientId("not-here".into()));
    for request in [bearer(GRAPH), pop(GRAPH)] {
        let error = app.acquire_token(&request).unwrap_err();
        assert_eq!((error.code(), error.http_status()), ("managed_identity_request_failed", Some(400)));
        assert!(error.message().contains("is the identity assigned to this host"), "{error}");
    }
    let empty = world.managed_identity_options(ManagedIdentityId::ClientId(" ".into()));
    assert_eq!(App::new(empty).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// A host without IMDSv2: is that said, after the retries that a young host needs (sections 5.2, 7.2)?
#[test]
fn no_imds_v2() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    world.cloud.fault(Fault { times: 4, ..Fault::status("metadata", 404) }).unwrap();
    let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.http_status()),
        (ErrorKind::NotSupported, "mtls_pop_token_not_supported_in_imds_v1", Some(404))
    );
    assert_eq!(world.cloud.counter("metadata"), 4);
}

/// Are answers refused that are not IMDS's, or not complete (sections 5.2 and 5.7)?
#[test]
fn malformed_imds_answers() {
    let faults = [
        Fault { headers: [("server".to_owned(), "I_MDS/1".to_owned())].into(), ..Fault::on("metadata") },
        Fault::set("metadata", json!({"cuId": {}})),
        Fault::set("metadata", json!({"clientId": null})),
        Fault::set("metadata", json!({"tenantId": ""})),
        Fault::set("metadata", json!({"attestationEndpoint": null})),
        Fault { body: Some("<html>".into()), ..Fault::on("issuecredential") },
        Fault { body: Some(String::new()), ..Fault::on("issuecredential") },
        Fault::set("issuecredential", json!({"identity_type": null})),
        Fault::set("issuecredential", json!({"mtls_authentication_endpoint": "http://plain.example"})),
    ];
    for fault in faults {
        let world = World::new();
        let shown = format!("{fault:?}");
        world.cloud.fault(fault).unwrap();
        let error = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(error.code(), "managed_identity_request_failed", "{shown}: {error}");
        assert_eq!(world.cloud.counter("token"), 0);
    }
    for certificate in ["not base64 !", "bm90IGEgY2VydGlmaWNhdGU="] {
        let world = World::new();
        world.cloud.fault(Fault::set("issuecredential", json!({"certificate": certificate}))).unwrap();
        let error = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(error.code(), "invalid_certificate", "{error}");
    }
}

/// A certificate that the token service rejects: is exactly one new one minted, past IMDS's cache, and
/// the token used that is bound to it (section 5.11, the design's table)?
#[test]
fn rejected_certificate_is_replaced_once() {
    let rejected =
        r#"{"error":"invalid_client","error_description":"AADSTS1000610: no","error_codes":[1000610]}"#;
    let invalid_client = || Fault { body: Some(rejected.into()), ..Fault::status("token", 401) };
    let alert = || Fault::on("tls_client_certificate");
    // One reset is the network's: the certificate is asked with again.
    let reset = || Fault { close: Some(Close::BeforeResponse), times: 2, ..Fault::on("token") };
    for fault in [invalid_client(), alert(), reset()] {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        let shown = fault.operation.clone();
        let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
        // Only a new connection shakes hands: another app has none.
        drop(app);
        world.advance(Duration::from_secs(600));
        world.cloud.fault(fault).unwrap();
        let app = world.managed_identity(SYSTEM);
        let second = app.acquire_token(&pop(GRAPH).with_force_refresh(true));
        let second = assert_bound(&second.unwrap_or_else(|e| panic!("{shown}: {e:?}")));
        assert_ne!(first, second, "{shown}");
        let issued = issue_requests(&world);
        assert_eq!(issued.len(), 2, "{shown}");
        assert_eq!(issued[0].query("bypass_cache"), None);
        assert_eq!(issued[1].query("bypass_cache").as_deref(), Some("true"));
    }
}

/// How many other certificates are tried where the token service goes on saying no: two with back-off where it
/// asks for another by AADSTS number or says nothing, one where it says something else, none for other errors
/// (the design's table, row "re-mint") and where resource or tenant takes no bound tokens, for which there is no
/// Bearer token instead? And is IMDS then left alone for a minute?
#[test]
fn rejections_are_bounded() {
    let numbered = |number: u32| {
        format!(r#"{{"error":"invalid_client","error_description":"no","error_codes":[{number}]}}"#)
    };
    let rows = [
        (numbered(1_000_610), "invalid_client", 2),
        (numbered(1_000_614), "invalid_client", 2),
        (r#"{"error":"unauthorized_client","error_codes":[1000612]}"#.into(), "unauthorized_client", 2),
        (r#"{"error":"Invalid_Client"}"#.into(), "Invalid_Client", 2),
        (numbered(1_000_615), "invalid_client", 1),
        (numbered(700_027), "invalid_client", 1),
        (numbered(392_196), "invalid_client", 0),
        (numbered(3_921_996), "invalid_client", 0),
        (r#"{"error":"unauthorized_client"}"#.into(), "unauthorized_client", 0),
        (r#"{"error":"invalid_scope"}"#.into(), "invalid_scope", 0),
    ];
    for (body, code, others) in rows {
        let world = World::new();
        world
            .cloud
            .fault(Fault { times: 99, body: Some(body.clone()), ..Fault::status("token", 401) })
            .unwrap();
        let app = world.managed_identity(SYSTEM);
        assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap_err().code(), code, "{body}");
        assert_eq!(calls(&world), [0, 1 + others, 1 + others, 1 + others], "{body}");
        let slept = world.clock.now().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        assert_eq!(slept > Duration::from_secs(1), others == 2, "{body}: back-off {slept:?}");
        app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(world.cloud.counter("issuecredential"), 1 + others, "{body}: not by the next call");
        world.advance(Duration::from_secs(61));
        app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(world.cloud.counter("issuecredential"), 1 + 2 * others, "{body}: but after a minute");
    }
}

/// Many threads whose certificate is rejected at once: do they get one new certificate between them, and each
/// a token?
#[test]
fn threads_share_the_replacement() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let body = r#"{"error":"invalid_client"}"#.to_owned();
    // All have asked before the first is answered.
    let rejected = Fault { times: 8, body: Some(body), delay_ms: 2000, ..Fault::status("token", 401) };
    world.cloud.fault(rejected).unwrap();
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (app, start, first) = (&app, &start, &first);
            scope.spawn(move || {
                let claims = format!(r#"{{"access_token":{{"acrs":{{"values":["c{n}"]}}}}}}"#);
                let request = pop(GRAPH).with_claims(&claims);
                start.wait();
                let error = match app.acquire_token(&request) {
                    Ok(token) => return assert_ne!(&assert_bound(&token), first),
                    Err(error) => error,
                };
                panic!("{n}: {error:?}");
            });
        }
    });
    assert_eq!(world.cloud.counter("issuecredential"), 2, "{:?}", calls(&world));
}

/// A token service that resets every connection: do living tokens stay in use, and is IMDS not asked for a
/// certificate by every call?
#[test]
fn resets_cost_neither_tokens_nor_certificates() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    app.acquire_token(&pop("https://vault.azure.net")).unwrap();
    app.acquire_token(&pop(GRAPH)).unwrap();
    world.advance(Duration::from_secs(600));
    let reset = Fault { close: Some(Close::BeforeResponse), times: 99, ..Fault::on("token") };
    world.cloud.fault(reset).unwrap();
    for _ in 0..5 {
        let error = app.acquire_token(&pop(GRAPH).with_force_refresh(true)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    }
    assert_eq!(world.cloud.counter("issuecredential"), 2, "one more, not five");
    for resource in ["https://vault.azure.net", GRAPH] {
        assert_eq!(app.acquire_token(&pop(resource)).unwrap().source(), TokenSource::Cache);
    }
}

/// IMDS does not answer on the last day of a certificate: does the caller get a token within its time, and
/// the next one without waiting again?
#[test]
fn a_renewal_that_hangs() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    world.advance(Duration::from_secs(6 * 24 * 3600 + 60));
    world.cloud.fault(Fault { times: 9, delay_ms: 60_000, ..Fault::on("metadata") }).unwrap();
    for resource in [GRAPH, "https://vault.azure.net"] {
        let request = pop(resource).with_timeout(Some(Duration::from_secs(4)));
        assert_eq!(assert_bound(&app.acquire_token(&request).unwrap()), first);
    }
    assert_eq!(world.cloud.counter("metadata"), 2, "one when it was minted, one renewal tried");
}

/// Does IMDS's 429 say that it asks for fewer requests?
#[test]
fn throttled_by_imds() {
    let world = World::new();
    world.cloud.fault(Fault { times: 4, ..Fault::status("imds_token", 429) }).unwrap();
    let error = world.managed_identity(SYSTEM).acquire_token(&bearer(GRAPH)).unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::Throttled, Some(429)));
    assert!(error.is_retryable());
}

/// Are tokens that are bound to a rejected certificate no longer served?
#[test]
fn tokens_of_a_rejected_certificate_go_with_it() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    app.acquire_token(&pop("https://vault.azure.net")).unwrap();
    let body = r#"{"error":"invalid_client"}"#;
    world.cloud.fault(Fault { body: Some(body.into()), ..Fault::status("token", 401) }).unwrap();
    let fresh = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let vault = app.acquire_token(&pop("https://vault.azure.net")).unwrap();
    assert_eq!((assert_bound(&vault), vault.source()), (fresh, TokenSource::IdentityProvider));
}

/// The last day of a certificate: is it renewed first, and still used where that fails (the design's table,
/// row "certificate life")?
#[test]
fn last_day_of_a_certificate() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    world.advance(Duration::from_secs(6 * 24 * 3600 + 60));
    world.cloud.fault(Fault { times: 9, ..Fault::status("issuecredential", 503) }).unwrap();
    let kept = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    assert_eq!(kept, first);
    world.cloud.clear_faults();
    world.advance(Duration::from_secs(31));
    let renewed = assert_bound(&app.acquire_token(&pop(GRAPH).with_force_refresh(true)).unwrap());
    assert_ne!(renewed, first);
}

/// A bound token must not outlive its certificate in the cache (design, decision 4), nor be served in its last
/// five minutes, in which the certificate is not used either (the design's table, row "certificate life").
#[test]
fn token_ends_with_its_certificate() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    world.cloud.fault(Fault { certificate_seconds: Some(600), ..Fault::on("issuecredential") }).unwrap();
    let first = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(first.expires_on(), first.binding_certificate().unwrap().not_after());
    let first = assert_bound(&first);
    world.advance(Duration::from_secs(250));
    assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap().source(), TokenSource::Cache);
    world.advance(Duration::from_secs(51));
    let second = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(second.source(), TokenSource::IdentityProvider);
    assert_ne!(assert_bound(&second), first);
}

/// Do apps refuse what a managed identity cannot have?
#[test]
fn not_for_managed_identity() {
    let world = World::new();
    let options =
        world.managed_identity_options(SYSTEM).with_authority(&authority("login.microsoftonline.com"));
    assert_eq!(App::new(options).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// Extra query parameters (section 2.4): do the app's reach IMDSv1 and the token service, and the request's the
/// token service, encoded; IMDSv2 none; are they part of the cache key where that is asked; and are names that
/// would make another request of it refused, as is what a Bearer request could not pass on?
#[test]
fn extra_query_parameters() {
    let world = World::new();
    let options = world.managed_identity_options(SYSTEM).with_extra_query_parameter("dc", "a b&c", true);
    let app = App::new(options).unwrap();
    app.acquire_token(&bearer(GRAPH)).unwrap();
    app.acquire_token(&pop(GRAPH).with_extra_query_parameter("slice", "one", false)).unwrap();
    for request in world.cloud.requests() {
        let expected = match request.operation.as_deref() {
            Some("imds_token") => (Some("a b&c"), None),
            Some("token") => (Some("a b&c"), Some("one")),
            _ => (None, None),
        };
        let sent = (request.query("dc"), request.query("slice"));
        assert_eq!((sent.0.as_deref(), sent.1.as_deref()), expected, "{:?}", request.operation);
        let blank = request.query.contains("dc=a%20b%26c") || expected.0.is_none();
        assert!(blank && !request.query.contains('+'), "{}", request.query);
    }
    let plain = world.managed_identity(SYSTEM);
    for request in [bearer(GRAPH), pop(GRAPH)] {
        assert_eq!(app.acquire_token(&request).unwrap().source(), TokenSource::Cache);
        assert_eq!(plain.acquire_token(&request).unwrap().source(), TokenSource::IdentityProvider);
    }
    let refused = [
        pop(GRAPH).with_extra_query_parameter("Resource", "x", false),
        pop(GRAPH).with_extra_body_parameter("a", "b"),
        bearer(GRAPH).with_extra_query_parameter("dc", "x", false),
    ];
    for request in &refused {
        assert_eq!(app.acquire_token(request).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let options =
        world.managed_identity_options(SYSTEM).with_extra_query_parameter("api-version", "1", false);
    assert_eq!(App::new(options).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// Is a managed identity not disturbed by a proxy in the environment that is for other programs, and a client that
/// would go through it told which variable it is?
#[test]
fn a_proxy_for_others() {
    let world = World::new();
    let mut env = world.env();
    env.insert("https_proxy".into(), "socks5h://127.0.0.1:1080".into());
    let env = std::sync::Arc::new(env);
    let app = App::new(world.managed_identity_options(SYSTEM).with_env(env.clone())).unwrap();
    app.acquire_token(&bearer(GRAPH)).unwrap();
    let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("https_proxy names a SOCKS proxy (socks5h://)"), "{error}");
    App::new(world.managed_identity_options(SYSTEM).with_env(env).with_proxy("socks5h://127.0.0.1:1"))
        .unwrap_err();
}

/// IMDS is never asked through the proxy, whatever NO_PROXY says (design, decision 9).
#[test]
fn imds_bypasses_the_proxy() {
    let world = World::new();
    let mut env = world.env();
    env.remove("NO_PROXY");
    env.insert("HTTP_PROXY".into(), world.cloud.proxy_url());
    let app = App::new(world.managed_identity_options(SYSTEM).with_env(std::sync::Arc::new(env))).unwrap();
    app.acquire_token(&bearer(GRAPH)).unwrap();
    assert_eq!(calls(&world), [1, 0, 0, 0]);
}

fn issue_requests(world: &World) -> Vec<ReceivedRequest> {
    let imds = world.cloud.requests_to(Service::Imds);
    imds.into_iter().filter(|request| request.path.ends_with("issuecredential")).collect()
}
