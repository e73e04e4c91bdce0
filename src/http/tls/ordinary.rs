//! A TLS connection as rustls speaks it: 1.3 or 1.2, and never a renegotiation.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned, SupportedProtocolVersion,
};

use super::provider::provider;
use super::{TlsStream, not_set_up};
use crate::error::Result;
use crate::http::exchange::Exchange;
use crate::http::message::{TlsDetails, TlsVersion};
use crate::http::sessions::{Resume, Sessions, Witness};
use crate::http::socket::{Arrived, Socket, is_over};

/// Of what is no answer, tickets and the like, no more is read at once: 64 KiB, as rustls takes 4 KiB each time. Servers send one to four.
const MOST_READS: usize = 16;

/// A configuration with its sessions.
pub(super) struct Configured {
    config: ClientConfig,
    sessions: Arc<Sessions>,
}

/// A connection whose handshake is through.
struct Ordinary {
    stream: StreamOwned<ClientConnection, Socket>,
    details: TlsDetails,
}

impl Configured {
    pub(super) fn new(
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

    /// Speaks the handshake to its end.
    pub(super) fn handshake(
        &self,
        resume: Resume,
        name: ServerName<'static>,
        mut socket: Socket,
    ) -> io::Result<Box<dyn TlsStream>> {
        let witness = Arc::new(Witness::new(self.sessions.clone(), resume));
        let mut config = self.config.clone();
        config.resumption = Resumption::store(witness.clone());
        let exchange = Exchange::current();
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
        let details = TlsDetails { version, certificate_requested: asked, asked_late: false };
        Ok(Box::new(Ordinary { stream: StreamOwned::new(connection, socket), details }))
    }
}

impl TlsStream for Ordinary {
    /// As rustls' stream reads, but see `process`.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let StreamOwned { conn, sock } = &mut self.stream;
        while conn.wants_read() {
            // What the server says counts more than what it does not take: some answer in the middle of a request,
            // and read no more of it.
            match sock.while_silent(|sock| flush(conn, sock)) {
                Err(error) if is_over(&error) => return Err(error),
                _ => {}
            }
            let waiting = waiting(conn);
            let ended = conn.read_tls(sock)? == 0;
            if let Err(error) = process(conn, self.details.version, waiting) {
                // An alert goes out as well as may be: what it is about counts more.
                let _ = sock.while_silent(|sock| conn.write_tls(sock));
                return after_what_came(conn, buffer, error);
            }
            if ended {
                break;
            }
        }
        conn.reader().read(buffer)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn read_arrived(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let StreamOwned { conn, sock } = &mut self.stream;
        for _ in 0..MOST_READS {
            match conn.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            let waiting = waiting(conn);
            conn.read_tls(&mut sock.peek())?;
            if let Err(error) = process(conn, self.details.version, waiting) {
                return after_what_came(conn, buffer, error);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write_while_silent(&mut self, bytes: &[u8]) -> io::Result<()> {
        let StreamOwned { conn, sock } = &mut self.stream;
        sock.while_silent(|sock| {
            flush(conn, sock)?;
            conn.writer().write_all(bytes)?;
            match flush(conn, sock) {
                // The rest goes first the next time.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                flushed => flushed,
            }
        })
    }

    /// TLS 1.3 servers send tickets at any time, so bytes that are waiting mean the end only where they are
    /// more than that.
    fn is_open(&mut self) -> bool {
        only_tickets(&mut self.stream.conn, self.stream.sock.peek()).unwrap_or(false)
    }

    fn last_words(&mut self, error: io::Error) -> io::Error {
        last_words(&mut self.stream.conn, &mut self.stream.sock, error)
    }

    /// Where the server has asked already, it need not do so later.
    fn suits(&self, exchange: &Exchange) -> bool {
        self.details.certificate_requested || exchange.renegotiates_for().is_none()
    }

    fn socket(&mut self) -> &mut Socket {
        &mut self.stream.sock
    }

    fn details(&self) -> TlsDetails {
        self.details
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        let StreamOwned { conn, sock } = &mut self.stream;
        conn.send_close_notify();
        let _ = flush(conn, &mut sock.at_once());
    }
}

/// Notices where a server of TLS 1.2 wants to renegotiate, which is how some ask for a certificate after the request.
/// rustls declines, and says nothing of it; but more is to be written then than was `waiting` before.
fn process(connection: &mut ClientConnection, version: TlsVersion, waiting: usize) -> io::Result<()> {
    let state = connection.process_new_packets();
    let replies = match &state {
        Ok(state) => state.tls_bytes_to_write() > waiting,
        // Nobody is told of an alert of his own.
        Err(error) => {
            matches!(error, rustls::Error::AlertReceived(_)) && waiting == 0 && connection.wants_write()
        }
    };
    if replies
        && version == TlsVersion::Tls12
        && let Some(exchange) = Exchange::current()
    {
        exchange.note_asked_late();
    }
    state.map(drop).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// How much is to be written, of a body that the server does not take.
fn waiting(connection: &mut ClientConnection) -> usize {
    match connection.wants_write() {
        true => connection.process_new_packets().map_or(0, |state| state.tls_bytes_to_write()),
        false => 0,
    }
}

/// What came before an error, which comes again.
fn after_what_came(
    connection: &mut ClientConnection,
    buffer: &mut [u8],
    error: io::Error,
) -> io::Result<usize> {
    match connection.reader().read(buffer) {
        Ok(amount @ 1..) => Ok(amount),
        _ => Err(error),
    }
}

fn flush(connection: &mut ClientConnection, socket: &mut impl Write) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(socket)?;
    }
    Ok(())
}

/// Who sends more of them than anybody needs could do so for ever.
fn only_tickets(connection: &mut ClientConnection, mut arrived: Arrived<'_>) -> io::Result<bool> {
    for _ in 0..MOST_READS {
        // Also of what came with the answer before.
        let state = connection.process_new_packets().map_err(io::Error::other)?;
        if state.peer_has_closed() || state.plaintext_bytes_to_read() > 0 {
            return Ok(false);
        }
        if arrived.is_nothing() {
            return Ok(true);
        }
        if connection.read_tls(&mut arrived)? == 0 {
            return Ok(false);
        }
    }
    Ok(false)
}

fn last_words(connection: &mut ClientConnection, socket: &mut Socket, error: io::Error) -> io::Error {
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
