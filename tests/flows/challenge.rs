//! A claims challenge of an API: read for the caller, or answered once by a new token.

use std::time::Duration;

use devcloud::{Fault, Service};
use mtlspop::{Cancel, Certificate, ErrorKind, HttpRequest, ManagedIdentityId, TokenSource};
use serde_json::{Value, json};

use crate::support::{GRAPH, GRAPH_SCOPE, World, assert_bound, bearer, claims, pop, wait_for};

const CHALLENGED: &str = "https://graph.microsoft.com/claims-challenge";

fn get() -> HttpRequest {
    HttpRequest::new("GET", CHALLENGED)
}

/// The next answers of Graph are 401 with these headers.
fn challenge(world: &World, times: u32, header: &str) {
    let headers = [("www-authenticate".to_owned(), header.to_owned())].into();
    world.cloud.fault(Fault { times, headers, ..Fault::status("graph", 401) }).unwrap();
}

/// Does the caller get the 401 as a response, with the claims in it as JSON, and nothing more sent?
#[test]
fn a_challenge_is_a_response() {
    let world = World::new();
    let app = world.sni();
    for request in [pop(GRAPH_SCOPE), bearer(GRAPH_SCOPE)] {
        let token = app.acquire_token(&request).unwrap();
        world.cloud.reset();
        let response = app.send(&token, &get()).unwrap();
        assert_eq!(response.status(), 401);
        let asked: Value = serde_json::from_str(response.claims().unwrap()).unwrap();
        assert_eq!(asked, json!({"access_token": {"acrs": {"essential": true, "value": "c1"}}}));
        assert_eq!((world.cloud.counter("graph"), world.cloud.counter("token")), (1, 0));
        // What MSAL tells its users to do by hand.
        let met = app.acquire_token(&request.clone().with_claims(response.claims().unwrap())).unwrap();
        let response = app.send(&met, &get()).unwrap();
        assert_eq!((response.status(), response.claims()), (200, None));
    }
}

/// Is the challenge answered for each kind of token, with the claims on the token leg, the request as it
/// was, the certificate kept, and the new token in the cache (managed_identity spec, section 9.1)?
#[test]
fn a_challenge_is_answered() {
    let world = World::new();
    let sni = world.sni();
    let identity = world.managed_identity(ManagedIdentityId::SystemAssigned);
    for (app, request) in [(&sni, pop(GRAPH_SCOPE)), (&sni, bearer(GRAPH_SCOPE)), (&identity, pop(GRAPH))] {
        world.cloud.reset();
        let token = app.acquire_token(&request).unwrap();
        let post = HttpRequest::new("POST", CHALLENGED)
            .with_header("x-test", "one")
            .with_body("text/plain", "the body");
        let response = app.send_answering_claims(&token, &request, &post).unwrap();
        assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(response.body()));

        let asked = world.last_token_request().form("claims").unwrap();
        let asked: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(asked["access_token"]["acrs"]["value"], "c1");
        let [first, second] = &world.cloud.requests_to(Service::Graph)[..] else { panic!("two calls") };
        assert_ne!(first.header("authorization"), second.header("authorization"));
        for sent in [first, second] {
            assert_eq!((sent.method.as_str(), sent.body.as_str()), ("POST", "the body"));
            assert_eq!(sent.header("x-test"), Some("one"));
            let certificate = token.binding_certificate().map(Certificate::x5t_s256);
            assert_eq!(sent.client_certificate.as_deref(), certificate);
        }
        assert!(world.cloud.counter("issuecredential") <= 1 && world.cloud.counter("metadata") <= 1);

        let next = app.acquire_token(&request).unwrap();
        assert_eq!(next.source(), TokenSource::Cache);
        assert_eq!(claims(&next)["acrs"], json!(["c1"]));
        assert_eq!(app.send_answering_claims(&next, &request, &get()).unwrap().status(), 200);
        assert_eq!(world.cloud.counter("token"), 2);
        if token.binding_certificate().is_some() {
            assert_eq!(assert_bound(&next), assert_bound(&token));
        }
    }
}

/// Is it sent again once and no more: a second challenge is a response? IMDSv1 takes no claims, so its
/// new token does not help (managed_identity spec, section 9.1).
#[test]
fn once_only() {
    let world = World::new();
    let sni = world.sni();
    let identity = world.managed_identity(ManagedIdentityId::SystemAssigned);
    let token = sni.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    challenge(&world, 2, r#"mtls_pop claims="e30=""#);
    let response = sni.send_answering_claims(&token, &pop(GRAPH_SCOPE), &get()).unwrap();
    assert_eq!((response.status(), response.claims()), (401, Some("{}")));
    assert_eq!((world.cloud.counter("graph"), world.cloud.counter("token")), (2, 2));

    let token = identity.acquire_token(&bearer(GRAPH)).unwrap();
    let response = identity.send_answering_claims(&token, &bearer(GRAPH), &get()).unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.claims().is_some());
    assert_eq!((world.cloud.counter("graph"), world.cloud.counter("imds_token")), (4, 2));
}

