//! Does a session do what servers want that renegotiate, and no more? Against OpenSSL, which does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../tests/support/renegotiating_server.rs"]
mod renegotiating_server;

mod client;
mod workshop;

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::{Fault, Stream, get, request};
use mtlspop_libssl::{ClientCertificate, Context, Error, Session};
use workshop::{KEYS, Workshop};

/// Is the certificate shown once it is asked for, and the connection kept?
#[test]
fn shows_the_certificate_once_it_is_asked() {
    let workshop = Workshop::shared();
    for (key, _) in KEYS {
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

/// Is an answer whole in the middle of which the server asks, and one of many records?
#[test]
fn answers_are_whole() {
    let workshop = Workshop::shared();
    for (mode, path, length) in [("body", "/", 40_000), ("after", "/big", 300_000)] {
        let server = workshop.serve(mode, "");
        let mut session = workshop.connect(&server, Some("p256")).unwrap();
        let answer = request(&mut session, path, b"").unwrap();
        assert_eq!((answer.len(), session.renegotiations()), (length, 1), "{mode}");
        assert!(answer.iter().all(|byte| *byte == b'x'), "{mode}");
    }
}

/// Does a body of 100 kB arrive, where the server asks after it and where it asks before?
#[test]
fn bodies_arrive() {
    let workshop = Workshop::shared();
    let body = vec![7; 100_000];
    for mode in ["after", "head"] {
        let server = workshop.serve(mode, "");
        let mut session = workshop.connect(&server, Some("p256")).unwrap();
        let answer = request(&mut session, "/", &body).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "certificate=p256 body=100000", "{mode}");
        assert_eq!(session.renegotiations(), 1, "{mode}");
    }
}

/// Does the caller decide, each time, where a server asks for ever?
#[test]
fn caller_decides_each_time() {
    let workshop = Workshop::shared();
    let server = workshop.serve("loop", "");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    let error = request(&mut session, "/", b"").unwrap_err();
    assert!(matches!(error, Error::RenegotiationRequested), "{error}");
    assert_eq!(session.renegotiations(), 10);
    // It is not forgotten.
    assert!(matches!(session.read(&mut [0]), Err(Error::RenegotiationRequested)));
}

/// Is a renegotiation refused that nobody asked for?
#[test]
fn renegotiates_only_when_asked() {
    let workshop = Workshop::shared();
    let server = workshop.serve("never", "");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    assert!(matches!(session.renegotiate(), Err(Error::Tls(_))));
    assert_eq!(get(&mut session, "/", b""), "certificate=- body=0");
}

/// Is the certificate shown in the first handshake, where it is asked for there?
#[test]
fn shows_the_certificate_at_once() {
    let workshop = Workshop::shared();
    let server = workshop.serve("first", "");
    let mut session = workshop.connect(&server, Some("rsa")).unwrap();
    assert!(session.party().asked);
    assert_eq!(get(&mut session, "/", b""), "certificate=rsa body=0");
    assert_eq!(session.renegotiations(), 0);
}

/// Does a client without a certificate say so, and is it the server's to refuse?
#[test]
fn goes_without_a_certificate() {
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "optional");
    let mut session = workshop.connect(&server, None).unwrap();
    assert_eq!(get(&mut session, "/", b""), "certificate=- body=0");
    assert!(session.party().asked);

    let server = workshop.serve("after", "");
    let mut session = workshop.connect(&server, None).unwrap();
    let error = request(&mut session, "/", b"").unwrap_err();
    assert!(matches!(error, Error::Alert(HANDSHAKE_FAILURE)), "{error:?}");
}

/// Does the number of the alert come out, where a server does not want our certificate?
#[test]
fn says_how_the_server_refused() {
    let workshop = Workshop::shared();
    // Itself is no authority that has issued ours.
    let server = workshop.serve("after", "cert=server.pem key=server.key ca=server.pem");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    let error = request(&mut session, "/", b"").unwrap_err();
    assert!(matches!(error, Error::Alert(UNKNOWN_CA)), "{error:?}");
}

/// Is a server refused that shows another certificate in the renegotiation, though it is as good?
#[test]
fn server_stays_the_same() {
    let workshop = Workshop::shared();
    let server = workshop.serve("changed", "other-cert=second.pem other-key=second.key");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    let error = request(&mut session, "/", b"").unwrap_err();
    assert!(matches!(&error, Error::Tls(reason) if reason == "SERVER_CERT_CHANGED"), "{error:?}");
    assert!(session.party().signed.is_empty());
}

