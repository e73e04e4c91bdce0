//! A server in a few threads that answers as a test wants and remembers what it saw.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use url::Url;

use super::Ca;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    closed: AtomicUsize,
}

/// One request.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Counted from 1 in the order of arrival.
    pub(super) connection: usize,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) resumed: bool,
}

pub(super) enum Answer {
    Send(String),
    SendAndClose(String),
    SendAndReset(String),
    /// And then nothing more, as with `Hang`.
    SendAndHang(String),
    Reset,
    /// Nothing, until the other side gives up.
    Hang,
}

pub(super) fn ok() -> Answer {
    answer(200, "", "hello")
}

pub(super) fn answer(status: u16, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Send(format!("HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: {length}\r\n\r\n{body}"))
}

/// For all clients, and for those that do not offer TLS 1.3.
type Configs = (Arc<ServerConfig>, Arc<ServerConfig>);
type Answers = dyn Fn(&Seen) -> Answer + Send + Sync;

/// A connection as a script sees it.
pub(super) trait Talk: Read + Write {
    /// Reads to the empty line behind a head.
    fn head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        Ok(String::from_utf8(head).unwrap())
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.write_all(text.as_bytes())?;
        self.flush()
    }

    /// Reads `length` bytes.
    fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.read_exact(&mut body)?;
        Ok(body)
    }

    /// Reads a body in chunks (RFC 9112, section 7.1).
    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.extend(self.body(1)?);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            body.extend(self.body(size)?);
            assert_eq!(self.body(2)?, b"\r\n");
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

impl<T: Read + Write> Talk for T {}

impl Server {
    pub(super) fn plain(answers: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start("http", None, Arc::new(answers))
    }

    pub(super) fn tls(ca: &Ca, answers: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let versions = rustls::ALL_VERSIONS;
        Self::start("https", Some(server_config(ca, None, versions)), Arc::new(answers))
    }

    /// Requires a certificate that `clients` has issued.
    pub(super) fn mtls(
        ca: &Ca,
        clients: &Ca,
        version: &'static rustls::SupportedProtocolVersion,
        answers: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start("https", Some(server_config(ca, Some(clients), &[version])), Arc::new(answers))
    }

