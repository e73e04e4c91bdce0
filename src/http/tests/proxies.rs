//! Through a proxy, around it, and what a proxy that does not work is called.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;

use rustls::version::TLS13;

use super::server::{Answer, answer, header, ok};
use super::*;
use crate::secret::Secret;

/// A CONNECT proxy that leads every name to one server.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(server: &Server) -> Self {
        Self::to_address(server.address)
    }

    pub(super) fn to_address(target: SocketAddr) -> Self {
        Self::answering(target, "HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
    }

    fn answering(target: SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let proxy = Self { address: listener.local_addr().unwrap(), heads: heads.clone() };
        thread::spawn(move || {
            for client in listener.incoming() {
                let heads = heads.clone();
                thread::spawn(move || tunnel(client.unwrap(), target, answer, &heads));
            }
        });
        proxy
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(mut client: TcpStream, target: SocketAddr, answer: &str, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    client.write_all(answer.as_bytes()).unwrap();
    let server = TcpStream::connect(target).unwrap();
    let pump = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        })
    };
    pump(client.try_clone().unwrap(), server.try_clone().unwrap());
    pump(server, client).join().unwrap();
}

/// Does mTLS work through a tunnel, with credentials, once per connection, the name left to the proxy?
#[test]
fn a_tunnel_with_credentials() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let (der, key) = ca.issue(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("login.invalid".try_into().unwrap())];
    });
    let config = server::config_for(vec![der], key.serialize_der(), Some(&clients), &[&TLS13]);
    let server = Server::with_config(config);
    let proxy = Proxy::to(&server);
    let url = format!("http://us%40er:pa%3Ass@{}", proxy.address);
    let pool = pool_with(&ca, |options| options.proxy = Some(Secret::new(url)), &[]);
    let certificate = clients.client();
    let client = pool.for_certificate(&certificate).unwrap();
    for _ in 0..2 {
        get(&client, &Url::parse("https://login.invalid/token").unwrap()).unwrap();
    }
    assert_eq!(server.seen()[1].certificate.as_deref(), Some(certificate.der()));
    let [head] = &proxy.heads()[..] else { panic!("one tunnel, kept alive") };
    assert!(head.starts_with("CONNECT login.invalid:443 HTTP/1.1\r\nHost: login.invalid:443\r\n"), "{head}");
    let authorization = header(head, "proxy-authorization").unwrap();
    assert_eq!(authorization, "Basic dXNAZXI6cGE6c3M=");
}

/// Do the environment and `NO_PROXY` decide, and does the direct client ignore both?
#[test]
fn the_environment_and_its_exceptions() {
    let ca = Ca::new("ca");
    let (server, local) = (Server::tls(&ca, |_| ok()), Server::plain(|_| ok()));
    let proxy = Proxy::to(&server);
    let address = proxy.address.to_string();
    get(&pool_with(&ca, |_| {}, &[("HTTPS_PROXY", &address)]).plain().unwrap(), &server.url("/")).unwrap();
    assert_eq!(proxy.heads().len(), 1);
    let env = [("HTTPS_PROXY", address.as_str()), ("NO_PROXY", "localhost")];
    get(&pool_with(&ca, |_| {}, &env).plain().unwrap(), &server.url("/")).unwrap();
    get(&pool_with(&ca, |_| {}, &env[..1]).direct().unwrap(), &local.url("/")).unwrap();
    assert_eq!(proxy.heads().len(), 1, "the other two went around it");
}