/// Does the verifier's own error come out, and does the server get its alert?
#[test]
fn verifier_refuses() {
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "");
    let mut client = workshop.client(None);
    client.name = "other.example";
    let context = workshop.context(None);
    let error = Session::connect(&context, "localhost", Stream::to(server.port), client).unwrap_err();
    let Error::Party(error) = error else { panic!("{error:?}") };
    let error = error.get_ref().and_then(|error| error.downcast_ref()).unwrap();
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
    let event = server.event();
    assert!(event.contains("alert bad certificate"), "{event}");
}

/// Does the error of a key come out as it was?
#[test]
fn key_fails() {
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    session.party_mut().fault = Some(|| Err(io::Error::new(ErrorKind::PermissionDenied, Fault)));
    let error = request(&mut session, "/", b"").unwrap_err();
    let Error::Party(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.get_ref().is_some_and(|error| error.is::<Fault>()));
}

/// Does a panic of the party come out as a panic, and not go through C++?
#[test]
fn panics_come_out() {
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    session.party_mut().fault = Some(|| panic!("the key is on fire"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| request(&mut session, "/", b"")));
    assert_eq!(*caught.unwrap_err().downcast_ref::<&str>().unwrap(), "the key is on fire");
}

/// Does a server that stops, or goes on for ever, end with the stream's time limit?
#[test]
fn time_limit_is_the_streams() {
    let workshop = Workshop::shared();
    for mode in ["stall", "drip"] {
        let server = workshop.serve(mode, "");
        let mut session = workshop.connect(&server, Some("p256")).unwrap();
        let start = Instant::now();
        session.stream_mut().deadline = start + Duration::from_secs(1);
        let error = request(&mut session, "/", b"").unwrap_err();
        assert!(
            matches!(&error, Error::Stream(error) if error.kind() == ErrorKind::TimedOut),
            "{mode}: {error:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(3), "{mode}: {:?}", start.elapsed());
    }
}

/// Does an error of the stream come out as it was, and does the session go on where the stream does?
#[test]
fn stream_fails() {
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    for _ in 0..2 {
        session.stream_mut().fault = true;
        let error = session.read(&mut [0]).unwrap_err();
        let Error::Stream(error) = error else { panic!("{error:?}") };
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        assert!(error.get_ref().is_some_and(|error| error.is::<Fault>()));
    }
    assert_eq!(get(&mut session, "/", b""), "certificate=p256 body=0");
}

/// Do servers get the signature that they want: PKCS#1 and PSS, with each hash?
#[test]
fn signs_as_the_server_wants() {
    let workshop = Workshop::shared();
    for (wanted, scheme) in [
        ("RSA+SHA256", 0x0401),
        ("RSA+SHA384", 0x0501),
        ("RSA+SHA512", 0x0601),
        ("RSA-PSS+SHA512", 0x0806),
        ("RSA+SHA512:RSA-PSS+SHA256", 0x0804),
    ] {
        let server = workshop.serve("after", &format!("sigalgs={wanted}"));
        let mut session = workshop.connect(&server, Some("rsa")).unwrap();
        assert_eq!(get(&mut session, "/", b""), "certificate=rsa body=0");
        assert_eq!(session.party().signed, [scheme], "{wanted}");
    }
    let server = workshop.serve("after", "sigalgs=ECDSA+SHA256");
    let mut session = workshop.connect(&server, Some("rsa")).unwrap();
    let error = request(&mut session, "/", b"").unwrap_err();
    assert!(matches!(&error, Error::Tls(reason) if reason == "UNKNOWN_CERTIFICATE_TYPE"), "{error:?}");
}

/// Are servers believed with each kind of key?
#[test]
fn servers_have_keys_of_each_kind() {
    let workshop = Workshop::shared();
    for (name, _) in KEYS {
        let server = workshop.serve("after", &format!("cert=server-{name}.pem key=server-{name}.key"));
        let mut session = workshop.connect(&server, Some("p256")).unwrap();
        assert_eq!(get(&mut session, "/", b""), "certificate=p256 body=0", "{name}");
    }
}

/// Is a server refused that does not bind a renegotiation to what came before (RFC 5746, section 4.2)? libssl alone would
/// go on, and OpenSSL cannot be such a server, but GnuTLS can.
#[test]
fn unsafe_renegotiation_is_refused() {
    let workshop = Workshop::shared();
    for (how, safe) in [("", true), (":%DISABLE_SAFE_RENEGOTIATION", false)] {
        let server = GnutlsServer::start(workshop, how);
        let stream = Stream::to(server.port);
        let mut session =
            Session::connect(&workshop.context(None), "localhost", stream, workshop.client(None)).unwrap();
        assert_eq!(session.secure_renegotiation(), safe);
        session.write_all(b"**REHANDSHAKE**\n").unwrap();
        assert!(matches!(session.read(&mut [0]), Err(Error::RenegotiationRequested)));
        // It goes no further with the safe one either: gnutls-serv echoes in the middle of the handshake.
        let error = session.renegotiate().unwrap_err();
        let reason = if safe { "UNEXPECTED_RECORD" } else { "UNSAFE_LEGACY_RENEGOTIATION" };
        assert!(matches!(&error, Error::Tls(told) if told == reason), "{error:?}");
        assert_eq!(session.renegotiations(), usize::from(safe));
    }
}

/// Does a server without RFC 7627 stand out?
#[test]
fn knows_who_has_no_extended_master_secret() {
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "no-ems");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    assert!(!session.extended_master_secret());
    assert_eq!(get(&mut session, "/", b""), "certificate=p256 body=0");
}

