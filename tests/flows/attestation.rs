//! Attested binding keys: what the callback is asked, what IMDS is sent, and that nothing is weaker than asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use devcloud::{Fault, Options, ReceivedRequest, Service, directory};
use mtlspop::{
    App, AppOptions, AttestationProvider, AttestationRequest, Cancel, Error, ErrorKind, Result, Secret,
    TokenSource,
};
use serde_json::Value;

use crate::support::{GRAPH, SYSTEM, World, assert_bound, bearer, pop};

/// Where the PKCS#1 key begins in the SubjectPublicKeyInfo of an RSA key of 2048 bits.
const PKCS1: usize = 24;

/// A provider made of a function.
struct Function<F>(F);

impl<F: Fn(&AttestationRequest<'_>) -> Result<Secret> + Send + Sync> AttestationProvider for Function<F> {
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Secret> {
        (self.0)(request)
    }
}

/// A cloud whose IMDS demands attestation.
fn demanding() -> World {
    World::with(Options { require_attestation: true, ..Options::default() })
}

fn options(
    world: &World,
    attest: impl Fn(&AttestationRequest<'_>) -> Result<Secret> + Send + Sync + 'static,
) -> AppOptions {
    world.managed_identity_options(SYSTEM).with_attestation(Arc::new(Function(attest)))
}

/// An app whose keys the cloud attests, and the public keys that it was asked about.
fn attested(world: &World) -> (App, Arc<Mutex<Vec<Vec<u8>>>>) {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let (asked, cloud) = (keys.clone(), world.cloud.clone());
    let attest = move |request: &AttestationRequest<'_>| {
        assert_eq!(request.endpoint, format!("{}/", directory::ATTESTATION_ENDPOINT));
        assert_eq!(request.client_id, directory::SYSTEM_ASSIGNED_CLIENT_ID);
        assert_eq!(request.sign("PS256", b"nonce").unwrap().len(), 256);
        asked.lock().unwrap().push(request.public_key.to_vec());
        Ok(Secret::new(cloud.mint_attestation(&request.public_key[PKCS1..]).unwrap()))
    };
    (App::new(options(world, attest)).unwrap(), keys)
}

/// The bodies of the requests for certificates.
fn bodies(world: &World) -> Vec<Value> {
    let issued = |request: &ReceivedRequest| request.operation.as_deref() == Some("issuecredential");
    let requests = world.cloud.requests_to(Service::Imds);
    requests.iter().filter(|r| issued(r)).map(|r| serde_json::from_str(&r.body).unwrap()).collect()
}

/// A host that demands attestation: does the callback's token get the certificate, once, and is its name on
/// the wire as in section 5.7?
#[test]
fn attested_flow() {
    let world = demanding();
    let (app, keys) = attested(&world);
    assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let bodies = bodies(&world);
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0]["attestation_token"].as_str().unwrap().split('.').count() == 3);
    // Never for a certificate in use (section 5.6).
    app.acquire_token(&pop("https://vault.azure.net")).unwrap();
    app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(keys.lock().unwrap().len(), 1);
}

/// Without a callback: is the member absent, neither null nor empty (section 5.7); and does a host that
/// demands attestation lead to a sentence that says what to do?
#[test]
fn without_a_callback() {
    let world = World::new();
    world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(bodies(&world)[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["csr"]);

    let world = demanding();
    let error = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!((error.code(), error.http_status()), ("managed_identity_request_failed", Some(400)));
    assert!(error.message().contains("set an attestation callback"), "{error}");
}

/// A callback that fails or gives nothing: `attestation_failed`, and nothing weaker in its place (sections
/// 5.6 and 15)?
#[test]
fn never_a_downgrade() {
    let world = World::new();
    let refused = || Error::new(ErrorKind::Callback, "tpm", "the TPM is locked");
    for (app, part) in [
        (options(&world, |_| Ok(Secret::new(" "))), "set no token"),
        (options(&world, move |_| Err(refused())), "the TPM is locked"),
    ] {
        let app = App::new(app).unwrap();
        let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Callback, "attestation_failed"));
        assert!(error.message().contains(part) && error.correlation_id().is_some(), "{error}");
    }
    assert!(bodies(&world).is_empty(), "no certificate was asked for");
    // What the attestation service did not sign IMDS refuses.
    let app = App::new(options(&world, |_| Ok(Secret::new("e30.e30.e30")))).unwrap();
    let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(error.code(), "managed_identity_request_failed");
    assert!(!error.message().contains("set an attestation callback"), "{error}");
    assert_eq!((bodies(&world).len(), world.cloud.counter("token")), (1, 0));
}

