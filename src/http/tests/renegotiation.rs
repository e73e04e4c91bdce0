//! Servers that ask for the certificate of a bound token once they have read the request: when do they get it, and
//! when not?

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::apache::{Apache, Line, MOST, OPEN, SECRET};
use super::proxies::Proxy;
use super::renegotiating_server::RenegotiatingServer;
use super::*;
use crate::key::SoftwareKey;
use crate::secret::Secret;

pub(super) const CN: &str = "the client of the test";

pub(super) struct World {
    ca: Ca,
    clients: Ca,
    pub(super) pool: Pool,
}

impl World {
    pub(super) fn new() -> Self {
        let ca = Ca::new("ca");
        Self { pool: pool(&ca), clients: Ca::new("clients"), ca }
    }

    pub(super) fn apache(&self, protocols: &str) -> Apache {
        let (der, key) = self.ca.issue(|_| {});
        Apache::start(&(pem(&der) + &key.serialize_pem()), &self.clients.pem, protocols)
    }

    /// OpenSSL, in one of the modes of renegotiating_server.c.
    pub(super) fn openssl(&self, arguments: &str) -> Openssl {
        let folder = tempfile::tempdir().unwrap();
        for (name, host) in [("own", "localhost"), ("twin", "localhost"), ("other", "other.test")] {
            let (der, key) = self.ca.issue(|params| {
                params.subject_alt_names = vec![rcgen::SanType::DnsName(host.try_into().unwrap())];
            });
            std::fs::write(folder.path().join(format!("{name}.pem")), pem(&der)).unwrap();
            std::fs::write(folder.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        std::fs::write(folder.path().join("ca.pem"), &self.clients.pem).unwrap();
        let arguments = format!("{arguments} cert=own.pem key=own.key ca=ca.pem");
        let server = RenegotiatingServer::start(folder.path(), &arguments);
        let url = Url::parse(&format!("https://localhost:{}/x", server.port)).unwrap();
        Openssl { server, url, _folder: folder }
    }

    /// GnuTLS, which renegotiates when a request has the method `**REHANDSHAKE**`.
    pub(super) fn gnutls(&self, priorities: &str) -> Gnutls {
        let (folder, (der, key)) = (tempfile::tempdir().unwrap(), self.ca.issue(|_| {}));
        std::fs::write(folder.path().join("own.pem"), pem(&der) + &key.serialize_pem()).unwrap();
        // It does not say which port it was given.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("gnutls-serv")
            .args(["--echo", "--x509certfile=own.pem", "--x509keyfile=own.pem"])
            .args([
                format!("--port={port}"),
                format!("--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2:{priorities}"),
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnutls-serv is missing: make prerequisites installs it");
        server::wait_until("gnutls-serv does not serve", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
        Gnutls { child, url, _folder: folder }
    }

    pub(super) fn certificate(&self) -> Certificate {
        self.clients.named(CN, Arc::new(TestKey::new(&KeyPair::generate().unwrap())))
    }

    pub(super) fn client(&self, certificate: &Certificate) -> Arc<Client> {
        self.pool.for_certificate(certificate).unwrap()
    }
}

pub(super) struct Openssl {
    server: RenegotiatingServer,
    pub(super) url: Url,
    _folder: tempfile::TempDir,
}

pub(super) struct Gnutls {
    child: Child,
    pub(super) url: Url,
    _folder: tempfile::TempDir,
}

impl Drop for Gnutls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Openssl {
    /// The next ones of its events.
    pub(super) fn did(&self, expected: &[&str]) {
        let events: Vec<_> = expected.iter().map(|_| self.server.event()).collect();
        assert_eq!(events, expected);
    }
}

pub(super) fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

pub(super) fn url(apache: &Apache, path: &str) -> Url {
    Url::parse(&apache.url(path)).unwrap()
}

/// As a request of `mtlspop_app_send` with this bound token, to a host that was named.
pub(super) fn bound<'a>(request: Request<'a>, token: &str) -> Request<'a> {
    request
        .needs_certificate(true)
        .renegotiation(Renegotiation::with_token(token))
        .header("Authorization", token)
}

fn get_bound(client: &Client, url: &Url, token: &str) -> Result<Response> {
    client.send(&bound(Request::get(url), token), &call())
}

fn names(lines: &[Line]) -> Vec<Option<&str>> {
    lines.iter().map(|line| line.name.as_deref()).collect()
}

fn connections(lines: &[Line]) -> usize {
    let mut all: Vec<_> = lines.iter().map(|line| &line.connection).collect();
    all.sort();
    all.dedup();
    all.len()
}

/// Does Apache get the certificate where it asks for it and not before, signed with keys of both kinds, and is the
/// connection kept?
#[test]
fn apache_asks_after_the_request() {
    let world = World::new();
    let rsa = world.clients.named(CN, Arc::new(SoftwareKey::generate_rsa_2048().unwrap()));
    for certificate in [world.certificate(), rsa] {
        let apache = world.apache("TLSv1.2");
        let client = world.client(&certificate);
        let paths =
            [("/open", OPEN, false), ("/private/secret", SECRET, true), ("/private/secret", SECRET, true)];
        for (path, body, asked) in paths {
            let response = get_bound(&client, &url(&apache, path), "mtls_pop a").unwrap();
            assert_eq!((response.status, &**response.body), (200, body.as_bytes()), "{path}");
            let tls = response.tls.unwrap();
            assert_eq!((tls.version, tls.certificate_requested), (TlsVersion::Tls12, asked), "{path}");
        }
        let log = apache.log(3);
        assert_eq!(names(&log), [None, Some(CN), Some(CN)]);
        assert_eq!(connections(&log), 1);
    }
}

/// Do bodies pass: a request's that Apache keeps while it asks, and a long answer's; and is one that it does not keep
/// its 413?
#[test]
fn bodies_around_a_renegotiation() {
    let world = World::new();
    let apache = world.apache("TLSv1.2");
    let certificate = world.certificate();
    let sent: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let echo = url(&apache, "/private/echo");
    let response =
        world.client(&certificate).send(&bound(Request::post(&echo, &sent), "mtls_pop a"), &call()).unwrap();
    assert!(response.status == 200 && **response.body == sent);
    let other = world.certificate();
    let response = get_bound(&world.client(&other), &url(&apache, "/private/long"), "mtls_pop a").unwrap();
    assert_eq!(response.body.len(), 100_000 * SECRET.len());
    let (other, long) = (world.certificate(), vec![b'x'; MOST + 1]);
    let request = bound(Request::post(&echo, &long), "mtls_pop a");
    assert_eq!(world.client(&other).send(&request, &call()).unwrap().status, 413);
}

/// Apache asks in TLS 1.3, too, after the handshake. Is a server that has both versions spoken to in the one in which
/// we can answer?
#[test]
fn apache_with_both_versions() {
    let world = World::new();
    let apache = world.apache("-all +TLSv1.2 +TLSv1.3");
    let certificate = world.certificate();
    let client = world.client(&certificate);
    assert_eq!(get(&client, &url(&apache, "/open")).unwrap().tls.unwrap().version, TlsVersion::Tls13);
    let response = get_bound(&client, &url(&apache, "/private/secret"), "mtls_pop a").unwrap();
    assert_eq!((response.status, response.tls.unwrap().version), (200, TlsVersion::Tls12));
    let log = apache.log(2);
    assert_eq!((names(&log), connections(&log)), (vec![None, Some(CN)], 2));
}

/// Is a server that has no TLS 1.2, and so cannot renegotiate, spoken to as any other?
#[test]
fn apache_without_tls_12() {
    let world = World::new();
    let apache = world.apache("TLSv1.3");
    let certificate = world.certificate();
    for (path, status) in [("/open", 200), ("/private/secret", 403)] {
        let response = get_bound(&world.client(&certificate), &url(&apache, path), "mtls_pop a").unwrap();
        let tls = response.tls.unwrap();
        assert_eq!(
            (response.status, tls.version, tls.certificate_requested),
            (status, TlsVersion::Tls13, false)
        );
    }
}

/// Does a request that carries no bound token never show the certificate: not on a connection of its own, nor on one that
/// has shown it?
#[test]
fn only_with_a_bound_token() {
    let world = World::new();
    let apache = world.apache("TLSv1.2");
    let certificate = world.certificate();
    let client = world.client(&certificate);
    get_bound(&client, &url(&apache, "/private/secret"), "mtls_pop a").unwrap();
    let error = get(&client, &url(&apache, "/private/secret")).unwrap_err();
    assert_eq!(error.transport(), Some(TransportFailure::ClientCertificate), "{error}");
    get(&client, &url(&apache, "/open")).unwrap();
    let log = apache.log(3);
    assert!(log.iter().filter(|line| line.path == "/open").all(|line| line.name.is_none()));
    assert_eq!(log.iter().filter(|line| line.status == 200 && line.name.is_some()).count(), 1);
    assert!(connections(&log) > 1);
}

/// Is a renegotiation that nobody allowed declined, and does the error tell how to allow it, for an API, and not for
/// who issues tokens?
#[test]
fn nobody_allowed_it() {
    let world = World::new();
    let apache = world.apache("TLSv1.2");
    let certificate = world.certificate();
    let client = world.client(&certificate);
    let advice =
        ["mtlspop_app_options_add_renegotiating_host", "mtlspop_http_request_set_allow_renegotiation"];
    for (renegotiation, is_api) in [(Renegotiation::NotAllowed, true), (Renegotiation::Never, false)] {
        let url = url(&apache, "/private/secret");
        let request = Request::get(&url).needs_certificate(true).renegotiation(renegotiation);
        let error = client.send(&request, &call()).unwrap_err();
        assert_eq!(error.code(), "client_certificate_rejected", "{error}");
        assert!(error.message().contains("after the request, by TLS 1.2 renegotiation"), "{error}");
        for words in advice {
            assert_eq!(error.message().contains(words), is_api, "{error}");
        }
    }
    assert!(apache.errors().contains("e-negotiation"));
}

/// Does a connection on which the certificate has not been shown serve one token only, and one on which it has serve
/// others, too?
#[test]
fn one_token_until_the_certificate_is_shown() {
    let world = World::new();
    let apache = world.apache("TLSv1.2");
    let certificate = world.certificate();
    let client = world.client(&certificate);
    let steps = [
        ("/open", "mtls_pop a", 1),
        ("/open", "mtls_pop a", 1),
        ("/open", "mtls_pop b", 2),
        ("/private/secret", "mtls_pop b", 2),
        ("/private/secret", "mtls_pop a", 2),
    ];
    for (number, (path, token, expected)) in steps.into_iter().enumerate() {
        assert_eq!(get_bound(&client, &url(&apache, path), token).unwrap().status, 200);
        assert_eq!(connections(&apache.log(number + 1)), expected, "{path} {token}");
    }
}

/// Does the error of a key that cannot sign come out, and the refusal of a certificate by its name?
#[test]
fn a_key_that_fails_and_a_certificate_that_is_refused() {
    let world = World::new();
    let apache = world.apache("TLSv1.2");
    let key = TestKey::new(&KeyPair::generate().unwrap());
    let broken = world.clients.named(CN, Arc::new(TestKey { broken: true, ..key }));
    let stranger = Ca::new("strangers").client();
    for (certificate, code) in [(broken, "key_gone"), (stranger.clone(), "client_certificate_rejected")] {
        let client = world.client(&certificate);
        let error = get_bound(&client, &url(&apache, "/private/secret"), "mtls_pop a").unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        if code == "client_certificate_rejected" {
            assert!(error.message().contains(stranger.x5t_s256()), "{error}");
        }
    }
}

/// Does a handshake, the first one and a renegotiation, draw its random numbers where no fork is, and have the key sign,
/// which may wait for somebody, outside of that?
#[test]
fn no_fork_in_a_handshake() {
    let world = World::new();
    let (asks_first, apache) =
        (Server::mtls(&world.ca, &world.clients, &TLS12, |_| server::ok()), world.apache("TLSv1.2"));
    for url in [asks_first.url("/"), url(&apache, "/private/secret")] {
        let key = TestKey::new(&KeyPair::generate().unwrap());
        let amid = key.amid.clone();
        let client = world.client(&world.clients.named(CN, Arc::new(key)));
        assert_eq!(get_bound(&client, &url, "mtls_pop a").unwrap().status, 200);
        assert_eq!(*amid.lock().unwrap(), [true], "{url}");
    }
}

/// Does it work through a tunnel?
#[test]
fn through_a_proxy() {
    let world = World::new();
    let apache = world.apache("TLSv1.2");
    let proxy = Proxy::to_address(([127, 0, 0, 1], apache.port()).into());
    let through = Secret::new(format!("http://{}", proxy.address));
    let pool = pool_with(&world.ca, |options| options.proxy = Some(through), &[]);
    let certificate = world.certificate();
    let client = pool.for_certificate(&certificate).unwrap();
    for _ in 0..2 {
        let response = get_bound(&client, &url(&apache, "/private/secret"), "mtls_pop a").unwrap();
        assert_eq!(response.status, 200);
    }
    assert_eq!(proxy.heads().len(), 1);
    assert_eq!(names(&apache.log(2)), [Some(CN), Some(CN)]);
}

/// Is the certificate shown, once, wherever in a request or its answer a server asks for it?
#[test]
fn openssl_asks_when_it_likes() {
    let world = World::new();
    let body = vec![b'x'; 300_000];
    let rows = [
        ("after", vec!["request /x 300000 -", "asked", "renegotiated the client of the test", "answered"]),
        (
            "head",
            vec![
                "asked",
                "renegotiated the client of the test",
                "request /x 300000 the client of the test",
                "answered",
            ],
        ),
        ("body", vec!["request /x 300000 -", "asked", "renegotiated the client of the test", "answered"]),
        ("first", vec!["request /x 300000 the client of the test", "answered"]),
    ];
    for (mode, events) in rows {
        let (server, certificate) = (world.openssl(mode), world.certificate());
        let request = bound(Request::post(&server.url, &body), "mtls_pop a");
        let response = world.client(&certificate).send(&request, &call()).unwrap();
        let length = if mode == "body" { 40_000 } else { "certificate= body=300000".len() + CN.len() };
        assert_eq!((response.status, response.body.len()), (200, length), "{mode}");
        assert!(response.tls.unwrap().certificate_requested, "{mode}");
        server.did(&["accepted localhost"]);
        server.did(&events);
    }
}

/// Is it said where a certificate cannot be shown in TLS 1.2 as libssl has it, rather than that the server hung up?
#[test]
fn a_certificate_that_cannot_be_shown() {
    let world = World::new();
    let mut params = CertificateParams::default();
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
    let key = Arc::new(TestKey::new(&KeyPair::generate().unwrap()));
    let der = params.signed_by(&Public(&*key), &world.clients.issuer).unwrap().der().to_vec();
    let certificate = Certificate::new(vec![der], key).unwrap();
    let server = world.openssl("after");
    let error = get_bound(&world.client(&certificate), &server.url, "mtls_pop a").unwrap_err();
    assert_eq!(error.code(), "tls_error", "{error}");
    let words = "our certificate cannot be shown in TLS 1.2 (key usage bit incorrect)";
    assert!(error.message().contains(words), "{error}");
}

/// Is a request that a server has read, as its question shows, not sent again where it hangs up then?
#[test]
fn a_question_and_no_answer() {
    let world = World::new();
    let (server, certificate) = (world.openssl("leave"), world.certificate());
    let client = world.client(&certificate);
    get_bound(&client, &server.url.join("/unasked").unwrap(), "mtls_pop a").unwrap();
    let error = get_bound(&client, &server.url, "mtls_pop a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    server.did(&["accepted localhost", "request /unasked 0 -", "answered", "request /x 0 -", "asked"]);
    get_bound(&client, &server.url.join("/unasked").unwrap(), "mtls_pop a").unwrap();
    server.did(&["accepted localhost", "request /unasked 0 -"]);
}

/// Is a renegotiation that asks for nothing gone through, and does the connection stay one on which nothing was shown?
#[test]
fn a_renegotiation_without_a_question() {
    let world = World::new();
    let (server, certificate) = (world.openssl("after no-question"), world.certificate());
    let client = world.client(&certificate);
    for token in ["mtls_pop a", "mtls_pop b"] {
        let response = get_bound(&client, &server.url, token).unwrap();
        assert_eq!(response.status, 200);
        assert!(!response.tls.unwrap().certificate_requested);
    }
    // Four of each request, two connections, and the end of the first, which may come at any time.
    let events: Vec<_> = (0..2 * 5 + 1).map(|_| server.server.event()).collect();
    assert_eq!(events.iter().filter(|event| *event == "accepted localhost").count(), 2, "{events:?}");
}

/// Is it shown twice on a connection, and not a third time: is there another connection for the next request, and an end
/// where the server wants nothing else?
#[test]
fn at_most_twice() {
    let world = World::new();
    let (server, certificate) = (world.openssl("body"), world.certificate());
    let client = world.client(&certificate);
    for _ in 0..4 {
        get_bound(&client, &server.url, "mtls_pop a").unwrap();
    }
    // Four of each request, two connections, and the end of the first, which may come at any time.
    let events: Vec<_> = (0..4 * 4 + 3).map(|_| server.server.event()).collect();
    for event in ["accepted localhost", "request /x 0 -"] {
        assert_eq!(events.iter().filter(|other| *other == event).count(), 2, "{events:?}");
    }
    let (server, certificate) = (world.openssl("loop"), world.certificate());
    let error = get_bound(&world.client(&certificate), &server.url, "mtls_pop a").unwrap_err();
    assert_eq!(error.transport(), Some(TransportFailure::ServerTls), "{error}");
    assert!(error.message().contains("2 times on this connection"), "{error}");
    server.did(&["accepted localhost", "request /x 0 -"]);
    for _ in 0..2 {
        server.did(&["asked", "renegotiated the client of the test"]);
    }
    server.did(&["asked", "closed"]);
}

/// Does a connection that has shown the certificate serve another token, but not show it again?
#[test]
fn not_where_another_token_was() {
    let world = World::new();
    let (server, certificate) = (world.openssl("body"), world.certificate());
    let client = world.client(&certificate);
    get_bound(&client, &server.url, "mtls_pop a").unwrap();
    let error = get_bound(&client, &server.url, "mtls_pop b").unwrap_err();
    assert!(error.message().contains("has carried another token"), "{error}");
    server.did(&[
        "accepted localhost",
        "request /x 0 -",
        "asked",
        "renegotiated the client of the test",
        "answered",
    ]);
    server.did(&["request /x 0 the client of the test", "asked", "closed"]);
    // Nor where it was the other's before, and is now again the first one's.
    let client = world.client(&certificate);
    for (path, token) in [("/x", "mtls_pop a"), ("/unasked", "mtls_pop b")] {
        get_bound(&client, &server.url.join(path).unwrap(), token).unwrap();
    }
    let error = get_bound(&client, &server.url, "mtls_pop a").unwrap_err();
    assert!(error.message().contains("has carried another token"), "{error}");
}

/// Does a request that may be asked late go over no connection of rustls', on which it could not be answered, though
/// that has served one that needs the certificate, too?
#[test]
fn not_over_what_cannot_renegotiate() {
    let world = World::new();
    let (apache, certificate) = (world.apache("TLSv1.2"), world.certificate());
    let (client, open) = (world.client(&certificate), url(&apache, "/open"));
    let request = Request::get(&open).needs_certificate(true).renegotiation(Renegotiation::NotAllowed);
    client.send(&request, &call()).unwrap();
    let response = get_bound(&client, &url(&apache, "/private/secret"), "mtls_pop a").unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(connections(&apache.log(2)), 2);
}

/// Does nobody get it who shows another certificate than at first, of the same name or another?
#[test]
fn not_after_the_servers_certificate_changed() {
    let world = World::new();
    for other in ["twin", "other"] {
        let server = world.openssl(&format!("changed other-cert={other}.pem other-key={other}.key"));
        let certificate = world.certificate();
        let error = get_bound(&world.client(&certificate), &server.url, "mtls_pop a").unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::ServerTls), "{error}");
        assert!(error.message().contains("shows another certificate in the renegotiation"), "{error}");
        server.did(&["accepted localhost", "request /x 0 -", "asked"]);
        assert!(server.server.event().starts_with("failed"));
    }
}

/// Is a renegotiation without extended master secret refused, and one that is not bound to the connection, each in words
/// that say so?
#[test]
fn not_without_what_binds_it() {
    let world = World::new();
    let (server, certificate) = (world.openssl("after no-ems"), world.certificate());
    let error = get_bound(&world.client(&certificate), &server.url, "mtls_pop a").unwrap_err();
    assert_eq!(error.transport(), Some(TransportFailure::ServerTls), "{error}");
    assert!(error.message().contains("RFC 7627"), "{error}");
    server.did(&["accepted localhost", "request /x 0 -", "asked", "closed"]);
    // What it does not ask for late is no renegotiation.
    let (server, certificate) = (world.openssl("first no-ems"), world.certificate());
    assert_eq!(get_bound(&world.client(&certificate), &server.url, "mtls_pop a").unwrap().status, 200);

    let (server, certificate) = (world.gnutls("%DISABLE_SAFE_RENEGOTIATION"), world.certificate());
    let request = bound(Request::new(method("**REHANDSHAKE**").unwrap(), &server.url), "mtls_pop a");
    let error = world.client(&certificate).send(&request, &call()).unwrap_err();
    assert!(error.message().contains("RFC 5746"), "{error}");
}

/// Is a renegotiation a full handshake, though its server would resume?
#[test]
fn nothing_is_resumed() {
    let world = World::new();
    let (server, certificate) = (world.openssl("body may-resume"), world.certificate());
    let client = world.client(&certificate);
    for shown in ["-", CN] {
        get_bound(&client, &server.url, "mtls_pop a").unwrap();
        let accepted: &[&str] = if shown == "-" { &["accepted localhost"] } else { &[] };
        server.did(accepted);
        server.did(&[&format!("request /x 0 {shown}"), "asked", &format!("renegotiated {CN}"), "answered"]);
    }
}

/// Does a server that stalls in a renegotiation, or drips, keep us no longer than the call may take, and can it be
/// cancelled meanwhile?
#[test]
fn a_renegotiation_that_does_not_end() {
    let world = World::new();
    for mode in ["stall", "drip"] {
        let (server, certificate) = (world.openssl(mode), world.certificate());
        let (limit, started) = (Duration::from_secs(1), Instant::now());
        let request = bound(Request::get(&server.url).attempt_timeout(limit), "mtls_pop a");
        let error = world.client(&certificate).send(&request, &call()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{mode}: {error}");
        assert!(error.message().contains("did not answer within the request's timeout of 1 s"), "{error}");
        let took = started.elapsed();
        assert!(took >= limit && took < Duration::from_secs(3), "{mode}: {took:?}");
    }
    let (server, certificate, cancel) = (world.openssl("stall"), world.certificate(), Cancel::new());
    let client = world.client(&certificate);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.did(&["accepted localhost", "request /x 0 -", "asked"]);
            cancel.cancel();
        });
        let request = bound(Request::get(&server.url), "mtls_pop a");
        let error = client.send(&request, &call_with(&cancel, None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    });
}

/// Is a connection on which the server asks while nothing is asked of it not used again, and nothing shown on it?
#[test]
fn a_question_on_an_idle_connection() {
    let world = World::new();
    let (server, certificate) = (world.openssl("idle"), world.certificate());
    let client = world.client(&certificate);
    for _ in 0..2 {
        let answer = get_bound(&client, &server.url, "mtls_pop a").unwrap();
        assert_eq!(&**answer.body, b"certificate=- body=0");
        let mut events: Vec<_> = (0..4).map(|_| server.server.event()).collect();
        if events[0] == "closed" {
            // The end of the one before.
            events = events.split_off(1);
            events.push(server.server.event());
        }
        assert_eq!(events, ["accepted localhost", "request /x 0 -", "answered", "asked"]);
    }
}

/// Where a server asks, is declined, and answers 401 all the same: does the response say so?
#[test]
fn an_answer_after_a_renegotiation_was_declined() {
    let world = World::new();
    let (server, certificate) = (world.openssl("impatient"), world.certificate());
    let request = Request::get(&server.url).needs_certificate(true).renegotiation(Renegotiation::NotAllowed);
    let response = world.client(&certificate).send(&request, &call()).unwrap();
    let tls = response.tls.unwrap();
    assert_eq!((response.status, tls.asked_late, tls.certificate_requested), (401, true, false));
}
