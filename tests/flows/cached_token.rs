//! Answers from the cache only: is a token given where there is one, and nothing sent or waited for where there is none?

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use devcloud::Fault;
use mtlspop::{
    App, AssertionRequest, CacheLevel, CacheRefreshReason, Cancel, ErrorKind, Metric, Result, Token,
    TokenCache, TokenSource, TokenStore,
};
use serde_json::json;

use crate::support::{GRAPH, GRAPH_SCOPE, Provider, SYSTEM, World, bearer, hang, pop, wait_for};

fn text(token: Option<Token>) -> Option<String> {
    token.map(|token| token.access_token().to_owned())
}

/// Is nothing sent for a token that is not there, and the one that is given as a hit is, for both kinds of app and of
/// token? Does who found nothing count nowhere?
#[test]
fn what_the_cache_has() {
    let world = World::new();
    let told = Arc::new(AtomicU32::new(0));
    let count = told.clone();
    let options =
        world.app_a_options(world.sni_credential()).with_metrics(Arc::new(move |metric: &Metric<'_>| {
            count.fetch_add(u32::from(metric.name == "MsalSuccess"), Ordering::SeqCst);
        }));
    let (client, identity) = (App::new(options).unwrap(), world.managed_identity(SYSTEM));
    for (app, request) in [
        (&client, bearer(GRAPH_SCOPE)),
        (&client, pop(GRAPH_SCOPE)),
        (&identity, bearer(GRAPH)),
        (&identity, pop(GRAPH)),
    ] {
        let before = (world.cloud.requests().len(), app.token_cache().statistics());
        assert!(app.cached_token(&request).unwrap().is_none());
        assert_eq!((world.cloud.requests().len(), app.token_cache().statistics()), before);
        let fetched = app.acquire_token(&request).unwrap();
        let (sent, hits) = (world.cloud.requests().len(), app.token_cache().statistics().hits);
        let cached = app.cached_token(&request).unwrap().unwrap();
        assert_eq!(cached.access_token(), fetched.access_token());
        assert_eq!(
            (cached.source(), cached.metadata().cache_level),
            (TokenSource::Cache, CacheLevel::L1Cache)
        );
        assert_eq!((world.cloud.requests().len(), app.token_cache().statistics().hits), (sent, hits + 1));
    }
    assert_eq!(told.load(Ordering::SeqCst), 4, "two tokens that were fetched, and the two hits");
}

/// Does a request that bypasses the cache wait for nobody here, and does one that names a rejected token get any other?
#[test]
fn what_bypasses_the_cache() {
    let world = World::new();
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let cached = |request| text(app.cached_token(&request).unwrap());
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    assert_eq!(cached(pop(GRAPH_SCOPE).with_claims(claims)), None);
    assert_eq!(cached(pop(GRAPH_SCOPE).with_force_refresh(true)), None);
    let hash = digest(&SHA256, token.access_token().as_bytes());
    let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(cached(pop(GRAPH_SCOPE).with_access_token_hash_to_refresh(&hash)), None);
    let other = pop(GRAPH_SCOPE).with_access_token_hash_to_refresh(&"0".repeat(64));
    assert_eq!(cached(other).as_deref(), Some(token.access_token()));
    assert_eq!(world.cloud.counter("token"), 1);
}

/// Are mistakes told as by `acquire_token`, and a raised flag?
#[test]
fn what_is_wrong() {
    let world = World::new();
    let app = world.sni();
    let kind = |request| app.cached_token(&request).unwrap_err().kind();
    assert_eq!(kind(pop(" ")), ErrorKind::InvalidArgument);
    assert_eq!(kind(pop(GRAPH_SCOPE).with_request_over_mtls(true)), ErrorKind::InvalidArgument);
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(kind(pop(GRAPH_SCOPE).with_cancel(cancel)), ErrorKind::Cancelled);
}

/// While another thread waits for the service, is there an answer at once? It comes before that thread's.
#[test]
fn nobody_is_waited_for() {
    let world = World::new();
    let (app, cancel) = (world.sni(), Cancel::new());
    hang(&world, "token");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| app.acquire_token(&pop(GRAPH_SCOPE).with_cancel(cancel.clone())));
        wait_for(|| world.cloud.counter("token") == 1);
        assert!(app.cached_token(&pop(GRAPH_SCOPE)).unwrap().is_none());
        assert!(!waiting.is_finished());
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
}

/// Is one that is due for replacement served where the app has a thread, and that thread given the work?
#[test]
fn due_with_a_thread() {
    let world = World::new();
    let app = world.sni();
    world.cloud.fault(Fault::set("token", json!({"refresh_in": 600}))).unwrap();
    let first = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(900));
    let served = app.cached_token(&pop(GRAPH_SCOPE)).unwrap().unwrap();
    assert_eq!(served.access_token(), first.access_token());
    assert_eq!(served.metadata().cache_refresh_reason, CacheRefreshReason::ProactivelyRefreshed);
    wait_for(|| text(app.cached_token(&pop(GRAPH_SCOPE)).unwrap()).as_deref() != Some(first.access_token()));
    assert_eq!(world.cloud.counter("token"), 2);
}

/// Is one that is due left to who may wait, where the app has no thread? Who does replaces it, and it is no hit.
#[test]
fn due_without_a_thread() {
    let world = World::new();
    let answer = world.fic_answer(true);
    let app =
        App::new(world.fic_options(Provider(move |_: &AssertionRequest<'_>| Ok(answer.clone())))).unwrap();
    world.cloud.fault(Fault::set("token", json!({"refresh_in": 600}))).unwrap();
    let first = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(text(app.cached_token(&pop(GRAPH_SCOPE)).unwrap()).as_deref(), Some(first.access_token()));
    world.advance(Duration::from_secs(900));
    let hits = app.token_cache().statistics().hits;
    assert!(app.cached_token(&pop(GRAPH_SCOPE)).unwrap().is_none());
    assert_eq!((world.cloud.counter("token"), app.token_cache().statistics().hits), (1, hits));
    let next = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_ne!(next.access_token(), first.access_token());
    assert_eq!(text(app.cached_token(&pop(GRAPH_SCOPE)).unwrap()).as_deref(), Some(next.access_token()));
}

/// Is the store behind the cache, which may take its time, left alone?
#[test]
fn a_store_is_not_asked() {
    #[derive(Default)]
    struct Store(Mutex<Option<Vec<u8>>>, AtomicU32);
    impl TokenStore for Store {
        fn load(&self, _: &str) -> Result<Option<Vec<u8>>> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(self.0.lock().unwrap().clone())
        }

        fn save(&self, _: &str, data: &[u8], _: SystemTime) -> Result<()> {
            *self.0.lock().unwrap() = Some(data.to_vec());
            Ok(())
        }
    }
    let (world, store) = (World::new(), Arc::new(Store::default()));
    let app = || {
        let cache = TokenCache::new().with_store(store.clone());
        App::new(world.app_a_options(world.sni_credential()).with_token_cache(cache)).unwrap()
    };
    app().acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let (other, loads) = (app(), store.1.load(Ordering::SeqCst));
    assert!(other.cached_token(&pop(GRAPH_SCOPE)).unwrap().is_none());
    assert_eq!(store.1.load(Ordering::SeqCst), loads);
    assert_eq!(other.acquire_token(&pop(GRAPH_SCOPE)).unwrap().metadata().cache_level, CacheLevel::L2Cache);
    assert!(other.cached_token(&pop(GRAPH_SCOPE)).unwrap().is_some());
}
