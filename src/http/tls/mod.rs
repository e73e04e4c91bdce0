//! TLS: whom we trust, what we present, and an open connection, whoever speaks it.

mod key;
mod ordinary;
mod provider;
#[cfg(all(feature = "renegotiation", not(feature = "fips")))]
mod renegotiating;
#[cfg(not(all(feature = "renegotiation", not(feature = "fips"))))]
#[path = "not_renegotiating.rs"]
mod renegotiating;

use std::io;
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustls::AlertDescription;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use self::key::{Always, TlsKey};
use self::ordinary::Configured;
use self::provider::provider;
use self::renegotiating::Renegotiator;
use super::exchange::Exchange;
use super::look::{Shown, Watching};
use super::message::TlsDetails;
use super::pin::{Pinned, Thumbprint};
use super::renegotiation::TokenHash;
use super::roots::Trusted;
use super::sessions::Resume;
use super::socket::Socket;
use super::verify::Verifier;
use crate::binding::Certificate;
use crate::error::{Error, Result};
use crate::key::PrivateKey;

/// A connection whose handshake is through. Dropping it tells the server that nothing more comes (RFC 9112, section 9.8), if
/// that can be said without waiting.
pub(super) trait TlsStream: Send + Sync {
    /// What has arrived; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// As `read`, but waits for nothing: `WouldBlock`.
    fn read_arrived(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// As `write_all`; but where the peer takes nothing, and something of it arrives, that is `WouldBlock`: the same
    /// bytes are to be written again then.
    fn write_while_silent(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    /// Whether it can be used again after it was idle.
    fn is_open(&mut self) -> bool;

    /// A server that does not want our certificate says so, under TLS 1.3 while we already write the
    /// request, and hangs up. Its alert is then there to be read, and tells more than the broken pipe.
    fn last_words(&mut self, error: io::Error) -> io::Error;

    /// Whether it is the right one for this exchange, as far as renegotiation goes.
    fn suits(&self, exchange: &Exchange) -> bool;

    fn socket(&mut self) -> &mut Socket;

    fn details(&self) -> TlsDetails;
}

/// How the connections of one client speak TLS: whom they trust, what they present, which sessions they
/// resume. Each certificate has one of its own: a session that is resumed speaks for the certificate of
/// the handshake it began with.
pub(super) struct TlsClient {
    verifier: Arc<dyn ServerCertVerifier>,
    resolver: Arc<dyn ResolvesClientCert>,
    all: Configured,
    /// For few servers.
    tls12: OnceCell<Configured>,
    /// What the server is called in the place of its host, in SNI and in its certificate.
    name: Option<String>,
    /// What there is to show, for connections on which the server may ask later, and how those are made.
    presented: Option<Presented>,
    renegotiator: OnceCell<Renegotiator>,
}

/// A chain, as rustls has it, and its key.
struct Presented {
    certified: Arc<CertifiedKey>,
    key: Arc<dyn PrivateKey>,
}

impl Presented {
    fn new(certificate: &Certificate) -> Self {
        let chain = certificate.chain_der().iter().cloned().map(CertificateDer::from).collect();
        let key = certificate.key().clone();
        Self { certified: Arc::new(CertifiedKey::new(chain, Arc::new(TlsKey(key.clone())))), key }
    }
}

/// Which versions are offered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    All,
    Tls12,
}

impl TlsClient {
    /// Trusts those whom `trusted` vouches for, and presents `certificate` where there is one.
    pub(super) fn new(trusted: Arc<Trusted>, certificate: Option<&Certificate>) -> Result<Self> {
        Self::with(Arc::new(Verifier::new(trusted, provider())?), certificate.map(Presented::new))
    }

    /// The same, which also keeps what servers show.
    pub(super) fn watched(
        trusted: Arc<Trusted>,
        certificate: Option<&Certificate>,
        shown: Arc<Shown>,
    ) -> Result<Self> {
        let judge = Arc::new(Verifier::new(trusted, provider())?);
        Self::with(Arc::new(Watching { judge, shown }), certificate.map(Presented::new))
    }

    /// For a server that shows the certificate of this thumbprint, or one that the roots vouch for.
    pub(super) fn pinned(leaf: Thumbprint, trusted: Result<Arc<Trusted>>) -> Result<Self> {
        Self::with(Arc::new(Pinned::new(leaf, trusted, provider())), None)
    }

    fn with(verifier: Arc<dyn ServerCertVerifier>, presented: Option<Presented>) -> Result<Self> {
        let shown = presented.as_ref().map(|presented| presented.certified.clone());
        let resolver: Arc<dyn ResolvesClientCert> = Arc::new(Always(shown));
        let all = Configured::new(&[&TLS13, &TLS12], &verifier, &resolver)?;
        let (tls12, renegotiator) = (OnceCell::new(), OnceCell::new());
        Ok(Self { verifier, resolver, all, tls12, name: None, presented, renegotiator })
    }

    /// For a server that goes by this name, whatever host is connected to.
    pub(super) fn named(self, name: Option<&str>) -> Self {
        Self { name: name.map(str::to_owned), ..self }
    }

    /// Speaks the handshake with `host` to its end.
    pub(super) fn handshake(
        &self,
        versions: Versions,
        resume: Resume,
        host: &str,
        socket: Socket,
    ) -> io::Result<Box<dyn TlsStream>> {
        let configured = match versions {
            Versions::All => &self.all,
            Versions::Tls12 => self
                .tls12
                .get_or_try_init(|| Configured::new(&[&TLS12], &self.verifier, &self.resolver))
                .map_err(io::Error::other)?,
        };
        configured.handshake(resume, begin(self.name.as_deref().unwrap_or(host))?, socket)
    }

    /// The same in TLS 1.2, for a request with this token: `host` may ask for the certificate later.
    pub(super) fn handshake_to_renegotiate(
        &self,
        host: &str,
        token: TokenHash,
        socket: Socket,
    ) -> io::Result<Box<dyn TlsStream>> {
        let renegotiator = self.renegotiator.get_or_try_init(|| {
            let presented = self.presented.as_ref();
            let presented = presented.ok_or_else(|| io::Error::other("there is no certificate to show"))?;
            Renegotiator::new(self.verifier.clone(), &presented.certified, presented.key.clone())
        })?;
        let host = self.name.as_deref().unwrap_or(host);
        renegotiator.handshake(host, begin(host)?, token, socket)
    }
}

/// A handshake with `host` begins.
fn begin(host: &str) -> io::Result<ServerName<'static>> {
    if let Some(exchange) = Exchange::current() {
        exchange.note_handshake();
    }
    ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::other(rustls::Error::General("the host name is not valid".into())))
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

fn not_set_up(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("TLS cannot be set up: {error}"))
}
