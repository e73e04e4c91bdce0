//! The bridge to ureq's transport traits, which are unstable (docs/adr/002) and used nowhere else.
//!
//! Proxy, TLS and cancellation are ours; ureq contributes the HTTP/1.1 protocol and the pool of idle
//! connections.

use std::fmt;
use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use ureq::Timeout;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{self, Buffers, ConnectionDetails, NextTimeout, Transport, time};

use super::buffers::HttpBuffers;
use super::early::{self, Said};
use super::exchange::{Exchange, FOREVER};
use super::failure::{self, Peer, Presented};
use super::message::TlsVersion;
use super::older::{Older, OlderServers};
use super::proxy::ProxySettings;
use super::roots::Roots;
use super::sessions::Resume;
use super::socket::{Socket, is_over};
use super::tls::{self, TlsClient, TlsStream, Versions};
use super::tunnel;
use crate::error::Result;
use crate::runtime::Limit;

/// Opens the connections of one client.
pub(super) struct Connector {
    pub(super) proxy: Arc<ProxySettings>,
    pub(super) tls: Tls,
    pub(super) presented: Option<Arc<Presented>>,
    pub(super) older: Arc<OlderServers>,
}

/// The TLS of a client.
pub(super) enum Tls {
    Ready(Arc<TlsClient>),
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
        let target = Target { host, port, deadline, limit, peer };
        if !is_tls {
            return Ok(Stream::Plain(self.reach(&target)?));
        }
        #[cfg(any(test, fuzzing))]
        if super::scripted::is_scripted() {
            return Ok(Stream::certified(Box::new(super::scripted::Clear(self.reach(&target)?))));
        }
        let tls = match &self.tls {
            Tls::Ready(tls) => tls.clone(),
            Tls::OnDemand(roots) => Arc::new(TlsClient::new(roots.trusted()?, None)?),
        };
        let exchange = Exchange::current().filter(|exchange| exchange.needs_certificate());
        match exchange.filter(|_| self.presented.is_some()) {
            Some(exchange) => self.secure_certified(&tls, &target, &exchange),
            None => {
                let secured = tls.handshake(Versions::All, Resume::Any, host, self.reach(&target)?);
                let stream = secured.map_err(|error| failure::handshake(error, &target.peer, limit))?;
                Ok(Stream::secured(stream))
            }
        }
    }

    /// For a request that means nothing without our certificate. A server that does not ask for it in TLS
    /// 1.3 may do so in TLS 1.2: then it is connected to once more, in the same time, and the first
    /// connection never carries a request.
    fn secure_certified(&self, tls: &TlsClient, target: &Target<'_>, exchange: &Exchange) -> Result<Stream> {
        let Target { host, port, peer, limit, .. } = target;
        let failed = |error| failure::handshake(error, peer, *limit);
        // Asked or not, the certificate was no reason to refuse.
        let refused = |error: &io::Error| tls::is_refusal(error) && !exchange.was_asked();
        if let Some(token) = exchange.renegotiates_for() {
            match tls.handshake_to_renegotiate(host, token, self.reach(target)?) {
                Ok(stream) => return Ok(Stream::certified(stream)),
                // Without TLS 1.2 it cannot ask later. What else may have nothing in common is told better below.
                Err(error) if refused(&error) && tls::is_about_version(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let known = self.older.get(host, *port, exchange.now());
        if known == Some(Older::Only) {
            match tls.handshake(Versions::Tls12, Resume::Asked, host, self.reach(target)?) {
                Ok(only) => return Ok(Stream::certified(only)),
                // It is not what it was.
                Err(error) if refused(&error) => self.older.forget(host, *port),
                Err(error) => return Err(failed(error)),
            }
        }
        let first = tls.handshake(Versions::All, Resume::Asked, host, self.reach(target)?).map_err(failed)?;
        let details = first.details();
        let asked = details.certificate_requested || details.version == TlsVersion::Tls12;
        if asked || known == Some(Older::Never) {
            return Ok(Stream::certified(first));
        }
        let (stream, older) = match tls.handshake(Versions::Tls12, Resume::Asked, host, self.reach(target)?) {
            Ok(second) => (second, Older::Only),
            Err(error) if refused(&error) && tls::is_about_version(&error) => (first, Older::Never),
            // That may mean the moment: the next request tries again.
            Err(error) if refused(&error) => {
                exchange.note_older(Older::Never);
                return Ok(Stream::secured(first));
            }
            Err(error) => return Err(failed(error)),
        };
        self.older.learn(host, *port, older, exchange.now());
        exchange.note_older(older);
        Ok(Stream::certified(stream))
    }

    fn reach(&self, target: &Target<'_>) -> Result<Socket> {
        let Target { host, port, deadline, limit, peer } = target;
        match self.proxy.route(host, *port)? {
            Some(proxy) => tunnel::open(proxy, host, *port, *deadline, *limit),
            None => Socket::open(host, *port, *deadline).map_err(|error| failure::open(error, peer, *limit)),
        }
    }
}

/// What a connection is to lead to.
struct Target<'a> {
    host: &'a str,
    port: u16,
    deadline: Instant,
    /// The name of what ends at the deadline.
    limit: Limit,
    peer: Peer,
}

impl transport::Connector for Connector {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        let (deadline, exchange) = (deadline(details.timeout), Exchange::current());
        let limit = match (details.config.timeouts().connect, exchange) {
            (_, Some(exchange)) if deadline == exchange.until() => exchange.limit(),
            (Some(connect), _) => Limit::connect(connect),
            (None, _) => Limit::request(FOREVER),
        };
        let stream =
            self.open(details.uri, deadline, limit).map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let buffers =
            HttpBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Connection { stream, buffers, ahead: false, cut: false, used: false }))
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
    buffers: HttpBuffers,
    /// Input that was read before ureq asked for it.
    ahead: bool,
    /// The body of a request was not sent to its end: nothing can follow.
    cut: bool,
    /// It has carried a request since it was last looked at.
    used: bool,
}

