//! The bridge to ureq's transport traits, which are unstable (docs/adr/002) and used nowhere else.
//!
//! Proxy, TLS and cancellation are ours; ureq contributes the HTTP/1.1 protocol and the pool of idle
//! connections.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Timeout;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    self, Buffers, ConnectionDetails, LazyBuffers, NextTimeout, Transport, time,
};

use super::exchange::Exchange;
use super::failure::{self, Peer, Presented};
use super::proxy::ProxySettings;
use super::roots::Roots;
use super::socket::{Arrived, Socket};
use super::{tls, tunnel};
use crate::error::Result;
use crate::runtime::Limit;

/// An upper limit where ureq has none; it always has one, as every request is given a time.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// Opens the connections of one client.
pub(super) struct Connector {
    pub(super) proxy: Arc<ProxySettings>,
    pub(super) tls: Tls,
    pub(super) presented: Option<Arc<Presented>>,
}

/// The TLS configuration of a client.
pub(super) enum Tls {
    Ready(Arc<ClientConfig>),
    /// For a client that seldom needs one: made when the first connection wants it.
    OnDemand(Arc<Roots>),
}

impl Connector {
    pub(super) fn into_agent(self, config: Config) -> ureq::Agent {
        ureq::Agent::with_parts(config, self, LateResolver)
    }

    /// `limit` is the name of what ends at the `deadline`.
    fn open(&self, uri: &Uri, deadline: Instant, limit: Limit) -> Result<Stream> {
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let peer = Peer::Server { host: host.to_owned(), presented: self.presented.clone() };

        let socket = match self.proxy.route(host, port) {
            Some(proxy) => tunnel::open(proxy, host, port, deadline, limit)?,
            None => Socket::open(host, port, deadline).map_err(|error| failure::open(error, &peer, limit))?,
        };
        if !is_tls {
            return Ok(Stream::Plain(socket));
        }
        let config = match &self.tls {
            Tls::Ready(config) => config.clone(),
            Tls::OnDemand(roots) => Arc::new(tls::client_config(roots.trusted()?, None)?),
        };
        let stream =
            tls::handshake(config, host, socket).map_err(|error| failure::handshake(error, &peer, limit))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

impl transport::Connector for Connector {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        let own = Exchange::current().map(|exchange| exchange.limit());
        let limit = match (details.timeout.reason, details.config.timeouts().connect, own) {
            (Timeout::Connect, Some(connect), _) => Limit::connect(connect),
            (_, _, Some(own)) => own,
            _ => Limit::request(FOREVER),
        };
        let stream = self
            .open(details.uri, deadline(details.timeout), limit)
            .map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Connection { stream, buffers }))
    }
}

/// ureq asks for addresses before it looks into its pool, and would start a thread for it. Nothing is
/// looked up here; [`Socket::open`] does it, when there really is a connection to open.
#[derive(Debug)]
struct LateResolver;

impl Resolver for LateResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// A connection of ureq's pool.
pub(super) struct Connection {
    stream: Stream,
    buffers: LazyBuffers,
}

enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.socket().set_deadline(deadline(timeout));
        let output = &self.buffers.output()[..amount];
        let written = match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(output),
            Stream::Tls(stream) => stream.write_all(output),
        };
        written.map_err(|error| self.stream.ended(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.socket().set_deadline(deadline(timeout));
        let input = self.buffers.input_append_buf();
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(input),
            Stream::Tls(stream) => stream.read(input),
        };
        let amount = read.map_err(|error| self.stream.ended(error, timeout))?;
        self.buffers.input_appended(amount);
        if amount > 0
            && let Some(exchange) = Exchange::current()
        {
            exchange.note_received();
        }
        Ok(amount > 0)
    }

    /// Whether an idle connection can be used again. TLS 1.3 servers send tickets at any time, so
    /// bytes that are waiting mean the end only where they are more than that.
    fn is_open(&mut self) -> bool {
        let open = match &mut self.stream {
            Stream::Plain(socket) => Ok(socket.peek().is_nothing()),
            Stream::Tls(stream) => only_tickets(&mut stream.conn, stream.sock.peek()),
        };
        open.unwrap_or(false)
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl Stream {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// What to tell ureq about an error of this connection.
    fn ended(&mut self, error: io::Error, timeout: NextTimeout) -> ureq::Error {
        if error.kind() == io::ErrorKind::TimedOut {
            return ureq::Error::Timeout(timeout.reason);
        }
        let error = match self {
            Self::Plain(_) => error,
            Self::Tls(stream) => tls::last_words(&mut stream.conn, &mut stream.sock, error),
        };
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
        if matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted) {
            // Anybody on the way can cut a connection, but ureq takes these kinds for the regular end
            // of a body that has no length.
            return io::Error::new(io::ErrorKind::BrokenPipe, "closed without notice").into();
        }
        error.into()
    }
}

fn only_tickets(connection: &mut ClientConnection, mut arrived: Arrived<'_>) -> io::Result<bool> {
    while !arrived.is_nothing() {
        if connection.read_tls(&mut arrived)? == 0 {
            return Ok(false);
        }
        let state = connection.process_new_packets().map_err(io::Error::other)?;
        if state.peer_has_closed() || state.plaintext_bytes_to_read() > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn deadline(timeout: NextTimeout) -> Instant {
    let after = match timeout.after {
        time::Duration::Exact(after) => after.min(FOREVER),
        time::Duration::NotHappening => FOREVER,
    };
    Instant::now() + after
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("tls", &self.is_tls()).finish_non_exhaustive()
    }
}
