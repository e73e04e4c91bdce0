//! A certificate and a private key of ours, as rustls wants to see them.

use std::sync::Arc;

use rustls::OtherError;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};

use crate::error::Result;
use crate::http::exchange::Exchange;
use crate::key::{KeyAlgorithm, PrivateKey, SignatureScheme};

/// The one certificate of a client, or none, whatever authorities a server names.
#[derive(Debug)]
pub(super) struct Always(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if let Some(exchange) = Exchange::current() {
            exchange.note_asked();
        }
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// A private key.
#[derive(Debug)]
pub(super) struct TlsKey(pub(super) Arc<dyn PrivateKey>);

#[derive(Debug)]
struct TlsSigner(Arc<dyn PrivateKey>, SignatureScheme);

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[rustls::SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.schemes().iter().find(|scheme| offered.contains(&to_rustls(**scheme)))?;
        Some(Box::new(TlsSigner(self.0.clone(), *scheme)))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.public_key_der().into())
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Rsa => rustls::SignatureAlgorithm::RSA,
            KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 | KeyAlgorithm::EcP521 => {
                rustls::SignatureAlgorithm::ECDSA
            }
        }
    }
}

impl Signer for TlsSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let wait = Exchange::current().map(|exchange| exchange.wait()).unwrap_or_default();
        // The key's own error travels inside and comes out again in `failure`.
        self.0.sign_within(self.1, message, &wait).map_err(|error| OtherError(Arc::new(error)).into())
    }

    fn scheme(&self) -> rustls::SignatureScheme {
        to_rustls(self.1)
    }
}

pub(super) fn to_rustls(scheme: SignatureScheme) -> rustls::SignatureScheme {
    match scheme {
        SignatureScheme::RsaPssSha256 => rustls::SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RsaPssSha384 => rustls::SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RsaPssSha512 => rustls::SignatureScheme::RSA_PSS_SHA512,
        SignatureScheme::RsaPkcs1Sha256 => rustls::SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => rustls::SignatureScheme::RSA_PKCS1_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => rustls::SignatureScheme::RSA_PKCS1_SHA512,
        SignatureScheme::EcdsaP256Sha256 => rustls::SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::EcdsaP384Sha384 => rustls::SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::EcdsaP521Sha512 => rustls::SignatureScheme::ECDSA_NISTP521_SHA512,
    }
}
