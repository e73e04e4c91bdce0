//! Clocks that jump: a host that was suspended, one whose clock was wrong for a while (confidential_client spec,
//! section 5.3). A monotonic clock stands still meanwhile, as CLOCK_MONOTONIC does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use devcloud::{Close, Fault};
use mtlspop::{App, AppOptions, Cancel, Clock, ErrorKind, HttpRequest, Token, TokenRequest, TokenSource};

use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, World, assert_bound, bearer, pop};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const ME: &str = "https://graph.microsoft.com/v1.0/me";

/// A wall clock that a test sets, beside one that only runs.
#[derive(Debug, Default)]
struct Wall(AtomicI64, AtomicU64);

impl Wall {
    /// How many seconds it is ahead, from now on.
    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    /// Time passes, by both.
    fn pass(&self, seconds: u64) {
        self.1.fetch_add(seconds, Ordering::SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_secs(self.1.load(Ordering::SeqCst))
    }
}

impl Clock for Wall {
    fn now(&self) -> SystemTime {
        let ahead = self.0.load(Ordering::SeqCst);
        let distance = Duration::from_secs(ahead.unsigned_abs());
        let now = SystemTime::now() + self.passed();
        if ahead < 0 { now - distance } else { now + distance }
    }

    fn monotonic(&self) -> Instant {
        Instant::now() + self.passed()
    }

    fn sleep(&self, _: Duration, _: &Cancel) {}
}

fn app(options: AppOptions, clock: &Arc<Wall>) -> App {
    App::new(options.with_clock(clock.clone())).unwrap()
}

/// An hour passes for the world, in which the host sleeps.
fn suspend(world: &World, clock: &Wall, seconds: i64) {
    clock.set(clock.0.load(Ordering::SeqCst) + seconds);
    world.cloud.advance_clock(Duration::from_secs(seconds.unsigned_abs()));
}

/// What the API says to a token: 401 to one that has expired.
fn accepted(app: &App, token: &Token) -> bool {
    app.send(token, &HttpRequest::new("GET", ME)).unwrap().status() == 200
}

/// An hour of suspend: is no token served that has ended meanwhile, bound or not, is the certificate kept that has not,
/// and has a service that wanted half an hour of peace had it? After a week: is the certificate replaced, too?
#[test]
fn suspended() {
    let (world, clock) = (World::new(), Arc::new(Wall::default()));
    let managed = app(world.managed_identity_options(SYSTEM), &clock);
    let confidential = app(world.app_a_options(world.sni_credential()), &clock);
    let first = managed.acquire_token(&pop(GRAPH)).unwrap();
    let thumbprint = assert_bound(&first);
    confidential.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    confidential.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let mut busy = Fault::status("token", 429);
    busy.headers.insert("Retry-After".to_owned(), "1800".to_owned());
    world.cloud.fault(busy).unwrap();
    let other = bearer("https://vault.azure.net/.default");
    assert_eq!(confidential.acquire_token(&other).unwrap_err().kind(), ErrorKind::Throttled);
    assert_eq!(confidential.acquire_token(&other).unwrap_err().kind(), ErrorKind::Throttled);

    suspend(&world, &clock, HOUR);
    assert!(!accepted(&managed, &first), "the API would have none of it");
    let second = managed.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(second.source(), TokenSource::IdentityProvider);
    assert_eq!(assert_bound(&second), thumbprint);
    assert!(accepted(&managed, &second));
    for request in [pop(GRAPH_SCOPE), bearer(GRAPH_SCOPE)] {
        let token = confidential.acquire_token(&request).unwrap();
        assert_eq!(token.source(), TokenSource::IdentityProvider);
        assert!(accepted(&confidential, &token));
    }
    confidential.acquire_token(&other).unwrap();

    suspend(&world, &clock, 7 * DAY);
    let third = managed.acquire_token(&pop(GRAPH)).unwrap();
    assert_ne!(assert_bound(&third), thumbprint);
    assert!(accepted(&managed, &third));
}

/// A clock that is a day off when a token comes, and right afterwards: is the token never served when it has ended,
/// whether it was ahead or behind; and does that cost one request, and not one for each call?
#[test]
fn a_day_off() {
    for off in [DAY, -DAY] {
        let (world, clock) = (World::new(), Arc::new(Wall::default()));
        let managed = app(world.managed_identity_options(SYSTEM), &clock);
        let confidential = app(world.app_a_options(world.sni_credential()), &clock);
        let mut apps = vec![(&managed, pop(GRAPH))];
        clock.set(off);
        // What cannot be had with such a clock says so: IMDSv1 tells when its token ends, and not how long it lives.
        let (other, refused) = [(&confidential, pop(GRAPH_SCOPE)), (&managed, bearer(GRAPH))].into();
        let (other, refused) = if off < 0 { (refused, other) } else { (other, refused) };
        apps.push(other);
        let error = refused.0.acquire_token(&refused.1).unwrap_err();
        assert!(error.message().contains("check this host's clock"), "{error}");
        let get = |(app, request): &(&App, TokenRequest)| app.acquire_token(request).unwrap();
        let wrong: Vec<_> = apps.iter().map(get).collect();
        for ((app, _), token) in apps.iter().zip(&wrong) {
            assert!(accepted(app, token), "{off}");
        }
        // Right again, when what came with the wrong clock has ended.
        clock.set(0);
        suspend(&world, &clock, if off < 0 { DAY + HOUR } else { HOUR + 60 });
        for ((app, request), wrong) in apps.iter().zip(&wrong) {
            assert!(!accepted(app, wrong));
            let token = app.acquire_token(request).unwrap();
            assert_eq!(token.source(), TokenSource::IdentityProvider, "{off}: {request:?}");
            assert!(accepted(app, &token), "{off}");
            let again = app.acquire_token(request).unwrap();
            assert_eq!(again.source(), TokenSource::Cache, "{off}: one request, not one for each call");
        }
    }
}

/// A clock that is set back by a day after a certificate was issued: is the host asked all the same what the name of an
/// identity means that the service does not know, and a certificate of some age replaced where it is met with resets?
#[test]
fn set_back_by_a_day() {
    let (world, clock) = (World::new(), Arc::new(Wall::default()));
    let fetch = || {
        // Without kept connections.
        let app = app(world.managed_identity_options(SYSTEM), &clock);
        app.acquire_token(&pop(GRAPH).with_force_refresh(true))
    };
    let first = assert_bound(&fetch().unwrap());
    clock.set(-DAY);
    clock.pass(61);
    let unknown = r#"{"error":"unauthorized_client","error_description":"AADSTS700016: not found"}"#;
    world.cloud.fault(Fault { body: Some(unknown.to_owned()), ..Fault::status("token", 400) }).unwrap();
    assert_eq!(fetch().unwrap_err().code(), "unauthorized_client");
    assert_eq!(world.cloud.counter("metadata"), 2);
    clock.pass(300);
    world.cloud.fault(Fault { close: Some(Close::BeforeResponse), times: 2, ..Fault::on("token") }).unwrap();
    assert_ne!(assert_bound(&fetch().unwrap()), first);
}