/// Is a 401 that asks for no claims, or for some that cannot be read, no challenge, and are other statuses none?
#[test]
fn no_challenge() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let rows = [
        (401, r#"Bearer error="insufficient_claims""#),
        (401, r#"Bearer error="insufficient_claims", claims="%%%""#),
        (401, r#"Bearer claims="WzFd""#),
        (401, r#"Bearer claims="e30"#),
        (403, r#"Bearer error="insufficient_claims", claims="e30=""#),
    ];
    for (status, header) in rows {
        let headers = [("www-authenticate".to_owned(), header.to_owned())].into();
        world.cloud.fault(Fault { headers, ..Fault::status("graph", status) }).unwrap();
        let response = app.send(&token, &get()).unwrap();
        assert_eq!((response.status(), response.claims()), (status, None), "{header}");
    }
    assert_eq!(world.cloud.counter("token"), 1);
}

/// Is the challenge found among others, of whatever scheme, and beside parameters that break the grammar, as
/// Dataverse (no quotes), Storage (no commas) and others write theirs?
#[test]
fn several_challenges() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let claims = "eyJhY2Nlc3NfdG9rZW4iOnt9fQ";
    let headers = [
        format!(
            r#"Bearer realm="a, b", authorization_uri="https://login.microsoftonline.com/common", PoP nonce="n", mtls_pop error="insufficient_claims", claims="{claims}""#
        ),
        format!(
            "Bearer authorization_uri=https://login.microsoftonline.com/t/oauth2/authorize, claims={claims}=="
        ),
        format!(r#"Bearer claims="{claims}==", authorization_uri=https://x/y, resource_id=https://z/"#),
        format!(
            "Bearer authorization_uri=https://x/y resource_id=https://z error=insufficient_claims claims={claims}"
        ),
        format!(r#"Negotiate TlRMTVNTUAAB==; Bearer realm="never closed; error="x"; claims="{claims}""#),
    ];
    for header in headers {
        challenge(&world, 1, &header);
        let plain = HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me");
        let response = app.send_answering_claims(&token, &pop(GRAPH_SCOPE), &plain).unwrap();
        assert_eq!(response.status(), 200, "{header}");
        let sent = world.last_token_request().form("claims");
        assert_eq!(sent.as_deref(), Some(r#"{"access_token":{}}"#), "{header}");
    }
    assert_eq!(world.cloud.counter("token"), 6);
}

/// That no token with such claims can be had is an error that says so, and names what the service said.
#[test]
fn no_such_token() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let refusal =
        json!({"error": "interaction_required", "error_description": "AADSTS50076: more is needed"});
    let body = Some(refusal.to_string());
    world.cloud.fault(Fault { body, ..Fault::status("token", 400) }).unwrap();
    let error = app.send_answering_claims(&token, &pop(GRAPH_SCOPE), &get()).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::InteractionRequired, "interaction_required"));
    assert!(error.message().starts_with("the API answered 401 and asks for other claims"), "{error}");
    assert_eq!(world.cloud.counter("graph"), 1);
}

/// Is a bound token never replaced by one that is not, nor the other way round?
#[test]
fn not_another_type() {
    let world = World::new();
    let app = world.sni();
    for (has, asks) in [(pop(GRAPH_SCOPE), bearer(GRAPH_SCOPE)), (bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE))] {
        let token = app.acquire_token(&has).unwrap();
        let error = app.send_answering_claims(&token, &asks, &get()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(world.cloud.counter("graph"), 0);
}

/// Is another token fetched also where the request for it says which token it is not to be?
#[test]
fn not_the_cached_token() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let request = pop(GRAPH_SCOPE).with_access_token_hash_to_refresh(&"0".repeat(64));
    assert_eq!(app.send_answering_claims(&token, &request, &get()).unwrap().status(), 200);
}

fn slow(world: &World, operation: &str) {
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on(operation) }).unwrap();
}

/// Do the time limit and the flag of the request cover the token and the second sending as well, and not
/// those of the request for the token?
#[test]
fn one_limit_for_all() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let request = pop(GRAPH_SCOPE).with_timeout(Some(Duration::from_secs(3600)));
    let send = |request: &HttpRequest| app.send_answering_claims(&token, &pop(GRAPH_SCOPE), request);
    let limited = || get().with_timeout(Duration::from_secs(3));

    slow(&world, "token");
    let error = app.send_answering_claims(&token, &request, &limited()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(world.cloud.counter("graph"), 1);

    challenge(&world, 1, r#"Bearer claims="e30""#);
    slow(&world, "graph");
    let error = send(&limited()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(world.cloud.counter("graph"), 3);

    cancelled(&world, "token", send);
    challenge(&world, 1, r#"Bearer claims="e30""#);
    cancelled(&world, "graph", send);
}

/// Raises the flag once `operation` has been asked, for it will not answer.
fn cancelled(
    world: &World,
    operation: &str,
    send: impl Fn(&HttpRequest) -> mtlspop::Result<mtlspop::HttpResponse> + Sync,
) {
    slow(world, operation);
    let cancel = Cancel::new();
    let request = get().with_cancel(cancel.clone());
    let before = world.cloud.counter(operation);
    let expected = before + if operation == "graph" { 2 } else { 1 };
    std::thread::scope(|scope| {
        let call = scope.spawn(|| send(&request));
        wait_for(|| world.cloud.counter(operation) == expected);
        cancel.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
}
