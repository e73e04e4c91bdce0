//! How long managed identities may take: cancellation and deadlines in every step, for who leads and who waits
//! (managed_identity spec, section 3.5, and design, decision 4).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use devcloud::{Close, Fault};
use mtlspop::ErrorKind::{self, *};
use mtlspop::{App, Cancel, Clock, Error, TokenSource};

use crate::support::{
    GRAPH, SYSTEM, TestClock, VAULT, World, assert_bound, bearer, cancel_when, hang, is_held_back, pop,
    wait_for,
};

const CANCELLED: (&str, ErrorKind, Option<u16>) = ("operation_cancelled", Cancelled, None);
const TIMED_OUT: (&str, ErrorKind, Option<u16>) = ("request_timeout", Timeout, None);

/// Real time, so it must suffice for what comes before the step that hangs: one or two answers.
const SHORT: Duration = Duration::from_secs(2);

fn told(error: &Error) -> (&str, ErrorKind, Option<u16>) {
    (error.code(), error.kind(), error.http_status())
}

fn calls(world: &World) -> [u64; 3] {
    ["metadata", "issuecredential", "token"].map(|name| world.cloud.counter(name))
}

fn rejected() -> Fault {
    let body = r#"{"error":"invalid_client","error_codes":[1000610]}"#;
    Fault { body: Some(body.to_owned()), ..Fault::status("token", 401) }
}

/// Section 3.5: does a flag that another thread raises end the call at once, in whichever step it waits for an
/// answer, and does the next call find nothing broken? (MSAL wraps it as `managed_identity_request_failed`.)
#[test]
fn cancelled() {
    let rows = [
        ("imds_token", bearer(GRAPH), [0, 0, 0]),
        ("metadata", pop(GRAPH), [2, 1, 1]),
        ("issuecredential", pop(GRAPH), [2, 2, 1]),
        ("token", pop(GRAPH), [1, 1, 2]),
    ];
    for (step, request, in_the_end) in rows {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        let raised = Cancel::new();
        raised.cancel();
        let error = app.acquire_token(&request.clone().with_cancel(raised)).unwrap_err();
        assert_eq!((told(&error), world.cloud.requests().len()), (CANCELLED, 0), "before it began");

        hang(&world, step);
        let error = cancel_when(&app, &request, || world.cloud.counter(step) == 1).unwrap_err();
        assert_eq!(told(&error), CANCELLED, "{step}: {error}");
        assert!(is_held_back(&world, step), "{step}");
        assert_eq!(app.acquire_token(&request).unwrap().source(), TokenSource::IdentityProvider);
        assert_eq!((world.cloud.counter(step), calls(&world)), (2, in_the_end), "{step}");
    }
}

/// The same while a certificate that was rejected is replaced (section 5.11), and for the caller's time limit:
/// is that what is told, and not what came before it?
#[test]
fn while_a_certificate_is_replaced() {
    for (step, limit) in
        [("metadata", None), ("issuecredential", None), ("token", None), ("metadata", Some(SHORT))]
    {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        if step != "token" {
            world.cloud.fault(Fault::on(step)).unwrap();
        }
        world.cloud.fault(rejected()).unwrap();
        hang(&world, step);
        let error = match limit {
            None => cancel_when(&app, &pop(GRAPH), || world.cloud.counter(step) == 2),
            limit => app.acquire_token(&pop(GRAPH).with_timeout(limit)),
        };
        let error = error.unwrap_err();
        let expected = if limit.is_none() { CANCELLED } else { TIMED_OUT };
        assert_eq!(told(&error), expected, "{step}: {error}");
        assert!(is_held_back(&world, step), "{step}");
        assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    }
}

/// The same while a caller renews its certificate itself (the design's table, row "certificate life"): does the
/// next call, without waiting for a pause, renew it?
#[test]
fn cancelled_while_a_certificate_is_renewed() {
    let world = World::new();
    let app = App::new(world.managed_identity_options(SYSTEM).with_background_refresh(false)).unwrap();
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    world.advance(Duration::from_secs(6 * 24 * 3600 + 60));
    hang(&world, "metadata");
    let error = cancel_when(&app, &pop(GRAPH), || world.cloud.counter("metadata") == 2).unwrap_err();
    assert_eq!(told(&error), CANCELLED, "{error}");
    assert_ne!(assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap()), first);
    assert_eq!(calls(&world), [3, 2, 2]);
}

/// A clock whose waits are ended by cancellation alone.
#[derive(Debug)]
struct Waiting {
    time: Arc<TestClock>,
    waits: AtomicU64,
}

impl Clock for Waiting {
    fn now(&self) -> SystemTime {
        self.time.now()
    }

    fn monotonic(&self) -> Instant {
        self.time.monotonic()
    }

