//! The certificates that the hosts of the cloud show, one for each name.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::KeyPair;
use rustls::crypto::aws_lc_rs::sign;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::hosts::Service;
use crate::pki::Pki;

/// Issues a certificate for each host name at its first visit.
pub(crate) struct ServerCertificates {
    pki: Arc<Pki>,
    /// The machine's time at the start, not an advanced one: clients look at theirs.
    started: i64,
    key: KeyPair,
    signing_key: Arc<dyn SigningKey>,
    cache: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl ServerCertificates {
    pub(crate) fn new(pki: Arc<Pki>, started: i64) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing_key = sign::any_ecdsa_type(&der)?;
        Ok(ServerCertificates { pki, started, key, signing_key, cache: Mutex::default() })
    }

    /// The key of every certificate, in PKCS#8.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    pub(crate) fn of_host(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        Service::of_host(host)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.get(host) {
            return Some(known.clone());
        }
        let certificate = self.pki.issue_server(host, &self.key, self.started).ok()?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate], self.signing_key.clone()));
        cache.insert(host.to_owned(), certified.clone());
        Some(certified)
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of_host(hello.server_name()?)
    }
}

impl fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificates")
    }
}