    /// Does with each connection what `script` says; that is told its number, and has the socket to be rude with.
    pub(super) fn scripted(
        ca: &Ca,
        script: impl Fn(&mut dyn Talk, usize, &TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::scripted_with(server_config(ca, None, rustls::ALL_VERSIONS), script)
    }

    /// The same in one version of TLS.
    pub(super) fn scripted_in(
        ca: &Ca,
        version: &'static rustls::SupportedProtocolVersion,
        script: impl Fn(&mut dyn Talk, usize, &TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::scripted_with(server_config(ca, None, &[version]), script)
    }

    fn scripted_with(
        config: Arc<ServerConfig>,
        script: impl Fn(&mut dyn Talk, usize, &TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let script = Arc::new(script);
        Self::listening("https", move |stream, number, _| {
            // Or what is said last may be thrown away by hanging up.
            stream.set_nodelay(true)?;
            let handle = stream.try_clone()?;
            let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            let mut tls = StreamOwned::new(connection, stream);
            script(&mut tls, number, &handle)?;
            tls.conn.send_close_notify();
            tls.flush()
        })
    }

    pub(super) fn with_config(config: ServerConfig) -> Self {
        Self::start("https", Some(Arc::new(config)), Arc::new(|_| ok()))
    }

    /// Has another configuration for clients that do not offer TLS 1.3.
    pub(super) fn by_version(
        all: Arc<ServerConfig>,
        tls12: Arc<ServerConfig>,
        answers: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::choosing("https", Some((all, tls12)), Arc::new(answers))
    }

    fn start(scheme: &'static str, config: Option<Arc<ServerConfig>>, answers: Arc<Answers>) -> Self {
        Self::choosing(scheme, config.map(|config| (config.clone(), config)), answers)
    }

    fn choosing(scheme: &'static str, config: Option<Configs>, answers: Arc<Answers>) -> Self {
        Self::listening(scheme, move |stream, number, shared| {
            serve(stream, config.clone(), number, &*answers, shared)
        })
    }

    fn listening(
        scheme: &'static str,
        serve: impl Fn(TcpStream, usize, &Shared) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, serve) = (Arc::new(Shared::default()), Arc::new(serve));
        let server = Self { address, scheme, shared: shared.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (serve, shared) = (serve.clone(), shared.clone());
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                thread::spawn(move || {
                    let _ = serve(stream.unwrap(), number, &shared);
                    shared.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}://localhost:{}{path}", self.scheme, self.address.port())).unwrap()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until `count` connections have ended.
    pub(super) fn wait_closed(&self, count: usize) {
        wait_until("the connection stays open", || self.closed() >= count);
    }

    /// Waits until `count` requests have arrived.
    pub(super) fn wait_seen(&self, count: usize) {
        wait_until("a request never arrived", || self.seen().len() >= count);
    }

    pub(super) fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::SeqCst)
    }
}

pub(super) fn wait_until(otherwise: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "{otherwise}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn server_config(
    ca: &Ca,
    clients: Option<&Ca>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let (certificate, key) = ca.issue(|_| {});
    Arc::new(config_for(vec![certificate], key.serialize_der(), clients, versions))
}

pub(super) fn config_for(
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
    clients: Option<&Ca>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(clients.der.clone())).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    builder.with_single_cert(chain, PrivateKeyDer::try_from(key).unwrap()).unwrap()
}

fn serve(
    stream: TcpStream,
    config: Option<Configs>,
    number: usize,
    answers: &Answers,
    shared: &Shared,
) -> io::Result<()> {
    let handle = stream.try_clone()?;
    let Some((all, tls12)) = config else {
        return converse(stream, &handle, &Seen { connection: number, ..Seen::default() }, answers, shared);
    };
    let (mut acceptor, mut hello) = (Acceptor::default(), Vec::new());
    let accepted = loop {
        let mut chunk = [0; 4096];
        let count = (&stream).read(&mut chunk)?;
        hello.extend_from_slice(&chunk[..count]);
        acceptor.read_tls(&mut &chunk[..count])?;
        match acceptor.accept() {
            Ok(Some(accepted)) => break accepted,
            Ok(None) if count > 0 => {}
            Ok(None) => return Ok(()),
            Err((error, _)) => return Err(io::Error::other(error)),
        }
    };
    // The extension supported_versions, with two of them (RFC 8446, section 4.2.1).
    let offers_13 = hello.windows(7).any(|bytes| bytes == [0, 43, 0, 5, 4, 3, 4]);
    let connection = match accepted.into_connection(if offers_13 { all } else { tls12 }) {
        Ok(connection) => connection,
        Err((error, mut alert)) => {
            alert.write_all(&mut &stream)?;
            return Err(io::Error::other(error));
        }
    };
    let mut tls = StreamOwned::new(connection, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    let facts = Seen {
        connection: number,
        certificate: tls.conn.peer_certificates().map(|chain| chain[0].to_vec()),
        resumed: tls.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        ..Seen::default()
    };
    converse(tls, &handle, &facts, answers, shared)
}

fn converse(
    mut stream: impl Read + Write,
    handle: &TcpStream,
    facts: &Seen,
    answers: &Answers,
    shared: &Shared,
) -> io::Result<()> {
    while let Some(seen) = read_request(&mut stream, facts)? {
        shared.seen.lock().unwrap().push(seen.clone());
        match answers(&seen) {
            Answer::Send(text) => stream.write_all(text.as_bytes())?,
            Answer::SendAndClose(text) => return stream.write_all(text.as_bytes()),
            Answer::SendAndReset(text) => {
                stream.write_all(text.as_bytes())?;
                socket2::SockRef::from(handle).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
            Answer::SendAndHang(text) => {
                stream.write_all(text.as_bytes())?;
                let _ = stream.read(&mut [0]);
                return Ok(());
            }
            Answer::Reset => {
                socket2::SockRef::from(handle).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
            Answer::Hang => {
                let _ = stream.read(&mut [0]);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read_request(stream: &mut impl Read, facts: &Seen) -> io::Result<Option<Seen>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = header(&head, "content-length").map_or(0, |value| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Seen { head, body, ..facts.clone() }))
}

pub(super) fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}
