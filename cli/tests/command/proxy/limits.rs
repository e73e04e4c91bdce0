//! What the proxy does when there is more than it takes.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use devcloud::Fault;

use super::listening::reached;
use super::support::{GRAPH_AND_VAULT, Proxy, answer, statuses};
use crate::support::{as_app, cloud};

const ASKED: &str = "GET /graph/x HTTP/1.1\r\n$HEADERS\r\nConnection: close\r\n\r\n";
const FOR_EVER: &str = "GET /graph/stall HTTP/1.1\r\n$HEADERS\r\n\r\n";

/// Does a request wait while all threads are taken, is one that finds the queue full too answered with 503, and is the thread of a client
/// that has gone free for who waits?
#[test]
fn the_queue() {
    let cloud = cloud();
    let options = format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0 --threads 1 --queue 1");
    let proxy = Proxy::start(&mut as_app(&cloud, &options));
    let taken = proxy.send(FOR_EVER);
    reached(&cloud, "/stall");
    let (answered, answers) = mpsc::channel();
    for _ in 0..2 {
        let (stream, answered) = (proxy.send(ASKED), answered.clone());
        thread::spawn(move || answered.send(answer(stream)).unwrap());
    }
    let refused = answers.recv().unwrap();
    assert_eq!(statuses(&refused), ["503"], "{refused}");
    assert!(refused.contains("retry-after: 1\r\n") && refused.contains("proxy_busy"), "{refused}");
    drop(taken);
    let waited = answers.recv().unwrap();
    assert_eq!(statuses(&waited), ["200"], "{waited}");
}

/// Does a connection wait while there are as many as there may be?
#[test]
fn connections() {
    let cloud = cloud();
    let options = format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0 --max-connections 1");
    let proxy = Proxy::start(&mut as_app(&cloud, &options));
    let first = proxy.send(FOR_EVER);
    reached(&cloud, "/stall");
    let second = proxy.send(ASKED);
    second.set_nonblocking(true).unwrap();
    let nothing = second.peek(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    second.set_nonblocking(false).unwrap();
    drop(first);
    assert_eq!(statuses(&answer(second)), ["200"]);
    assert!(!cloud.requests().iter().any(|request| request.path == "/graph/x"), "the prefix is not sent on");
}

/// Do metrics tell what is on its way, what was answered and what was refused, in a form that Prometheus reads; to no browser, and not by
/// another name?
#[test]
fn metrics() {
    let cloud = cloud();
    let options = format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0 --metrics 127.0.0.1:0");
    let mut proxy = Proxy::start(&mut as_app(&cloud, &options));
    let url = proxy.prints();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/metrics"), "{url}");
    let stalled = proxy.send(FOR_EVER);
    reached(&cloud, "/stall");
    proxy.curl("$URL/graph/x $URL/graph/status/404 $URL/nowhere -o /dev/null");
    proxy.curl("-d four+ $URL/graph/echo");
    let refused = Fault { body: Some(r#"{"error":"in\"valid"}"#.to_owned()), ..Fault::status("token", 400) };
    cloud.fault(refused).unwrap();
    proxy.curl("$URL/vault/x");
    let text = proxy.curl(&url);
    let numbers: BTreeMap<&str, f64> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let graph = "upstream=\"mtlstb.graph.microsoft.com\"";
    for (name, labels, value) in [
        ("requests_total", format!("{graph},code=\"200\""), 2.0),
        ("requests_total", format!("{graph},code=\"404\""), 1.0),
        ("requests_total", "upstream=\"\",code=\"404\"".to_owned(), 1.0),
        ("request_body_bytes_total", graph.to_owned(), 5.0),
        ("request_duration_seconds_count", graph.to_owned(), 3.0),
        ("request_duration_seconds_bucket", format!("{graph},le=\"+Inf\""), 3.0),
        ("request_duration_seconds_bucket", format!("{graph},le=\"10\""), 3.0),
        ("tokens_total", "source=\"IdentityProvider\"".to_owned(), 1.0),
        ("tokens_total", "source=\"Cache\"".to_owned(), 3.0),
        ("token_failures_total", "code=\"invalid\"".to_owned(), 1.0),
        ("token_request_duration_seconds_bucket", "le=\"+Inf\"".to_owned(), 2.0),
    ] {
        assert_eq!(numbers.get(&*format!("mtlspop_proxy_{name}{{{labels}}}")), Some(&value), "{text}");
    }
    assert_eq!(numbers["mtlspop_proxy_requests_in_flight"], 1.0);
    assert_eq!(numbers["mtlspop_proxy_requests_queued"], 0.0);
    for (options, status) in
        [("-H Host:rebound.example", "403"), ("-H Origin:null", "403"), ("-X POST", "405")]
    {
        assert_eq!(proxy.curl(&format!("-o /dev/null -w '%{{http_code}}' {options} {url}")), status);
    }
    drop(stalled);
}
