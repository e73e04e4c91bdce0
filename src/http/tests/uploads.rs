//! Bodies of requests that are read while they are sent.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::server::header;
use super::*;

pub(super) const MEGABYTE: usize = 1024 * 1024;

/// Gives `bytes`, at most `step` at a time, and counts what it is asked for.
#[derive(Clone)]
struct Source(Arc<State>);

struct State {
    bytes: Vec<u8>,
    step: usize,
    can_rewind: bool,
    position: AtomicUsize,
    reads: AtomicUsize,
    rewinds: AtomicUsize,
    fails_at: Option<usize>,
}

impl Source {
    fn new(length: usize) -> Self {
        Self::with(length, |_| {})
    }

    fn with(length: usize, edit: impl FnOnce(&mut State)) -> Self {
        let bytes = (0..length).map(|n| (n % 251) as u8).collect();
        let (position, reads, rewinds) = Default::default();
        let (step, can_rewind, fails_at) = (usize::MAX, false, None);
        let mut state = State { bytes, step, can_rewind, position, reads, rewinds, fails_at };
        edit(&mut state);
        Self(Arc::new(state))
    }

    fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }

    fn body(&self, length: Option<usize>) -> StreamBody {
        StreamBody::new(self.clone(), length.map(|length| length as u64))
    }
}

impl BodyReader for Source {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let state = &self.0;
        state.reads.fetch_add(1, Ordering::SeqCst);
        let position = state.position.load(Ordering::SeqCst);
        if state.fails_at.is_some_and(|at| position >= at) {
            return Err(Error::new(ErrorKind::Callback, "its_code", "its own words"));
        }
        let rest = &state.bytes[position..];
        let count = rest.len().min(buffer.len()).min(state.step);
        buffer[..count].copy_from_slice(&rest[..count]);
        state.position.store(position + count, Ordering::SeqCst);
        Ok(count)
    }

    fn can_rewind(&self) -> bool {
        self.0.can_rewind
    }

    fn rewind(&mut self) -> Result<()> {
        self.0.rewinds.fetch_add(1, Ordering::SeqCst);
        self.0.position.store(0, Ordering::SeqCst);
        Ok(())
    }
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
pub(super) const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// What a server got of a request.
type Got = mpsc::Receiver<(String, Vec<u8>)>;

/// Reads whole requests, says 100 where it is asked, and tells what came.
fn taker(ca: &Ca) -> (Server, Got) {
    let (tell, got) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = Server::scripted(ca, move |talk, _, _| {
        loop {
            let head = talk.head()?;
            if header(&head, "expect").is_some() {
                talk.say(CONTINUE)?;
            }
            let body = match header(&head, "content-length") {
                Some(length) => talk.body(length.parse().unwrap())?,
                None => talk.chunks()?,
            };
            tell.lock().unwrap().send((head, body)).unwrap();
            talk.say(OK)?;
        }
    });
    (server, got)
}

pub(super) fn put<'a>(url: &'a Url, body: &'a StreamBody) -> Request<'a> {
    Request::new(Method::PUT, url).stream(body)
}

/// Does a body arrive whole, with its length or in chunks, whatever pieces it comes in; and is a server asked first
/// where that is worth it?
#[test]
fn arrives_whole() {
    BOTH.into_iter().for_each(all_arrives_whole);
}

fn all_arrives_whole(over: Over) {
    let ca = Ca::new("ca");
    let (server, got) = taker(&ca);
    let (pool, url, certificate) = (pool(&ca), server.url("/"), ca.client());
    let client = over.client(&pool, &certificate).unwrap();
    for (length, step, announced, asks) in [
        (0, 1, true, false),
        (0, 1, false, true),
        (1, 1, true, false),
        (100_000, 777, true, false),
        (100_000, 777, false, true),
        (MEGABYTE, usize::MAX, true, false),
        (MEGABYTE + 1, usize::MAX, true, true),
        (3 * MEGABYTE, 33_333, false, true),
    ] {
        let source = Source::with(length, |state| state.step = step);
        let body = source.body(announced.then_some(length));
        let response = client.send(&over.request(put(&url, &body)), &call()).unwrap();
        assert_eq!(response.body.as_slice(), b"ok");
        let (head, arrived) = got.recv().unwrap();
        assert!(arrived == source.0.bytes, "{length} {step} {announced}: {} bytes", arrived.len());
        let framing = if announced {
            ("content-length", length.to_string())
        } else {
            ("transfer-encoding", "chunked".to_owned())
        };
        assert_eq!(header(&head, framing.0), Some(framing.1));
        assert_eq!(header(&head, "expect").as_deref(), asks.then_some("100-continue"));
    }
    assert_eq!(server.connections(), 1, "each was complete, and so was its answer");
}