enum Stream {
    Plain(Socket),
    Tls(Secured),
}

struct Secured {
    stream: Box<dyn TlsStream>,
    /// Opened for a request that needs our certificate: no other connection would be better for one.
    certified: bool,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.socket().set_deadline(deadline(timeout));
        self.used = true;
        let exchange = Exchange::current();
        if let (Some(exchange), Stream::Tls(tls)) = (&exchange, &self.stream) {
            exchange.note_tls(tls.stream.details());
        }
        let written = match exchange {
            Some(exchange) if exchange.is_in_body() => self.transmit_body(amount, &exchange),
            Some(exchange) if exchange.head_waits() && self.buffers.hold(amount) => Ok(()),
            _ => self.write_all(amount),
        };
        written.map_err(|error| self.stream.ended(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        if mem::take(&mut self.ahead) && !self.buffers.input().is_empty() {
            return Ok(true);
        }
        if self.buffers.is_holding() {
            // ureq wants no body after all.
            self.write_all(0).map_err(|error| self.stream.ended(error, timeout))?;
        }
        if timeout.reason == Timeout::Await100 {
            return self.await_word(timeout);
        }
        Ok(self.receive(timeout, deadline(timeout))? > 0)
    }

    /// Whether it can be used again: ureq asks after an answer, and before the next request. The latter is late enough
    /// to look what has arrived meanwhile.
    fn is_open(&mut self) -> bool {
        let used = mem::take(&mut self.used);
        match &mut self.stream {
            _ if self.cut => false,
            _ if used => true,
            Stream::Plain(socket) => socket.peek().is_nothing(),
            // One without our certificate is not for who needs it.
            Stream::Tls(tls) => tls.suits() && tls.stream.is_open(),
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl Connection {
    /// Waits for something to read; where it is the server's word about the body, until `until`.
    fn receive(&mut self, timeout: NextTimeout, until: Instant) -> Result<usize, ureq::Error> {
        self.stream.socket().set_deadline(until);
        let input = self.buffers.input_append_buf();
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(input),
            Stream::Tls(tls) if timeout.reason == Timeout::Await100 => {
                await_word(&mut *tls.stream, input, until)
            }
            Stream::Tls(tls) => tls.stream.read(input),
        };
        let amount = read.map_err(|error| self.stream.ended(error, timeout))?;
        self.buffers.input_appended(amount);
        if amount > 0
            && let Some(exchange) = Exchange::current()
        {
            exchange.note_received();
        }
        Ok(amount)
    }

    /// Waits for what the server says to whether it wants the body, and lets ureq see a no. With anything else the body
    /// is sent, as after silence; an answer that says yes stays where it is until then.
    fn await_word(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let until = deadline(timeout);
        loop {
            if self.receive(timeout, until)? == 0 {
                return Err(self.stream.ended(io::ErrorKind::UnexpectedEof.into(), timeout));
            }
            let said = early::word(&mut self.buffers);
            // ureq leaves it where it is, and asks for it again.
            self.ahead = !self.buffers.input().is_empty();
            match said {
                Said::Nothing if !self.buffers.input_append_buf().is_empty() => {}
                Said::No => return Ok(true),
                _ => return Err(ureq::Error::Timeout(Timeout::Await100)),
            }
        }
    }

    fn write_all(&mut self, amount: usize) -> io::Result<()> {
        let output = self.buffers.written(amount);
        let written = match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(output),
            Stream::Tls(tls) => tls.stream.write_all(output),
        };
        self.buffers.let_go();
        written
    }

    /// Sends a part of a body, unless the server has refused it by now.
    fn transmit_body(&mut self, amount: usize, exchange: &Exchange) -> io::Result<()> {
        if exchange.has_refused_body() {
            return Ok(());
        }
        // Nothing has been asked that could be answered, where the head goes out with this part.
        let mut looks = !self.buffers.is_holding();
        loop {
            match if looks { self.look(exchange)? } else { Said::Nothing } {
                Said::Nothing => {}
                Said::Yes => return self.write_all(amount),
                Said::No => return Ok(()),
            }
            looks = true;
            let Stream::Tls(tls) = &mut self.stream else { return self.write_all(amount) };
            match tls.stream.write_while_silent(self.buffers.written(amount)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It may have said why before it hung up.
                Err(error) if !is_over(&error) => match self.look(exchange) {
                    Ok(Said::Yes | Said::No) => {
                        self.refused(exchange);
                        return Ok(());
                    }
                    _ => return Err(error),
                },
                written => {
                    self.buffers.let_go();
                    return written;
                }
            }
        }
    }

    fn look(&mut self, exchange: &Exchange) -> io::Result<Said> {
        let Stream::Tls(tls) = &mut self.stream else { return Ok(Said::Nothing) };
        let before = self.buffers.input().len();
        let said = early::look(&mut *tls.stream, &mut self.buffers);
        if self.buffers.input().len() > before {
            self.ahead = true;
            exchange.note_received();
        }
        if matches!(said, Ok(Said::No)) {
            self.refused(exchange);
        }
        said
    }

    fn refused(&mut self, exchange: &Exchange) {
        self.cut = true;
        exchange.note_refused();
    }
}

impl Secured {
    /// Whether the present exchange may use it.
    fn suits(&self) -> bool {
        let Some(exchange) = Exchange::current() else { return true };
        let certified = self.certified || self.stream.details().certificate_requested;
        self.stream.suits(&exchange) && (certified || !exchange.needs_certificate())
    }
}

impl Stream {
    fn secured(stream: Box<dyn TlsStream>) -> Self {
        Self::Tls(Secured { stream, certified: false })
    }

    fn certified(stream: Box<dyn TlsStream>) -> Self {
        Self::Tls(Secured { stream, certified: true })
    }

    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.stream.socket(),
        }
    }

    /// What to tell ureq about an error of this connection.
    fn ended(&mut self, error: io::Error, timeout: NextTimeout) -> ureq::Error {
        if is_over(&error) {
            return ureq::Error::Timeout(timeout.reason);
        }
        let error = match self {
            Self::Plain(_) => error,
            Self::Tls(tls) => tls.stream.last_words(error),
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

/// Waits `until` then for the server's word about the body. What it asks for in its place, a renegotiation, may take
/// as long as the exchange.
fn await_word(stream: &mut dyn TlsStream, input: &mut [u8], until: Instant) -> io::Result<usize> {
    if let Some(exchange) = Exchange::current() {
        stream.socket().set_deadline(exchange.until());
    }
    loop {
        match stream.read_arrived(input) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.socket().await_input(until)?,
            read => return read,
        }
    }
}

/// The end of what ureq allows for one step, or of the exchange, which ureq does not know.
fn deadline(timeout: NextTimeout) -> Instant {
    let after = match timeout.after {
        time::Duration::Exact(after) => after.min(FOREVER),
        time::Duration::NotHappening => FOREVER,
    };
    let step = Instant::now() + after;
    Exchange::current().map_or(step, |exchange| step.min(exchange.until()))
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
