//! Who is told how a background refresh ended: of what, on which thread, and what it may do there.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use devcloud::Fault;
use mtlspop::{
    App, AppOptions, AssertionRequest, BackgroundRefreshFn, CacheRefreshReason, ErrorKind, LogLevel, Logger,
    Result, Token, TokenSource,
};
use serde_json::json;

use crate::support::{GRAPH, GRAPH_SCOPE, Provider, SYSTEM, VAULT, World, assert_bound, pop, wait_for};

const A_MINUTE: Duration = Duration::from_secs(60);

/// Tokens that should be replaced after ten minutes.
fn refresh_in_ten_minutes(world: &World) {
    world.cloud.fault(Fault { times: 99, ..Fault::set("token", json!({"refresh_in": 600})) }).unwrap();
}

/// The outcomes that an app tells, with the name of the thread on which it did.
fn told(options: AppOptions) -> (App, Receiver<(Result<Token>, String)>) {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let callback: Arc<BackgroundRefreshFn> = Arc::new(move |outcome| {
        let name = thread::current().name().unwrap_or_default().to_owned();
        let _ = sender.lock().unwrap().send((outcome, name));
    });
    (App::new(options.with_background_refresh_callback(callback)).unwrap(), receiver)
}

/// Has the app begin to refresh a bound token.
fn begin(world: &World, app: &App, scope: &str) -> Token {
    world.advance(Duration::from_secs(900));
    let token = app.acquire_token(&pop(scope)).unwrap();
    assert_eq!(token.metadata().cache_refresh_reason, CacheRefreshReason::ProactivelyRefreshed);
    token
}

/// Is each background refresh told once, by both kinds of app, on the background thread, with the new token as a
/// caller would have got it, and what it took; and nothing that a caller waited for?
#[test]
fn success() {
    let world = World::new();
    refresh_in_ten_minutes(&world);
    for (options, scope) in [
        (world.managed_identity_options(SYSTEM), GRAPH),
        (world.app_a_options(world.sni_credential()), GRAPH_SCOPE),
    ] {
        let (app, outcomes) = told(options);
        app.acquire_token(&pop(scope)).unwrap();
        app.acquire_token(&pop(scope).with_force_refresh(true)).unwrap();
        let old = begin(&world, &app, scope);
        let (outcome, name) = outcomes.recv_timeout(A_MINUTE).unwrap();
        let new = outcome.unwrap();
        assert_eq!(name, "mtlspop");
        assert_ne!(new.access_token(), old.access_token());
        assert_bound(&new);
        assert!(new.scopes().eq(old.scopes()));
        assert_eq!(new.source(), TokenSource::IdentityProvider);
        assert_eq!(new.metadata().cache_refresh_reason, CacheRefreshReason::ProactivelyRefreshed);
        assert!(new.metadata().duration_total >= new.metadata().duration_in_http);
        assert!(!new.metadata().duration_in_http.is_zero() && new.expires_on() > old.expires_on());
        assert_eq!(app.acquire_token(&pop(scope)).unwrap().access_token(), new.access_token());
        drop(app);
        assert!(outcomes.recv().is_err(), "nothing else was told, and the callback is gone with the app");
    }
}

/// A refresh that fails: is the error told with all that a caller would have read of it, once for each attempt, and
/// the old token served; and is no token in the log?
#[test]
fn failure() {
    let world = World::new();
    refresh_in_ten_minutes(&world);
    let lines = Arc::new(Mutex::new(String::new()));
    let log = lines.clone();
    let sink = move |_: LogLevel, _: &str, line: &str| log.lock().unwrap().push_str(line);
    let options = world.app_a_options(world.sni_credential());
    let (app, outcomes) = told(options.with_logger(Logger::new(LogLevel::Verbose, Arc::new(sink))));
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    world.cloud.clear_faults();
    let body =
        r#"{"error":"invalid_client","error_description":"AADSTS7000222: over","error_codes":[7000222]}"#;
    let refusal = Fault { body: Some(body.to_owned()), ..Fault::status("token", 401) };
    world.cloud.fault(refusal).unwrap();
    let old = begin(&world, &app, GRAPH_SCOPE);
    let (outcome, name) = outcomes.recv_timeout(A_MINUTE).unwrap();
    let error = outcome.unwrap_err();
    assert_eq!((name.as_str(), error.code(), error.http_status()), ("mtlspop", "invalid_client", Some(401)));
    assert_eq!(error.aadsts_codes(), [7_000_222]);
    assert!(error.correlation_id().is_some());
    let served = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(served.access_token(), old.access_token());
    assert!(outcomes.try_recv().is_err(), "once for each attempt");
    world.advance(Duration::from_secs(31));
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let new = outcomes.recv_timeout(A_MINUTE).unwrap().0.unwrap();
    let lines = lines.lock().unwrap();
    assert!(lines.contains("early refresh failed"), "{lines}");
    for token in [&old, &new] {
        assert!(!lines.contains(token.access_token()), "a token is in the log");
    }
}

