//! What went wrong with a connection, in our words: who, why, and what to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::{AlertDescription, OtherError};

use super::exchange::Exchange;
use super::socket::{OpenError, is_over};
use super::words;
use crate::binding::Certificate;
use crate::clock::date_text;
use crate::error::{Error, ErrorKind, TransportFailure};
use crate::runtime::Limit;

/// Who was spoken to.
#[derive(Clone)]
pub(super) enum Peer {
    Server {
        host: String,
        presented: Option<Arc<Presented>>,
    },
    /// Host and port, without the credentials.
    Proxy(String),
}

/// The certificate a client presents, as far as messages need it.
pub(super) struct Presented {
    x5t_s256: String,
    not_after: SystemTime,
}

impl Presented {
    pub(super) fn new(certificate: &Certificate) -> Self {
        Self { x5t_s256: certificate.x5t_s256().to_owned(), not_after: certificate.not_after() }
    }
}

/// There is no connection to `peer`. `limit` is what ended the wait for it, where that is why.
pub(super) fn open(error: OpenError, peer: &Peer, limit: Limit) -> Error {
    let (error, failure, what, not_within) = match error {
        OpenError::Resolve(error) => (
            error,
            TransportFailure::Dns,
            "its name cannot be resolved",
            format!("the name of the {peer} was not resolved"),
        ),
        OpenError::Connect(error) => {
            (error, TransportFailure::Connect, "it cannot be reached", format!("no connection to the {peer}"))
        }
    };
    let (failure, code, advice) = match peer {
        Peer::Server { .. } => (failure, "network_error", ""),
        Peer::Proxy(_) => (
            TransportFailure::Proxy,
            "proxy_error",
            "; check the proxy option, or https_proxy and HTTPS_PROXY",
        ),
    };
    if is_over(&error) {
        return timeout(&not_within, limit, advice).with_transport(failure);
    }
    network(code, format!("no connection to the {peer}: {what} ({error}){advice}"), failure)
}

/// The connection to a proxy failed before there was a tunnel.
pub(super) fn proxy_io(error: io::Error, peer: &Peer, limit: Limit) -> Error {
    if is_over(&error) {
        let what = format!("the {peer} did not open a tunnel");
        return timeout(&what, limit, "").with_transport(TransportFailure::Proxy);
    }
    network("proxy_error", format!("the {peer} closed the connection ({error})"), TransportFailure::Proxy)
}

/// The TLS handshake with a server failed. Where our certificate was not even asked for yet, the loss
/// of the connection says nothing about it.
pub(super) fn handshake(error: io::Error, peer: &Peer, limit: Limit) -> Error {
    if is_over(&error) {
        let what = format!("the {peer} did not complete the TLS handshake");
        return timeout(&what, limit, "").with_transport(TransportFailure::Connect);
    }
    let cause = error.to_string();
    let failed = io(error, peer, limit);
    if failed.transport() != Some(TransportFailure::Reset) {
        return failed;
    }
    let hung_up = format!("the {peer} hung up in the TLS handshake ({cause})");
    if Exchange::current().is_some_and(|exchange| exchange.was_asked()) {
        return network("network_error", hung_up, TransportFailure::Reset);
    }
    let why = format!(
        "{hung_up}, as some do with whom nothing is in common, and firewalls that let nobody through; {}",
        words::OFFERED
    );
    network("network_error", why, TransportFailure::Connect)
}

/// A connection to a server failed, in the handshake or later.
pub(super) fn io(error: io::Error, peer: &Peer, limit: Limit) -> Error {
    if let Some(inner) = error.get_ref() {
        if let Some(error) = inner.downcast_ref::<Error>() {
            return error.clone();
        }
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            return tls(error, peer);
        }
    }
    if is_over(&error) {
        return unanswered(peer, limit);
    }
    let message = format!("the connection to the {peer} was lost before the answer was complete ({error})");
    network("network_error", message, TransportFailure::Reset)
}

/// What `ureq` reports, once the errors of our own connector are taken out.
pub(super) fn ureq(error: ureq::Error, peer: &Peer, limit: Limit) -> Error {
    match error {
        ureq::Error::Io(error) => io(error, peer, limit),
        ureq::Error::Other(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => Error::internal(format!("unexpected failure of the transport: {error}")),
        },
        ureq::Error::Timeout(_) => unanswered(peer, limit),
        // The server hung up, in due form, within the line that says how long a chunk is.
        ureq::Error::BodyStalled => io(io::ErrorKind::UnexpectedEof.into(), peer, limit),
        ureq::Error::Protocol(error) => invalid(format!("the {peer} broke the rules of HTTP ({error})")),
        ureq::Error::LargeResponseHeader(..) => invalid(format!("the {peer} sent too many headers")),
        ureq::Error::RequireHttpsOnly(_) => Error::argument(format!("the {peer} must be asked over https")),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Error::argument(format!("the request to the {peer} is malformed ({error})"))
        }
        error => Error::internal(format!("the request to the {peer} failed: {error}")),
    }
}

