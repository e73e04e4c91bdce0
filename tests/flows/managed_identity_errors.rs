//! What goes wrong with managed identities: each answer's code, kind and status, and when it is asked again
//! (managed_identity spec, sections 7 and 11).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use devcloud::{Close, Fault, Source, directory};
use mtlspop::ErrorKind::{self, *};
use mtlspop::{App, Certificate, Error, ManagedIdentityId, TokenSource};
use serde_json::json;

use crate::support::{GRAPH, SYSTEM, VAULT, World, assert_bound, bearer, pop};

const FAILED: &str = "managed_identity_request_failed";
const UNREACHABLE: &str = "managed_identity_unreachable_network";

/// What a program can tell an error by.
fn told(error: &Error) -> (&str, ErrorKind, Option<u16>) {
    (error.code(), error.kind(), error.http_status())
}

fn calls(world: &World) -> [u64; 3] {
    ["metadata", "issuecredential", "token"].map(|name| world.cloud.counter(name))
}

fn body(operation: &str, status: u16, body: &str) -> Fault {
    Fault { body: Some(body.to_owned()), ..Fault::status(operation, status) }
}

fn cut(operation: &str) -> Fault {
    Fault { times: 9, close: Some(Close::BeforeResponse), ..Fault::on(operation) }
}

fn retry_after(seconds: &str, fault: Fault) -> Fault {
    Fault { headers: [("retry-after".to_owned(), seconds.to_owned())].into(), ..fault }
}

