//! TLS: what we verify, and how a private key of ours signs a handshake.

use std::io;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, OtherError, StreamOwned, WantsVerifier};

use super::exchange::Exchange;
use super::pin::{Pinned, Thumbprint};
use super::roots::Trusted;
use super::socket::Socket;
use super::verify::Verifier;
use crate::binding::Certificate;
use crate::error::{Error, Result};
use crate::key::{KeyAlgorithm, PrivateKey, SignatureScheme};

/// A configuration of its own for each certificate: it holds the TLS sessions, and a session that is
/// resumed speaks for the certificate of the handshake it began with.
pub(super) fn client_config(
    trusted: Arc<Trusted>,
    certificate: Option<&Certificate>,
) -> Result<ClientConfig> {
    let provider = provider();
    let verifier = Verifier::new(trusted, provider.clone())?;
    let builder = builder(provider)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let Some(certificate) = certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificate.chain_der().iter().cloned().map(CertificateDer::from).collect();
    let key = TlsKey(certificate.key().clone());
    let presented = Arc::new(CertifiedKey::new(chain, Arc::new(key)));
    Ok(builder.with_client_cert_resolver(Arc::new(Always(presented))))
}

/// For a server that shows the certificate of this thumbprint, or one that the roots vouch for.
pub(super) fn pinned_config(leaf: Thumbprint, trusted: Result<Arc<Trusted>>) -> Result<ClientConfig> {
    let provider = provider();
    let verifier = Pinned::new(leaf, trusted, provider.clone());
    let builder = builder(provider)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

/// Speaks the handshake with `host` to its end.
pub(super) fn handshake(
    config: Arc<ClientConfig>,
    host: &str,
    mut socket: Socket,
) -> io::Result<StreamOwned<ClientConnection, Socket>> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::other(rustls::Error::General("the host name is not valid".into())))?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while connection.is_handshaking() || connection.wants_write() {
        if let Err(error) = connection.complete_io(&mut socket) {
            return Err(last_words(&mut connection, &mut socket, error));
        }
    }
    Ok(StreamOwned::new(connection, socket))
}

/// A server that does not want our certificate says so, under TLS 1.3 while we already write the
/// request, and hangs up. Its alert is then there to be read, and tells more than the broken pipe.
pub(super) fn last_words(
    connection: &mut ClientConnection,
    socket: &mut Socket,
    error: io::Error,
) -> io::Error {
    if error.kind() == io::ErrorKind::TimedOut {
        return error;
    }
    loop {
        // First what has been read: rustls' stream drops errors that it meets in the middle of a write,
        // and reports the broken pipe in the next call, be it a read.
        if let Err(alert) = connection.process_new_packets() {
            return io::Error::new(io::ErrorKind::InvalidData, alert);
        }
        if !matches!(connection.read_tls(socket), Ok(1..)) {
            return error;
        }
    }
}

/// Named here, because the default of the process belongs to the host application.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn builder(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))
}

/// The one certificate of a client, whatever authorities a server names.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if let Some(exchange) = Exchange::current() {
            exchange.note_presented();
        }
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A private key of ours, as rustls wants to see it.
#[derive(Debug)]
struct TlsKey(Arc<dyn PrivateKey>);

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

fn to_rustls(scheme: SignatureScheme) -> rustls::SignatureScheme {
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