    fn sleep(&self, _: Duration, cancel: &Cancel) {
        self.waits.fetch_add(1, Ordering::SeqCst);
        wait_for(|| cancel.is_cancelled());
    }
}

/// Does the flag end the wait before another try, too (MSAL: it takes effect at the next send), be it by the
/// retry policies or for another certificate, and is there no other try?
#[test]
fn cancelled_between_two_tries() {
    let cut = Fault { times: 9, close: Some(Close::BeforeResponse), ..Fault::on("token") };
    let rows = [
        (Fault::status("imds_token", 503), bearer(GRAPH), 1),
        (Fault::status("metadata", 410), pop(GRAPH), 1),
        (Fault::status("issuecredential", 503), pop(GRAPH), 1),
        (Fault::status("token", 503), pop(GRAPH), 1),
        (Fault { times: 9, ..rejected() }, pop(GRAPH), 2),
        (cut, pop(GRAPH), 1),
    ];
    for (fault, request, tries) in rows {
        let world = World::new();
        if fault.close.is_some() {
            // Only where a certificate is no longer young can it be the reason of a reset.
            world.managed_identity(SYSTEM).acquire_token(&pop(VAULT)).unwrap();
            world.advance(Duration::from_secs(600));
        }
        let clock = Arc::new(Waiting { time: world.clock.clone(), waits: AtomicU64::new(0) });
        let app = App::new(world.managed_identity_options(SYSTEM).with_clock(clock.clone())).unwrap();
        let before = world.cloud.counter(&fault.operation);
        world.cloud.fault(fault.clone()).unwrap();
        let waits = || clock.waits.load(Ordering::SeqCst);
        let error = cancel_when(&app, &request, || waits() == 1).unwrap_err();
        assert_eq!(told(&error), CANCELLED, "{fault:?}: {error}");
        assert_eq!((waits(), world.cloud.counter(&fault.operation) - before), (1, tries), "{fault:?}");
        world.cloud.clear_faults();
        app.acquire_token(&request).unwrap();
        assert_eq!(waits(), 1);
    }
}

/// Does the caller's time limit end the call with `request_timeout` in whichever step it waits for an answer
/// (section 11), and does the next call find nothing broken?
#[test]
fn the_time_is_over() {
    thread::scope(|scope| {
        for step in ["imds_token", "metadata", "issuecredential", "token"] {
            scope.spawn(move || the_time_is_over_in(step));
        }
    });
}

fn the_time_is_over_in(step: &str) {
    let request = if step == "imds_token" { bearer(GRAPH) } else { pop(GRAPH) };
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    match step {
        // Keys take a while to make. That of a try that failed is there.
        "issuecredential" => {
            world.cloud.fault(Fault::status(step, 400)).unwrap();
            app.acquire_token(&request).unwrap_err();
        }
        "token" => drop(app.acquire_token(&pop(VAULT)).unwrap()),
        _ => {}
    }
    hang(&world, step);
    let before = world.cloud.counter(step);
    let error = app.acquire_token(&request.clone().with_timeout(Some(SHORT))).unwrap_err();
    assert_eq!(told(&error), TIMED_OUT, "{step}: {error}");
    assert!(error.is_retryable() && is_held_back(&world, step), "{step}");
    assert_eq!(world.cloud.counter(step), before + 1, "{step}");
    assert_eq!(app.acquire_token(&request).unwrap().source(), TokenSource::IdentityProvider);
    assert_eq!(world.cloud.counter(step), before + 2, "{step}");
}

/// A clock by which only the waits between tries take time.
#[derive(Debug)]
struct Still {
    start: Instant,
    slept: TestClock,
}

impl Clock for Still {
    fn now(&self) -> SystemTime {
        self.slept.now()
    }

    fn monotonic(&self) -> Instant {
        self.start + self.slept.slept()
    }

    fn sleep(&self, duration: Duration, cancel: &Cancel) {
        self.slept.sleep(duration, cancel);
    }
}

