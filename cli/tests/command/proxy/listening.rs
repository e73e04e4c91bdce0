//! Where the proxy listens, and how it ends.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use devcloud::Cloud;
use rustix::process::Signal;
use serde_json::Value;

use super::support::{GRAPH_AND_VAULT, Proxy, answer, statuses};
use crate::support::{GRAPH, as_app, cloud, fail};

/// Is a Unix socket for its owner alone, and for a group where one is named; does one that is left over give way, and one in use not;
/// and is it gone in the end?
#[test]
fn unix_sockets() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let listen = format!("proxy --resource {GRAPH} --upstream {GRAPH} --listen unix:{}", path.display());
    drop(UnixListener::bind(&path).unwrap());
    for (options, mode) in
        [(String::new(), 0o600), (format!("--socket-group {}", rustix::process::getgid().as_raw()), 0o660)]
    {
        let proxy = Proxy::start(&mut as_app(&cloud, &format!("{listen} {options}")));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{options}");
        let answer: Value = serde_json::from_str(&proxy.curl("$URL/v1.0/me")).unwrap();
        assert_eq!(answer["path"], "/v1.0/me");
        let said = fail(&mut as_app(&cloud, &listen), 2);
        assert!(said.contains("in use"), "{said}");
        assert!(UnixStream::connect(&path).is_ok());
        proxy.signal(Signal::TERM);
        assert!(proxy.wait().status.success());
        assert!(!path.exists());
    }
}

/// Is one of several upstreams chosen by the Host header, with tokens for its own resource?
#[test]
fn by_host() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let upstreams = GRAPH_AND_VAULT.replace("/graph=", "").replace("/vault=", "");
    let listen = format!("proxy --pop {upstreams} --listen unix:{}/socket", place.path().display());
    let proxy = Proxy::start(&mut as_app(&cloud, &listen));
    for (host, status) in [
        ("mtlstb.graph.microsoft.com", 200),
        ("demo.vault.azure.net", 200),
        ("other.vault.azure.net", 404),
        ("localhost", 404),
    ] {
        let said =
            proxy.curl(&format!("-o /dev/null -w '%{{http_code}}' -H 'Host: {host}' $URL/secrets/demo"));
        assert_eq!(said, status.to_string(), "{host}");
    }
}

/// On SIGHUP, is another certificate taken from the same file; and does it go on as before where what is there is none?
#[test]
fn it_reads_its_certificate_anew() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("app.pem");
    fs::copy(cloud.files().sni(), &file).unwrap();
    let options =
        format!("proxy {GRAPH_AND_VAULT} --pop --listen 127.0.0.1:0 --certificate {}", file.display());
    let mut proxy = Proxy::start(&mut as_app(&cloud, &options));
    let certificate = |proxy: &Proxy| {
        let answer: Value = serde_json::from_str(&proxy.curl("$URL/graph/x")).unwrap();
        answer["x5t#S256"].as_str().unwrap().to_owned()
    };
    let first = certificate(&proxy);
    fs::copy(cloud.files().sni_rotated(), &file).unwrap();
    proxy.signal(Signal::HUP);
    let mut second = first.clone();
    while second == first {
        second = certificate(&proxy);
    }
    fs::write(&file, "none").unwrap();
    proxy.signal(Signal::HUP);
    let said = proxy.says();
    assert!(said.contains("app.pem") && said.contains("goes on with what was read before"), "{said}");
    assert_eq!(certificate(&proxy), second);
}

/// On SIGHUP, does another secret count and the one before no longer; and does the one before stay where there is none?
#[test]
fn it_reads_its_secret_anew() {
    let cloud = cloud();
    let mut proxy =
        Proxy::start(&mut as_app(&cloud, &format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0")));
    let status = |secret: &str| {
        let headers = format!("Host: {}\r\nX-Mtlspop-Secret: {secret}\r\nConnection: close", proxy.address());
        statuses(&proxy.ask(&format!("GET /graph/x HTTP/1.1\r\n{headers}\r\n\r\n")))[0].to_owned()
    };
    let (first, second) = (proxy.secret.clone(), "another-secret-of-this-proxy");
    fs::write(proxy.secret_file(), second).unwrap();
    assert_eq!((status(&first), status(second)), ("200".to_owned(), "401".to_owned()));
    proxy.signal(Signal::HUP);
    while status(second) != "200" {}
    assert_eq!(status(&first), "401");
    fs::remove_file(proxy.secret_file()).unwrap();
    proxy.signal(Signal::HUP);
    let said = proxy.says();
    assert!(said.contains("goes on with what was read before") && !said.contains(second), "{said}");
}

/// When it is told to stop, is what has come answered, and nothing more?
#[test]
fn it_stops_in_the_end() {
    let cloud = cloud();
    let proxy = Proxy::start(&mut as_app(
        &cloud,
        &format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0 --access-log"),
    ));
    let address = proxy.address().to_owned();
    let idle = proxy.send("");
    let stream = proxy.send("GET /graph/slow/700?private HTTP/1.1\r\n$HEADERS\r\nCookie: private\r\n\r\n");
    reached(&cloud, "/slow/700");
    proxy.signal(Signal::TERM);
    let said = answer(stream);
    assert_eq!(statuses(&said), ["200"], "{said}");
    assert!(said.to_lowercase().contains("connection: close"), "{said}");
    assert_eq!(answer(idle), "");
    let secret = proxy.secret.clone();
    let output = proxy.wait();
    assert!(output.status.success(), "{output:?}");
    assert!(TcpStream::connect(&address).is_err());

    let log = String::from_utf8(output.stderr).unwrap();
    let line: Value = serde_json::from_str(log.trim()).unwrap();
    let told = ["method", "path", "upstream", "status", "error"].map(|name| line[name].clone());
    assert_eq!(
        told,
        [
            "GET".into(),
            "/graph/slow/700".into(),
            "mtlstb.graph.microsoft.com".into(),
            200.into(),
            Value::Null
        ]
    );
    assert!(
        line["duration_ms"].as_u64().unwrap() >= 700 && line["bytes_sent"].as_u64().unwrap() > 0,
        "{line}"
    );
    assert!(!log.contains("private") && !log.contains(&secret) && !log.contains("eyJ"), "{log}");
}

/// Is what does not end given up when the time is over, by the first signal; and at once by a second, whichever of the two it is?
#[test]
fn it_does_not_wait_for_ever() {
    let cloud = cloud();
    for (timeout, signals) in [
        (0, &[Signal::INT][..]),
        (1, &[Signal::TERM]),
        (u16::MAX, &[Signal::INT, Signal::TERM]),
        (u16::MAX, &[Signal::TERM, Signal::INT]),
    ] {
        cloud.reset();
        let options = format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0 --shutdown-timeout {timeout}");
        let proxy = Proxy::start(&mut as_app(&cloud, &options));
        let address = proxy.address().to_owned();
        let stream = proxy.send("GET /graph/stall HTTP/1.1\r\n$HEADERS\r\n\r\n");
        reached(&cloud, "/stall");
        for signal in signals {
            proxy.signal(*signal);
            // The first has been heard when nobody is let in any more.
            while TcpStream::connect(&address).is_ok() {}
        }
        assert!(proxy.wait().status.success(), "{signals:?}");
        let said = answer(stream);
        assert!(!said.ends_with("0\r\n\r\n"), "it looks as if it were whole: {said}");
    }
}

/// Waits until a request for this path is at the API.
pub(super) fn reached(cloud: &Cloud, path: &str) {
    while !cloud.requests().iter().any(|request| request.path == path) {
        std::thread::yield_now();
    }
}
