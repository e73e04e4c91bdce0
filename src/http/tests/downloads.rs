//! Bodies of answers that are read piece by piece.

use std::net::Shutdown;
use std::thread;

use super::server::ok;
use super::*;

const IDLE: Duration = Duration::from_secs(30);
const HEAD: &str = "HTTP/1.1 200 OK\r\n";

/// Opens, and reads `step` bytes at a time to the end, or to the error.
fn read_all(client: &Client, url: &Url, step: usize) -> (Response, Vec<u8>, Result<()>) {
    let (head, mut body) = client.open(&Request::get(url), &call()).unwrap();
    let (mut all, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        match body.read(&mut buffer, IDLE) {
            Ok(0) => return (head, all, Ok(())),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => {
                // ureq would say now that it has ended.
                let again = body.read(&mut buffer, IDLE).unwrap_err();
                assert_eq!(again.message(), error.message(), "an end that was none stays none");
                return (head, all, Err(error));
            }
        }
    }
}

/// Is a body of each framing read to its end, whatever the size of the pieces, and its connection used again?
#[test]
fn to_the_end() {
    let ca = Ca::new("ca");
    let long = "0123456789".repeat(20_000);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let rows = [
        (format!("{HEAD}Content-Length: {}\r\n\r\n{long}", long.len()), long.clone(), true),
        (
            format!("{HEAD}{chunked}5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n"),
            "hello world".to_owned(),
            true,
        ),
        (format!("{HEAD}Content-Length: 0\r\n\r\n"), String::new(), true),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), String::new(), true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned(), String::new(), true),
        (format!("{HEAD}Connection: close\r\n\r\n{long}"), long.clone(), false),
        // What comes behind the end belongs to nobody.
        (format!("{HEAD}Content-Length: 5\r\n\r\nhellogarbage"), "hello".to_owned(), false),
    ];
    for (text, expected, kept) in rows {
        let server = Server::scripted(&ca, move |talk, number, _| {
            if number == 1 {
                talk.head()?;
                talk.say(&text)?;
                if !kept {
                    return Ok(());
                }
            }
            talk.head()?;
            talk.say(&format!("{HEAD}Content-Length: 2\r\n\r\nok"))
        });
        let pool = pool(&ca);
        let client = pool.plain().unwrap();
        let (_, body, end) = read_all(&client, &server.url("/"), 4093);
        assert!(end.is_ok() && body == expected.as_bytes(), "{} bytes, {end:?}", body.len());
        assert_eq!(get(&client, &server.url("/")).unwrap().body.as_slice(), b"ok");
        assert_eq!(server.connections(), if kept { 1 } else { 2 });
    }
}

/// Is the connection given back with the last byte of a known length, though nobody asked for the end?
#[test]
fn given_back_with_the_last_byte() {
    let ca = Ca::new("ca");
    let (server, pool) = (Server::tls(&ca, |_| ok()), pool(&ca));
    let client = pool.plain().unwrap();
    let url = server.url("/");
    let (head, mut body) = client.open(&Request::get(&url), &call()).unwrap();
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some("5")));
    assert_eq!(body.read(&mut [0; 3], IDLE).unwrap(), 3);
    assert_eq!(body.read(&mut [0; 3], IDLE).unwrap(), 2);
    get(&client, &url).unwrap();
    assert_eq!(server.connections(), 1);
    assert_eq!(body.read(&mut [0; 3], IDLE).unwrap(), 0, "the end can be asked for all the same");
}

/// Is an answer to HEAD without a body, whatever length it announces?
#[test]
fn head_has_no_body() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        for _ in 0..2 {
            talk.head()?;
            talk.say(&format!("{HEAD}Content-Length: 5000000000\r\n\r\n"))?;
        }
        Ok(())
    });
    let (pool, url) = (pool(&ca), server.url("/"));
    let client = pool.plain().unwrap();
    for _ in 0..2 {
        let (head, mut body) = client.open(&Request::new(Method::HEAD, &url), &call()).unwrap();
        assert_eq!(head.header("content-length"), Some("5000000000"));
        assert_eq!(body.read(&mut [0; 8], IDLE).unwrap(), 0);
    }
    assert_eq!(server.connections(), 1);
}

/// Is a body that breaks off an error, however it does, and never taken for a shorter one?
#[test]
fn broken_off() {
    let ca = Ca::new("ca");
    let length = format!("{HEAD}Content-Length: 10\r\n\r\n12345");
    let chunk = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
    let half_a_chunk = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\na\r\n12345");
    let until_closed = format!("{HEAD}\r\n12345");
    // The last is complete only where TLS says so.
    for (text, farewell) in [
        (&length, true),
        (&length, false),
        (&chunk, true),
        (&chunk, false),
        (&half_a_chunk, true),
        (&half_a_chunk, false),
        (&until_closed, false),
    ] {
        let said = text.clone();
        let server = Server::scripted(&ca, move |talk, _, socket| {
            talk.head()?;
            talk.say(&said)?;
            if !farewell {
                socket.shutdown(Shutdown::Both)?;
            }
            Ok(())
        });
        let pool = pool(&ca);
        let (_, body, end) = read_all(&pool.plain().unwrap(), &server.url("/"), 4096);
        let error = end.expect_err(text);
        assert_eq!(body, b"12345", "{text}");
        assert_eq!((error.kind(), error.transport()), (ErrorKind::Network, Some(TransportFailure::Reset)));
        assert!(error.message().contains("lost before the answer was complete"), "{error}");
        assert_eq!(error.correlation_id(), Some("the-id"));
    }
}

