//! Servers that answer while the body of the request is still on its way: is it heard, and what becomes of the rest?

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::renegotiated_bodies::Filler;
use super::uploads::{CONTINUE, MEGABYTE, OK, put};
use super::*;

/// More than fits into any buffer; counts what is taken.
struct Endless(Arc<AtomicUsize>);

const ENDLESS: u64 = 1 << 30;

impl BodyReader for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        buffer.fill(0);
        self.0.fetch_add(buffer.len(), Ordering::SeqCst);
        Ok(buffer.len())
    }

    fn can_rewind(&self) -> bool {
        false
    }

    fn rewind(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Is an answer that comes in the middle of the body the response, whatever the server does about the rest: leave it,
/// read it on, or hang up; and is the connection not used again?
#[test]
fn refused_in_the_middle() {
    let rows = [("leave", Some(ENDLESS)), ("leave", None), ("read", Some(ENDLESS)), ("hang up", None)];
    for (over, (rest, length)) in BOTH.into_iter().flat_map(|over| rows.map(|row| (over, row))) {
        let ca = Ca::new("ca");
        let server = Server::scripted(&ca, move |talk, number, _| {
            talk.head()?;
            if number > 1 {
                return talk.say(OK);
            }
            talk.say(CONTINUE)?;
            talk.body(100_000)?;
            talk.say("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n")?;
            talk.body(100_000)?;
            talk.say("HTTP/1.1 413 Too much\r\nContent-Length: 8\r\n\r\ntoo much")?;
            match rest {
                "leave" => thread::sleep(Duration::from_secs(2)),
                "read" => while talk.read(&mut [0; 65536])? > 0 {},
                _ => {}
            }
            Ok(())
        });
        let (pool, url, taken) = (pool(&ca), server.url("/"), Arc::new(AtomicUsize::new(0)));
        let certificate = ca.client();
        let client = over.client(&pool, &certificate).unwrap();
        let body = StreamBody::new(Endless(taken.clone()), length);
        let response = client.send(&over.request(put(&url, &body)), &call()).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (413, b"too much".as_slice()), "{rest}");
        let taken = taken.load(Ordering::SeqCst);
        assert!((200_000..100_000_000).contains(&taken), "{rest}: {taken} bytes were read in vain");
        over.get(&client, &url).unwrap();
        assert_eq!(server.connections(), 2);
    }
}

/// Is such an answer heard at once, however much of the body there were still to come?
#[test]
fn refused_in_the_middle_of_more_than_there_is() {
    for over in BOTH {
        let ca = Ca::new("ca");
        let server = Server::scripted(&ca, |talk, _, _| {
            talk.head()?;
            talk.say(CONTINUE)?;
            talk.body(100_000)?;
            talk.say("HTTP/1.1 413 Too much\r\nContent-Length: 8\r\n\r\ntoo much")?;
            while talk.read(&mut [0; 65536])? > 0 {}
            Ok(())
        });
        let (pool, url, certificate) = (pool(&ca), server.url("/"), ca.client());
        let (answered, answer) = mpsc::channel();
        thread::spawn(move || {
            let body = StreamBody::new(Endless(Arc::default()), Some(i64::MAX.unsigned_abs()));
            let client = over.client(&pool, &certificate).unwrap();
            answered.send(client.send(&over.request(put(&url, &body)), &call()).unwrap().status).unwrap();
        });
        let status = answer.recv_timeout(Duration::from_secs(30));
        assert_eq!(status, Ok(413), "{over:?}: what the body lacks is still being made up");
    }
}

/// Is the rest of such an answer read while the server takes nothing more; and is it not taken for a server that asks
/// for a certificate late?
#[test]
fn refused_by_a_long_answer() {
    for (over, version) in [(Over::Rustls, &TLS13), (Over::Rustls, &TLS12), (Over::Libssl, &TLS12)] {
        let ca = Ca::new("ca");
        let server = Server::scripted_in(&ca, version, |talk, _, socket| {
            talk.head()?;
            talk.say(CONTINUE)?;
            talk.body(100_000)?;
            // The client can write no more.
            thread::sleep(Duration::from_millis(500));
            talk.say(&format!("HTTP/1.1 413 No\r\nContent-Length: {MEGABYTE}\r\n\r\n"))?;
            for _ in 0..MEGABYTE / 4096 {
                talk.say(&"x".repeat(4096))?;
            }
            // Until the client hangs up: all that it sent is still there to be read.
            while socket.peek(&mut [0])? > 0 && !is_hung_up(socket) {
                thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        });
        let (pool, url, certificate) = (pool(&ca), server.url("/"), ca.client());
        let body = StreamBody::new(Endless(Arc::default()), None);
        let request = put(&url, &body).attempt_timeout(Duration::from_secs(10)).max_response_bytes(MEGABYTE);
        let client = over.client(&pool, &certificate).unwrap();
        let response = client.send(&over.request(request), &call()).unwrap();
        assert_eq!((response.status, response.body.len()), (413, MEGABYTE));
        assert!(!response.tls.unwrap().asked_late);
    }
}

/// Whether the other side has closed, whatever is left to be read.
fn is_hung_up(socket: &std::net::TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut files = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut files, Some(&Timespec::default())).unwrap();
    !files[0].revents().is_empty()
}

/// Does a server get the whole body that begins to answer before it has read it?
#[test]
fn answered_in_the_middle() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        for _ in 0..2 {
            talk.head()?;
            talk.say(CONTINUE)?;
            talk.body(MEGABYTE)?;
            talk.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")?;
            let rest = talk.body(MEGABYTE)?;
            talk.say(std::str::from_utf8(&rest[..5]).unwrap())?;
        }
        Ok(())
    });
    let (pool, url, certificate) = (pool(&ca), server.url("/"), ca.client());
    for (over, connections) in [(Over::Rustls, 1), (Over::Libssl, 2)] {
        for _ in 0..2 {
            let body = StreamBody::new(Filler(2 * MEGABYTE), Some(2 * MEGABYTE as u64));
            let client = over.client(&pool, &certificate).unwrap();
            let response = client.send(&over.request(put(&url, &body)), &call()).unwrap();
            assert_eq!((response.status, response.body.as_slice()), (200, b"12345xxxxx".as_slice()));
        }
        assert_eq!(server.connections(), connections);
    }
}

/// Is a server that hangs up in the middle, and says nothing, an error at once; and one that takes nothing more, when
/// the time is over?
#[test]
fn silence_in_the_middle() {
    let rows = [(true, ErrorKind::Network), (false, ErrorKind::Timeout)];
    for (over, (hangs_up, kind)) in BOTH.into_iter().flat_map(|over| rows.map(|row| (over, row))) {
        let ca = Ca::new("ca");
        let server = Server::scripted(&ca, move |talk, _, _| {
            talk.head()?;
            talk.say(CONTINUE)?;
            talk.body(100_000)?;
            if !hangs_up {
                thread::sleep(Duration::from_secs(5));
            }
            Ok(())
        });
        let (pool, url, taken) = (pool(&ca), server.url("/"), Arc::new(AtomicUsize::new(0)));
        let body = StreamBody::new(Endless(taken.clone()), None);
        let request = over.request(put(&url, &body)).attempt_timeout(Duration::from_secs(2));
        let certificate = ca.client();
        let error = over.client(&pool, &certificate).unwrap().send(&request, &call()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(taken.load(Ordering::SeqCst) < 100_000_000);
    }
}
