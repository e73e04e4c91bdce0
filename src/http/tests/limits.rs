//! What is said when a wait ends: for whom it was, and by which limit. And that it does not begin anew.

use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;

use super::connections::FullListener;
use super::retries::ManualClock;
use super::server::{Answer, ok};
use super::*;
use crate::http::failure::Peer;
use crate::http::socket::OpenError;
use crate::runtime::Limit;
use crate::secret::Secret;

/// Long enough for a busy machine to get to where the waiting is.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// Takes connections and says nothing.
struct Silence {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<TcpStream>>>,
}

impl Silence {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silence = Self { address: listener.local_addr().unwrap(), taken: Arc::default() };
        let taken = silence.taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                taken.lock().unwrap().push(stream.unwrap());
            }
        });
        silence
    }
}

/// Somebody who keeps a client waiting.
struct Slow {
    client: Arc<Client>,
    url: Url,
    /// Whom the error must name, and what that one did not do.
    words: [String; 2],
    over: Over,
    _certificate: Certificate,
    _pool: Pool,
}

impl Slow {
    fn request(&self) -> Request<'_> {
        self.over.request(Request::get(&self.url))
    }
}

/// One for each of the parts that make a connection, with this much time for them together.
fn before_the_connection(connect_timeout: Duration, silence: &Silence, full: &FullListener) -> Vec<Slow> {
    let ca = Ca::new("ca");
    let make = |proxy: Option<&Silence>| {
        let proxy = proxy.map(|proxy| Secret::new(proxy.address.to_string()));
        let edit = |options: &mut TransportOptions| {
            options.connect_timeout = connect_timeout;
            options.proxy = proxy;
        };
        pool_with(&ca, edit, &[])
    };
    let (direct, plain, proxied, certified) = (make(None), make(None), make(Some(silence)), make(None));
    let certificate = ca.client();
    // No names: on a busy machine looking them up might take all of the time.
    let https = format!("https://{}/", silence.address);
    let target = "https://target.test/";
    let slow = |pool: Pool, client, url: &str, whom: &str, what: &str| Slow {
        client,
        url: Url::parse(url).unwrap(),
        words: [whom.to_owned(), what.to_owned()],
        over: Over::Rustls,
        _certificate: certificate.clone(),
        _pool: pool,
    };
    let (one, two, three) = (direct.direct().unwrap(), plain.plain().unwrap(), proxied.plain().unwrap());
    let four = certified.for_certificate(&certificate).unwrap();
    let handshake = "did not complete the TLS handshake";
    let proxy = format!("proxy {}", silence.address);
    vec![
        slow(direct, one, full.url.as_str(), "server 127.0.0.1", "no connection"),
        slow(plain, two, &https, "server 127.0.0.1", handshake),
        Slow { over: Over::Libssl, ..slow(certified, four, &https, "server 127.0.0.1", handshake) },
        slow(proxied, three, target, &proxy, "did not open a tunnel"),
    ]
}

fn all_at_once(all: &[Slow], wait: impl Fn(&Slow) + Sync) {
    thread::scope(|scope| all.iter().for_each(|slow| drop(scope.spawn(|| wait(slow)))));
}

fn check(slow: &Slow, limit: &str, outcome: Result<Response>) {
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "request_timeout"), "{error}");
    assert!(error.is_retryable() && error.correlation_id() == Some("the-id"));
    for word in slow.words.iter().map(String::as_str).chain([limit]) {
        assert!(error.message().contains(word), "{word:?} is not in: {error}");
    }
}

