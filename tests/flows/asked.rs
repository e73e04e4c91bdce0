//! Services that do not ask for the certificate that they want to see.

use std::sync::{Arc, Mutex};

use devcloud::{Fault, Service};
use mtlspop::{App, HttpRequest, LogLevel, Logger, ManagedIdentityId, TlsVersion};

use crate::support::{GRAPH, GRAPH_SCOPE, World, assert_bound, bearer, pop};

fn get() -> HttpRequest {
    HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me")
}

/// The next connections are not asked for a certificate.
fn unasked(world: &World, times: u32) {
    world.cloud.fault(Fault { times, ..Fault::on("tls_certificate_request") }).unwrap();
}

/// Are both legs spoken in TLS 1.2 where the service asks in that version only, and does the token, bound to the
/// certificate, reach the API with it?
#[test]
fn both_legs_fall_back_to_tls_12() {
    let world = World::new();
    let app = world.sni();
    unasked(&world, 1);
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let x5t = assert_bound(&token);
    assert_eq!(world.last_token_request().tls_version.as_deref(), Some("TLSv1_2"));
    for token in [&token, &app.acquire_token(&pop(GRAPH_SCOPE)).unwrap()] {
        assert_eq!(
            (token.tls_version(), token.certificate_requested()),
            (Some(TlsVersion::Tls12), Some(true))
        );
    }
    unasked(&world, 1);
    let response = app.send(&token, &get()).unwrap();
    assert_eq!(response.status(), 200);
    let facts = (response.tls_version(), response.certificate_requested());
    assert_eq!(facts, (Some(TlsVersion::Tls12), Some(true)));
    let [sent] = &world.cloud.requests_to(Service::Graph)[..] else { panic!("one request") };
    assert_eq!(sent.client_certificate.as_ref(), Some(&x5t));
}

/// Where nobody asks at all: is the token request sent, and does the error say why it failed, without a new
/// certificate being made for it; is the API's refusal a response that tells the same?
#[test]
fn nobody_asks() {
    let world = World::new();
    for app in [world.sni(), world.managed_identity(ManagedIdentityId::SystemAssigned)] {
        let request = if world.cloud.counter("token") == 0 { pop(GRAPH_SCOPE) } else { pop(GRAPH) };
        unasked(&world, 2);
        let error = app.acquire_token(&request).unwrap_err();
        assert!(error.message().contains("never asked for our certificate"), "{error}");
        assert!(error.message().contains("TLSv1.2"), "{error}");
    }
    assert_eq!((world.cloud.counter("token"), world.cloud.counter("issuecredential")), (2, 1));

    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let log = Logger::new(
        LogLevel::Warning,
        Arc::new(move |_, _: &str, line: &str| sink.lock().unwrap().push(line.to_owned())),
    );
    let app = App::new(world.app_a_options(world.sni_credential()).with_logger(log)).unwrap();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    unasked(&world, 2);
    let response = app.send(&token, &get()).unwrap();
    assert_eq!((response.status(), response.certificate_requested()), (401, Some(false)));
    assert!(lines.lock().unwrap().iter().any(|line| line.contains("never asked")));
}

/// Does a Bearer token that needs no certificate stay in TLS 1.3, whoever asks?
#[test]
fn bearer_stays_in_tls_13() {
    let world = World::new();
    let app = world.sni();
    unasked(&world, 1);
    let token = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let response = app.send(&token, &get()).unwrap();
    assert_eq!((response.status(), response.tls_version()), (200, Some(TlsVersion::Tls13)));
    assert_eq!((token.tls_version(), token.certificate_requested()), (Some(TlsVersion::Tls13), Some(false)));
    let identity = world.managed_identity(ManagedIdentityId::SystemAssigned);
    let over_http = identity.acquire_token(&bearer(GRAPH)).unwrap();
    assert_eq!((over_http.tls_version(), over_http.certificate_requested()), (None, None));
}
