//! A TLS 1.2 connection on which the server may ask for our certificate once it has read the request
//! (docs/adr/018).

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mtlspop_libssl::{ClientCertificate, Context, Error as Failure, Party, Refused, Session};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, InvalidMessage, PeerIncompatible, PeerMisbehaved, SignatureScheme,
};

use super::TlsStream;
use super::key::to_rustls;
use crate::http::exchange::Exchange;
use crate::http::message::{TlsDetails, TlsVersion};
use crate::http::renegotiation::TokenHash;
use crate::http::socket::{Socket, is_over};
use crate::http::verify::judge_key;
use crate::key::PrivateKey;
use crate::runtime::{outside, undisturbed};

/// How often the server of a connection may renegotiate.
const MOST: usize = 2;

/// How such connections are made for one certificate.
pub(super) struct Renegotiator {
    context: Context,
    verifier: Arc<dyn ServerCertVerifier>,
    key: Arc<dyn PrivateKey>,
}

/// A connection whose first handshake is through.
struct Renegotiating {
    session: Session<Wire, Client>,
    /// The token that it was opened for.
    token: TokenHash,
    /// It has carried another one since.
    mixed: bool,
    /// How far a write came that could not go on.
    half: Option<usize>,
    /// The server wants to renegotiate, which has to wait for the end of that write.
    asks: bool,
}

/// The socket, and for how long it waits.
struct Wire {
    socket: Socket,
    /// Whether reads wait for something, and writes for room.
    waits: bool,
    /// Whether writes wait for no longer than nothing arrives.
    listens: bool,
}

/// Who we are in a handshake.
struct Client {
    verifier: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
    key: Arc<dyn PrivateKey>,
    asked: bool,
}

impl Renegotiator {
    pub(super) fn new(
        verifier: Arc<dyn ServerCertVerifier>,
        presented: &CertifiedKey,
        key: Arc<dyn PrivateKey>,
    ) -> io::Result<Self> {
        let chain: Vec<&[u8]> = presented.cert.iter().map(AsRef::as_ref).collect();
        let schemes: Vec<_> = key.schemes().iter().map(|scheme| u16::from(to_rustls(*scheme))).collect();
        // It may have no objection but to the certificate.
        let context =
            Context::new(Some(ClientCertificate { chain: &chain, schemes: &schemes })).map_err(|error| {
                let why = in_words(&error.to_string());
                tls(rustls::Error::General(format!("our certificate cannot be shown in TLS 1.2 ({why})")))
            })?;
        Ok(Self { context, verifier, key })
    }

    /// Speaks the first handshake to its end, for a request with this token.
    pub(super) fn handshake(
        &self,
        host: &str,
        name: ServerName<'static>,
        token: TokenHash,
        socket: Socket,
    ) -> io::Result<Box<dyn TlsStream>> {
        let (verifier, key) = (self.verifier.clone(), self.key.clone());
        let client = Client { verifier, name, key, asked: false };
        let wire = Wire { socket, waits: true, listens: false };
        // It draws random numbers here and there, and calls back for what is no business of a fork's.
        let session = undisturbed(|| Session::connect(&self.context, host, wire, client)).map_err(told)?;
        Ok(Box::new(Renegotiating { session, token, mixed: false, half: None, asks: false }))
    }
}

impl Renegotiating {
    fn without_waiting<T>(&mut self, read: impl FnOnce(&mut Session<Wire, Client>) -> T) -> T {
        self.session.stream_mut().waits = false;
        let result = read(&mut self.session);
        self.session.stream_mut().waits = true;
        result
    }

    /// What the server asks for, where it is due to it.
    fn renegotiate(&mut self) -> io::Result<()> {
        let exchange = Exchange::current();
        if let Some(exchange) = &exchange {
            exchange.note_received();
        }
        self.asks = false;
        let token = exchange.as_ref().and_then(|exchange| exchange.renegotiates_for());
        if let Some(why) = self.objection(token) {
            return Err(tls(rustls::Error::General(format!("it wants to renegotiate, {why}"))));
        }
        if let Some(exchange) = &exchange {
            exchange.note_handshake();
        }
        let outcome = undisturbed(|| self.session.renegotiate()).map_err(told);
        if let Some(exchange) = &exchange {
            exchange.note_tls(self.details());
        }
        outcome?;
        match self.weakness() {
            Some(why) => Err(tls(rustls::Error::General(format!("it has renegotiated {why}")))),
            None => Ok(()),
        }
    }