/// Is what is no chunk an error of the server's?
#[test]
fn not_http() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        talk.head()?;
        talk.say(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"))
    });
    let pool = pool(&ca);
    let (_, _, end) = read_all(&pool.plain().unwrap(), &server.url("/"), 4096);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::InvalidResponse);
}

/// Is a connection that ends within the size of a chunk one that was lost, and no bug of ours (found by a fuzzer)?
#[test]
fn ends_within_the_size_of_a_chunk() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        talk.head()?;
        talk.say(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nff"))
    });
    let pool = pool(&ca);
    let (_, _, end) = read_all(&pool.plain().unwrap(), &server.url("/"), 4096);
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert!(error.message().contains("lost before the answer was complete"), "{error}");
}

/// Does the time of the call end with the headers, and that of each read with its bytes?
#[test]
fn times() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        talk.head()?;
        talk.say(&format!("{HEAD}Content-Length: 10\r\n\r\n"))?;
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(400));
            talk.say("1")?;
        }
        talk.body(1).map(drop)
    });
    let (pool, url) = (pool(&ca), server.url("/"));
    let second = Duration::from_secs(1);
    let request = Request::get(&url).attempt_timeout(second);
    let hurried = call_with(&Cancel::new(), Some(second));
    let (_, mut body) = pool.plain().unwrap().open(&request, &hurried).unwrap();
    for _ in 0..4 {
        assert_eq!(body.read(&mut [0; 10], second).unwrap(), 1);
    }
    let error = body.read(&mut [0; 10], second).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "request_timeout"));
    let words = "the server localhost did not send the rest of its answer within the read timeout of 1 s";
    assert_eq!(error.message(), words);
    server.wait_closed(1);
}

/// Does another thread end a read, and is every later one cancelled, too?
#[test]
fn cancelled() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        talk.head()?;
        talk.say(&format!("{HEAD}Content-Length: 10\r\n\r\n1"))?;
        talk.body(1).map(drop)
    });
    let (pool, cancel) = (pool(&ca), Cancel::new());
    let (_, mut body) =
        pool.plain().unwrap().open(&Request::get(&server.url("/")), &call_with(&cancel, None)).unwrap();
    assert_eq!(body.read(&mut [0; 10], IDLE).unwrap(), 1);
    let other = cancel.clone();
    // Reading on another thread than the one that sent is nothing special.
    let reader = thread::spawn(move || {
        let first = body.read(&mut [0; 10], IDLE).unwrap_err();
        (first, body.read(&mut [0; 10], IDLE).unwrap_err())
    });
    thread::sleep(Duration::from_millis(50));
    other.cancel();
    let (first, second) = reader.join().unwrap();
    assert_eq!((first.kind(), second.kind()), (ErrorKind::Cancelled, ErrorKind::Cancelled));
    server.wait_closed(1);
}

/// Does a body that nobody reads to its end close the connection, and does it stay with the server meanwhile?
#[test]
fn dropped_in_the_middle() {
    let ca = Ca::new("ca");
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = written.clone();
    let server = Server::scripted(&ca, move |talk, number, _| {
        talk.head()?;
        if number > 1 {
            return talk.say(&format!("{HEAD}Content-Length: 2\r\n\r\nok"));
        }
        talk.say(&format!("{HEAD}Content-Length: 10000000000\r\n\r\n"))?;
        loop {
            talk.write_all(&[0; 65536])?;
            count.fetch_add(65536, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let (pool, url) = (pool(&ca), server.url("/"));
    let client = pool.plain().unwrap();
    let (_, mut body) = client.open(&Request::get(&url), &call()).unwrap();
    body.read(&mut [0; 10], IDLE).unwrap();
    // The server cannot get further than the buffers of two sockets.
    let mut seen = usize::MAX;
    while seen != written.load(std::sync::atomic::Ordering::SeqCst) {
        seen = written.load(std::sync::atomic::Ordering::SeqCst);
        thread::sleep(Duration::from_millis(200));
    }
    assert!(seen < 50_000_000, "{seen} bytes were taken that nobody has read");
    drop(body);
    server.wait_closed(1);
    get(&client, &url).unwrap();
    assert_eq!(server.connections(), 2);
}

/// Is the body of an app's stream read on when its client and its pool are gone?
#[test]
fn outlives_its_pool() {
    let ca = Ca::new("ca");
    let server = Server::scripted(&ca, |talk, _, _| {
        talk.head()?;
        talk.say(&format!("{HEAD}Content-Length: 10\r\n\r\n12345"))?;
        thread::sleep(Duration::from_millis(100));
        talk.say("67890")
    });
    let pool = pool(&ca);
    let certificate = ca.client();
    let client = pool.for_certificate(&certificate).unwrap();
    let (_, mut body) = client.open(&Request::get(&server.url("/")), &call()).unwrap();
    drop((client, certificate, pool));
    let (mut all, mut buffer) = (Vec::new(), [0; 4]);
    while let count @ 1.. = body.read(&mut buffer, IDLE).unwrap() {
        all.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(all, b"1234567890");
}
