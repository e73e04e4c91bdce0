//! What lies in stores that somebody else may have written to.

use std::sync::Mutex;
use std::time::SystemTime;

use once_cell::sync::Lazy;

use super::{NOW, call};
use crate::binding::{Certificate, fuzz_entry};
use crate::error::Result;
use crate::token::{KeyBuilder, StoredPartition, TokenStore, fuzz_file, is_token};

static CERTIFICATE: Lazy<Certificate> =
    Lazy::new(|| Certificate::from_pem(include_bytes!("../../fuzz/given/rsa.pem"), None, None).unwrap());

/// A file of a store of binding certificates.
pub(super) fn binding_store(data: &[u8]) {
    fuzz_entry(data, NOW);
}

/// A file of tokens that is encrypted.
pub(super) fn token_files(data: &[u8]) {
    fuzz_file(data, NOW);
}

/// The entry of a store of tokens, as an app without a certificate reads it and one with.
pub(super) fn token_store(data: &[u8]) {
    for certificate in [None, Some(CERTIFICATE.clone())] {
        let (call, store) = (call(), Holds(Mutex::new(data.to_vec())));
        let builder = KeyBuilder::default().component("app", "the-app");
        let partition = |key: &str| StoredPartition {
            store: &store,
            partition: builder.partition("", "the-client", "the-tenant"),
            key: key.to_owned(),
            certificate: certificate.clone(),
            call: &call,
        };
        let loaded = partition("").load();
        for (key, token) in &loaded {
            assert!(partition(key).partition.holds(key), "of another partition: {key}");
            assert!(is_token(token.text()));
            let refresh_on = token.refresh_on.map(|on| i64::from(on.get()));
            assert!(token.expires_on > NOW && refresh_on.is_none_or(|time| time <= token.expires_on));
            // Never weaker than asked: where there is a certificate, tokens are bound to it and to no other.
            let bound_to = token.certificate.as_ref().map(Certificate::x5t_s256);
            assert_eq!(bound_to, certificate.as_ref().map(Certificate::x5t_s256));
            assert!(token.authorization().starts_with(token.token_type().as_str()));
        }
        // What is saved is found again.
        if let Some((key, token)) = loaded.first() {
            partition(key).save(token);
            let again = partition(key).load();
            let found = again.iter().find(|(other, _)| other == key).unwrap();
            assert_eq!((found.1.expires_on, &found.1.texts), (token.expires_on, &token.texts));
        }
    }
}

struct Holds(Mutex<Vec<u8>>);

impl TokenStore for Holds {
    fn load(&self, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }

    fn save(&self, _: &str, data: &[u8], _: SystemTime) -> Result<()> {
        *self.0.lock().unwrap() = data.to_vec();
        Ok(())
    }
}