    /// Why a renegotiation is out of the question now.
    fn objection(&self, token: Option<TokenHash>) -> Option<String> {
        if token.is_none() {
            return Some("though the request has no bound token".to_owned());
        }
        if self.mixed || token != Some(self.token) {
            return Some("though the connection has carried another token".to_owned());
        }
        if self.session.renegotiations() >= MOST {
            return Some(format!("and has done so {MOST} times on this connection, which is enough"));
        }
        self.weakness().map(str::to_owned)
    }

    /// What somebody in between could use, to have us speak for him.
    fn weakness(&self) -> Option<&'static str> {
        if !self.session.secure_renegotiation() {
            return Some(
                "without binding that to what came before (RFC 5746); have secure renegotiation switched on there",
            );
        }
        if !self.session.extended_master_secret() {
            return Some(
                "without binding its keys to the handshake (RFC 7627); have the extended master secret switched on \
                 there",
            );
        }
        None
    }
}

impl TlsStream for Renegotiating {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.read(buffer) {
                Err(Failure::RenegotiationRequested) => self.renegotiate()?,
                outcome => return outcome.map_err(told),
            }
        }
    }

    fn read_arrived(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.without_waiting(|session| session.read(buffer)) {
                // Not within a record. libssl says it again, and reads nothing that comes until then.
                Err(Failure::RenegotiationRequested) if self.half.is_some() => {
                    self.asks = true;
                    return Err(ErrorKind::WouldBlock.into());
                }
                Err(Failure::RenegotiationRequested) => self.renegotiate()?,
                outcome => return outcome.map_err(told),
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let token = Exchange::current().and_then(|exchange| exchange.renegotiates_for());
        self.mixed |= token != Some(self.token);
        let mut sent = self.half.take().unwrap_or(0);
        while sent < bytes.len() {
            sent += self.session.write(&bytes[sent..]).map_err(|failure| {
                self.half = Some(sent);
                told(failure)
            })?;
        }
        Ok(())
    }

    /// Where it stops, what went out of `bytes` stays out: the same bytes come again.
    fn write_while_silent(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.session.stream_mut().listens = !self.asks;
        let written = self.write_all(bytes);
        self.session.stream_mut().listens = false;
        written
    }

    fn is_open(&mut self) -> bool {
        self.without_waiting(Session::is_quiet)
    }

    fn last_words(&mut self, error: io::Error) -> io::Error {
        if is_over(&error) || error.get_ref().is_some() {
            return error;
        }
        self.session.last_words().map_or(error, told)
    }

    /// A server that has not seen the certificate yet may ask for it, and then for one token alone. One that has asked as
    /// often as it may asks with each request.
    fn suits(&self, exchange: &Exchange) -> bool {
        self.session.renegotiations() < MOST
            && exchange
                .renegotiates_for()
                .is_some_and(|token| self.session.party().asked || token == self.token)
    }

    fn socket(&mut self) -> &mut Socket {
        &mut self.session.stream_mut().socket
    }

    fn details(&self) -> TlsDetails {
        let certificate_requested = self.session.party().asked;
        TlsDetails { version: TlsVersion::Tls12, certificate_requested, asked_late: false }
    }
}

impl Drop for Renegotiating {
    fn drop(&mut self) {
        // Nothing goes between the parts of a record.
        if self.half.is_none() {
            let _ = self.without_waiting(Session::close);
        }
    }
}

impl Party for Client {
    fn verify(&mut self, chain: &[&[u8]], ocsp: &[u8]) -> Result<(), Refused> {
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
        let verdict = outside(|| match chain.split_first() {
            Some((own, others)) => self
                .verifier
                .verify_server_cert(own, others, &self.name, ocsp, UnixTime::now())
                .and_then(|_| judge_key(own)),
            None => Err(rustls::Error::NoCertificatesPresented),
        });
        verdict.map_err(|error| {
            let alert = match &error {
                rustls::Error::InvalidCertificate(why) => AlertDescription::from(why.clone()),
                _ => AlertDescription::InternalError,
            };
            Refused { alert: alert.into(), error: tls(error) }
        })
    }

