//! Bodies of any size, to an API and from it: with the same tokens, certificates and challenges as small ones.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use devcloud::{Fault, Service};
use mtlspop::{
    BodyReader, Cancel, Certificate, ErrorKind, HttpRequest, HttpStream, Result, TlsVersion, TokenRequest,
};
use serde_json::{Value, json};

use crate::signer::{app, hsm};
use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, World, bearer, pop};

/// Longer than what is sent unasked.
const LONG: usize = 3 << 20;

fn url(path: &str) -> String {
    format!("https://graph.microsoft.com{path}")
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// A body that counts how often it was begun.
#[derive(Clone)]
struct Source {
    length: usize,
    position: usize,
    can_rewind: bool,
    begun: Arc<AtomicUsize>,
}

impl Source {
    fn new(length: usize, can_rewind: bool) -> Self {
        Self { length, position: 0, can_rewind, begun: Arc::default() }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

impl BodyReader for Source {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.position == 0 {
            self.begun.fetch_add(1, Ordering::SeqCst);
        }
        let count = buffer.len().min(self.length - self.position);
        for (at, byte) in buffer[..count].iter_mut().enumerate() {
            *byte = ((self.position + at) % 251) as u8;
        }
        self.position += count;
        Ok(count)
    }

    fn can_rewind(&self) -> bool {
        self.can_rewind
    }

    fn rewind(&mut self) -> Result<()> {
        self.position = 0;
        Ok(())
    }
}

fn put(path: &str, source: &Source, announced: bool) -> HttpRequest {
    let length = announced.then_some(source.length as u64);
    HttpRequest::new("PUT", &url(path)).with_body_reader("application/octet-stream", source.clone(), length)
}

fn read_all(stream: &mut HttpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 10_000]);
    while let count @ 1.. = stream.read(&mut buffer).unwrap() {
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

fn json_of(stream: &mut HttpStream) -> Value {
    serde_json::from_slice(&read_all(stream)).unwrap()
}

/// The first connection to Graph.
fn first(world: &World) -> u64 {
    world.cloud.requests_to(Service::Graph)[0].connection
}

fn received(length: usize) -> Value {
    let hash: String =
        digest(&SHA256, &pattern(length)).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    json!({ "length": length, "sha256": hash })
}

/// Is a body read as it comes, with status, headers and TLS told before, over mTLS where the token is bound, and the
/// connection used again afterwards?
#[test]
fn downloads() {
    let world = World::new();
    let (sni, identity) = (world.sni(), world.managed_identity(SYSTEM));
    for (app, request) in [(&sni, pop(GRAPH_SCOPE)), (&sni, bearer(GRAPH_SCOPE)), (&identity, pop(GRAPH))] {
        let token = app.acquire_token(&request).unwrap();
        world.cloud.reset();
        for (query, announced) in [("", true), ("?chunked", false)] {
            let get = HttpRequest::new("GET", &url(&format!("/stream/{LONG}{query}")))
                .with_max_response_bytes(1000);
            let mut stream = app.send_streaming(&token, &get).unwrap();
            let response = stream.response().clone();
            assert_eq!((response.status(), response.body().len()), (200, 0));
            let length = announced.then(|| LONG.to_string());
            assert_eq!(response.header("content-length"), length.as_deref());
            assert_eq!(response.tls_version(), Some(TlsVersion::Tls13));
            assert_eq!(response.certificate_requested(), Some(true));
            assert!(read_all(&mut stream) == pattern(LONG));
            assert_eq!(
                app.send(&token, &get).unwrap_err().code(),
                "response_too_large",
                "all at once it is too long"
            );
        }
        let sent = world.cloud.requests_to(Service::Graph);
        assert!(sent[1].connection == sent[0].connection);
        let certificate = token.binding_certificate().map(Certificate::x5t_s256);
        assert!(sent.iter().all(|sent| sent.client_certificate.as_deref() == certificate));
    }
}

/// Does a body arrive that is read while it is sent, from a reader and from a file, asked for first where it is long;
/// and is the request good for another round where the body is?
#[test]
fn uploads() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&pattern(LONG)).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let from_file = HttpRequest::new("PUT", &url("/upload")).with_body_fd("x/y", &file, None).unwrap();
    drop(file);
    for request in [
        put("/upload", &Source::new(LONG, true), true),
        put("/upload", &Source::new(LONG, true), false),
        from_file,
    ] {
        for _ in 0..2 {
            let response = app.send(&token, &request).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap(), received(LONG));
            let mut stream = app.send_streaming(&token, &request).unwrap();
            assert_eq!(json_of(&mut stream), received(LONG));
        }
    }
    for sent in world.cloud.requests_to(Service::Graph) {
        assert_eq!((sent.header("expect"), sent.connection), (Some("100-continue"), first(&world)));
    }
    let once = put("/upload", &Source::new(1000, false), true);
    assert_eq!(app.send(&token, &once).unwrap().status(), 200);
    let error = app.send(&token, &once).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidArgument, "invalid_argument"));
    assert!(error.message().contains("make a new request"), "{error}");
}