/// Is an idle connection quiet, unless the server asks on it or hangs up?
#[test]
fn idle_connections_are_watched() {
    let workshop = Workshop::shared();
    for (mode, stays) in [("after", true), ("idle", false)] {
        let server = workshop.serve(mode, "");
        let mut session = workshop.connect(&server, Some("p256")).unwrap();
        get(&mut session, "/", b"");
        session.stream_mut().socket.set_nonblocking(true).unwrap();
        if !stays {
            let start = Instant::now();
            while session.is_quiet() {
                assert!(start.elapsed() < Duration::from_secs(20), "it does not hear that the server asks");
                std::thread::yield_now();
            }
            continue;
        }
        assert!(session.is_quiet());
        session.stream_mut().socket.set_nonblocking(false).unwrap();
        assert_eq!(get(&mut session, "/", b""), "certificate=p256 body=0");
        drop(server);
        // The end has come as soon as this returns.
        session.stream_mut().socket.set_read_timeout(None).unwrap();
        let _ = session.stream_mut().socket.peek(&mut [0]);
        session.stream_mut().socket.set_nonblocking(true).unwrap();
        assert!(!session.is_quiet());
    }
}

/// Is an alert heard that came while we were writing?
#[test]
fn last_words_are_heard() {
    let workshop = Workshop::shared();
    let server = workshop.serve("corrupt", "");
    let mut session = workshop.connect(&server, Some("p256")).unwrap();
    let head = "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n";
    session.write_all(head.as_bytes()).unwrap();
    let error = (0..1000).find_map(|_| session.write_all(&[0; 16_000]).err());
    assert!(matches!(error, Some(Error::Stream(_))), "{error:?}");
    let words = session.last_words();
    assert!(matches!(words, Some(Error::Alert(BAD_RECORD_MAC))), "{words:?}");
}

/// Is the end of a connection told from its being cut, and an IP address not sent as a name?
#[test]
fn ends_are_told_apart() {
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "");
    let context = workshop.context(None);
    let mut session =
        Session::connect(&context, "127.0.0.1", Stream::to(server.port), workshop.client(None)).unwrap();
    assert_eq!(server.event(), "accepted -");
    session.close().unwrap();
    assert_eq!(server.event(), "closed");
    assert_eq!(session.read(&mut [0]).unwrap(), 0);

    let mut session = workshop.connect(&server, None).unwrap();
    drop(server);
    let error = session.read(&mut [0]).unwrap_err();
    let Error::Stream(error) = error else { panic!("{error:?}") };
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error:?}");
}

/// Is it said what is wrong with a certificate that cannot be shown, and does a context serve threads?
#[test]
fn contexts_are_shared() {
    assert!(
        Context::new(Some(ClientCertificate { chain: &[b"no certificate"], schemes: &[0x0403] })).is_err()
    );
    let workshop = Workshop::shared();
    let server = workshop.serve("after", "");
    let context = workshop.context(Some("p256"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let stream = Stream::to(server.port);
                let client = workshop.client(Some("p256"));
                let mut session = Session::connect(&context, "localhost", stream, client).unwrap();
                assert_eq!(get(&mut session, "/", b""), "certificate=p256 body=0");
            });
        }
    });
}

const HANDSHAKE_FAILURE: u8 = 40;
const UNKNOWN_CA: u8 = 48;
const BAD_RECORD_MAC: u8 = 20;

/// gnutls-serv, which echoes, and renegotiates when it is told to.
struct GnutlsServer {
    child: Child,
    port: u16,
}

impl GnutlsServer {
    fn start(workshop: &Workshop, how: &str) -> Self {
        // It does not say which port it was given.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("gnutls-serv")
            .args(["--echo", "--x509certfile=server.pem", "--x509keyfile=server.key"])
            .args([format!("--port={port}"), format!("--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2{how}")])
            .current_dir(workshop.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "gnutls-serv does not serve on port {port}");
            std::thread::yield_now();
        }
        server
    }
}

impl Drop for GnutlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
