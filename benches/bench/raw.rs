//! The physical limit of everything that goes over the network: the same bytes, sent and read by hand over rustls.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use devcloud::{Cloud, ReceivedRequest, Service};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How connections are made: through the cloud's proxy, with a certificate or none.
pub(crate) struct Raw {
    config: Arc<ClientConfig>,
    proxy: String,
    imds: String,
}

/// Requests as the cloud has seen them from this library, to be sent again.
#[derive(Clone)]
pub(crate) struct Step {
    /// `None` for IMDS, which speaks no TLS.
    host: Option<String>,
    /// Two steps of one number share a connection.
    connection: u64,
    pub(crate) operation: String,
    bytes: Vec<u8>,
}

/// What the parts of a replay took.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) connecting: Duration,
    pub(crate) handshakes: Duration,
    /// Each request with its answer, by what was asked.
    pub(crate) exchanges: Vec<(String, Duration)>,
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Raw {
    pub(crate) fn new(cloud: &Cloud, chain_and_key_pem: &str) -> Self {
        let imds = cloud.imds_url().trim_start_matches("http://").to_owned();
        Self::from_parts(&cloud.ca_pem(), chain_and_key_pem, &cloud.proxy_url(), imds)
    }

    fn from_parts(ca_pem: &str, chain_and_key_pem: &str, proxy: &str, imds: String) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(root.expect("PEM")).expect("a root");
        }
        let pem = chain_and_key_pem.as_bytes();
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(pem).map(|certificate| certificate.expect("PEM")).collect();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots);
        let mut config = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(key) => config.with_client_auth_cert(chain, key).expect("its key"),
            Err(_) => config.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        let proxy = proxy.trim_start_matches("http://").to_owned();
        Self { config: Arc::new(config), proxy, imds }
    }

    /// A connection to a host, with its handshake.
    pub(crate) fn connect(&self, host: Option<&str>) -> io::Result<Stream> {
        self.connect_measuring(host, &mut Parts::default())
    }

    fn connect_measuring(&self, host: Option<&str>, parts: &mut Parts) -> io::Result<Stream> {
        let started = Instant::now();
        let Some(host) = host else {
            let stream = TcpStream::connect(&self.imds)?;
            stream.set_nodelay(true)?;
            parts.connecting += started.elapsed();
            return Ok(Stream::Plain(stream));
        };
        let mut stream = TcpStream::connect(&self.proxy)?;
        stream.set_nodelay(true)?;
        write!(stream, "CONNECT {host}:443 HTTP/1.1\r\nhost: {host}:443\r\n\r\n")?;
        let status = exchange(&mut stream, b"", &mut Vec::new())?;
        assert_eq!(status, 200, "the proxy");
        parts.connecting += started.elapsed();
        let started = Instant::now();
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let mut connection = ClientConnection::new(self.config.clone(), name).expect("TLS");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        parts.handshakes += started.elapsed();
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    /// Sends all of `steps`, over connections as new as they were.
    pub(crate) fn replay(&self, steps: &[Step]) -> Parts {
        let (mut parts, mut open, mut buffer) = (Parts::default(), None, Vec::new());
        for step in steps {
            let mut stream = match open.take() {
                Some((connection, stream)) if connection == step.connection => stream,
                _ => self.connect_measuring(step.host.as_deref(), &mut parts).expect("a connection"),
            };
            let started = Instant::now();
            let status = stream.exchange(&step.bytes, &mut buffer);
            assert_eq!(status, 200, "{}: {}", step.operation, String::from_utf8_lossy(&buffer));
            parts.exchanges.push((step.operation.clone(), started.elapsed()));
            open = Some((step.connection, stream));
        }
        parts
    }
}

impl Step {
    /// What the cloud received of this library since it was last reset.
    pub(crate) fn received(cloud: &Cloud) -> Vec<Self> {
        let requests = cloud.requests();
        requests.iter().filter(|request| request.service != Service::Proxy).map(Self::of).collect()
    }

    fn of(request: &ReceivedRequest) -> Self {
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        let mut bytes = format!("{} {}{query} HTTP/1.1\r\n", request.method, request.path);
        for (name, value) in &request.headers {
            bytes += &format!("{name}: {value}\r\n");
        }
        bytes += "\r\n";
        bytes += &request.body;
        Self {
            host: (request.service != Service::Imds).then(|| request.host.clone()),
            connection: request.connection,
            operation: request.operation.clone().unwrap_or_default(),
            bytes: bytes.into_bytes(),
        }
    }

    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Stream {
    /// One request and all of its answer; the status.
    pub(crate) fn exchange(&mut self, bytes: &[u8], buffer: &mut Vec<u8>) -> u16 {
        match self {
            Self::Plain(stream) => exchange(stream, bytes, buffer),
            Self::Tls(stream) => exchange(stream, bytes, buffer),
        }
        .expect("an answer")
    }
}

fn exchange(stream: &mut (impl Read + Write), bytes: &[u8], buffer: &mut Vec<u8>) -> io::Result<u16> {
    stream.write_all(bytes)?;
    buffer.clear();
    let (mut chunk, mut wanted) = ([0; 16 * 1024], None);
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(&chunk[..read]);
        if wanted.is_none()
            && let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n")
        {
            wanted = Some(end + 4 + content_length(&buffer[..end]));
        }
        if wanted.is_some_and(|wanted| buffer.len() >= wanted) {
            let status = std::str::from_utf8(&buffer[9..12]).ok().and_then(|status| status.parse().ok());
            return status.ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

/// The argument that makes this program one that gets a token by hand: it sends what is in the file named after it.
pub(crate) const CHILD: &str = "--raw-token";

/// Where this is such a program: starts as any does, reads roots and certificate, and ends with the token.
pub(crate) fn child() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(CHILD) {
        return false;
    }
    let file = |path: &str| std::fs::read(path).expect("a file");
    let variable = |name: &str| std::env::var(name).expect("devcloud's environment");
    let text = |name: &str| String::from_utf8(file(&variable(name))).expect("PEM");
    let (host, request) = (arguments.next().expect("a host"), file(&arguments.next().expect("a file")));
    let raw = Raw::from_parts(
        &text("SSL_CERT_FILE"),
        &text("AZURE_CLIENT_CERTIFICATE_PATH"),
        &variable("HTTPS_PROXY"),
        String::new(),
    );
    let mut answer = Vec::new();
    let status = raw.connect(Some(&host)).expect("a connection").exchange(&request, &mut answer);
    assert_eq!(status, 200);
    true
}