/// May the callback use the app, and drop it; and is it called no more then, and dropped itself?
#[test]
fn it_may_use_the_app_and_drop_it() {
    let world = World::new();
    refresh_in_ten_minutes(&world);
    let place: Arc<Mutex<Option<Arc<App>>>> = Arc::default();
    let (sender, inside) = channel();
    let (held, sender) = (place.clone(), Mutex::new(sender));
    let alive = Arc::new(());
    let gone: Weak<()> = Arc::downgrade(&alive);
    let callback: Arc<BackgroundRefreshFn> = Arc::new(move |outcome| {
        let _alive = &alive;
        let app = held.lock().unwrap().take().unwrap();
        let cached = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
        let other = app.acquire_token(&pop("https://vault.azure.net/.default")).unwrap();
        drop(app);
        let same = cached.access_token() == outcome.unwrap().access_token();
        sender.lock().unwrap().send((same, other.source())).unwrap();
    });
    let options = world.app_a_options(world.sni_credential()).with_background_refresh_callback(callback);
    let app = App::new(options).unwrap();
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    begin(&world, &app, GRAPH_SCOPE);
    // The last owner is the callback.
    *place.lock().unwrap() = Some(Arc::new(app));
    let (same, other) = inside.recv_timeout(A_MINUTE).unwrap();
    assert_eq!((same, other), (true, TokenSource::IdentityProvider));
    wait_for(|| gone.upgrade().is_none());
}

/// A callback that panics: does the thread go on with what else it has to do, the renewal of a certificate, and is
/// the next refresh told?
#[test]
fn a_panic_stays_inside() {
    let world = World::new();
    refresh_in_ten_minutes(&world);
    // Due for renewal after half an hour.
    world.cloud.fault(Fault { certificate_seconds: Some(3600), ..Fault::on("issuecredential") }).unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let callback: Arc<BackgroundRefreshFn> = Arc::new(move |_| {
        assert!(count.fetch_add(1, Ordering::SeqCst) > 0, "a bug of the caller");
    });
    let options = world.managed_identity_options(SYSTEM).with_background_refresh_callback(callback);
    let app = App::new(options).unwrap();
    app.acquire_token(&pop(GRAPH)).unwrap();
    world.advance(Duration::from_secs(1000));
    begin(&world, &app, GRAPH);
    wait_for(|| world.cloud.counter("issuecredential") == 2);
    wait_for(|| calls.load(Ordering::SeqCst) == 1);
    begin(&world, &app, GRAPH);
    wait_for(|| calls.load(Ordering::SeqCst) == 2);
}

/// Is a certificate's renewal not told, nor a refresh that ends with the app?
#[test]
fn what_is_not_told() {
    let world = World::new();
    world.cloud.fault(Fault { certificate_seconds: Some(7200), ..Fault::on("issuecredential") }).unwrap();
    let (app, outcomes) = told(world.managed_identity_options(SYSTEM));
    app.acquire_token(&pop(GRAPH)).unwrap();
    world.advance(Duration::from_secs(4500));
    app.acquire_token(&pop(VAULT)).unwrap();
    wait_for(|| world.cloud.counter("issuecredential") == 2);
    drop(app);
    assert!(outcomes.recv().is_err());

    let (app, outcomes) = told(world.app_a_options(world.sni_credential()));
    refresh_in_ten_minutes(&world);
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    world.cloud.clear_faults();
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("token") }).unwrap();
    let asked = world.cloud.counter("token");
    begin(&world, &app, GRAPH_SCOPE);
    wait_for(|| world.cloud.counter("token") == asked + 1);
    drop(app);
    assert!(outcomes.recv().is_err());
}

/// Where nothing is refreshed in the background, is a callback that nobody would call an error that says what to
/// do; and where other callbacks are told so, are they called on that thread?
#[test]
fn without_a_background() {
    let world = World::new();
    refresh_in_ten_minutes(&world);
    let threads: Arc<Mutex<Vec<String>>> = Arc::default();
    let options = || {
        let (answer, threads) = (world.fic_answer(true), threads.clone());
        world.fic_options(Provider(move |_: &AssertionRequest<'_>| {
            threads.lock().unwrap().push(thread::current().name().unwrap_or_default().to_owned());
            Ok(answer.clone())
        }))
    };
    let callback: Arc<BackgroundRefreshFn> = Arc::new(|_| {});
    for options in [
        options().with_background_refresh_callback(callback.clone()),
        world
            .app_a_options(world.sni_credential())
            .with_background_refresh(false)
            .with_background_refresh_callback(callback),
    ] {
        let error = App::new(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("switch that on"), "{error}");
    }
    let (app, outcomes) = told(options().with_background_refresh(true));
    app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    begin(&world, &app, GRAPH_SCOPE);
    assert!(outcomes.recv_timeout(A_MINUTE).unwrap().0.is_ok());
    assert_eq!(threads.lock().unwrap()[1..], ["mtlspop"]);
}
