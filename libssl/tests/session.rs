//! Does a session do what servers want that renegotiate, and no more? Against OpenSSL, which does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../tests/support/renegotiating_server.rs"]
mod renegotiating_server;
mod workshop;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtlspop_libssl::{ClientCertificate, Context, Error, Party, Refused, Session};
use renegotiating_server::RenegotiatingServer;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use workshop::{Key, Workshop};

/// Is the certificate shown once it is asked for, and the connection kept?
#[test]
fn shows_the_certificate_once_it_is_asked() {
    let workshop = Workshop::new();
    for key in ["rsa", "p256", "p384", "p521"] {
        let server = workshop.serve("after", "");
        let mut session = workshop.connect(&server, Some(key)).unwrap();
        assert!(session.secure_renegotiation() && session.extended_master_secret());
        assert!(!session.party().asked, "asked too early");
        assert_eq!(get(&mut session, "/a", b""), format!("certificate={key} body=0"));
        assert_eq!(session.renegotiations(), 1);
        let signed = session.party().signed.clone();
        assert_eq!(get(&mut session, "/b", b"four"), format!("certificate={key} body=4"));
        assert_eq!((session.renegotiations(), session.party().signed.clone()), (1, signed));
        session.close().unwrap();
        let expected = [
            "accepted localhost".to_owned(),
            "request /a 0 -".to_owned(),
            "asked".to_owned(),
            format!("renegotiated {key}"),
            "answered".to_owned(),
            format!("request /b 4 {key}"),
            "answered".to_owned(),
            "closed".to_owned(),
        ];
        assert_eq!(expected.clone().map(|_| server.event()), expected);
    }
}

/// Sends a request and reads the answer, with as many renegotiations as the server wants, up to ten.
fn request(session: &mut Session<Stream, Client>, path: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
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

fn get(session: &mut Session<Stream, Client>, path: &str, body: &[u8]) -> String {
    String::from_utf8(request(session, path, body).unwrap()).unwrap()
}

/// A socket with a deadline, as ours have.
#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    deadline: Instant,
}

impl Stream {
    fn to(port: u16) -> Self {
        Self {
            socket: TcpStream::connect(("127.0.0.1", port)).unwrap(),
            deadline: Instant::now() + Duration::from_secs(20),
        }
    }

    fn in_time<T>(&mut self, io: impl FnOnce(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.set_write_timeout(Some(left))?;
        io(&mut self.socket).map_err(|error| match error.kind() {
            // What is set for a time limit says that it would block.
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
struct Client {
    verifier: Arc<dyn ServerCertVerifier>,
    name: &'static str,
    key: Option<Key>,
    asked: bool,
    /// With which schemes.
    signed: Vec<u16>,
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
        self.key.as_ref().unwrap().sign(scheme, message)
    }

    fn certificate_requested(&mut self) {
        self.asked = true;
    }
}

impl Workshop {
    fn serve(&self, mode: &str, options: &str) -> RenegotiatingServer {
        let cert = if options.contains("cert=") { "" } else { "cert=server.pem key=server.key" };
        RenegotiatingServer::start(self.path(), &format!("{mode} {cert} ca=ca.pem {options}"))
    }

    fn client(&self, key: Option<&str>) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.der("ca"))).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let key = key.map(|key| self.key(key));
        Client { verifier: verifier.unwrap(), name: "localhost", key, asked: false, signed: Vec::new() }
    }

    fn context(&self, key: Option<&str>) -> Context {
        let Some(key) = key else { return Context::new(None).unwrap() };
        let chain = [self.der(key)];
        let key = self.key(key);
        Context::new(Some(ClientCertificate { chain: &[&chain[0]], schemes: key.schemes() })).unwrap()
    }

    fn connect(
        &self,
        server: &RenegotiatingServer,
        key: Option<&str>,
    ) -> Result<Session<Stream, Client>, Error> {
        Session::connect(&self.context(key), "localhost", Stream::to(server.port), self.client(key))
    }
}
