//! Calling an API: with the certificate of the token, on its own connections, and nowhere else.

use std::collections::HashSet;
use std::time::Duration;

use devcloud::{Fault, Service};
use mtlspop::{App, Certificate, Credential, ErrorKind, HttpRequest, ManagedIdentityId};

use crate::support::{GRAPH, GRAPH_SCOPE, World, assert_bound, bearer, pop};

fn get(path: &str) -> HttpRequest {
    HttpRequest::new("GET", &format!("https://graph.microsoft.com{path}"))
}

/// Does Graph accept each token as `send` presents it (the how-to, section 4)?
#[test]
fn graph_accepts() {
    let world = World::new();
    let sni = world.sni();
    let identity = world.managed_identity(ManagedIdentityId::SystemAssigned);
    for (app, request) in [
        (&sni, pop(GRAPH_SCOPE)),
        (&sni, bearer(GRAPH_SCOPE)),
        (&identity, pop(GRAPH)),
        (&identity, bearer(GRAPH)),
    ] {
        let token = app.acquire_token(&request).unwrap();
        let response = app.send(&token, &get("/v1.0/me")).unwrap();
        assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(response.body()));
        assert_eq!(response.header("CONTENT-TYPE").unwrap().split(';').next(), Some("application/json"));
        let received = world.cloud.requests_to(Service::Graph).pop().unwrap();
        let expected = token.binding_certificate().map(Certificate::x5t_s256);
        assert_eq!(received.client_certificate.as_deref(), expected);
    }
}

/// Are connections kept alive, and separate for each certificate and for none (design, decision 2)?
#[test]
fn one_pool_per_certificate() {
    let world = World::new();
    let app = world.sni();
    let rotated = Certificate::from_file(&world.cloud.files().sni_rotated(), None, None).unwrap();
    let other =
        App::new(world.app_a_options(Credential::Certificate { certificate: rotated, send_x5c: true }))
            .unwrap();
    let tokens = [
        app.acquire_token(&pop(GRAPH_SCOPE)).unwrap(),
        other.acquire_token(&pop(GRAPH_SCOPE)).unwrap(),
        app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap(),
    ];
    assert_ne!(assert_bound(&tokens[0]), assert_bound(&tokens[1]));
    for _ in 0..3 {
        for token in &tokens {
            assert_eq!(app.send(token, &get("/v1.0/me")).unwrap().status(), 200);
        }
    }
    let requests = world.cloud.requests_to(Service::Graph);
    assert_eq!(requests.len(), 9);
    let connections: HashSet<_> =
        requests.iter().map(|r| (r.connection, r.client_certificate.clone())).collect();
    assert_eq!(connections.len(), 3, "{connections:?}");
}

/// Is a redirect handed to the caller, so that token and certificate stay here?
#[test]
fn redirects_are_returned() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let response = app.send(&token, &get("/redirect")).unwrap();
    assert_eq!(response.status(), 302);
    assert!(response.header("location").is_some());
    assert_eq!(world.cloud.counter("graph"), 1);
}

/// Is every status a response, and are method, headers and body sent as given?
#[test]
fn what_is_sent_and_returned() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    for status in [204, 400, 404, 429, 500, 503] {
        assert_eq!(app.send(&token, &get(&format!("/status/{status}"))).unwrap().status(), status);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let request = HttpRequest::new(method, "https://graph.microsoft.com/echo")
            .with_header("x-test", "one")
            .with_header("ConsistencyLevel", "eventual")
            .with_body("text/plain", "body with \0 inside");
        let response = app.send(&token, &request).unwrap();
        assert_eq!(response.status(), 200);
        let received = world.cloud.requests_to(Service::Graph).pop().unwrap();
        assert_eq!((received.method.as_str(), received.body.as_str()), (method, "body with \0 inside"));
        assert_eq!(received.header("x-test"), Some("one"));
        assert_eq!(received.header("content-type"), Some("text/plain"));
    }
}

/// Which requests are refused before anything is sent?
#[test]
fn refused_requests() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let before = world.cloud.requests().len();
    let bad = [
        HttpRequest::new("GET", "http://graph.microsoft.com/"),
        HttpRequest::new("GET", "graph.microsoft.com"),
        HttpRequest::new("GET", "https://user:password@graph.microsoft.com/"),
        HttpRequest::new("G T", "https://graph.microsoft.com/"),
        HttpRequest::new("", "https://graph.microsoft.com/"),
        get("/").with_header("Authorization", "Bearer x"),
        get("/").with_header("a b", "c"),
        get("/").with_header("x", "1\r\nevil: 2"),
    ];
    for request in bad {
        let error = app.send(&token, &request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(!error.message().contains("user:"), "{error}");
    }
    assert_eq!(world.cloud.requests().len(), before);
}

/// An answer that is too long, one that takes too long, one that breaks off: errors, each by its name?
#[test]
fn limits() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let response = app.send(&token, &get("/big/3000000")).unwrap();
    assert_eq!(response.body().len(), 3_000_000);
    let error = app.send(&token, &get("/big/2000").with_max_response_bytes(1000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    let error = app.send(&token, &get("/slow/60000").with_timeout(Duration::from_millis(200))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let cut = Fault { close: Some(devcloud::Close::MidResponse), times: 2, ..Fault::on("graph") };
    world.cloud.fault(cut).unwrap();
    assert_eq!(app.send(&token, &get("/v1.0/me")).unwrap_err().kind(), ErrorKind::Network);
}

/// Is a token never sent once its certificate has expired?
#[test]
fn expired_certificate() {
    let world = World::new();
    let app = world.managed_identity(ManagedIdentityId::SystemAssigned);
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    world.advance(Duration::from_secs(8 * 24 * 3600));
    let error = app.send(&token, &get("/v1.0/me")).unwrap_err();
    assert_eq!(error.code(), "binding_certificate_expired");
    assert_eq!(world.cloud.counter("graph"), 0);
}
