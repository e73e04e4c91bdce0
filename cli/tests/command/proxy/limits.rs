//! What the proxy does when there is more than it takes.

use std::sync::mpsc;
use std::thread;

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
