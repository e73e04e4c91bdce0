//! Which connections are opened, kept, shared, interrupted and closed.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::renegotiation::World;
use super::server::{Answer, ok};
use super::*;

const SOON: Duration = Duration::from_secs(5);

/// Is a connection kept for the next request, which then starts no thread?
#[test]
fn a_warm_connection_is_reused_without_a_resolver_thread() {
    let server = Server::plain(|_| ok());
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let url = server.url("/");
    let before = socket::look_ups();
    for _ in 0..3 {
        get(&client, &url).unwrap();
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(socket::look_ups() - before, 1, "one look-up, for the one connection");
}

/// Is a connection given up on which there is no end of tickets, before the next request waits for that?
#[test]
fn a_flood_of_tickets() {
    let world = World::new();
    let (server, client) = (world.openssl("tickets"), world.pool.plain().unwrap());
    for _ in 0..2 {
        get(&client, &server.url).unwrap();
        server.did(&["accepted localhost", "request /x 0 -", "answered", "flooded"]);
    }
}

/// Does a request with a short body go out in one piece: head and body in one TLS record?
#[test]
fn a_short_body_goes_with_its_head() {
    let (ca, records) = (Ca::new("ca"), Arc::new(Mutex::new(Vec::new())));
    let lengths = records.clone();
    let server = Server::scripted_in(&ca, &rustls::version::TLS13, move |talk, _, socket| {
        for round in 0..3 {
            // The first request may be read with the end of the handshake.
            if round > 0 {
                let mut record = [0; 5];
                while socket.peek(&mut record)? < record.len() {}
                lengths.lock().unwrap().push(usize::from(u16::from_be_bytes([record[3], record[4]])));
            }
            let head = talk.head()?;
            let length = head.len() + talk.body(4)?.len();
            if round > 0 {
                lengths.lock().unwrap().push(length);
            }
            talk.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let client = pool(&ca).plain().unwrap();
    for _ in 0..3 {
        client.send(&Request::post(&server.url("/"), b"body"), &call()).unwrap();
    }
    let records = records.lock().unwrap();
    let [first, one, second, two] = &records[..] else { panic!("{records:?}") };
    // The type of its content, and 16 bytes of the cipher (RFC 8446, section 5.2).
    assert_eq!((*first, *second), (one + 17, two + 17));
}

/// Does each certificate have connections and TLS sessions of its own? Where a server may renegotiate, none is resumed.
#[test]
fn certificates_share_neither_connections_nor_sessions() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    for (version, over) in Over::each() {
        let server = Server::mtls(&ca, &clients, version, |_| {
            Answer::SendAndClose("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into())
        });
        let (pool, one, two) = (pool(&ca), clients.client(), clients.client());
        for certificate in [&one, &one, &two] {
            over.get(&pool.for_certificate(certificate).unwrap(), &server.url("/")).unwrap();
        }
        let [first, second, third] = &server.seen()[..] else { panic!() };
        let resumes = over == Over::Rustls;
        assert!(!first.resumed && second.resumed == resumes, "the first certificate resumes its session");
        assert_eq!(second.certificate.as_deref(), Some(one.der()));
        assert!(!third.resumed, "the other one does not");
        assert_eq!(third.certificate.as_deref(), Some(two.der()));
    }
}

/// Does the last clone of a certificate take its connections along, and not an earlier one?
#[test]
fn the_last_clone_closes_the_connections() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let pool = pool(&ca);
    for (version, over) in Over::each() {
        let server = Server::mtls(&ca, &clients, version, |_| ok());
        let (der, key) = clients.issue(|_| {});
        let key: Arc<dyn PrivateKey> = Arc::new(TestKey::new(&key));
        let one = Certificate::new(vec![der.clone()], key.clone()).unwrap();
        let equal = Certificate::new(vec![der], key).unwrap();
        let clients_of = [pool.for_certificate(&one).unwrap(), pool.for_certificate(&equal).unwrap()];
        assert!(Arc::ptr_eq(&clients_of[0], &clients_of[1]), "equal certificates share one client");
        over.get(&clients_of[0], &server.url("/")).unwrap();
        drop(clients_of);
        let clone = one.clone();
        drop((one, equal));
        over.get(&pool.for_certificate(&clone).unwrap(), &server.url("/")).unwrap();
        assert_eq!((server.connections(), server.closed()), (1, 0));
        drop(clone);
        server.wait_closed(1);
    }
}

/// Is a server told when a connection is closed (RFC 9112, section 9.8)?
#[test]
fn a_closed_connection_says_so() {
    for (version, over) in Over::each() {
        let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
        let (ended, end) = std::sync::mpsc::channel();
        let server = Server::scripted_in(&ca, version, move |talk, _, _| {
            talk.head()?;
            talk.say(uploads::OK)?;
            ended.send(talk.read(&mut [0]).map_err(|error| error.kind())).unwrap();
            Ok(())
        });
        let (pool, certificate) = (pool(&ca), clients.client());
        over.get(&over.client(&pool, &certificate).unwrap(), &server.url("/")).unwrap();
        drop((pool, certificate));
        assert_eq!(end.recv_timeout(SOON).unwrap(), Ok(0), "{over:?} {version:?}");
    }
}

/// Do an app's connections end with the app, though the certificate lives on?
#[test]
fn the_pool_closes_its_connections() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let certificate = clients.client();
    for (version, over) in Over::each() {
        let server = Server::mtls(&ca, &clients, version, |_| ok());
        let pool = pool(&ca);
        over.get(&pool.for_certificate(&certificate).unwrap(), &server.url("/")).unwrap();
        drop(pool);
        server.wait_closed(1);
    }
}

/// Is a request that can be repeated sent again when a kept connection is found dead, and no other?
#[test]
fn a_dead_kept_connection_is_replaced() {
    let server = Server::plain(|seen| match seen.head.split(' ').nth(1).unwrap() {
        "/ok" => ok(),
        // On a connection that has served before; on a fresh one it works.
        _ if seen.connection == 1 => Answer::Reset,
        _ => ok(),
    });
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let (warm, url) = (server.url("/ok"), server.url("/again"));
    get(&client, &warm).unwrap();
    client.send(&Request::post(&url, b"").repeatable(true), &call()).expect("sent again");
    assert_eq!(server.connections(), 2);

    let server = Server::plain(|seen| if seen.head.starts_with("GET") { ok() } else { Answer::Reset });
    get(&client, &server.url("/")).unwrap();
    let error = client.send(&Request::post(&server.url("/"), b""), &call()).unwrap_err();
    assert_eq!(error.transport(), Some(TransportFailure::Reset));
    assert_eq!(server.connections(), 1);
}

fn cancelled_after(delay: Duration, run: impl FnOnce(&Cancel) -> Result<Response>) -> (Error, Duration) {
    let cancel = Cancel::new();
    let other = cancel.clone();
    let started = Instant::now();
    let canceller = thread::spawn(move || {
        thread::sleep(delay);
        other.cancel();
    });
    let error = run(&cancel).unwrap_err();
    let took = started.elapsed();
    canceller.join().unwrap();
    (error, took)
}

/// Does a cancellation wake a read that waits for the answer, on a new and on a kept connection?
#[test]
fn cancellation_wakes_a_blocked_read() {
    let ca = Ca::new("ca");
    let hang = |seen: &server::Seen| if seen.head.contains("/hang") { Answer::Hang } else { ok() };
    let (pool, certificate) = (pool(&ca), ca.client());
    let certified = pool.for_certificate(&certificate).unwrap();
    let tls = || Server::tls(&ca, hang);
    for (client, server, over) in [
        (pool.direct().unwrap(), Server::plain(hang), Over::Rustls),
        (pool.plain().unwrap(), tls(), Over::Rustls),
        (certified, tls(), Over::Libssl),
    ] {
        let url = server.url("/hang");
        for _ in 0..2 {
            let (error, took) = cancelled_after(Duration::from_millis(50), |cancel| {
                client.send(&over.request(Request::get(&url)), &call_with(cancel, None))
            });
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
            assert!(took < SOON, "{took:?}");
            over.get(&client, &server.url("/")).expect("the client goes on");
        }
    }
}

/// Does a cancellation end the wait for a connection that nobody takes?
#[test]
fn cancellation_interrupts_connecting() {
    let full = FullListener::new();
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let (error, took) = cancelled_after(Duration::from_millis(50), |cancel| {
        client.send(&Request::get(&full.url), &call_with(cancel, None))
    });
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(took < SOON, "{took:?}");
    // And one that came before: nothing is sent at all.
    let cancel = Cancel::new();
    cancel.cancel();
    let error = client.send(&Request::get(&full.url), &call_with(&cancel, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// Is a late cancellation of one call harmless to the next call on the same connection?
#[test]
fn a_late_cancellation_does_not_hit_the_next_call() {
    let server = Server::plain(|_| ok());
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let (url, cancel) = (server.url("/"), Cancel::new());
    client.send(&Request::get(&url), &call_with(&cancel, None)).unwrap();
    cancel.cancel();
    get(&client, &url).unwrap();
    assert_eq!(server.connections(), 1);
}

/// A listener whose queue is full: the kernel drops further attempts to connect.
pub(super) struct FullListener {
    pub(super) url: Url,
    _sockets: Vec<socket2::Socket>,
}

impl FullListener {
    pub(super) fn new() -> Self {
        let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = new();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..3 {
            let socket = new();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            sockets.push(socket);
        }
        thread::sleep(Duration::from_millis(20));
        let url = Url::parse(&format!("http://{}/", address.as_socket().unwrap())).unwrap();
        Self { url, _sockets: sockets }
    }
}
