//! A client with a session: its socket, its certificate and whom it believes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtlspop_libssl::{ClientCertificate, Context, Error, Party, Refused, Session};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::renegotiating_server::RenegotiatingServer;
use super::workshop::{Key, Workshop};

/// Sends a request and reads the answer, with as many renegotiations as the server wants, up to ten.
pub(crate) fn request(
    session: &mut Session<Stream, Client>,
    path: &str,
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    session.write_all(head.as_bytes())?;
    session.write_all(body)?;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 20_000]);
    loop {
        match session.read(&mut buffer) {
            Ok(0) => return Err(Error::Tls("closed".into())),
            Ok(amount) => answer.extend_from_slice(&buffer[..amount]),
            Err(Error::RenegotiationRequested) if session.renegotiations() < 10 => session.renegotiate()?,
            Err(error) => return Err(error),
        }
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let length: usize = head.rsplit("Content-Length: ").next().unwrap().parse().unwrap();
        if answer.len() == end + 4 + length {
            return Ok(answer.split_off(end + 4));
        }
    }
}

pub(crate) fn get(session: &mut Session<Stream, Client>, path: &str, body: &[u8]) -> String {
    String::from_utf8(request(session, path, body).unwrap()).unwrap()
}

/// A socket with a deadline, as ours have.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    pub(crate) deadline: Instant,
    /// Fails once.
    pub(crate) fault: bool,
}

impl Stream {
    pub(crate) fn to(port: u16) -> Self {
        Self {
            socket: TcpStream::connect(("127.0.0.1", port)).unwrap(),
            deadline: Instant::now() + Duration::from_secs(20),
            fault: false,
        }
    }

    fn in_time<T>(&mut self, io: impl FnOnce(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        if std::mem::take(&mut self.fault) {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, Fault));
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.set_write_timeout(Some(left))?;
        io(&mut self.socket).map_err(|error| match error.kind() {
            // What ends a wait says that it would block.
            ErrorKind::WouldBlock if self.deadline <= Instant::now() => ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.in_time(|socket| socket.read(buffer))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.in_time(|socket| socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client that believes whom rustls believes.
pub(crate) struct Client {
    verifier: Arc<dyn ServerCertVerifier>,
    pub(crate) name: &'static str,
    key: Option<Key>,
    pub(crate) asked: bool,
    /// With which schemes.
    pub(crate) signed: Vec<u16>,
    /// What the key does instead.
    pub(crate) fault: Option<fn() -> io::Result<Vec<u8>>>,
}

impl Party for Client {
    fn verify(&mut self, chain: &[&[u8]], ocsp: &[u8]) -> Result<(), Refused> {
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
        let name = ServerName::try_from(self.name).unwrap();
        match self.verifier.verify_server_cert(&chain[0], &chain[1..], &name, ocsp, UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refused { alert: 42, error: io::Error::other(error) }),
        }
    }

    fn sign(&mut self, scheme: u16, message: &[u8]) -> io::Result<Vec<u8>> {
        self.signed.push(scheme);
        if let Some(fault) = self.fault {
            return fault();
        }
        self.key.as_ref().unwrap().sign(scheme, message)
    }

    fn certificate_requested(&mut self) {
        self.asked = true;
    }
}

impl Workshop {
    pub(crate) fn serve(&self, mode: &str, options: &str) -> RenegotiatingServer {
        // Where an option is there twice, the later one counts.
        let usual = "cert=server.pem key=server.key ca=ca.pem";
        RenegotiatingServer::start(self.path(), &format!("{mode} {usual} {options}"))
    }

    pub(crate) fn client(&self, key: Option<&str>) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.der("ca"))).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let key = key.map(|key| self.key(key));
        let (verifier, signed) = (verifier.unwrap(), Vec::new());
        Client { verifier, name: "localhost", key, asked: false, signed, fault: None }
    }

    pub(crate) fn context(&self, key: Option<&str>) -> Context {
        let Some(key) = key else { return Context::new(None).unwrap() };
        let chain = [self.der(key)];
        let key = self.key(key);
        Context::new(Some(ClientCertificate { chain: &[&chain[0]], schemes: key.schemes() })).unwrap()
    }

    pub(crate) fn connect(
        &self,
        server: &RenegotiatingServer,
        key: Option<&str>,
    ) -> Result<Session<Stream, Client>, Error> {
        Session::connect(&self.context(key), "localhost", Stream::to(server.port), self.client(key))
    }
}

#[derive(Debug)]
pub(crate) struct Fault;

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a fault")
    }
}

impl std::error::Error for Fault {}
