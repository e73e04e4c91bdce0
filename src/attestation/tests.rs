//! What a callback is asked and what becomes of its answers; the flow is in tests/flows/attestation.rs.

use std::sync::Mutex;
use std::time::SystemTime;

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::clock::SystemClock;
use crate::key::SoftwareKey;
use crate::log::Logger;

const HOST: &str = "sharedeus.eus.attest.azure.net";

/// A provider made of a function, which counts.
struct Counting<F>(Mutex<u32>, F);

impl<F: Fn(&AttestationRequest<'_>) -> Result<Secret> + Send + Sync> AttestationProvider for Counting<F> {
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Secret> {
        *self.0.lock().unwrap() += 1;
        (self.1)(request)
    }
}

fn counting<F: Fn(&AttestationRequest<'_>) -> Result<Secret> + Send + Sync>(answer: F) -> Counting<F> {
    Counting(Mutex::new(0), answer)
}

impl<F> Counting<F> {
    fn count(&self) -> u32 {
        *self.0.lock().unwrap()
    }
}

fn call() -> Call {
    Call::new(Arc::new(SystemClock), Cancel::new(), Logger::default(), "id".to_owned(), None)
}

fn key() -> Arc<dyn PrivateKey> {
    Arc::new(SoftwareKey::generate_rsa_2048().unwrap())
}

fn jwt() -> Secret {
    let claims = format!(r#"{{"exp":{}}}"#, unix_seconds(SystemTime::now()) + 3600);
    Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
}

/// Is the callback told endpoint, client id and public key, and can it sign without having the key
/// (section 5.6)?
#[test]
fn question() {
    let key = key();
    let public_key = key.public_key_der().to_vec();
    let provider = counting(move |request| {
        assert_eq!(
            (request.endpoint, request.client_id),
            ("https://sharedeus.eus.attest.azure.net/", "client")
        );
        assert_eq!((request.public_key, request.correlation_id), (public_key.as_slice(), "id"));
        assert!(request.remaining.is_none() && !request.cancel.is_cancelled());
        let signature = request.sign("PS256", b"nonce").unwrap();
        // SubjectPublicKeyInfo of 2048 bits: the PKCS#1 key begins at its 24th byte.
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &request.public_key[24..])
            .verify(b"nonce", &signature)
            .unwrap();
        let error = request.sign("none", b"").unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("PS256"), "{error}");
        Ok(jwt())
    });
    let cache = AttestationCache::new();
    let attestor = Attestor { provider: Provider::Callback(&provider), cache: &cache };
    attestor.token(HOST, "client", &key, false, &call()).unwrap();
    assert_eq!(provider.count(), 1);
}

/// Is a token reused for the same key, whatever the identity; and asked for anew for another key, another
/// service and after a rejection (section 5.6.1, section 15)?
#[test]
fn reuse() {
    let provider = counting(|_| Ok(jwt()));
    let cache = AttestationCache::new();
    let attestor = Attestor { provider: Provider::Callback(&provider), cache: &cache };
    let (one, two) = (key(), key());
    let ask = |endpoint: &str, client_id: &str, key: &Arc<dyn PrivateKey>, again: bool| {
        attestor.token(endpoint, client_id, key, again, &call()).unwrap();
        provider.count()
    };
    assert_eq!(ask(HOST, "client", &one, false), 1);
    assert_eq!(ask(HOST, "other client", &one, false), 1);
    assert_eq!(ask(&format!("https://{}/", HOST.to_uppercase()), "client", &one, false), 1);
    assert_eq!(ask(HOST, "client", &two, false), 2);
    assert_eq!(ask("other.attest.azure.net", "client", &one, false), 3);
    assert_eq!(ask(HOST, "client", &one, true), 4);
    assert_eq!(ask(HOST, "client", &one, false), 4, "the fresh one is kept");
}

/// Is each way to fail `attestation_failed`, but for a cancellation, which stays what it is (section 5.6)?
#[test]
fn failures() {
    let vault = || Error::new(ErrorKind::Network, "vault", "the vault is closed").with_retryable(true);
    let cache = AttestationCache::new();
    let fail = |answer: &(dyn Fn() -> Result<Secret> + Send + Sync)| {
        let provider = counting(|_| answer());
        let attestor = Attestor { provider: Provider::Callback(&provider), cache: &cache };
        attestor.token(HOST, "client", &key(), false, &call()).unwrap_err()
    };
    for error in [fail(&|| Ok(Secret::new(""))), fail(&|| Ok(Secret::new(" \n")))] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Callback, "attestation_failed"));
    }
    for token in ["eyJ.x\r\nX: y", "eyJ.x\n", "eyJ.\u{e4}"] {
        let error = fail(&|| Ok(Secret::new(token)));
        assert_eq!((error.kind(), error.code()), (ErrorKind::Callback, "attestation_failed"));
        assert!(error.message().contains("the compact JWT") && !error.message().contains("eyJ"), "{error}");
    }
    let error = fail(&|| Err(vault()));
    assert_eq!((error.kind(), error.code()), (ErrorKind::Callback, "attestation_failed"));
    assert_eq!(error.message(), "the attestation callback failed: the vault is closed");
    assert!(error.is_retryable());
    let error = fail(&|| Err(call().cancelled()));
    assert_eq!((error.kind(), error.code()), (ErrorKind::Cancelled, "operation_cancelled"));
}

/// A callback that fails because the caller gave up: is that what the caller is told (section 3.5)?
#[test]
fn cancelled_meanwhile() {
    let provider = counting(|request| {
        request.cancel.cancel();
        Err(Error::new(ErrorKind::Callback, "x", "stopped"))
    });
    let cache = AttestationCache::new();
    let attestor = Attestor { provider: Provider::Callback(&provider), cache: &cache };
    let error = attestor.token(HOST, "client", &key(), false, &call()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// Which texts are an endpoint (section 5.6)?
#[test]
fn endpoints() {
    for (reported, given) in [
        ("a.attest.azure.net", Some("https://a.attest.azure.net/")),
        (" https://a.attest.azure.net ", Some("https://a.attest.azure.net/")),
        ("https://a.attest.azure.net/tenant", Some("https://a.attest.azure.net/tenant")),
        ("http://a.attest.azure.net", None),
        ("https://", None),
        ("a b", None),
    ] {
        assert_eq!(absolute(reported).ok().as_ref().map(Url::as_str), given, "{reported}");
    }
}