/// Is a challenge that comes before the body answered without it, and one that comes after it where the body can be
/// rewound? Where not: is the 401 the response, to be read, and no token fetched for it?
#[test]
fn challenges() {
    let world = World::new();
    for (path, can_rewind, announced, begun) in [
        ("/claims-challenge/upload", false, true, 1),
        ("/claims-challenge/upload", false, false, 1),
        ("/claims-challenge/upload-first", true, true, 2),
        ("/claims-challenge/upload-first", true, false, 2),
        ("/claims-challenge/upload-first", false, true, 1),
        ("/claims-challenge/upload-first", false, false, 1),
    ] {
        let app = world.sni();
        let asked: TokenRequest = pop(GRAPH_SCOPE);
        let token = app.acquire_token(&asked).unwrap();
        world.cloud.reset();
        let source = Source::new(LONG, can_rewind);
        let request = put(path, &source, announced);
        let mut stream = app.send_streaming_answering_claims(&token, &asked, &request).unwrap();
        assert_eq!(source.begun(), begun, "{path} {can_rewind}");
        let answered = can_rewind || path == "/claims-challenge/upload";
        if answered {
            assert_eq!(stream.response().status(), 200);
            assert_eq!(json_of(&mut stream), received(LONG));
        } else {
            assert_eq!(stream.response().status(), 401);
            assert!(stream.response().claims().unwrap().contains("acrs"));
            assert_eq!(json_of(&mut stream)["error"]["code"], "InvalidAuthenticationToken");
        }
        assert_eq!(world.cloud.counter("token"), u64::from(answered));
    }
}

/// The same for a token that is rejected without a challenge.
#[test]
fn rejections() {
    let world = World::new();
    for (length, can_rewind, answered) in [(LONG, false, true), (1000, true, true), (1000, false, false)] {
        let app = world.sni();
        let asked = pop(GRAPH_SCOPE);
        let token = app.acquire_token(&asked).unwrap();
        world.cloud.reset();
        world.cloud.fault(Fault::status("graph", 401)).unwrap();
        let source = Source::new(length, can_rewind);
        let response = app.send_answering_claims(&token, &asked, &put("/upload", &source, true)).unwrap();
        assert_eq!(response.status(), if answered { 200 } else { 401 });
        assert_eq!(world.cloud.counter("token"), u64::from(answered));
    }
}

/// A vault asks for the certificate in place of 100 (Continue). Does the body follow, once, though the key takes longer
/// than that word is waited for?
#[test]
fn a_renegotiation_before_the_body() {
    let world = World::new();
    let (sign, slow) = (hsm(&world.cloud.files().sni_key()), Arc::new(AtomicBool::new(false)));
    let slowly = slow.clone();
    let app = app(&world, move |request| {
        if slowly.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1500));
        }
        sign(request)
    });
    let token = app.acquire_token(&pop("https://vault.azure.net/.default")).unwrap();
    slow.store(true, Ordering::SeqCst);
    let source = Source::new(LONG, false);
    let request = HttpRequest::new("PUT", "https://demo.vault.azure.net/upload")
        .with_header("x-ms-tokenboundauth", "true")
        .with_body_reader("x/y", source.clone(), None);
    let response = app.send(&token, &request).unwrap();
    assert_eq!((response.status(), response.tls_version()), (200, Some(TlsVersion::Tls12)));
    assert_eq!((response.certificate_requested(), source.begun()), (Some(true), 1));
    assert_eq!(world.cloud.counter("renegotiations"), 1);
}

/// Is a stream read on when its app is gone, and ended by its request's flag?
#[test]
fn outlives_its_app() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let cancel = Cancel::new();
    let get = HttpRequest::new("GET", &url("/stream/100000000")).with_cancel(cancel.clone());
    let mut stream = app.send_streaming(&token, &get).unwrap();
    drop((app, token));
    let (mut buffer, mut read) = (vec![0; 100_000], 0);
    while read < 10_000_000 {
        read += stream.read(&mut buffer).unwrap();
    }
    cancel.cancel();
    assert_eq!(stream.read(&mut buffer).unwrap_err().kind(), ErrorKind::Cancelled);
}