    fn sign(&mut self, scheme: u16, message: &[u8]) -> io::Result<Vec<u8>> {
        let scheme = SignatureScheme::from(scheme);
        let known = self.key.schemes().iter().find(|known| to_rustls(**known) == scheme);
        let known =
            known.ok_or_else(|| tls(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()))?;
        let wait = Exchange::current().map(|exchange| exchange.wait()).unwrap_or_default();
        outside(|| self.key.sign_within(*known, message, &wait)).map_err(io::Error::other)
    }

    fn certificate_requested(&mut self) {
        self.asked = true;
        if let Some(exchange) = Exchange::current() {
            exchange.note_asked();
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        outside(|| if self.waits { self.socket.read(buffer) } else { self.socket.peek().read(buffer) })
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        outside(|| match (self.waits, self.listens) {
            (false, _) => self.socket.at_once().write(bytes),
            (true, true) => self.socket.while_silent(|socket| socket.write(bytes)),
            (true, false) => self.socket.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// What rustls would have reported.
fn told(failure: Failure) -> io::Error {
    match failure {
        Failure::Stream(error) | Failure::Party(error) => error,
        Failure::Alert(number) => tls(rustls::Error::AlertReceived(AlertDescription::from(number))),
        Failure::RenegotiationRequested => {
            tls(rustls::Error::General("it wants to renegotiate out of turn".to_owned()))
        }
        Failure::Tls(reason) => tls(named(&reason)),
    }
}

/// By libssl's name for it.
fn named(reason: &str) -> rustls::Error {
    match reason {
        "SERVER_CERT_CHANGED" => rustls::Error::General(
            "it shows another certificate in the renegotiation than at first; the same host must be behind one \
             connection"
                .to_owned(),
        ),
        "BAD_SIGNATURE" => CertificateError::BadSignature.into(),
        "DECRYPTION_FAILED_OR_BAD_RECORD_MAC" | "BAD_DECRYPT" => rustls::Error::DecryptError,
        "WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "HTTPS_PROXY_REQUEST" | "INVALID_SSL_RECORD" => {
            InvalidMessage::InvalidContentType.into()
        }
        "UNSUPPORTED_PROTOCOL" => PeerIncompatible::ServerDoesNotSupportTls12Or13.into(),
        "UNKNOWN_CIPHER_RETURNED" | "WRONG_CIPHER_RETURNED" => {
            PeerIncompatible::NoCipherSuitesInCommon.into()
        }
        "NO_COMMON_SIGNATURE_ALGORITHMS" => {
            PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon.into()
        }
        "WRONG_SIGNATURE_TYPE" => PeerMisbehaved::SignedKxWithWrongAlgorithm.into(),
        "RENEGOTIATION_MISMATCH" | "RENEGOTIATION_EMS_MISMATCH" => rustls::Error::General(
            "its renegotiation is not bound to the connection that was there (RFC 5746, RFC 7627); somebody may \
             stand between"
                .to_owned(),
        ),
        other => {
            rustls::Error::General(format!("it broke the rules of TLS ({})", in_words(other)))
        }
    }
}

/// A name of libssl's for what is wrong.
fn in_words(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', " ")
}

fn tls(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words;

    /// Has whatever libssl may say words for a person, and not its own name?
    #[test]
    fn what_libssl_says() {
        let words = |reason: &str| match named(reason) {
            rustls::Error::InvalidCertificate(why) => words::certificate(&why),
            error => words::handshake(&error),
        };
        for (reason, part) in [
            ("SERVER_CERT_CHANGED", "another certificate in the renegotiation"),
            ("BAD_SIGNATURE", "do not belong together"),
            ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "was changed on the way"),
            ("WRONG_VERSION_NUMBER", "is not TLS"),
            ("HTTP_REQUEST", "is not TLS"),
            ("UNSUPPORTED_PROTOCOL", "neither TLS 1.3 nor TLS 1.2"),
            ("WRONG_CIPHER_RETURNED", "no cipher"),
            ("NO_COMMON_SIGNATURE_ALGORITHMS", "a signature that is known here"),
            ("WRONG_SIGNATURE_TYPE", "signs in a way that was not offered"),
            ("RENEGOTIATION_EMS_MISMATCH", "RFC 7627"),
            ("UNEXPECTED_RECORD", "(unexpected record)"),
        ] {
            let words = words(reason);
            assert!(words.contains(part) && !words.contains('_'), "{reason}: {words}");
        }
    }
}
