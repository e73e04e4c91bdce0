//! A look at the way to a server, for who wants to know what is wrong with it: proxy, addresses, certificates, an answer.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use url::Url;

use super::message::{Request, Response};
use super::pool::Pool;
use super::socket;
use crate::binding::Certificate;
use crate::error::Result;
use crate::runtime::Call;

/// What was seen on the way to a server.
pub(crate) struct Sight {
    /// The proxy and why it is that one, or none; or what is wrong with the one that it should be.
    pub(crate) route: Result<Route>,
    /// Where the name leads, if it is looked up here: a proxy does that itself.
    pub(crate) addresses: Option<std::io::Result<Vec<IpAddr>>>,
    /// What the server showed, DER, leaf first, also where that was not accepted.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) response: Result<Response>,
    /// When the answer came.
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Host and port of the proxy, without the credentials.
    pub(crate) proxy: Option<String>,
    pub(crate) why: String,
}

/// The certificates that servers have shown.
#[derive(Default)]
pub(super) struct Shown(Mutex<Vec<Vec<u8>>>);

/// Judges as another does, and keeps what there was to judge.
pub(super) struct Watching {
    pub(super) judge: Arc<dyn ServerCertVerifier>,
    pub(super) shown: Arc<Shown>,
}

impl Pool {
    /// Asks for `url`, over a connection and with a TLS handshake of their own, which are as in any other request:
    /// `certificate` is shown where there is one and the server asks for it. Nothing else is sent that proves anything.
    pub(crate) fn look(&self, url: &Url, certificate: Option<&Certificate>, call: &Call) -> Sight {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or(443);
        let is_local = url.scheme() != "https";
        let route = match is_local {
            true => {
                Ok(Route { proxy: None, why: "services of the host are never asked through a proxy".into() })
            }
            false => self.route(host, port),
        };
        let direct = route.as_ref().is_ok_and(|route| route.proxy.is_none());
        let addresses = direct.then(|| {
            let left = call.remaining().unwrap_or(Duration::from_secs(10));
            let found = socket::resolve(host, port, Instant::now() + left);
            found.map(|found| found.into_iter().map(|address| address.ip()).collect())
        });
        let shown = Arc::new(Shown::default());
        let started = Instant::now();
        let client = match is_local {
            true => self.direct(),
            false => self.watched(certificate, shown.clone()).map(Arc::new),
        };
        let request = Request::get(url).identified(call).needs_certificate(certificate.is_some());
        let response = client.and_then(|client| client.send(&request, call));
        let chain = std::mem::take(&mut *shown.0.lock().unwrap_or_else(PoisonError::into_inner));
        Sight { route, addresses, chain, response, at: call.clock.now(), took: started.elapsed() }
    }
}

impl Shown {
    fn keep(&self, end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|one| one.to_vec()).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = chain;
    }
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.shown.keep(end_entity, intermediates);
        self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").finish_non_exhaustive()
    }
}