/// An IMDS, or a gateway before it, that repeats what it was sent: does the error say the rest of it, and not the token of the
/// attestation service, be it a refusal or a 200 that is no certificate?
#[test]
fn what_is_repeated() {
    let token = "e30.dGhlIGF0dGVzdGF0aW9uIHRva2Vu.c2lnbmF0dXJl";
    let escaped = token.replace('.', "\\u002e");
    for (status, body) in [
        (400, format!(r#"{{"error":"invalid_request","message":"cannot take {token}"}}"#)),
        (400, format!(r#"{{"error":"invalid_request","message":"cannot take {escaped}"}}"#)),
        (403, format!("<html><title>cannot take {token}</title></html>")),
        (200, format!(r#"{{"error":"invalid_request","message":"cannot take {token}"}}"#)),
        (200, format!("<html><title>cannot take {token}</title></html>")),
    ] {
        let world = World::new();
        let app = App::new(options(&world, move |_| Ok(Secret::new(token)))).unwrap();
        let fault = Fault { body: Some(body.clone()), ..Fault::status("issuecredential", status) };
        world.cloud.fault(fault).unwrap();
        let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert!(error.message().contains("cannot take ***"), "{body}: {error}");
        assert!(token.split('.').skip(1).all(|part| !format!("{error:?}").contains(part)), "{error:?}");
        assert!(bodies(&world)[0]["attestation_token"] == token);
    }
}

/// Does a caller who gives up in the callback get told that (sections 3.5 and 5.6); and does a callback that
/// panics leave nothing behind that stops the next call?
#[test]
fn cancelled_and_panicking() {
    let world = World::new();
    let app = App::new(options(&world, |request| {
        request.cancel.cancel();
        Err(Error::new(ErrorKind::Callback, "x", "stopped"))
    }));
    let error = app.unwrap().acquire_token(&pop(GRAPH).with_cancel(Cancel::new())).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Cancelled, "operation_cancelled"));

    let app = App::new(options(&world, |_| panic!("a bug of the caller"))).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| app.acquire_token(&pop(GRAPH)))).is_err());
    assert!(bodies(&world).is_empty());
    assert_bound(&attested(&world).0.acquire_token(&pop(GRAPH)).unwrap());
}

/// Apps of one process with and without attestation: do they never see each other's certificates and tokens,
/// while apps of the same kind share them (sections 5.9 and 5.13)?
#[test]
fn modes_never_mix() {
    let world = World::new();
    let plain = world.managed_identity(SYSTEM);
    let (one, keys) = attested(&world);
    let (other, other_keys) = attested(&world);
    let unattested = assert_bound(&plain.acquire_token(&pop(GRAPH)).unwrap());
    let token = one.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(token.source(), TokenSource::IdentityProvider);
    let attested = assert_bound(&token);
    assert_ne!(attested, unattested);
    for (app, x5t) in [(&plain, &unattested), (&other, &attested), (&one, &attested)] {
        let token = app.acquire_token(&pop(GRAPH)).unwrap();
        assert_eq!((token.source(), &assert_bound(&token)), (TokenSource::Cache, x5t));
        let forced = app.acquire_token(&pop(GRAPH).with_force_refresh(true)).unwrap();
        assert_eq!(&assert_bound(&forced), x5t);
    }
    assert_eq!((keys.lock().unwrap().len(), other_keys.lock().unwrap().len()), (1, 0));
    // Bearer has no mode (section 1: without PoP it has no effect).
    plain.acquire_token(&bearer(GRAPH)).unwrap();
    assert_eq!(one.acquire_token(&bearer(GRAPH)).unwrap().source(), TokenSource::Cache);
}

/// A rejected certificate: is the new one attested anew (section 15)?
#[test]
fn a_new_certificate_is_attested_anew() {
    let world = demanding();
    let (app, keys) = attested(&world);
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let body =
        r#"{"error":"invalid_client","error_description":"AADSTS1000610: no","error_codes":[1000610]}"#;
    world.cloud.fault(Fault { body: Some(body.into()), ..Fault::status("token", 401) }).unwrap();
    let second = assert_bound(&app.acquire_token(&pop(GRAPH).with_force_refresh(true)).unwrap());
    assert_ne!(first, second);
    let bodies = bodies(&world);
    assert_eq!((bodies.len(), keys.lock().unwrap().len()), (2, 2));
    assert_ne!(bodies[0]["attestation_token"], bodies[1]["attestation_token"]);
}

/// Is the callback called on the thread of the caller only, also where a token is due for replacement; and is
/// it an error for confidential clients (design, decision 1)?
#[test]
fn on_the_thread_of_the_caller() {
    let world = World::new();
    let (this, cloud) = (thread::current().id(), world.cloud.clone());
    let app = App::new(options(&world, move |request| {
        assert_eq!(thread::current().id(), this);
        Ok(Secret::new(cloud.mint_attestation(&request.public_key[PKCS1..]).unwrap()))
    }));
    let app = app.unwrap();
    world.cloud.fault(Fault::set("token", serde_json::json!({"refresh_in": 600}))).unwrap();
    app.acquire_token(&pop(GRAPH)).unwrap();
    world.advance(Duration::from_secs(900));
    // Inline: there is no background thread.
    assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap().source(), TokenSource::IdentityProvider);

    let attestation = Arc::new(Function(|_: &AttestationRequest<'_>| Ok(Secret::new("a.b.c"))));
    let error = App::new(world.app_a_options(world.sni_credential()).with_attestation(attestation));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
}
