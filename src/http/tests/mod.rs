//! The room against real sockets: small servers, real TLS, certificates made on the spot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/support/apache.rs"]
mod apache;
mod asked;
mod connections;
mod downloads;
mod early_answers;
mod fips;
mod limits;
mod looks;
mod messages;
mod observed;
mod offered;
mod openssl;
mod pins;
mod proxies;
mod refusals;
mod renegotiated_bodies;
#[path = "../../../tests/support/renegotiating_server.rs"]
mod renegotiating_server;
mod renegotiation;
mod retries;
mod roots;
mod server;
mod tls;
mod uploads;
mod words;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use url::Url;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use self::server::Server;
use super::message::Method;
use super::*;
use crate::binding::Certificate;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result, TransportFailure};
use crate::key::{KeyAlgorithm, PrivateKey, SignatureScheme, StoredKey};
use crate::log::Logger;
use crate::runtime::{self, Call, Cancel, Wait};
use crate::secret::SecretBytes;

/// An authority that issues certificates for `localhost` and for clients.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().to_vec(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    fn issue(&self, edit: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, KeyPair) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().to_vec(), key)
    }

    fn client(&self) -> Certificate {
        let (der, key) = self.issue(|_| {});
        Certificate::new(vec![der], Arc::new(TestKey::new(&key))).unwrap()
    }

    /// A certificate of this common name, for a key of ours.
    fn named(&self, name: &str, key: Arc<dyn PrivateKey>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let der = params.signed_by(&Public(&*key), &self.issuer).unwrap().der().to_vec();
        Certificate::new(vec![der], key).unwrap()
    }
}

/// The public half of a key of ours, as what issues certificates wants it.
struct Public<'a>(&'a dyn PrivateKey);

impl PublicKeyData for Public<'_> {
    fn der_bytes(&self) -> &[u8] {
        let (_, info) = SubjectPublicKeyInfo::from_der(self.0.public_key_der()).unwrap();
        let bits = info.subject_public_key.data.len();
        // They come last.
        &self.0.public_key_der()[self.0.public_key_der().len() - bits..]
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Rsa => &rcgen::PKCS_RSA_SHA256,
            KeyAlgorithm::EcP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::EcP521 => &rcgen::PKCS_ECDSA_P521_SHA512,
        }
    }
}

/// A port of this machine at which nobody listens, and which nobody else is given meanwhile.
struct Nobody {
    address: SocketAddr,
    _socket: socket2::Socket,
}

impl Nobody {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        Self { address: socket.local_addr().unwrap().as_socket().unwrap(), _socket: socket }
    }
}

/// A host name that this machine refuses to look up, without asking a name server: a label has at
/// most 63 characters.
fn impossible_host() -> String {
    format!("{}.invalid", "x".repeat(64))
}

/// A P-256 key that signs in memory, or refuses to.
#[derive(Debug)]
struct TestKey {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
    broken: bool,
    /// For each signature: whether it was made in the middle of what no fork is to disturb.
    amid: Arc<Mutex<Vec<bool>>>,
}

impl TestKey {
    fn new(key: &KeyPair) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap();
        Self { pair, spki: key.subject_public_key_info(), broken: false, amid: Arc::default() }
    }
}

impl PrivateKey for TestKey {
    fn algorithm(&self) -> KeyAlgorithm {
        KeyAlgorithm::EcP256
    }

    fn public_key_der(&self) -> &[u8] {
        &self.spki
    }

    fn schemes(&self) -> &'static [SignatureScheme] {
        &[SignatureScheme::EcdsaP256Sha256]
    }

    fn sign_within(&self, _: SignatureScheme, message: &[u8], _: &Wait) -> Result<Vec<u8>> {
        self.amid.lock().unwrap().push(runtime::has_left());
        if self.broken {
            return Err(Error::new(ErrorKind::KeyUnavailable, "key_gone", "the key is gone"));
        }
        Ok(self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }

    fn export_pkcs8_der(&self) -> Result<SecretBytes> {
        Err(Error::internal("not in this test"))
    }

    fn is_exportable(&self) -> bool {
        false
    }

    fn to_stored(&self) -> Result<StoredKey> {
        Err(Error::internal("not in this test"))
    }
}

/// A pool that trusts `ca` and ignores the environment of the test run.
fn pool(ca: &Ca) -> Pool {
    pool_with(ca, |_| {}, &[])
}

fn pool_with(ca: &Ca, edit: impl FnOnce(&mut TransportOptions), env: &[(&str, &str)]) -> Pool {
    let mut options =
        TransportOptions { roots_pem: Some(ca.pem.clone().into_bytes()), ..TransportOptions::default() };
    edit(&mut options);
    let env: HashMap<_, _> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Pool::new(options, Arc::new(env)).unwrap()
}

fn call() -> Call {
    call_with(&Cancel::new(), None)
}

fn call_with(cancel: &Cancel, timeout: Option<Duration>) -> Call {
    call_by(Arc::new(SystemClock), cancel, timeout)
}

fn call_by(clock: Arc<dyn Clock>, cancel: &Cancel, timeout: Option<Duration>) -> Call {
    Call::new(clock, cancel.clone(), Logger::default(), "the-id".to_owned(), timeout)
}

fn get(client: &Client, url: &Url) -> Result<Response> {
    client.send(&Request::get(url), &call())
}

/// Who speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Rustls,
    /// For bound tokens and servers that may renegotiate, in TLS 1.2.
    Libssl,
}

const BOTH: [Over; 2] = [Over::Rustls, Over::Libssl];

impl Over {
    /// For each version of TLS, those that speak it.
    fn each() -> [(&'static SupportedProtocolVersion, Over); 3] {
        [(&TLS12, Over::Rustls), (&TLS13, Over::Rustls), (&TLS12, Over::Libssl)]
    }

    /// `request`, so that it goes this way with the client of a certificate.
    fn request(self, request: Request<'_>) -> Request<'_> {
        match self {
            Self::Rustls => request,
            Self::Libssl => renegotiation::bound(request, "mtls_pop a"),
        }
    }

    fn get(self, client: &Client, url: &Url) -> Result<Response> {
        client.send(&self.request(Request::get(url)), &call())
    }

    /// The same from somebody whose certificate does not matter.
    fn visit(self, pool: &Pool, url: &Url) -> Result<Response> {
        let certificate = Ca::new("of no importance").client();
        self.get(&*self.client(pool, &certificate)?, url)
    }

    fn client(self, pool: &Pool, certificate: &Certificate) -> Result<Arc<Client>> {
        match self {
            Self::Rustls => pool.plain(),
            Self::Libssl => pool.for_certificate(certificate),
        }
    }
}
