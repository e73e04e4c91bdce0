//! Keys that live elsewhere: a signer of the caller signs TLS handshakes and client assertions.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::{Fault, Service};
use mtlspop::{
    App, Certificate, Credential, Error, ErrorKind, HttpRequest, LogLevel, Logger, Result, SignRequest,
    Signer, TokenSource,
};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::support::{GRAPH_SCOPE, World, assert_bound, bearer, pop};

/// A signer made of a function.
struct Function<F>(F);

impl<F: Fn(&SignRequest<'_>) -> Result<Vec<u8>> + Send + Sync> Signer for Function<F> {
    fn sign(&self, request: &SignRequest<'_>) -> Result<Vec<u8>> {
        (self.0)(request)
    }
}

/// What an HSM would do that holds the key in `file`.
pub fn hsm(file: &Path) -> impl Fn(&SignRequest<'_>) -> Result<Vec<u8>> + Send + Sync + use<> {
    let key = any_supported_type(&PrivateKeyDer::from_pem_file(file).unwrap()).unwrap();
    move |request| {
        let scheme = match request.algorithm {
            "PS256" => SignatureScheme::RSA_PSS_SHA256,
            "RS256" => SignatureScheme::RSA_PKCS1_SHA256,
            "ES256" => SignatureScheme::ECDSA_NISTP256_SHA256,
            other => panic!("nobody should ask for {other}"),
        };
        Ok(key.choose_scheme(&[scheme]).unwrap().sign(request.message).unwrap())
    }
}

fn refusal(message: &str) -> Error {
    Error::new(ErrorKind::Callback, "hsm_refused", message)
}

/// The SN/I certificate of app A, with its key elsewhere.
fn credential(
    world: &World,
    sign: impl Fn(&SignRequest<'_>) -> Result<Vec<u8>> + Send + Sync + 'static,
) -> Credential {
    let chain = std::fs::read(world.cloud.files().sni_certificate()).unwrap();
    let certificate = Certificate::with_signer(&chain, Arc::new(Function(sign))).unwrap();
    Credential::Certificate { certificate, send_x5c: true }
}

pub fn app(world: &World, sign: impl Fn(&SignRequest<'_>) -> Result<Vec<u8>> + Send + Sync + 'static) -> App {
    App::new(world.app_a_options(credential(world, sign))).unwrap()
}

fn graph() -> HttpRequest {
    HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me")
}

/// Header and payload of the last assertion that the token service was sent.
fn last_assertion(world: &World) -> (Value, Value) {
    let assertion = world.cloud.requests_to(Service::Login).pop().unwrap().form("client_assertion").unwrap();
    let part = |index| {
        let json = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(index).unwrap()).unwrap();
        serde_json::from_slice(&json).unwrap()
    };
    (part(0), part(1))
}

/// Do both kinds of token and a call over mTLS work with a key that this library never sees?
#[test]
fn a_signer_is_enough() {
    let world = World::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, sign) = (asked.clone(), hsm(&world.cloud.files().sni_key()));
    let app = app(&world, move |request| {
        log.lock().unwrap().push(request.algorithm.to_owned());
        sign(request)
    });

    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_bound(&token);
    assert_eq!(app.send(&token, &graph()).unwrap().status(), 200);
    assert_eq!(*asked.lock().unwrap(), ["PS256", "PS256"], "a handshake with each of the two servers");
    let certificate = token.binding_certificate().unwrap();
    assert!(!certificate.is_exportable() && certificate.pem().starts_with("-----BEGIN CERTIFICATE"));
    let error = certificate.private_key_pem().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "cryptographic_error"));

    let token = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(app.send(&token, &graph()).unwrap().status(), 200);
    assert_eq!(asked.lock().unwrap().len(), 3, "one assertion");
    assert_eq!(last_assertion(&world).0["alg"], "PS256");
}

/// Does an EC key elsewhere work for bound tokens, and is Bearer refused (confidential_client spec, 4.3)?
#[test]
fn ec() {
    let world = World::new();
    let file = world.cloud.files().sni_ec();
    let chain = Certificate::from_file(&file, None, None).unwrap().chain_pem();
    let certificate = Certificate::with_signer(chain.as_bytes(), Arc::new(Function(hsm(&file)))).unwrap();
    let app = App::new(world.app_a_options(Credential::Certificate { certificate, send_x5c: true })).unwrap();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_bound(&token);
    assert_eq!(app.send(&token, &graph()).unwrap().status(), 200);
    assert_eq!(app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err().code(), "certificate_not_rsa");
}