/// Is a large body in memory asked for, too?
#[test]
fn bytes_are_worth_asking() {
    let ca = Ca::new("ca");
    let (server, got) = taker(&ca);
    let (pool, url) = (pool(&ca), server.url("/"));
    for (length, asks) in [(MEGABYTE, false), (MEGABYTE + 1, true)] {
        let body = vec![7; length];
        pool.plain().unwrap().send(&Request::post(&url, &body), &call()).unwrap();
        let (head, arrived) = got.recv().unwrap();
        assert!(arrived == body && header(&head, "expect").is_some() == asks);
    }
}

/// Is nothing of the body taken where the server answers before it says 100, and is the answer the response, at once,
/// though the connection stays open?
#[test]
fn refused_before_the_body() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        talk.head()?;
        talk.say("HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 4\r\n\r\nno!!")?;
        talk.head().map(drop)
    });
    let (pool, url) = (pool(&ca), server.url("/"));
    let source = Source::new(100);
    let body = source.body(None);
    let response = pool.plain().unwrap().send(&put(&url, &body), &call()).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (401, b"no!!".as_slice()));
    assert_eq!((source.reads(), body.can_be_sent()), (0, true));
}

/// Does a server get the body that says nothing when it is asked, or says it late; and one that refuses to be asked?
#[test]
fn servers_that_do_not_know_expect() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, number, _| {
        let head = talk.head()?;
        if number == 3 && header(&head, "expect").is_some() {
            return talk.say("HTTP/1.1 417 What\r\nContent-Length: 0\r\n\r\n");
        }
        let body = talk.chunks()?;
        if number == 2 {
            talk.say(CONTINUE)?;
        }
        let length = body.len().to_string();
        talk.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{length}", length.len()))
    });
    let (pool, url) = (pool(&ca), server.url("/"));
    for connections in [1, 2, 4] {
        let source = Source::new(100_000);
        let response = pool.plain().unwrap().send(&put(&url, &source.body(None)), &call()).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, b"100000".as_slice()));
        assert_eq!(server.connections(), connections);
    }
}

/// Is an interim answer known that has headers (RFC 9110, section 15.2)? And does a server get the body that begins
/// its answer instead of asking for that, as in the middle?
#[test]
fn words_in_place_of_100() {
    let rows = [
        "HTTP/1.1 100 Continue\r\nServer: x\r\n\r\n",
        "HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    ];
    for (over, word) in BOTH.into_iter().flat_map(|over| rows.map(|word| (over, word))) {
        let ca = Ca::new("ca");
        let server = Server::scripted(&ca, move |talk, _, _| {
            for _ in 0..2 {
                talk.head()?;
                // As it may come.
                let (one, other) = word.split_at(word.len() / 2);
                talk.say(one)?;
                talk.say(other)?;
                assert_eq!(talk.chunks()?.len(), 100_000);
                talk.say(if word.contains(" 200 ") { "ok" } else { OK })?;
            }
            Ok(())
        });
        let (pool, url, certificate) = (pool(&ca), server.url("/"), ca.client());
        let client = over.client(&pool, &certificate).unwrap();
        for _ in 0..2 {
            let body = Source::new(100_000).body(None);
            let request = over.request(put(&url, &body)).attempt_timeout(Duration::from_secs(10));
            let response = client.send(&request, &call()).unwrap();
            assert_eq!((response.status, response.body.as_slice()), (200, b"ok".as_slice()), "{word}");
        }
        assert_eq!(server.connections(), 1);
    }
}

/// Is a body that is not as long as was said an error, before the server can take it for complete?
#[test]
fn of_another_length() {
    let ca = Ca::new("ca");
    let (server, got) = taker(&ca);
    let (pool, url) = (pool(&ca), server.url("/"));
    let client = pool.plain().unwrap();
    for (length, announced, words) in [
        (99, 100, "the body of the request ended after 99 of 100 bytes"),
        (101, 100, "the body of the request is longer than the 100 bytes announced"),
        (0, 100, "the body of the request ended after 0 of 100 bytes"),
        (1, 0, "the body of the request is longer than the 0 bytes announced"),
        (200_000, 100_000, "the body of the request is longer than the 100000 bytes announced"),
    ] {
        let error = client.send(&put(&url, &Source::new(length).body(Some(announced))), &call()).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidArgument, words));
        let connections = server.connections();
        server.wait_closed(connections);
    }
    assert!(got.try_recv().is_err());
    // And none of these connections is used again.
    client.send(&put(&url, &Source::new(5).body(Some(5))), &call()).unwrap();
    assert_eq!(got.recv().unwrap().1.len(), 5);
}

