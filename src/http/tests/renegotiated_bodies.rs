//! Bodies on the way, of a request or of its answer, when a server asks to renegotiate: do they arrive whole?

use super::renegotiation::{CN, World, bound, url};
use super::*;

/// As many times `x`.
pub(super) struct Filler(pub(super) usize);

impl BodyReader for Filler {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.0.min(buffer.len());
        buffer[..count].fill(b'x');
        self.0 -= count;
        Ok(count)
    }

    fn can_rewind(&self) -> bool {
        false
    }

    fn rewind(&mut self) -> Result<()> {
        Err(Error::internal("not in this test"))
    }
}

/// Does a body that is streamed arrive whole where the server asks while it is on its way, and in chunks; and is an answer
/// read in parts across a question?
#[test]
fn streams_around_a_renegotiation() {
    let world = World::new();
    let length = 900_000;
    let (server, certificate) = (world.openssl("head"), world.certificate());
    let body = StreamBody::new(Filler(length), Some(length as u64));
    let request = bound(Request::new(Method::PUT, &server.url).stream(&body), "mtls_pop a");
    let response = world.client(&certificate).send(&request, &call()).unwrap();
    assert_eq!(**response.body, *format!("certificate={CN} body={length}").as_bytes());

    let (apache, certificate) = (world.apache("TLSv1.2"), world.certificate());
    let (echo, body) = (url(&apache, "/private/echo"), StreamBody::new(Filler(100_000), None));
    let request = bound(Request::post(&echo, b"").stream(&body), "mtls_pop a");
    let response = world.client(&certificate).send(&request, &call()).unwrap();
    assert_eq!((response.status, response.body.len()), (200, 100_000));

    let (server, certificate) = (world.openssl("body"), world.certificate());
    let request = bound(Request::get(&server.url), "mtls_pop a");
    let (head, mut body) = world.client(&certificate).open(&request, &call()).unwrap();
    assert_eq!(head.status, 200);
    let (mut buffer, mut length) = ([0; 1000], 0);
    loop {
        match body.read(&mut buffer, Duration::from_secs(20)).unwrap() {
            0 => break,
            count => length += count,
        }
    }
    assert_eq!(length, 40_000);
    server.did(&["accepted localhost", "request /x 0 -", "asked", &format!("renegotiated {CN}"), "answered"]);
}

/// Does a body arrive whole where the server takes nothing more of it before it asks?
#[test]
fn a_question_in_the_middle_of_a_record() {
    let world = World::new();
    let body: Vec<u8> = (0..15_000_000u32).map(|n| (n % 251) as u8).collect();
    let (server, certificate) = (world.openssl("full"), world.certificate());
    let request = bound(Request::post(&server.url, &body), "mtls_pop a");
    let response = world.client(&certificate).send(&request, &call()).unwrap();
    assert_eq!(**response.body, *format!("certificate={CN} body={}", body.len()).as_bytes());
    server.did(&["accepted localhost", "asked", &format!("renegotiated {CN}")]);
}

/// Is a server waited for in peace that takes nothing more of a body, asks, and hangs up by half?
#[test]
fn a_question_of_who_does_not_listen() {
    let world = World::new();
    let (server, certificate, body) = (world.openssl("deaf"), world.certificate(), vec![b'x'; 15_000_000]);
    let limit = Duration::from_secs(4);
    let request = bound(Request::post(&server.url, &body).attempt_timeout(limit), "mtls_pop a");
    let (client, before) = (world.client(&certificate), busy());
    let error = client.send(&request, &call()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let busy = busy() - before;

    assert!(busy < limit / 10, "{busy:?} of processor time");
    server.did(&["accepted localhost", "asked"]);
}

/// Is an answer heard that comes while nothing more of the body can be sent, whoever speaks TLS?
#[test]
fn an_answer_while_the_body_is_stuck() {
    let (world, body) = (World::new(), vec![b'x'; 15_000_000]);
    for over in BOTH {
        let (server, certificate) = (world.openssl("refuse"), world.certificate());
        let client = over.client(&world.pool, &certificate).unwrap();
        let request =
            over.request(Request::post(&server.url, &body)).attempt_timeout(Duration::from_secs(20));
        assert_eq!(client.send(&request, &call()).unwrap().status, 413, "{over:?}");
    }
}

/// How much processor time this thread has taken.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
