//! Servers that ask for our certificate in both versions of TLS, in one of them, in none, or too late.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use rustls::ServerConfig;

use super::server::{Answer, answer, server_config};
use super::*;
use crate::log::LogLevel;

/// In which versions a server asks.
#[derive(Clone, Copy, Debug)]
enum Asks {
    Both,
    Only12,
    Neither,
}

struct World {
    ca: Ca,
    clients: Ca,
    pool: Pool,
    certificate: Certificate,
    clock: Arc<HandClock>,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The clock of the host, and what a test adds to it.
#[derive(Debug)]
struct HandClock(Mutex<Duration>);

impl Clock for HandClock {
    fn now(&self) -> SystemTime {
        SystemTime::now() + *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Instant {
        Instant::now() + *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration, _: &Cancel) {
        *self.0.lock().unwrap() += duration;
    }
}

impl World {
    fn new() -> Self {
        let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
        let (pool, certificate) = (pool(&ca), clients.client());
        let clock = Arc::new(HandClock(Mutex::default()));
        Self { ca, clients, pool, certificate, clock, lines: Arc::default() }
    }

    fn config(&self, asks: bool, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        server_config(&self.ca, asks.then_some(&self.clients), versions)
    }

    /// Closes each connection after its answer, so that the next one resumes its session.
    fn server(&self, asks: Asks) -> Server {
        let (in_13, in_12) = match asks {
            Asks::Both => (true, true),
            Asks::Only12 => (false, true),
            Asks::Neither => (false, false),
        };
        self.server_with(in_13, in_12, |seen| {
            let status = if seen.certificate.is_some() { 200 } else { 401 };
            Answer::SendAndClose(format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ))
        })
    }

    fn server_with(
        &self,
        in_13: bool,
        in_12: bool,
        answers: impl Fn(&server::Seen) -> Answer + Send + Sync + 'static,
    ) -> Server {
        Server::by_version(self.config(in_13, &[&TLS13, &TLS12]), self.config(in_12, &[&TLS12]), answers)
    }

    fn client(&self) -> Arc<Client> {
        self.pool.for_certificate(&self.certificate).unwrap()
    }

    fn send(&self, url: &Url, needs: bool) -> Result<Response> {
        let lines = self.lines.clone();
        let sink = move |_, _: &str, line: &str| lines.lock().unwrap().push(line.to_owned());
        let log = Logger::new(LogLevel::Info, Arc::new(sink));
        let call = Call::new(self.clock.clone(), Cancel::new(), log, "the-id".to_owned(), None);
        self.client().send(&Request::get(url).needs_certificate(needs), &call)
    }

    /// Status, version, whether it was asked for.
    fn facts(&self, url: &Url, needs: bool) -> (u16, &'static str, bool) {
        let response = self.send(url, needs).unwrap();
        let tls = response.tls.unwrap();
        (response.status, tls.version.as_str(), tls.certificate_requested)
    }

