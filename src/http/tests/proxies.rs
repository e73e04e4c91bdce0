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
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let proxy = Self { address: listener.local_addr().unwrap(), heads: heads.clone() };
        let target = server.address;
        thread::spawn(move || {
            for client in listener.incoming() {
                let heads = heads.clone();
                thread::spawn(move || tunnel(client.unwrap(), target, &heads));
            }
        });
        proxy
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(mut client: TcpStream, target: SocketAddr, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    client.write_all(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n").unwrap();
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
    let forbidding = Server::plain(|_| answer(403, "", "no"));
    let babbling = Server::plain(|_| Answer::SendAndClose("220 smtp ready\r\n\r\n".into()));
    let resetting = Server::plain(|_| Answer::Reset);
    for (address, word) in [
        (nobody.address.to_string(), "cannot be reached"),
        (refusing.address.to_string(), "user name and password"),
        (forbidding.address.to_string(), "answered 403"),
        (babbling.address.to_string(), "like an HTTP proxy"),
        (resetting.address.to_string(), "closed the connection"),
        (format!("{}:1", impossible_host()), "cannot be resolved"),
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
    }
}
