//! Certificates and private keys as people hand them in.

use std::sync::Arc;

use super::{SECRET, judge, judge_about};
use crate::binding::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{PrivateKey, SignRequest, Signer, SoftwareKey};
use crate::secret::Secret;

/// A certificate in PEM, and behind a form feed the PEM of its key where it is apart; and the same bytes as a private key
/// in each of its encodings.
pub(super) fn pem(data: &[u8]) {
    let (certificate, key) = halves(data);
    let password = Secret::new(SECRET);
    let without = Certificate::from_pem(certificate, key, None);
    let with = Certificate::from_pem(certificate, key, Some(&password));
    if let (Ok(without), Ok(with)) = (&without, &with) {
        assert_eq!(without.sha256(), with.sha256(), "a password that is not needed changes nothing");
    }
    [without, with].into_iter().for_each(|read| certificate_again(read, data));
    match Certificate::with_signer(certificate, Arc::new(Refuses)) {
        Ok(certificate) => assert!(certificate.key().calls_back() && !certificate.is_exportable()),
        Err(error) => judge(&error),
    }
    let keys = [
        SoftwareKey::from_pkcs8_der(data),
        SoftwareKey::from_pkcs1_der(data),
        SoftwareKey::from_sec1_der(data, None),
    ];
    for key in keys {
        match key {
            Ok(key) => key_again(&key),
            Err(error) => judge(&error),
        }
    }
}

/// PKCS#12 data, without a password and with one.
pub(super) fn pkcs12(data: &[u8]) {
    for password in [None, Some(Secret::new("")), Some(Secret::new("password")), Some(Secret::new(SECRET))] {
        certificate_again(Certificate::from_pkcs12(data, password.as_ref()), data);
    }
}

/// Is a certificate that was read the same when it is written and read again, and no other text a certificate?
fn certificate_again(read: Result<Certificate>, data: &[u8]) {
    let certificate = match read {
        Ok(certificate) => certificate,
        Err(error) => return judge_about(&error, data),
    };
    key_again(certificate.key().as_ref());
    let key = certificate.private_key_pem().unwrap();
    let chain = certificate.chain_pem();
    let again = Certificate::from_pem(chain.as_bytes(), Some(key.expose().as_bytes()), None).unwrap();
    assert_eq!(again.sha256(), certificate.sha256());
    assert_eq!(again.chain_der(), certificate.chain_der());
    assert!(!format!("{certificate:?}").contains(key.expose()));
}

/// Is a key the same when it is written and read again?
fn key_again(key: &dyn PrivateKey) {
    let pkcs8 = key.export_pkcs8_der().unwrap();
    let again = SoftwareKey::from_pkcs8_der(pkcs8.expose()).unwrap();
    assert_eq!(again.public_key_der(), key.public_key_der());
    assert_eq!(again.algorithm(), key.algorithm());
}

/// What stands before the form feed and behind it.
fn halves(data: &[u8]) -> (&[u8], Option<&[u8]>) {
    match data.iter().position(|byte| *byte == b'\x0c') {
        Some(at) => (&data[..at], Some(&data[at + 1..])),
        None => (data, None),
    }
}

#[derive(Debug)]
struct Refuses;

impl Signer for Refuses {
    fn sign(&self, _: &SignRequest<'_>) -> Result<Vec<u8>> {
        Err(Error::new(ErrorKind::Callback, "sign_callback_failed", "it signs nothing"))
    }
}