/// Sections 5.10 and 11, the token leg: which error is each answer, and is nothing of it kept? Each row asks
/// for the same token, so what an earlier one had left in the cache would be served.
#[test]
fn token_leg() {
    let set = |members| Fault::set("token", members);
    let at = |status, text| body("token", status, text);
    let value = "invalid_token_provider_response_value";
    let rows = [
        (at(200, "<html>"), "non_parsable_oauth_error", InvalidResponse, 200, 1),
        (at(200, ""), "non_parsable_oauth_error", InvalidResponse, 200, 1),
        (at(200, "null"), "non_parsable_oauth_error", InvalidResponse, 200, 1),
        (at(200, "{}"), "token_type_missing", InvalidResponse, 200, 1),
        (set(json!({"token_type": null})), "token_type_missing", InvalidResponse, 200, 1),
        (set(json!({"token_type": ""})), "token_type_missing", InvalidResponse, 200, 1),
        (set(json!({"token_type": "Bearer"})), "token_type_mismatch", InvalidResponse, 200, 1),
        (set(json!({"token_type": "pop"})), "token_type_mismatch", InvalidResponse, 200, 1),
        (set(json!({"access_token": null})), value, InvalidResponse, 200, 1),
        (set(json!({"access_token": ""})), value, InvalidResponse, 200, 1),
        (set(json!({"expires_in": null})), value, InvalidResponse, 200, 1),
        (set(json!({"expires_in": "soon"})), value, InvalidResponse, 200, 1),
        (set(json!({"expires_in": 0})), value, InvalidResponse, 200, 1),
        (at(400, "<html>"), "non_parsable_oauth_error", InvalidResponse, 400, 1),
        (at(404, "<html>"), "non_parsable_oauth_error", InvalidResponse, 404, 1),
        (at(404, ""), "not_found", Rejected, 404, 1),
        (at(404, "{}"), "not_found", Rejected, 404, 1),
        (at(400, ""), "http_status_not_200", Rejected, 400, 1),
        (at(201, r#"{"token_type":"mtls_pop"}"#), "http_status_not_200", InvalidResponse, 201, 1),
        (at(302, ""), "http_status_not_200", InvalidResponse, 302, 1),
        (at(408, ""), "http_status_not_200", Rejected, 408, 1),
        (at(429, "<html>"), "request_throttled", Throttled, 429, 1),
        (at(429, ""), "http_status_not_200", Throttled, 429, 1),
        (at(429, r#"{"error":"slow_down"}"#), "slow_down", Throttled, 429, 1),
        (at(500, ""), "service_not_available", Rejected, 500, 2),
        (at(503, "<html>"), "service_not_available", Rejected, 503, 2),
        (at(504, r#"{"error":"x"}"#), "service_not_available", Rejected, 504, 2),
        (at(400, r#"{"error":"invalid_scope"}"#), "invalid_scope", Rejected, 400, 1),
        (at(400, r#"{"error":"invalid_grant"}"#), "invalid_grant", InteractionRequired, 400, 1),
        (at(401, r#"{"error":"invalid_client"}"#), "invalid_client", Rejected, 401, 3),
    ];
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    for (fault, code, kind, status, requests) in rows {
        world.cloud.reset();
        world.cloud.fault(Fault { times: 9, ..fault.clone() }).unwrap();
        let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(told(&error), (code, kind, Some(status)), "{fault:?}: {error}");
        assert!(error.correlation_id().is_some());
        assert_eq!(world.cloud.counter("token"), requests, "{fault:?}");
        assert_eq!(world.cloud.counter("imds_token"), 0, "{fault:?}: never weaker than asked");
        // That an overloaded service is left alone for a minute is another question.
        world.advance(Duration::from_secs(61));
    }
    world.cloud.reset();
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_bound(&token);
    let unbound = app.acquire_token(&bearer(GRAPH)).unwrap();
    assert_eq!([&token, &unbound].map(|token| token.source()), [TokenSource::IdentityProvider; 2]);
}

/// Section 5.10: does an error of the service bring along what it said: text, AADSTS number, claims, id?
#[test]
fn what_the_service_said() {
    let world = World::new();
    let id = "3f0d2f43-4c2b-4a5f-9f55-0a5f4f3b1c2d";
    let text = json!({
        "error": "interaction_required", "error_description": "AADSTS53003: blocked", "suberror": "s",
        "claims": "{\"a\":1}", "correlation_id": id,
    });
    world.cloud.fault(body("token", 400, &text.to_string())).unwrap();
    let error = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(told(&error), ("interaction_required", InteractionRequired, Some(400)));
    assert!(error.message().contains("AADSTS53003: blocked"), "{error}");
    assert_eq!((error.aadsts_codes(), error.sub_error()), (&[53_003][..], Some("s")));
    assert_eq!((error.claims(), error.correlation_id()), (Some("{\"a\":1}"), Some(id)));
}

/// Sections 5.11 and 11 (MSAL: raw exceptions), a token service that cannot be talked to: does that have a code,
/// and cost no certificate while this one is young?
#[test]
fn lost_connections() {
    let refused = Fault { times: 9, ..Fault::status("connect", 502) };
    // A first reset is asked about again.
    let twice = Fault { times: 2, ..cut("token") };
    let rows = [(twice, "network_error", None, 2), (refused, "proxy_error", Some(502), 0)];
    for (fault, code, status, requests) in rows {
        let world = World::new();
        world.cloud.fault(fault).unwrap();
        let error = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(told(&error), (code, Network, status), "{error}");
        assert_eq!(calls(&world), [1, 1, requests], "{error}");
        world.cloud.clear_faults();
        assert_bound(&world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap());
        assert_eq!(calls(&world), [1, 1, requests + 1]);
    }
}

/// Sections 5.2, 5.7 and 11, the two calls of IMDSv2: which error is each answer, does no request follow it,
/// and is the same asked again by the next call?
#[test]
fn imds_answers() {
    let world = World::new();
    let other = Certificate::from_file(&world.cloud.files().sni(), None, None).unwrap();
    let server = |name: &str| [("server".to_owned(), name.to_owned())].into();
    let metadata = |text| Fault { headers: server("IMDS/1"), ..body("metadata", 200, text) };
    let without = |operation, member: &str| Fault::set(operation, json!({ member: null }));
    let certificate = |text: &str| Fault::set("issuecredential", json!({ "certificate": text }));
    let mut rows = vec![
        (metadata("<html>"), FAILED, InvalidResponse, Some(200)),
        (metadata(""), FAILED, InvalidResponse, Some(200)),
        (metadata("null"), FAILED, InvalidResponse, Some(200)),
        (metadata("{}"), FAILED, InvalidResponse, Some(200)),
        (Fault { headers: server("nginx"), ..Fault::on("metadata") }, FAILED, InvalidResponse, Some(200)),
        (Fault { headers: server(""), ..Fault::on("metadata") }, FAILED, InvalidResponse, Some(200)),
        (Fault::set("metadata", json!({"cuId": {"vmId": ""}})), FAILED, InvalidResponse, Some(200)),
        (Fault::set("metadata", json!({"clientId": "a_b"})), FAILED, InvalidResponse, None),
        (certificate(""), FAILED, InvalidResponse, Some(200)),
        (certificate("not base64 !"), "invalid_certificate", InvalidResponse, None),
        (certificate("bm90IGEgY2VydGlmaWNhdGU="), "invalid_certificate", InvalidResponse, None),
        (certificate(&STANDARD.encode(other.der())), "invalid_certificate", InvalidResponse, None),
    ];
    for member in ["cuId", "clientId", "tenantId", "attestationEndpoint"] {
        rows.push((without("metadata", member), FAILED, InvalidResponse, Some(200)));
    }
    for text in ["<html>", "", "null", "[]", "{}"] {
        rows.push((body("issuecredential", 200, text), FAILED, InvalidResponse, Some(200)));
    }
    for member in ["client_id", "tenant_id", "certificate", "identity_type", "mtls_authentication_endpoint"] {
        rows.push((without("issuecredential", member), FAILED, InvalidResponse, Some(200)));
    }
    for operation in ["metadata", "issuecredential"] {
        rows.push((cut(operation), UNREACHABLE, Network, None));
        for status in [201, 204, 302] {
            rows.push((Fault::status(operation, status), FAILED, InvalidResponse, Some(status)));
        }
        for status in [400, 401, 403] {
            rows.push((Fault::status(operation, status), FAILED, Rejected, Some(status)));
        }
    }
    for (fault, code, kind, status) in rows {
        world.cloud.reset();
        world.cloud.fault(fault.clone()).unwrap();
        // A connection of its own: one that had been idle would be replaced when it is cut.
        let error = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(told(&error), (code, kind, status), "{fault:?}: {error}");
        // The connection to metadata may have been closed meanwhile: another one is tried.
        let issued = match fault.operation.as_str() {
            "issuecredential" => 1 + u64::from(fault.close.is_some()),
            _ => 0,
        };
        assert_eq!(calls(&world), [1, issued, 0], "{fault:?}");
    }
    assert_bound(&world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap());
}

/// Sections 6.0, 8.1 and 11, Bearer from IMDS: the same.
#[test]
fn bearer_answers() {
    let parse = "managed_identity_response_parse_failure";
    let value = "invalid_token_provider_response_value";
    let expiry = |value| Fault::set("imds_token", json!({"expires_on": value, "expires_in": value}));
    let rows = [
        (body("imds_token", 200, "<html>"), parse, InvalidResponse, Some(200)),
        (body("imds_token", 200, ""), FAILED, InvalidResponse, Some(200)),
        (Fault::set("imds_token", json!({"access_token": null})), FAILED, InvalidResponse, Some(200)),
        (Fault::status("imds_token", 400), FAILED, Rejected, Some(400)),
        (expiry("soon"), "invalid_timestamp_format", InvalidResponse, None),
        (expiry("0"), value, InvalidResponse, None),
        (cut("imds_token"), UNREACHABLE, Network, None),
    ];
    let world = World::new();
    for (fault, code, kind, status) in rows {
        world.cloud.reset();
        world.cloud.fault(fault.clone()).unwrap();
        // A connection of its own: one that had been idle would be replaced when it is cut.
        let error = world.managed_identity(SYSTEM).acquire_token(&bearer(GRAPH)).unwrap_err();
        assert_eq!(told(&error), (code, kind, status), "{fault:?}: {error}");
        assert_eq!(world.cloud.counter("imds_token"), 1, "{fault:?}");
    }
}

/// Section 11, what the host and the identity rule out: is it said before any request, when the app is made
/// or asked?
#[test]
fn ruled_out() {
    let world = World::new();
    let client = || ManagedIdentityId::ClientId(directory::USER_ASSIGNED_CLIENT_ID.into());
    let single = "user_assigned_managed_identity_not_supported";
    let manifest = "user_assigned_managed_identity_not_configurable_at_runtime";
    let environment = "mtls_pop_not_supported_for_environment";
    let rows = [
        (Source::AzureArc, client(), "", environment, NotSupported),
        (Source::CloudShell, client(), "", single, NotSupported),
        (Source::ServiceFabric, client(), "", manifest, NotSupported),
        (Source::MachineLearning, SYSTEM, "", "invalid_managed_identity_id_type", NotSupported),
        (Source::AppService, SYSTEM, "not a URL", "invalid_managed_identity_endpoint", InvalidArgument),
        (Source::AppService, SYSTEM, "", environment, NotSupported),
        (Source::AppService, ManagedIdentityId::ObjectId("".into()), "", "invalid_argument", InvalidArgument),
    ];
    for (source, id, address, code, kind) in rows {
        let mut env = world.env();
        env.extend(world.cloud.source_env(source));
        env.remove("DEFAULT_IDENTITY_CLIENT_ID");
        if !address.is_empty() {
            env.insert("IDENTITY_ENDPOINT".into(), address.into());
        }
        let app = App::new(world.managed_identity_options(id).with_env(Arc::new(env)));
        let error = app.and_then(|app| app.acquire_token(&pop(GRAPH))).unwrap_err();
        assert_eq!(told(&error), (code, kind, None), "{source:?}: {error}");
    }
    for resource in ["", " ", "https://one.example https://two.example"] {
        let error = world.managed_identity(SYSTEM).acquire_token(&pop(resource)).unwrap_err();
        assert_eq!(told(&error).1, InvalidArgument, "{resource:?}: {error}");
    }
    assert!(world.cloud.requests().is_empty());
}

/// Sections 7.2 and 7.5: how often are `getplatformmetadata` and `issuecredential` asked, and how long is
/// waited, for each status, for two in turn, and with `Retry-After`, which counts for nothing? (That silence is
/// retried in the same way is tested where the limit of one attempt can be set.)
#[test]
fn imds_is_asked_again() {
    type Row = (Vec<(u16, u32)>, u64, u64);
    let mut rows: Vec<Row> =
        [404, 408, 429, 500, 501, 502, 503, 504, 599].map(|status| (vec![(status, 9)], 4, 7)).to_vec();
    rows.extend([400, 401, 403, 405, 409].map(|status| (vec![(status, 9)], 1, 0)));
    rows.push((vec![(410, 9)], 8, 70));
    // The first status says how often, the present one how long.
    rows.push((vec![(410, 1), (500, 9)], 8, 10 + 2 + 4 * 5));
    rows.push((vec![(500, 1), (410, 9)], 4, 1 + 10 + 10));
    rows.push((vec![(503, 2), (400, 1)], 3, 1 + 2));
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    for operation in ["metadata", "issuecredential"] {
        for (statuses, requests, seconds) in &rows {
            world.cloud.reset();
            for (status, times) in statuses {
                let fault = Fault { times: *times, ..Fault::status(operation, *status) };
                world.cloud.fault(retry_after("1000", fault)).unwrap();
            }
            let before = world.clock.slept();
            let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
            let shown = format!("{operation} {statuses:?}: {error}");
            assert_eq!(world.cloud.counter(operation), *requests, "{shown}");
            assert_eq!((world.clock.slept() - before).as_secs(), *seconds, "{shown}");
            assert_eq!(error.http_status(), statuses.last().map(|(status, _)| *status), "{shown}");
            let kind = match statuses[0].0 {
                404 if operation == "metadata" => NotSupported,
                429 => Throttled,
                _ => Rejected,
            };
            assert_eq!(error.kind(), kind, "{shown}");
        }
    }
    // One that recovers costs no more than the waits until then.
    world.cloud.reset();
    for operation in ["metadata", "issuecredential"] {
        world.cloud.fault(Fault { times: 2, ..Fault::status(operation, 503) }).unwrap();
    }
    assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    assert_eq!(calls(&world), [3, 3, 1]);
}

/// Sections 7.3 and 7.5: is the token leg asked once more after 5xx, a second later, and not where the service
/// says when, nor after anything else?
#[test]
fn token_leg_is_asked_again() {
    let rows = [
        (Fault::status("token", 500), 2),
        (Fault::status("token", 503), 2),
        (retry_after("soon", Fault::status("token", 503)), 2),
        (retry_after("7", Fault::status("token", 503)), 1),
        (retry_after("7", Fault::status("token", 429)), 1),
        (Fault::status("token", 429), 1),
        (Fault::status("token", 408), 1),
        (Fault::status("token", 404), 1),
        (Fault::status("token", 410), 1),
    ];
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    assert_bound(&app.acquire_token(&pop(VAULT)).unwrap());
    for (fault, requests) in rows {
        world.cloud.reset();
        world.cloud.fault(Fault { times: 9, ..fault.clone() }).unwrap();
        let before = world.clock.slept();
        app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!(world.cloud.counter("token"), requests, "{fault:?}");
        assert_eq!((world.clock.slept() - before).as_secs(), requests - 1, "{fault:?}");
        // For how long it is left alone then is another question.
        world.advance(Duration::from_secs(61));
    }
    world.cloud.reset();
    world.cloud.fault(Fault::status("token", 503)).unwrap();
    assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
}

/// Section 7.4, as decided here: does a service that said when to come again hear nothing about that token
/// before, whichever way it is asked for, IMDS neither, and does the error say how long that is? Are other
/// resources not held up, and is it over when the time is?
#[test]
fn told_to_wait() {
    let rejected = r#"{"error":"invalid_client","error_codes":[1000610]}"#;
    let rows = [
        (Fault::status("token", 503), "service_not_available", 503),
        (body("token", 429, "<html>"), "request_throttled", 429),
        (body("token", 429, rejected), "invalid_client", 429),
        (body("token", 400, r#"{"error":"temporarily_unavailable"}"#), "temporarily_unavailable", 400),
    ];
    for (fault, code, status) in rows {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        world.cloud.fault(retry_after("120", fault)).unwrap();
        let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!((error.code(), error.http_status()), (code, Some(status)));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
        let before = calls(&world);
        world.advance(Duration::from_secs(20));
        let claims = pop(GRAPH).with_claims(r#"{"access_token":{"nbf":null}}"#);
        for request in [pop(GRAPH), pop(GRAPH).with_force_refresh(true), claims] {
            for app in [&app, &world.managed_identity(SYSTEM)] {
                let error = app.acquire_token(&request).unwrap_err();
                assert_eq!(told(&error), (code, Throttled, Some(status)), "{error}");
                let left = error.retry_after().unwrap().as_secs();
                assert!((1..=100).contains(&left) && error.is_retryable(), "{left}");
                assert!(error.message().contains(&format!("not asked again for {left} s")), "{error}");
            }
        }
        assert_eq!(calls(&world), before, "{code}: nobody was asked");
        assert_bound(&app.acquire_token(&pop(VAULT)).unwrap());
        app.acquire_token(&bearer(GRAPH)).unwrap();
        world.advance(Duration::from_secs(101));
        assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
        assert_eq!(calls(&world), [before[0], before[1], before[2] + 2], "{code}");
    }
}

/// Section 7.4: is a token service that is overloaded or out of order, and does not say for how long, left alone for
/// a minute by who wants that token, whichever app of the process it asks; and one that said something else not?
/// Does IMDS hear nothing then, and does the error tell the time that is left?
#[test]
fn not_told_to_wait() {
    for (status, waits) in [(429, true), (500, true), (503, true), (400, false), (404, false), (408, false)] {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        world.cloud.fault(Fault { times: 9, ..Fault::status("token", status) }).unwrap();
        app.acquire_token(&pop(GRAPH)).unwrap_err();
        world.cloud.clear_faults();
        let before = calls(&world);
        world.advance(Duration::from_secs(20));
        for app in [&app, &world.managed_identity(SYSTEM)] {
            match app.acquire_token(&pop(GRAPH).with_force_refresh(true)) {
                Err(error) => {
                    assert_eq!((error.kind(), error.http_status()), (Throttled, Some(status)), "{error}");
                    let left = error.retry_after().unwrap().as_secs();
                    assert!((1..=40).contains(&left) && error.is_retryable(), "{status}: {left}");
                    assert!(waits && error.message().contains("did not say when"), "{error}");
                    assert_eq!(calls(&world), before, "{status}: nobody was asked");
                }
                Ok(token) => assert!(!waits, "{status}: {}", assert_bound(&token)),
            }
        }
        assert_bound(&app.acquire_token(&pop(VAULT)).unwrap());
        world.advance(Duration::from_secs(41));
        assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    }
}