/// Is it one limit for the whole call: are steps that each are within it, and together over it, too long; and do
/// the waits between tries count, so that one that does not fit ends the call with the last answer?
#[test]
fn one_limit_for_all_steps() {
    let world = World::new();
    for operation in ["metadata", "issuecredential", "token"] {
        world.cloud.fault(Fault { delay_ms: 900, ..Fault::on(operation) }).unwrap();
    }
    let request = pop(GRAPH).with_timeout(Some(SHORT));
    let error = world.managed_identity(SYSTEM).acquire_token(&request).unwrap_err();
    assert_eq!(told(&error), TIMED_OUT, "{error}");

    // 7 s of waits for metadata, 7 s for issuecredential, 1 s for the token.
    let rows = [
        (7, [3, 0, 0], "managed_identity_request_failed"),
        (8, [4, 1, 0], "managed_identity_request_failed"),
        (11, [4, 3, 0], "managed_identity_request_failed"),
        (15, [4, 4, 1], "service_not_available"),
        (16, [4, 4, 2], ""),
    ];
    for (seconds, expected, code) in rows {
        let world = World::new();
        for operation in ["metadata", "issuecredential"] {
            world.cloud.fault(Fault { times: 3, ..Fault::status(operation, 503) }).unwrap();
        }
        world.cloud.fault(Fault::status("token", 503)).unwrap();
        let clock = Arc::new(Still { start: Instant::now(), slept: TestClock::default() });
        let app = App::new(world.managed_identity_options(SYSTEM).with_clock(clock)).unwrap();
        let got = app.acquire_token(&pop(GRAPH).with_timeout(Some(Duration::from_secs(seconds))));
        match got {
            Ok(token) => assert_eq!((assert_bound(&token).is_empty(), code), (false, "")),
            Err(error) => assert_eq!(told(&error), (code, Rejected, Some(503)), "{error}"),
        }
        assert_eq!(calls(&world), expected, "{seconds} s");
    }
}

/// Is a service that does not answer asked again, also IMDS (section 7.3; the design's table, row "IMDS
/// timeouts")? With a clock by which no time passes while it hangs, the limit of the call is that of an attempt.
#[test]
fn silence_is_asked_again() {
    thread::scope(|scope| {
        for step in ["imds_token", "metadata", "issuecredential", "token"] {
            scope.spawn(move || {
                let world = World::new();
                let clock = Arc::new(Still { start: Instant::now(), slept: TestClock::default() });
                let app = App::new(world.managed_identity_options(SYSTEM).with_clock(clock.clone())).unwrap();
                hang(&world, step);
                let request = if step == "imds_token" { bearer(GRAPH) } else { pop(GRAPH) };
                app.acquire_token(&request.with_timeout(Some(Duration::from_secs(3)))).unwrap();
                assert_eq!((world.cloud.counter(step), clock.slept.slept().as_secs()), (2, 1), "{step}");
            });
        }
    });
}

/// A leader that hangs: does each waiter keep its own time limit and flag; and when the leader gives up, do
/// those who still wait go on in its place, once for all of them (design, decision 4)? Who wants the same
/// certificate waits for the same leader, whatever token it wants.
#[test]
fn waiters() {
    let rows = [
        ("imds_token", vec![bearer(GRAPH)]),
        ("metadata", vec![pop(GRAPH), pop(VAULT)]),
        ("issuecredential", vec![pop(GRAPH), pop(VAULT)]),
        ("token", vec![pop(GRAPH)]),
    ];
    for (step, requests) in rows {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        hang(&world, step);
        let cancel = Cancel::new();
        let leading = requests[0].clone().with_cancel(cancel.clone());
        thread::scope(|scope| {
            let leader = scope.spawn(|| app.acquire_token(&leading));
            wait_for(|| world.cloud.counter(step) == 1);
            for request in &requests {
                let hurried = request.clone().with_timeout(Some(Duration::from_millis(300)));
                assert_eq!(told(&app.acquire_token(&hurried).unwrap_err()), TIMED_OUT, "{step}");
                // Whoever has a limit looks at the clock, a few times before it waits and then on and on.
                let patient = request.clone().with_timeout(Some(Duration::from_secs(600)));
                let before = world.clock.looks();
                let error = cancel_when(&app, &patient, || world.clock.looks() > before + 10).unwrap_err();
                assert_eq!(told(&error), CANCELLED, "{step}");
            }
            assert!(!leader.is_finished(), "{step}: the leader is not disturbed");
            let app = &app;
            let patient = requests.iter().map(|request| {
                let request = request.clone().with_timeout(Some(Duration::from_secs(600)));
                let before = world.clock.looks();
                let waiter = scope.spawn(move || app.acquire_token(&request));
                wait_for(|| world.clock.looks() > before + 20);
                waiter
            });
            let patient: Vec<_> = patient.collect();
            assert_eq!(world.cloud.counter(step), 1, "{step}");
            cancel.cancel();
            assert_eq!(told(&leader.join().unwrap().unwrap_err()), CANCELLED, "{step}");
            for waiter in patient {
                waiter.join().unwrap().unwrap();
            }
        });
        assert_eq!(world.cloud.counter(step), 2, "{step}: one goes on for all");
    }
}

/// A leader whose time is over: does a waiter with more of it go on in its place?
#[test]
fn a_hurried_leader() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    hang(&world, "metadata");
    let hurried = pop(GRAPH).with_timeout(Some(SHORT));
    thread::scope(|scope| {
        let leader = scope.spawn(|| app.acquire_token(&hurried));
        wait_for(|| world.cloud.counter("metadata") == 1);
        assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
        assert_eq!(told(&leader.join().unwrap().unwrap_err()), TIMED_OUT);
    });
    assert_eq!(calls(&world), [2, 1, 1]);
}
