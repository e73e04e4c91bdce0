//! TLS: what we verify, and how a private key of ours signs a handshake.

use std::io::{self, Read};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, HandshakeKind, OtherError, ProtocolVersion,
    StreamOwned, SupportedProtocolVersion,
};

use super::exchange::Exchange;
use super::message::{TlsDetails, TlsVersion};
use super::pin::{Pinned, Thumbprint};
use super::roots::Trusted;
use super::sessions::{Resume, Sessions, Witness};
use super::socket::{Socket, is_over};
use super::verify::Verifier;
use crate::binding::Certificate;
use crate::error::{Error, Result};
use crate::key::{KeyAlgorithm, PrivateKey, SignatureScheme};

/// How the connections of one client speak TLS: whom they trust, what they present, which sessions they
/// resume. Each certificate has one of its own: a session that is resumed speaks for the certificate of
/// the handshake it began with.
pub(super) struct TlsClient {
    verifier: Arc<dyn ServerCertVerifier>,
    resolver: Arc<dyn ResolvesClientCert>,
    all: Configured,
    /// For few servers.
    tls12: OnceCell<Configured>,
}

/// Which versions are offered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    All,
    Tls12,
}

/// A connection whose handshake is through.
pub(super) struct Secured {
    pub(super) stream: StreamOwned<ClientConnection, Socket>,
    pub(super) details: TlsDetails,
}

/// A configuration with its sessions.
struct Configured {
    config: ClientConfig,
    sessions: Arc<Sessions>,
}

impl TlsClient {
    /// Trusts those whom `trusted` vouches for, and presents `certificate` where there is one.
    pub(super) fn new(trusted: Arc<Trusted>, certificate: Option<&Certificate>) -> Result<Self> {
        let presented = certificate.map(|certificate| {
            let chain = certificate.chain_der().iter().cloned().map(CertificateDer::from).collect();
            Arc::new(CertifiedKey::new(chain, Arc::new(TlsKey(certificate.key().clone()))))
        });
        Self::with(Arc::new(Verifier::new(trusted, provider())?), presented)
    }

    /// For a server that shows the certificate of this thumbprint, or one that the roots vouch for.
    pub(super) fn pinned(leaf: Thumbprint, trusted: Result<Arc<Trusted>>) -> Result<Self> {
        Self::with(Arc::new(Pinned::new(leaf, trusted, provider())), None)
    }

    fn with(verifier: Arc<dyn ServerCertVerifier>, presented: Option<Arc<CertifiedKey>>) -> Result<Self> {
        let resolver: Arc<dyn ResolvesClientCert> = Arc::new(Always(presented));
        let all = Configured::new(&[&TLS13, &TLS12], &verifier, &resolver)?;
        Ok(Self { verifier, resolver, all, tls12: OnceCell::new() })
    }

    /// Speaks the handshake with `host` to its end.
    pub(super) fn handshake(
        &self,
        versions: Versions,
        resume: Resume,
        host: &str,
        mut socket: Socket,
    ) -> io::Result<Secured> {
        let configured = match versions {
            Versions::All => &self.all,
            Versions::Tls12 => self
                .tls12
                .get_or_try_init(|| Configured::new(&[&TLS12], &self.verifier, &self.resolver))
                .map_err(io::Error::other)?,
        };
        let witness = Arc::new(Witness::new(configured.sessions.clone(), resume));
        let mut config = configured.config.clone();
        config.resumption = Resumption::store(witness.clone());
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other(rustls::Error::General("the host name is not valid".into())))?;
        let exchange = Exchange::current();
        if let Some(exchange) = &exchange {
            exchange.note_handshake();
        }
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() || connection.wants_write() {
            if let Err(error) = connection.complete_io(&mut socket) {
                return Err(last_words(&mut connection, &mut socket, error));
            }
        }
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let asked = witness.settle(resumed, exchange.is_some_and(|exchange| exchange.was_asked()));
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
            _ => TlsVersion::Tls13,
        };
        let details = TlsDetails { version, certificate_requested: asked };
        Ok(Secured { stream: StreamOwned::new(connection, socket), details })
    }
}

impl Secured {
    /// As rustls' stream reads, but it notices where a server of TLS 1.2 wants to renegotiate, which is how
    /// some ask for a certificate after the request. rustls declines, and says nothing of it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let StreamOwned { conn, sock } = &mut self.stream;
        while conn.wants_write() {
            conn.write_tls(sock)?;
        }
        while conn.wants_read() {
            let ended = conn.read_tls(sock)? == 0;
            let state = conn.process_new_packets();
            let replies = state.as_ref().is_ok_and(|state| state.tls_bytes_to_write() > 0);
            if replies
                && self.details.version == TlsVersion::Tls12
                && let Some(exchange) = Exchange::current()
            {
                exchange.note_asked_late();
            }
            // An alert goes out as well as may be: what it is about counts more.
            let written = conn.write_tls(sock);
            state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            written?;
            if ended {
                break;
            }
        }
        conn.reader().read(buffer)
    }
}

impl Configured {
    fn new(
        versions: &[&'static SupportedProtocolVersion],
        verifier: &Arc<dyn ServerCertVerifier>,
        resolver: &Arc<dyn ResolvesClientCert>,
    ) -> Result<Self> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(not_set_up)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(resolver.clone());
        Ok(Self { config, sessions: Sessions::new() })
    }
}

/// Whether a server that spoke TLS before may not speak the versions offered now: it ends the handshake with an
/// alert, or hangs up.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(tls_error(error), Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)))
        || matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Whether it says that it does not speak them. Any other alert, or a connection that is lost, may mean the moment.
pub(super) fn is_about_version(error: &io::Error) -> bool {
    use AlertDescription::{HandshakeFailure, InsufficientSecurity, ProtocolVersion};
    match tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => {
            matches!(alert, ProtocolVersion | HandshakeFailure | InsufficientSecurity)
        }
        error => matches!(error, Some(rustls::Error::PeerIncompatible(_))),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A server that does not want our certificate says so, under TLS 1.3 while we already write the
/// request, and hangs up. Its alert is then there to be read, and tells more than the broken pipe.
pub(super) fn last_words(
    connection: &mut ClientConnection,
    socket: &mut Socket,
    error: io::Error,
) -> io::Error {
    if is_over(&error) {
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

fn not_set_up(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("TLS cannot be set up: {error}"))
}

/// The one certificate of a client, or none, whatever authorities a server names.
#[derive(Debug)]
struct Always(Option<Arc<CertifiedKey>>);

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