/// Does what the signer says when it fails reach the caller, out of a TLS handshake and out of an assertion?
#[test]
fn errors_of_the_signer_reach_the_caller() {
    let world = World::new();
    let failing = app(&world, |_| Err(refusal("the HSM is locked")));
    for request in [pop(GRAPH_SCOPE), bearer(GRAPH_SCOPE)] {
        let error = failing.acquire_token(&request).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Callback, "hsm_refused"));
        assert!(error.message().contains("the HSM is locked"), "{error}");
        assert!(!error.is_retryable() && error.correlation_id().is_some());
    }
    assert_eq!(world.cloud.counter("token"), 0);

    let left = Arc::new(Mutex::new(1));
    let sign = hsm(&world.cloud.files().sni_key());
    let tiring = app(&world, move |request| {
        let mut left = left.lock().unwrap();
        *left -= 1;
        if *left < 0 { Err(refusal("the session is over")) } else { sign(request) }
    });
    let token = tiring.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let error = tiring.send(&token, &graph()).unwrap_err();
    assert_eq!((error.code(), error.message()), ("hsm_refused", "the session is over"));
}

/// Is a signature that is not that of the certificate's key found out here, not by the server?
#[test]
fn wrong_signatures_are_found_out() {
    let world = World::new();
    let app = app(&world, hsm(&world.cloud.files().sni_rotated()));
    for (request, algorithm) in [(pop(GRAPH_SCOPE), "PS256"), (bearer(GRAPH_SCOPE), "RS256")] {
        let error = app.acquire_token(&request).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "cryptographic_error"));
        assert!(
            error.message().contains(&format!("the {algorithm} signature of the signer does not verify"))
        );
    }
    assert_eq!(world.cloud.counter("token"), 0);
}

/// A key that has no PSS: is the assertion made as RS256 with the SHA-1 thumbprint and the same payload,
/// and a warning logged (confidential_client spec, section 4.3)?
#[test]
fn assertions_fall_back_to_rs256() {
    let world = World::new();
    let (messages, lines) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (asked, log, sign) = (messages.clone(), lines.clone(), hsm(&world.cloud.files().sni_key()));
    let credential = credential(&world, move |request| {
        asked.lock().unwrap().push(String::from_utf8(request.message.to_vec()).unwrap());
        if request.algorithm == "PS256" { Err(refusal("no PSS in this HSM")) } else { sign(request) }
    });
    let sink = move |_: LogLevel, _: &str, line: &str| log.lock().unwrap().push(line.to_owned());
    let options = world.app_a_options(credential);
    let app = App::new(options.with_logger(Logger::new(LogLevel::Warning, Arc::new(sink)))).unwrap();
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();

    let (header, payload) = last_assertion(&world);
    let certificate = Certificate::from_file(&world.cloud.files().sni(), None, None).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
    assert_eq!(header["x5t"], URL_SAFE_NO_PAD.encode(certificate.sha1()));
    assert_eq!(header.get("x5t#S256"), None);
    assert_eq!(header["x5c"].as_array().unwrap().len(), certificate.chain_der().len());
    let first = messages.lock().unwrap()[0].split('.').nth(1).unwrap().to_owned();
    assert_eq!(serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(first).unwrap()).unwrap(), payload);
    assert_eq!(messages.lock().unwrap().len(), 2);
    let lines = lines.lock().unwrap();
    assert!(lines.len() == 1 && lines[0].contains("no PSS in this HSM"), "{lines:?}");
}

/// Is a signer called on the thread of the caller only, so that a token is refreshed inline unless the app
/// asks for more (design, decision 1)?
#[test]
fn signers_are_not_called_in_the_background() {
    let world = World::new();
    let (this, sign) = (thread::current().id(), hsm(&world.cloud.files().sni_key()));
    let app = app(&world, move |request| {
        assert_eq!(thread::current().id(), this);
        sign(request)
    });
    world.cloud.fault(Fault::set("token", json!({"refresh_in": 600}))).unwrap();
    let first = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(900));
    let next = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(next.source(), TokenSource::IdentityProvider);
    assert_ne!(next.access_token(), first.access_token());
}