/// The answer is longer than the caller wants.
pub(super) fn too_large(limit: usize, peer: &Peer) -> Error {
    Error::new(
        ErrorKind::InvalidResponse,
        "response_too_large",
        format!("the answer of the {peer} is longer than the limit of {limit} bytes"),
    )
}

fn tls(error: &rustls::Error, peer: &Peer) -> Error {
    let presented = match peer {
        Peer::Server { presented, .. } => presented.as_deref(),
        Peer::Proxy(_) => None,
    };
    match (error, presented) {
        (rustls::Error::InvalidCertificate(reason), _) => {
            server_tls(format!("the certificate of the {peer} {}", words::certificate(reason)))
        }
        (rustls::Error::AlertReceived(alert), Some(presented)) if is_about_our_certificate(*alert) => {
            client_certificate(*alert, presented, peer)
        }
        (rustls::Error::AlertReceived(alert), None) if misses_a_certificate(*alert) => server_tls(format!(
            "the {peer} requires a client certificate and this request has none; use a credential with a \
             certificate"
        )),
        (rustls::Error::Other(OtherError(inner)), _) => match inner.downcast_ref::<Error>() {
            // What our private key said when it was asked to sign, or whoever looked for our roots.
            Some(error) => error.clone(),
            None => server_tls(format!("TLS with the {peer} failed: {}", words::handshake(error))),
        },
        (error, _) => server_tls(format!("TLS with the {peer} failed: {}", words::handshake(error))),
    }
}

/// With a certificate presented, servers say these when they do not like it. The last two have other causes
/// too, but none that is left once the server's side was agreed and our certificate sent. Who has read a request
/// without having asked for the certificate does not mean it.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    let exchange = Exchange::current();
    match alert {
        AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => exchange.is_none_or(|exchange| exchange.may_know_us()),
        AlertDescription::DecryptError | AlertDescription::HandshakeFailure => {
            exchange.is_some_and(|exchange| exchange.was_asked() || exchange.was_asked_before())
        }
        _ => false,
    }
}

/// What servers say that asked for a certificate and got none, with TLS 1.2 by an alert that is usual for much.
fn misses_a_certificate(alert: AlertDescription) -> bool {
    match alert {
        AlertDescription::CertificateRequired => true,
        AlertDescription::HandshakeFailure => {
            Exchange::current().is_some_and(|exchange| exchange.was_asked())
        }
        _ => false,
    }
}

fn client_certificate(alert: AlertDescription, presented: &Presented, peer: &Peer) -> Error {
    let message = format!(
        "the {peer} did not accept our certificate (TLS alert {}; x5t#S256 {}, valid until {})",
        words::alert(alert),
        presented.x5t_s256,
        date_text(presented.not_after),
    );
    Error::new(ErrorKind::Network, "client_certificate_rejected", message)
        .with_transport(TransportFailure::ClientCertificate)
}

fn server_tls(message: String) -> Error {
    Error::new(ErrorKind::Network, "tls_error", message).with_transport(TransportFailure::ServerTls)
}

fn network(code: &str, message: String, failure: TransportFailure) -> Error {
    Error::new(ErrorKind::Network, code, message).with_transport(failure).with_retryable(true)
}

/// The same in the middle of an answer's body.
pub(super) fn body(error: ureq::Error, peer: &Peer, limit: Limit) -> Error {
    match error {
        ureq::Error::Timeout(_) => {
            timeout(&format!("the {peer} did not send the rest of its answer"), limit, "")
        }
        error => ureq(error, peer, limit),
    }
}

fn unanswered(peer: &Peer, limit: Limit) -> Error {
    timeout(&format!("the {peer} did not answer"), limit, "")
}

fn timeout(what: &str, limit: Limit, advice: &str) -> Error {
    let message = format!("{what} within {limit}{advice}");
    Error::new(ErrorKind::Timeout, "request_timeout", message).with_retryable(true)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidResponse, "invalid_response", message)
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { host, .. } => write!(f, "server {host}"),
            Self::Proxy(address) => write!(f, "proxy {address}"),
        }
    }
}
