//! A token that an API rejects without saying what it wants: replaced once, and not again and again.

use std::sync::Barrier;
use std::time::Duration;

use devcloud::{Fault, Service};
use mtlspop::{App, Cancel, ErrorKind, HttpRequest, HttpResponse, Token, TokenRequest, TokenSource};
use serde_json::json;

use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, World, bearer, pop, wait_for};

const ME: &str = "https://graph.microsoft.com/v1.0/me";

fn send(app: &App, token: &Token, request: &TokenRequest) -> HttpResponse {
    app.send_answering_claims(token, request, &HttpRequest::new("GET", ME)).unwrap()
}

/// Graph answers 401 so often, whatever the token.
fn refuse(world: &World, times: u32) {
    world.cloud.fault(Fault { times, ..Fault::status("graph", 401) }).unwrap();
}

/// A token that the API will not like, as if it had been revoked, in place of a good one.
fn bad_token(world: &World, app: &App, request: &TokenRequest) -> Token {
    world.cloud.fault(Fault::claims("token", json!({ "aud": "https://other.example" }))).unwrap();
    app.acquire_token(request).unwrap()
}

/// Is each kind of token replaced where the API rejects it, the request sent again as it was, and the new token
/// what the next caller gets, without another certificate?
#[test]
fn a_rejected_token_is_replaced() {
    let world = World::new();
    let (sni, identity) = (world.sni(), world.managed_identity(SYSTEM));
    let rows = [
        (&sni, pop(GRAPH_SCOPE)),
        (&sni, bearer(GRAPH_SCOPE)),
        (&identity, pop(GRAPH)),
        (&identity, bearer(GRAPH)),
    ];
    for (app, request) in rows {
        world.cloud.reset();
        let token = app.acquire_token(&request).unwrap();
        let fetched = || world.cloud.counter("token") + world.cloud.counter("imds_token");
        refuse(&world, 1);
        let post =
            HttpRequest::new("POST", ME).with_header("x-test", "one").with_body("text/plain", "the body");
        let response = app.send_answering_claims(&token, &request, &post).unwrap();
        assert_eq!((response.status(), fetched()), (200, 2));
        let [first, second] = &world.cloud.requests_to(Service::Graph)[..] else { panic!("two calls") };
        assert_ne!(first.header("authorization"), second.header("authorization"));
        for sent in [first, second] {
            assert_eq!((sent.method.as_str(), sent.body.as_str()), ("POST", "the body"));
            assert_eq!(sent.header("x-test"), Some("one"));
            assert_eq!(sent.client_certificate.is_some(), token.binding_certificate().is_some());
        }
        let next = app.acquire_token(&request).unwrap();
        assert_eq!(next.source(), TokenSource::Cache);
        assert_ne!(next.access_token(), token.access_token());
        assert!(world.cloud.counter("issuecredential") <= 1);
    }
}

/// Where a fresh token is refused, too: is none fetched for a minute for this API and kind of token, but for
/// others, and after the minute again?
#[test]
fn none_for_a_minute() {
    let world = World::new();
    let app = world.sni();
    refuse(&world, u32::MAX);
    let calls = |request: &TokenRequest| {
        let token = app.acquire_token(request).unwrap();
        assert_eq!(send(&app, &token, request).status(), 401);
        (world.cloud.counter("graph"), world.cloud.counter("token"))
    };
    assert_eq!(calls(&pop(GRAPH_SCOPE)), (2, 2));
    assert_eq!(calls(&pop(GRAPH_SCOPE)), (3, 2));
    assert_eq!(calls(&bearer(GRAPH_SCOPE)), (5, 4), "another kind of token");
    world.advance(Duration::from_secs(59));
    assert_eq!(calls(&pop(GRAPH_SCOPE)), (6, 4));
    // Another API: that it does not take this token is no matter here.
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let vault = HttpRequest::new("GET", "https://devcloud.vault.azure.net/secrets/demo");
    assert_eq!(app.send_answering_claims(&token, &pop(GRAPH_SCOPE), &vault).unwrap().status(), 401);
    assert_eq!((world.cloud.counter("vault"), world.cloud.counter("token")), (2, 5));
    world.advance(Duration::from_secs(1));
    assert_eq!(calls(&pop(GRAPH_SCOPE)), (8, 6), "again after a minute");
    assert_eq!(calls(&pop(GRAPH_SCOPE)), (9, 6));
}

/// Do threads whose token is rejected cause one request for another, and those who come later with the rejected
/// one none?
#[test]
fn once_for_each_token() {
    let world = World::new();
    let app = world.sni();
    for request in [pop(GRAPH_SCOPE), bearer(GRAPH_SCOPE)] {
        world.cloud.reset();
        let token = bad_token(&world, &app, &request);
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    assert_eq!(send(&app, &token, &request).status(), 200);
                });
            }
        });
        assert_eq!(world.cloud.counter("token"), 2);
        assert_eq!(send(&app, &token, &request).status(), 200);
        assert_eq!(world.cloud.counter("token"), 2);
    }
}

/// Is no other token fetched where the API never asked for the certificate that the token is bound to?
#[test]
fn not_where_nobody_asked_for_the_certificate() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    world.cloud.fault(Fault { times: 2, ..Fault::on("tls_certificate_request") }).unwrap();
    let response = send(&app, &token, &pop(GRAPH_SCOPE));
    assert_eq!((response.status(), response.certificate_requested()), (401, Some(false)));
    assert_eq!((world.cloud.counter("graph"), world.cloud.counter("token")), (1, 1));
}

/// Where no other token can be had, or the source hands out the same one again: is the 401 the response, sent
/// once, and a cancellation an error? Is nobody asked again within a minute who said no, as for an app that was
/// switched off, whose tokens APIs reject as well; but who was only out of order?
#[test]
fn no_other_token() {
    let world = World::new();
    let app = world.sni();
    let token = bad_token(&world, &app, &pop(GRAPH_SCOPE));
    let asked = || {
        let before = world.cloud.counter("token");
        assert_eq!(send(&app, &token, &pop(GRAPH_SCOPE)).status(), 401);
        world.cloud.counter("token") - before
    };
    world.cloud.fault(Fault { times: 2, ..Fault::status("token", 503) }).unwrap();
    assert_eq!(asked(), 2, "with the retry");
    world.cloud.fault(Fault::status("token", 400)).unwrap();
    assert_eq!((asked(), asked()), (1, 0));
    assert_eq!(world.cloud.counter("graph"), 3);
    world.advance(Duration::from_secs(60));

    let cancel = Cancel::new();
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("token") }).unwrap();
    let before = world.cloud.counter("token");
    std::thread::scope(|scope| {
        let call = HttpRequest::new("GET", ME).with_cancel(cancel.clone());
        let (app, token) = (&app, &token);
        let sent = scope.spawn(move || app.send_answering_claims(token, &pop(GRAPH_SCOPE), &call));
        wait_for(|| world.cloud.counter("token") > before);
        cancel.cancel();
        assert_eq!(sent.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });

    let identity = world.managed_identity(SYSTEM);
    let same = Fault::set("imds_token", json!({ "access_token": "the same" }));
    world.cloud.fault(Fault { times: 3, ..same }).unwrap();
    let token = identity.acquire_token(&bearer(GRAPH)).unwrap();
    let before = world.cloud.counter("graph");
    for _ in 0..2 {
        assert_eq!(send(&identity, &token, &bearer(GRAPH)).status(), 401);
    }
    assert_eq!((world.cloud.counter("graph"), world.cloud.counter("imds_token")), (before + 2, 2));
}
