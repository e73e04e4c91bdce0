//! A server in a few threads that answers as a test wants and remembers what it saw.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::{HandshakeKind, RootCertStore, ServerConfig, StreamOwned};
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let server = Self { address, scheme, shared: shared.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, answers, shared) = (config.clone(), answers.clone(), shared.clone());
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                thread::spawn(move || {
                    let _ = serve(stream.unwrap(), config, number, &*answers, &shared);
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

fn wait_until(otherwise: &str, condition: impl Fn() -> bool) {
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