/// Does each timeout name its peer and which limit it was, in whatever part the time ran out?
#[test]
fn peer_and_limit_are_named() {
    let (silence, full) = (Silence::new(), FullListener::new());
    all_at_once(&before_the_connection(SHORT, &silence, &full), |slow| {
        check(slow, "within the connect timeout of 1 s", slow.client.send(&slow.request(), &call()));
    });
    let mut all = before_the_connection(LONG, &silence, &full);
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0";
    let hang = Server::plain(|_| Answer::Hang);
    let trickle = Server::plain(move |_| Answer::SendAndHang(half.to_owned()));
    for (server, what) in [(&hang, "did not answer"), (&trickle, "did not send the rest of its answer")] {
        let pool = pool(&Ca::new("ca"));
        let words = ["server 127.0.0.1".to_owned(), what.to_owned()];
        let url = Url::parse(&format!("http://{}/", server.address)).unwrap();
        let (client, _certificate) = (pool.direct().unwrap(), Ca::new("ca").client());
        all.push(Slow { client, url, words, over: Over::Rustls, _certificate, _pool: pool });
    }
    all_at_once(&all, |slow| {
        let request = slow.request().attempt_timeout(SHORT);
        check(slow, "within the request's timeout of 1 s", slow.client.send(&request, &call()));
    });
    all_at_once(&all, |slow| {
        let by_caller = call_with(&Cancel::new(), Some(SHORT));
        let outcome = slow.client.send(&slow.request(), &by_caller);
        check(slow, "within the caller's time limit of 1 s", outcome);
    });
}

/// Is a connection that did not come about in its time given up, rather than waited for once more?
#[test]
fn no_second_connect_timeout() {
    let (silence, full) = (Silence::new(), FullListener::new());
    let policies = [Policy::Sts, Policy::Imds, Policy::ManagedIdentity];
    let all = before_the_connection(SHORT, &silence, &full);
    for policy in policies {
        all_at_once(&all, |slow| {
            let clock = ManualClock::new();
            let call = call_by(clock.clone(), &Cancel::new(), None);
            let outcome = send_with_retry(&slow.client, &slow.request(), &call, policy);
            check(slow, "connect timeout", outcome);
            assert_eq!(clock.passed(), Duration::ZERO, "{policy:?} tries again");
        });
    }
    assert_eq!(silence.taken.lock().unwrap().len(), 3 * policies.len());
}

/// Is a request that finds its kept connection dead, and goes out again, ended by its one limit?
#[test]
fn one_limit_for_all_connections() {
    let server = Server::plain(|seen| match seen.head.contains("/again") {
        true if seen.connection == 1 => Answer::Reset,
        true => Answer::Hang,
        false => ok(),
    });
    let client = pool(&Ca::new("ca")).direct().unwrap();
    get(&client, &server.url("/")).unwrap();
    let url = server.url("/again");
    let error = client.send(&Request::get(&url).attempt_timeout(SHORT), &call()).unwrap_err();
    assert!(error.message().contains("within the request's timeout of 1 s"), "{error}");
    assert_eq!(server.connections(), 2);
}

/// Does a name for a limit come with its call, by the clock that is injected: the shorter one, and no other?
#[test]
fn the_shorter_limit_is_named() {
    let clock = ManualClock::new();
    let call = call_by(clock.clone(), &Cancel::new(), Some(Duration::from_secs(20)));
    let request = runtime::Limit::request(Duration::from_secs(15));
    assert_eq!(call.bounded_by(request), (Duration::from_secs(15), request));
    clock.sleep(Duration::from_secs(6), &Cancel::new());
    let (left, limit) = call.bounded_by(request);
    assert_eq!(
        (left, limit.to_string().as_str()),
        (Duration::from_secs(14), "the caller's time limit of 20 s")
    );
    let (left, limit) = call.limited(Duration::from_secs(2)).bounded_by(request);
    assert_eq!((left, limit.to_string().as_str()), (Duration::from_secs(2), "the step's time limit of 2 s"));
    clock.sleep(Duration::from_secs(14), &Cancel::new());
    assert_eq!(call.check().unwrap_err().message(), "the caller's time limit of 20 s is over");
}

/// Is a peer that the kernel has given up no limit of ours, but one that cannot be reached, or a lost connection?
#[test]
fn what_the_kernel_gave_up() {
    let peer = Peer::Server { host: "host.test".to_owned(), presented: None };
    let gone = || std::io::Error::from_raw_os_error(libc::ETIMEDOUT);
    let limit = Limit::step(LONG);
    for (error, transport) in [
        (failure::open(OpenError::Connect(gone()), &peer, limit), TransportFailure::Connect),
        (failure::handshake(gone(), &peer, limit), TransportFailure::Connect),
        (failure::io(gone(), &peer, limit), TransportFailure::Reset),
    ] {
        assert_eq!((error.kind(), error.transport()), (ErrorKind::Network, Some(transport)), "{error}");
        assert!(error.is_retryable() && !error.message().contains("60 s"), "{error}");
    }
}