/// Does an error name the proxy, and never its password?
#[test]
fn a_proxy_that_does_not_work_is_named() {
    let ca = Ca::new("ca");
    let nobody = Nobody::new();
    let refusing = Server::plain(|_| answer(407, "Proxy-Authenticate: Basic\r\n", "no"));
    let kerberos = Server::plain(|_| {
        answer(407, "Proxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM TlRMTVNT\r\n", "no")
    });
    let forbidding = Server::plain(|_| answer(403, "", "no"));
    let says = |text: &'static str| Server::plain(move |_| Answer::SendAndClose(text.into()));
    let old = says("HTTP/1.0 503\n\n");
    let overloaded = says("HTTP/1.1 503 Service \u{1b}[31mUnavailable\nRetry-After: 3\n\n");
    let unreachable = says("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    let slow = says("HTTP/1.1  504  Gateway Timeout\r\n\r\n");
    let web = says("HTTP/1.1 405 Method Not Allowed\r\n\r\n");
    let babbling = Server::plain(|_| Answer::SendAndClose("220 smtp ready\r\n\r\n".into()));
    let silent = Server::plain(|_| Answer::SendAndClose(String::new()));
    let resetting = Server::plain(|_| Answer::Reset);
    for (address, word, status, retryable) in [
        (nobody.address.to_string(), "cannot be reached", None, true),
        (refusing.address.to_string(), "user name and password", Some(407), false),
        (kerberos.address.to_string(), "asks for Negotiate, NTLM, and only", Some(407), false),
        (forbidding.address.to_string(), "answered 403 (Whatever)", Some(403), false),
        (overloaded.address.to_string(), "answered 503 (Service [31mUnavailable) when", Some(503), true),
        (
            old.address.to_string(),
            "answered 503 when asked for a connection to target.test:443",
            Some(503),
            true,
        ),
        (unreachable.address.to_string(), "502 (Bad Gateway)", Some(502), true),
        (slow.address.to_string(), "504 (Gateway Timeout)", Some(504), true),
        (web.address.to_string(), "it opens no tunnels", Some(405), false),
        (babbling.address.to_string(), "like an HTTP proxy", None, false),
        (resetting.address.to_string(), "closed the connection", None, true),
        (silent.address.to_string(), "closed the connection", None, true),
        (format!("{}:1", impossible_host()), "cannot be resolved", None, true),
    ] {
        let proxy = format!("http://user:hunter2@{address}");
        let pool = pool_with(&ca, |options| options.proxy = Some(Secret::new(proxy)), &[]);
        let error = get(&pool.plain().unwrap(), &Url::parse("https://target.test/").unwrap()).unwrap_err();
        assert_eq!(
            (error.code(), error.transport()),
            ("proxy_error", Some(TransportFailure::Proxy)),
            "{error}"
        );
        assert!(error.message().contains(word) && error.message().contains(&address), "{error}");
        assert!(!error.message().contains("hunter2"), "{error}");
        assert_eq!((error.http_status(), error.is_retryable()), (status, retryable), "{error}");
    }
}

/// Is a tunnel opened by a proxy that ends its lines with LF alone?
#[test]
fn a_proxy_of_few_bytes() {
    let ca = Ca::new("ca");
    let server = Server::tls(&ca, |_| ok());
    for answer in [
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.0 200\n\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 204  x\r\n\r\n",
    ] {
        let proxy = Proxy::answering(server.address, answer);
        let pool =
            pool_with(&ca, |options| options.proxy = Some(Secret::new(proxy.address.to_string())), &[]);
        get(&pool.plain().unwrap(), &server.url("/")).unwrap();
        assert_eq!(proxy.heads().len(), 1);
    }
}

/// Does a variable that names no proxy we can use disturb only what would go through it: not the services of
/// this machine, and not the hosts in NO_PROXY?
#[test]
fn a_variable_for_others_disturbs_nobody() {
    let ca = Ca::new("ca");
    let (server, local) = (Server::tls(&ca, |_| ok()), Server::plain(|_| ok()));
    for wrong in ["socks5h://127.0.0.1:1080", "https://user:hunter2@127.0.0.1:1", "http://user:hunt#er2@h"] {
        let pool = pool_with(&ca, |_| {}, &[("ALL_PROXY", wrong)]);
        get(&pool.direct().unwrap(), &local.url("/")).unwrap();
        let error = get(&pool.plain().unwrap(), &server.url("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.message().starts_with("ALL_PROXY ") && !error.message().contains("hunt"), "{error}");
        for exceptions in ["*", "localhost"] {
            let pool = pool_with(&ca, |_| {}, &[("ALL_PROXY", wrong), ("NO_PROXY", exceptions)]);
            get(&pool.plain().unwrap(), &server.url("/")).unwrap();
        }
        let pool =
            pool_with(&ca, |options| options.proxy = Some(Secret::new("none")), &[("ALL_PROXY", wrong)]);
        get(&pool.plain().unwrap(), &server.url("/")).unwrap();
    }
    assert_eq!(server.connections(), 9);
}

/// Does curl, which we follow, choose the same proxy, or none, for each set of variables?
#[test]
fn curl_chooses_the_same() {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"];
    let nobody = names.map(|_| Nobody::new());
    let proxy = |index: usize| (names[index], format!("http://{}", nobody[index].address));
    let mut cases = vec![Vec::new()];
    for one in 0..names.len() {
        cases.push(vec![proxy(one)]);
        for (other, name) in names.iter().enumerate().take(one) {
            cases.push(vec![proxy(one), proxy(other)]);
            cases.push(vec![proxy(one), (*name, String::new())]);
        }
    }
    for (upper, lower) in
        [("*", ""), ("*", "other.test"), ("other.test", "*"), ("", "127.0.0.0/8"), ("127.0.0.1", "")]
    {
        let exceptions = [("NO_PROXY", upper.to_owned()), ("no_proxy", lower.to_owned())];
        cases.push([&[proxy(0), proxy(1)][..], &exceptions].concat());
    }
    let host = Nobody::new();
    for env in cases {
        let mut curl = std::process::Command::new("curl");
        curl.env_clear().envs(env.clone()).env("PATH", std::env::var_os("PATH").unwrap());
        let output = curl.args(["-q", "-sS", &format!("https://{}/", host.address)]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours: HashMap<_, _> =
            env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let settings = proxy::ProxySettings::new(None, &ours).unwrap();
        let chosen = settings.route("127.0.0.1", host.address.port()).unwrap();
        let port = chosen.map_or(host.address.port(), |proxy| proxy.port());
        assert!(said.contains(&format!("port {port} ")), "{env:?}: {port}, but curl: {said}");
    }
}
