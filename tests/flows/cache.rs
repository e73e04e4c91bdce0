//! The cache and single flight: how many requests do many callers cause, and who shares with whom?

use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use devcloud::Fault;
use mtlspop::{
    App, AssertionRequest, Cancel, Certificate, Credential, ErrorKind, ManagedIdentityId, Token,
    TokenRequest, TokenSource,
};

use crate::support::{GRAPH, GRAPH_SCOPE, Provider, World, assert_bound, bearer, pop};

fn at_once(app: &App, request: &TokenRequest, threads: usize) -> Vec<Token> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let start = &start;
        let ask = move || {
            start.wait();
            app.acquire_token(request).unwrap()
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

/// Do 50 threads on a cold app cause one token request, with one certificate (design, decision 4)?
#[test]
fn fifty_cold_callers() {
    let world = World::new();
    let tokens = at_once(&world.sni(), &pop(GRAPH_SCOPE), 50);
    assert_eq!(world.cloud.counter("token"), 1);
    assert!(tokens.iter().all(|token| token.access_token() == tokens[0].access_token()));

    let world = World::new();
    let tokens = at_once(&world.managed_identity(ManagedIdentityId::SystemAssigned), &pop(GRAPH), 50);
    let counts = ["metadata", "issuecredential", "token"].map(|name| world.cloud.counter(name));
    assert_eq!(counts, [1, 1, 1]);
    let x5t = assert_bound(&tokens[0]);
    assert!(tokens.iter().all(|token| assert_bound(token) == x5t));
}

/// Does a second acquisition of each kind make no request, and do Bearer and PoP stay apart?
#[test]
fn second_acquisition_is_silent() {
    let world = World::new();
    let sni = world.sni();
    let identity = world.managed_identity(ManagedIdentityId::SystemAssigned);
    let asks = [
        (&sni, bearer(GRAPH_SCOPE)),
        (&sni, pop(GRAPH_SCOPE)),
        (&identity, bearer(GRAPH)),
        (&identity, pop(GRAPH)),
    ];
    let first: Vec<_> = asks.iter().map(|(app, request)| app.acquire_token(request).unwrap()).collect();
    let before = world.cloud.requests().len();
    for ((app, request), first) in asks.iter().zip(&first) {
        let again = app.acquire_token(request).unwrap();
        assert_eq!(again.source(), TokenSource::Cache);
        assert_eq!(again.token_type(), first.token_type());
        assert_eq!(again.access_token(), first.access_token());
        assert_eq!(again.token_endpoint(), first.token_endpoint());
    }
    assert_eq!(world.cloud.requests().len(), before);
}

/// A request that is used with two apps, and one that is changed: do they find their own tokens?
#[test]
fn a_reused_request_finds_the_right_token() {
    let world = World::new();
    let request = pop(GRAPH_SCOPE);
    let rotated = Certificate::from_file(&world.cloud.files().sni_rotated(), None, None).unwrap();
    let rotated = Credential::Certificate { certificate: rotated, send_x5c: true };
    let (one, two) = (world.sni(), App::new(world.app_a_options(rotated)).unwrap());
    let x5ts = [&one, &two, &one, &two].map(|app| assert_bound(&app.acquire_token(&request).unwrap()));
    assert_ne!(x5ts[0], x5ts[1]);
    assert_eq!((&x5ts[0], &x5ts[1]), (&x5ts[2], &x5ts[3]));
    assert_eq!(world.cloud.counter("token"), 2);
    let changed = request.with_mtls_proof_of_possession(false);
    assert_eq!(one.acquire_token(&changed).unwrap().token_type().as_str(), "Bearer");
}

/// Is a token served until five minutes before its end, and not later (confidential_client spec, 5.3)?
#[test]
fn five_minutes_before_the_end() {
    let world = World::new();
    let app = world.sni();
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(3599 - 300 - 20));
    assert_eq!(app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap().source(), TokenSource::Cache);
    world.advance(Duration::from_secs(21));
    assert_eq!(app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap().source(), TokenSource::IdentityProvider);
}

/// Do waiters keep their own cancellation and timeout while the leader is still at work?
#[test]
fn a_waiter_can_leave() {
    let world = World::new();
    let (answer, (asked, is_asked), (release, released)) =
        (world.fic_answer(true), mpsc::channel(), mpsc::channel::<()>());
    let released = Mutex::new(released);
    let provider = Provider(move |_: &AssertionRequest<'_>| {
        asked.send(()).unwrap();
        // Also ends when the test does, by a failed assertion.
        let _ = released.lock().unwrap().recv();
        Ok(answer.clone())
    });
    let app = &App::new(world.fic_options(provider)).unwrap();
    thread::scope(|scope| {
        let release = release;
        let leader = scope.spawn(|| app.acquire_token(&pop(GRAPH_SCOPE)));
        is_asked.recv().unwrap();

        let cancel = Cancel::new();
        let patient =
            pop(GRAPH_SCOPE).with_cancel(cancel.clone()).with_timeout(Some(Duration::from_secs(60)));
        let before = world.clock.looks();
        let waiter = scope.spawn(move || app.acquire_token(&patient));
        let end = Instant::now() + Duration::from_secs(30);
        // The first looks at the clock come before it waits, the others whenever it wakes.
        while world.clock.looks() < before + 10 {
            assert!(Instant::now() < end && !waiter.is_finished(), "it does not wait");
            thread::yield_now();
        }
        cancel.cancel();
        assert_eq!(waiter.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);

        let hurried = pop(GRAPH_SCOPE).with_timeout(Some(Duration::from_millis(50)));
        assert_eq!(app.acquire_token(&hurried).unwrap_err().kind(), ErrorKind::Timeout);
        assert!(!leader.is_finished(), "the leader is not disturbed");
        release.send(()).unwrap();
        leader.join().unwrap().unwrap();
    });
    assert_eq!(world.cloud.counter("token"), 1);
}

/// Does cancelling wake the one who waits for the service, at once?
#[test]
fn a_leader_can_be_stopped() {
    let world = World::new();
    let app = world.sni();
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("token") }).unwrap();
    let cancel = Cancel::new();
    let request = pop(GRAPH_SCOPE).with_cancel(cancel.clone());
    thread::scope(|scope| {
        let caller = scope.spawn(|| app.acquire_token(&request));
        while world.cloud.counter("token") == 0 {
            thread::yield_now();
        }
        cancel.cancel();
        assert_eq!(caller.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
}

/// Is a raised flag obeyed although the cache has the token?
#[test]
fn a_raised_flag_stops_hits_too() {
    let world = World::new();
    let app = world.sni();
    let cancel = Cancel::new();
    let request = pop(GRAPH_SCOPE).with_cancel(cancel.clone());
    app.acquire_token(&request).unwrap();
    cancel.cancel();
    assert_eq!(app.acquire_token(&request).unwrap_err().kind(), ErrorKind::Cancelled);
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
}

/// Does an error reach everybody who waited, and is it not remembered?
#[test]
fn errors_are_shared_but_not_kept() {
    let world = World::new();
    let app = world.sni();
    let body = r#"{"error":"invalid_scope","error_description":"AADSTS1: no"}"#;
    world.cloud.fault(Fault { body: Some(body.into()), ..Fault::status("token", 400) }).unwrap();
    assert_eq!(app.acquire_token(&pop(GRAPH_SCOPE)).unwrap_err().code(), "invalid_scope");
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
}