    fn logged(&self, words: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }
}

/// Does the certificate get to a server wherever it asks, is nothing sent where it does not but could, and
/// does the answer say what was spoken: over full handshakes and over resumed sessions?
#[test]
fn the_version_in_which_the_server_asks() {
    let rows = [
        // asks; what is seen; connections for three requests, and how many of the requests' were resumed
        (Asks::Both, (200, "TLSv1.3", true), 3, 2),
        (Asks::Only12, (200, "TLSv1.2", true), 4, 2),
        (Asks::Neither, (401, "TLSv1.2", false), 4, 0),
    ];
    for (asks, expected, connections, resumed) in rows {
        let world = World::new();
        let server = world.server(asks);
        for _ in 0..3 {
            assert_eq!(world.facts(&server.url("/"), true), expected, "{asks:?}");
        }
        assert_eq!(server.connections(), connections, "{asks:?}");
        let seen = server.seen();
        assert_eq!(seen.len(), 3, "each request was sent once");
        assert_eq!(seen.iter().filter(|seen| seen.resumed).count(), resumed, "{asks:?}");
        let once = usize::from(connections == 4);
        assert_eq!(world.logged("did not ask for our certificate in TLS 1.3: for an hour"), once);
        assert_eq!(world.logged("never asked"), if expected.0 == 401 { 3 } else { 0 });
    }
}

/// Is a request that does not need the certificate sent in TLS 1.3 all the same, over resumed sessions, too,
/// and does one that needs it go over neither its connection nor its session?
#[test]
fn what_needs_no_certificate_stays_in_tls_13() {
    let world = World::new();
    let server = world.server(Asks::Only12);
    for _ in 0..2 {
        assert_eq!(world.facts(&server.url("/"), false), (401, "TLSv1.3", false));
    }
    assert!(server.seen()[1].resumed);
    assert_eq!(world.facts(&server.url("/"), true), (200, "TLSv1.2", true));
    let server = world.server_with(false, true, |_| answer(200, "", ""));
    assert_eq!(world.facts(&server.url("/"), false), (200, "TLSv1.3", false));
    assert_eq!(world.facts(&server.url("/"), true), (200, "TLSv1.2", true));
    assert_eq!(server.connections(), 3, "the kept connection was no good");
    assert_eq!(world.facts(&server.url("/"), true), (200, "TLSv1.2", true));
    assert_eq!(server.connections(), 3, "this one is");
}

/// Does a server that has learnt to ask get the certificate, though it would resume a session of before, and the
/// request that needs none resume it?
#[test]
fn a_session_without_the_question_stands_in_nobodys_way() {
    for version in [&TLS13, &TLS12] {
        let world = World::new();
        let before = world.config(false, &[version]);
        let mut now = Arc::into_inner(world.config(true, &[version])).unwrap();
        now.session_storage = before.session_storage.clone();
        let (close, now) =
            ("HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Arc::new(now));
        let start = |config: &Arc<ServerConfig>| {
            Server::by_version(config.clone(), config.clone(), move |_| Answer::SendAndClose(close.into()))
        };
        let (before, now) = (start(&before), start(&now));
        let facts = |server: &Server, needs| {
            let (_, version, asked) = world.facts(&server.url("/"), needs);
            (version, asked)
        };
        let name = if version.version == TLS13.version { "TLSv1.3" } else { "TLSv1.2" };
        assert_eq!(facts(&before, false), (name, false));
        assert_eq!(facts(&now, true), (name, true));
        assert_eq!(facts(&before, false), (name, true));
        let resumed = |server: &Server| server.seen().iter().map(|seen| seen.resumed).collect::<Vec<_>>();
        assert_eq!((resumed(&before), resumed(&now)), (vec![false, true], vec![false]), "{name}");
    }
}

/// Is it remembered for an hour, and TLS 1.3 then tried again?
#[test]
fn after_an_hour_tls_13_is_tried_again() {
    let world = World::new();
    let server = world.server(Asks::Only12);
    let steps = [(0, 2), (3599, 3), (3600, 5), (3601, 6)];
    let mut passed = 0;
    for (at, connections) in steps {
        *world.clock.0.lock().unwrap() += Duration::from_secs(at - passed);
        passed = at;
        assert_eq!(world.facts(&server.url("/"), true), (200, "TLSv1.2", true));
        assert_eq!(server.connections(), connections, "after {at} s");
    }
}

/// Is a server that speaks TLS 1.3 only, and does not ask, connected to twice but once an hour, and then sent
/// the request?
#[test]
fn a_server_without_tls_12() {
    let world = World::new();
    let config = world.config(false, &[&TLS13]);
    let close = "HTTP/1.1 403 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = Server::by_version(config.clone(), config, |_| Answer::SendAndClose(close.into()));
    for _ in 0..3 {
        assert_eq!(world.facts(&server.url("/"), true), (403, "TLSv1.3", false));
    }
    assert_eq!((server.connections(), server.seen().len()), (4, 3));
    assert_eq!(world.logged("refuses TLS 1.2"), 1);
}

/// Where TLS 1.2 is switched off within the hour: is a server that asks in TLS 1.3 by then spoken to again?
#[test]
fn a_server_that_leaves_tls_12() {
    let world = World::new();
    let config = world.config(true, &[&TLS13]);
    let close = "HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let after = Server::by_version(config.clone(), config, move |_| Answer::SendAndClose(close.into()));
    let (before, now) = (world.server(Asks::Only12), after.address);
    let junction = Junction::new(move |number| Some(if number < 2 { before.address } else { now }));
    assert_eq!(world.facts(&junction.url(), true), (200, "TLSv1.2", true));
    for connections in [2, 3] {
        assert_eq!(world.facts(&junction.url(), true), (200, "TLSv1.3", true));
        assert_eq!(after.connections(), connections);
    }
}

/// Is a connection that was lost in the TLS 1.2 handshake, once, no reason to go without the certificate for an
/// hour?
#[test]
fn a_lost_connection_is_no_word_about_tls_12() {
    let world = World::new();
    let server = world.server(Asks::Only12);
    let address = server.address;
    let junction = Junction::new(move |number| (number != 1).then_some(address));
    assert_eq!(world.facts(&junction.url(), true), (401, "TLSv1.3", false));
    assert_eq!(world.facts(&junction.url(), true), (200, "TLSv1.2", true));
}

/// Is a refusal to take the certificate in TLS 1.2 still one, and a key that cannot sign there, rather than
/// a reason to go without?
#[test]
fn nothing_goes_without_a_certificate_that_was_asked_for() {
    let world = World::new();
    let server = world.server(Asks::Only12);
    let stranger = Ca::new("strangers").client();
    let (der, key) = world.clients.issue(|_| {});
    let broken = TestKey { broken: true, ..TestKey::new(&key) };
    let broken = Certificate::new(vec![der], Arc::new(broken)).unwrap();
    for (certificate, code) in [(stranger, "client_certificate_rejected"), (broken, "key_gone")] {
        let client = world.pool.for_certificate(&certificate).unwrap();
        let url = server.url("/");
        let error = client.send(&Request::get(&url).needs_certificate(true), &call()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    assert!(server.seen().is_empty());
}

/// Does an error say that the server never asked, where it hangs up on a request, and not where it had asked?
#[test]
fn a_reset_says_that_nobody_asked() {
    let world = World::new();
    for ((asks, words), over) in
        [(false, true), (true, false)].into_iter().flat_map(|row| BOTH.map(|over| (row, over)))
    {
        let server = world.server_with(asks, asks, |_| Answer::Reset);
        let url = server.url("/");
        let request = over.request(Request::get(&url).needs_certificate(true));
        let error = world.client().send(&request, &call()).unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::Reset));
        assert_eq!(
            (error.message().contains("never asked for our certificate"), error.never_asked()),
            (words, words)
        );
    }
}

/// Do both connections share one limit?
#[test]
fn one_limit_for_both_connections() {
    let world = World::new();
    let hangs = Server::plain(|_| Answer::Hang);
    // What TLS 1.2 is offered to goes to a server that never says a word.
    let asks = world.server(Asks::Only12).address;
    let junction = Junction::new(move |number| {
        if number == 0 {
            std::thread::sleep(Duration::from_millis(2500));
        }
        Some(if number == 0 { asks } else { hangs.address })
    });
    let limit = Duration::from_secs(4);
    let pool = pool_with(&world.ca, |options| options.connect_timeout = limit, &[]);
    let client = pool.for_certificate(&world.certificate).unwrap();
    let url = junction.url();
    let started = Instant::now();
    let error = client.send(&Request::get(&url).needs_certificate(true), &call()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let took = started.elapsed();
    // With a limit for each it would be 6.5 seconds.
    assert!(took >= limit && took < Duration::from_secs(6), "{took:?}");
}

/// Leads each connection, counted from 0, to a server, or hangs up.
struct Junction(SocketAddr);

impl Junction {
    fn new(target: impl Fn(usize) -> Option<SocketAddr> + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (number, near) in listener.incoming().enumerate() {
                let (near, Some(target)) = (near.unwrap(), target(number)) else { continue };
                let far = std::net::TcpStream::connect(target).unwrap();
                for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Self(address)
    }

    fn url(&self) -> Url {
        Url::parse(&format!("https://localhost:{}/", self.0.port())).unwrap()
    }
}

/// OpenSSL's server, which can ask for the certificate after the request: by renegotiation, in TLS 1.2.
struct AsksLate {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl AsksLate {
    fn new(ca: &Ca) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (der, key) = ca.issue(|_| {});
        let file = folder.path().join("server.pem");
        std::fs::write(&file, renegotiation::pem(&der) + &key.serialize_pem()).unwrap();
        let mut child = Command::new("openssl")
            .args(["s_server", "-tls1_2", "-cert", file.to_str().unwrap(), "-accept", "127.0.0.1:0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the openssl command");
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line.unwrap_or_default();
                if let Some((_, port)) = line.strip_prefix("ACCEPT ").and_then(|at| at.rsplit_once(':')) {
                    let _ = ready.send(port.parse().unwrap());
                } else if line.starts_with("accept-encoding") || line.starts_with("host:") {
                    // The request is there: now it wants to know who sent it.
                    let _ = input.write_all(b"R\n");
                }
            }
        });
        let port = is_ready.recv().unwrap();
        Self { child, port, _folder: folder }
    }
}

impl Drop for AsksLate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is said of a server that asks for the certificate after the request only?
#[test]
fn a_server_that_asks_too_late() {
    let world = World::new();
    let server = AsksLate::new(&world.ca);
    let url = Url::parse(&format!("https://localhost:{}/", server.port)).unwrap();
    for _ in 0..2 {
        let error = world.send(&url, true).unwrap_err();
        assert_eq!(error.code(), "client_certificate_rejected", "{error}");
        assert!(error.message().contains("asks for the certificate after the request"), "{error}");
        assert!(!error.message().contains("never asked"), "{error}");
    }
    assert_eq!(world.logged("wants to renegotiate"), 2);
}
