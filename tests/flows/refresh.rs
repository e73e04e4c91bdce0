//! Early refresh: in the background, inline, and when the service is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use devcloud::Fault;
use mtlspop::{App, AssertionRequest, CacheLevel, CacheRefreshReason, LogLevel, Logger, Token, TokenSource};
use serde_json::json;

use crate::support::{GRAPH_SCOPE, Provider, World, pop, wait_for};

/// Tokens that should be replaced after ten minutes.
fn refresh_in_ten_minutes(world: &World, times: u32) {
    let fault = Fault { times, ..Fault::set("token", json!({"refresh_in": 600})) };
    world.cloud.fault(fault).unwrap();
}

fn reason(token: &Token) -> CacheRefreshReason {
    token.metadata().cache_refresh_reason
}

/// Past the refresh time: is the old token served at once, one request made behind the scenes, and the
/// new token served after that (confidential_client spec, section 5.6, without its defects)? Does the call that has
/// it made say so, and no other (section 8)?
#[test]
fn background_refresh() {
    let world = World::new();
    let app = world.sni();
    refresh_in_ten_minutes(&world, 9);
    let first = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert!(first.refresh_on().is_some());
    world.advance(Duration::from_secs(600 + 300));
    let served: Vec<_> = (0..20).map(|_| app.acquire_token(&pop(GRAPH_SCOPE)).unwrap()).collect();
    assert_eq!(served[0].access_token(), first.access_token());
    assert!(served.iter().all(|token| token.source() == TokenSource::Cache));
    assert!(served.iter().all(|token| token.metadata().cache_level == CacheLevel::L1Cache));
    assert_eq!(reason(&served[0]), CacheRefreshReason::ProactivelyRefreshed);
    assert!(served[1..].iter().all(|token| reason(token) == CacheRefreshReason::NotApplicable));
    wait_for(|| app.acquire_token(&pop(GRAPH_SCOPE)).unwrap().access_token() != first.access_token());
    assert_eq!(world.cloud.counter("token"), 2, "one refresh for twenty hits");
}

/// The service is down when a token should be replaced: is the living token served, and the service left
/// in peace (the peers fail here)?
#[test]
fn outage_during_refresh() {
    let world = World::new();
    let failures = Arc::new(AtomicU32::new(0));
    let count = failures.clone();
    let sink = move |_: LogLevel, _: &str, line: &str| {
        count.fetch_add(u32::from(line.contains("early refresh failed")), Ordering::SeqCst);
    };
    let options = world.app_a_options(world.sni_credential());
    let app = App::new(options.with_logger(Logger::new(LogLevel::Warning, Arc::new(sink)))).unwrap();
    refresh_in_ten_minutes(&world, 1);
    let first = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(900));
    world.cloud.fault(Fault { times: 99, ..Fault::status("token", 503) }).unwrap();
    for _ in 0..50 {
        assert_eq!(app.acquire_token(&pop(GRAPH_SCOPE)).unwrap().access_token(), first.access_token());
    }
    wait_for(|| failures.load(Ordering::SeqCst) > 0);
    for _ in 0..50 {
        assert_eq!(app.acquire_token(&pop(GRAPH_SCOPE)).unwrap().access_token(), first.access_token());
    }
    // After the first token the attempt and the retry of the STS policy, not a hundred of them.
    assert_eq!((world.cloud.counter("token"), failures.load(Ordering::SeqCst)), (3, 1));
    world.cloud.clear_faults();
    world.advance(Duration::from_secs(31));
    wait_for(|| app.acquire_token(&pop(GRAPH_SCOPE)).unwrap().access_token() != first.access_token());
}

/// Apps with callbacks refresh inline, so that callbacks stay on the caller's thread (design, decision 1).
#[test]
fn inline_refresh() {
    let world = World::new();
    let answer = world.fic_answer(true);
    let this = thread::current().id();
    let provider = Provider(move |_: &AssertionRequest<'_>| {
        assert_eq!(thread::current().id(), this);
        Ok(answer.clone())
    });
    let app = App::new(world.fic_options(provider)).unwrap();
    refresh_in_ten_minutes(&world, 1);
    let first = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(900));
    world.cloud.fault(Fault { times: 2, ..Fault::status("token", 503) }).unwrap();
    let kept = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!((kept.source(), kept.access_token()), (TokenSource::Cache, first.access_token()));
    assert_eq!(reason(&kept), CacheRefreshReason::ProactivelyRefreshed, "it was tried");
    assert!(!kept.metadata().duration_in_http.is_zero());
    let spared = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(
        (spared.access_token(), reason(&spared)),
        (first.access_token(), CacheRefreshReason::NotApplicable)
    );
    world.advance(Duration::from_secs(31));
    let next = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(next.source(), TokenSource::IdentityProvider);
    assert_eq!(reason(&next), CacheRefreshReason::ProactivelyRefreshed);
    assert_ne!(next.access_token(), first.access_token());
}

/// Does dropping an app stop a refresh that waits for a slow service, within a second (decision 1)?
#[test]
fn drop_stops_the_refresh() {
    let world = World::new();
    let app = world.sni();
    refresh_in_ten_minutes(&world, 1);
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(900));
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("token") }).unwrap();
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    wait_for(|| world.cloud.counter("token") == 2);
    let dropped = Instant::now();
    drop(app);
    // Far from the minute that the service takes; a bound, not a measurement.
    assert!(dropped.elapsed() < Duration::from_secs(10));
}