/// Does the error of a reader come out as it went in, and end the connection?
#[test]
fn error_of_the_reader() {
    let ca = Ca::new("ca");
    let (server, _got) = taker(&ca);
    let (pool, url) = (pool(&ca), server.url("/"));
    for announced in [Some(100_000), None] {
        let source = Source::with(100_000, |state| state.fails_at = Some(50_000));
        let error = pool.plain().unwrap().send(&put(&url, &source.body(announced)), &call()).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Callback, "its_code"));
        assert_eq!((error.message(), error.correlation_id()), ("its own words", Some("the-id")));
        server.wait_closed(server.connections());
    }
}

/// Can a body be sent again where it can be rewound, and only there; and by one call at a time?
#[test]
fn again() {
    let ca = Ca::new("ca");
    let (server, got) = taker(&ca);
    let (pool, url) = (pool(&ca), server.url("/"));
    let client = pool.plain().unwrap();
    let source = Source::with(1000, |state| state.can_rewind = true);
    let body = source.body(Some(1000));
    for rewinds in 0..3 {
        client.send(&put(&url, &body), &call()).unwrap();
        assert_eq!(source.0.rewinds.load(Ordering::SeqCst), rewinds);
        assert!(got.recv().unwrap().1 == source.0.bytes);
    }
    let body = Source::new(1000).body(Some(1000));
    client.send(&put(&url, &body), &call()).unwrap();
    assert!(!body.can_be_sent());
    let error = client.send(&put(&url, &body), &call()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("cannot be rewound: make a new request"), "{error}");

    /// Sends its own request from within.
    struct Inner(Arc<Client>, Url, Arc<Mutex<Option<StreamBody>>>, mpsc::Sender<Error>);
    impl BodyReader for Inner {
        fn read(&mut self, _: &mut [u8]) -> Result<usize> {
            let body = self.2.lock().unwrap().clone().unwrap();
            self.3.send(self.0.send(&put(&self.1, &body), &call()).unwrap_err()).unwrap();
            Ok(0)
        }
        fn can_rewind(&self) -> bool {
            true
        }
        fn rewind(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let (tell, told) = mpsc::channel();
    let place = Arc::new(Mutex::new(None));
    let body = StreamBody::new(Inner(client.clone(), url.clone(), place.clone(), tell), None);
    *place.lock().unwrap() = Some(body.clone());
    client.send(&put(&url, &body), &call()).unwrap();
    let error = told.recv().unwrap();
    assert!(error.message().starts_with("another call is sending the body"), "{error}");
}

/// Does a request go out again over another connection where the pooled one was dead, if its body can?
#[test]
fn dead_connections() {
    for (can_rewind, announced) in [(true, true), (false, true), (false, false)] {
        let ca = Ca::new("ca");
        let server = Server::scripted(&ca, |talk, number, socket| {
            let head = talk.head()?;
            talk.body(header(&head, "content-length").map_or(0, |length| length.parse().unwrap()))?;
            if number == 1 {
                talk.say(OK)?;
                // It takes the next head, and hangs up.
                talk.head()?;
                socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
                return socket.shutdown(std::net::Shutdown::Both);
            }
            if header(&head, "expect").is_some() {
                talk.say(CONTINUE)?;
                talk.chunks()?;
            }
            talk.say(OK)
        });
        let (pool, url) = (pool(&ca), server.url("/"));
        let client = pool.plain().unwrap();
        get(&client, &url).unwrap();
        let source = Source::with(50_000, |state| state.can_rewind = can_rewind);
        let body = source.body(announced.then_some(50_000));
        let outcome = client.send(&put(&url, &body), &call());
        // In chunks the server is asked first: then nothing of the body is lost with the connection.
        assert_eq!(outcome.is_ok(), can_rewind || !announced, "{outcome:?}");
        assert_eq!(server.connections(), if outcome.is_ok() { 2 } else { 1 });
    }
}

/// Is a file sent from where it stands, as often as one likes, and left standing there; with its length?
#[test]
fn files() {
    let ca = Ca::new("ca");
    let (server, got) = taker(&ca);
    let (pool, url) = (pool(&ca), server.url("/"));
    let client = pool.plain().unwrap();
    let mut file = tempfile();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    for (length, expected) in [(None, "3456789"), (Some(4), "3456"), (Some(0), "")] {
        let body = descriptor_body(file.as_fd(), length).unwrap();
        for _ in 0..2 {
            client.send(&put(&url, &body), &call()).unwrap();
            let (head, arrived) = got.recv().unwrap();
            assert_eq!(String::from_utf8(arrived).unwrap(), expected);
            assert_eq!(header(&head, "content-length"), Some(expected.len().to_string()));
        }
        assert_eq!(file.stream_position().unwrap(), 3);
    }
    // What closes its own has no part in ours.
    let body = descriptor_body(file.as_fd(), None).unwrap();
    drop(file);
    client.send(&put(&url, &body), &call()).unwrap();
    assert_eq!(got.recv().unwrap().1, b"3456789");
    // It does not say how long it is.
    let body = descriptor_body(File::open("/proc/self/status").unwrap().as_fd(), None).unwrap();
    client.send(&put(&url, &body), &call()).unwrap();
    let (head, arrived) = got.recv().unwrap();
    assert!(arrived.starts_with(b"Name:") && header(&head, "content-length").is_none());

    let mut file = tempfile();
    file.write_all(b"0123456789").unwrap();
    file.rewind().unwrap();
    let body = descriptor_body(file.as_fd(), None).unwrap();
    file.set_len(5).unwrap();
    let error = client.send(&put(&url, &body), &call()).unwrap_err();
    assert_eq!(error.message(), "the body of the request ended after 5 of 10 bytes");

    let write_only = File::options().write(true).open("/dev/null").unwrap();
    let error = descriptor_body(write_only.as_fd(), None).unwrap_err();
    assert_eq!(error.message(), "the file descriptor of the body is not open for reading");
    let error = descriptor_body(File::open("/").unwrap().as_fd(), None).unwrap_err();
    assert_eq!(error.message(), "the file descriptor of the body is a directory");
}

/// Is a pipe sent to its end, or as far as was said, and once; and waited for no longer than the call may take?
#[test]
fn pipes() {
    let ca = Ca::new("ca");
    let (server, got) = taker(&ca);
    let (pool, url) = (pool(&ca), server.url("/"));
    let client = pool.plain().unwrap();
    for length in [None, Some(200_000)] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let body = descriptor_body(reader.as_fd(), length).unwrap();
        drop(reader);
        let filler = thread::spawn(move || {
            for _ in 0..20 {
                writer.write_all(&[b'x'; 10_000]).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
        client.send(&put(&url, &body), &call()).unwrap();
        filler.join().unwrap();
        assert_eq!(got.recv().unwrap().1, [b'x'; 200_000]);
        assert!(!body.can_be_sent());
    }
    let (reader, _writer) = std::io::pipe().unwrap();
    let body = descriptor_body(reader.as_fd(), None).unwrap();
    let hurried = call_with(&Cancel::new(), Some(Duration::from_secs(1)));
    let error = client.send(&put(&url, &body), &hurried).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(
        error.message(),
        "the body of the request was not there within the caller's time limit of 1 s"
    );

    let cancel = Cancel::new();
    let body = descriptor_body(reader.as_fd(), None).unwrap();
    let other = cancel.clone();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        other.cancel();
    });
    let error = client.send(&put(&url, &body), &call_with(&cancel, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    canceller.join().unwrap();
}

fn tempfile() -> File {
    use rustix::fs::{MemfdFlags, memfd_create};
    memfd_create("body", MemfdFlags::CLOEXEC).unwrap().into()
}
