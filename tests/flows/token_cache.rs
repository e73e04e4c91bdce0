//! Token caches that apps are given: who shares, what the limits and statistics say, and what a store is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use devcloud::{Fault, directory};
use mtlspop::{
    App, AppOptions, CacheLevel, CacheRefreshReason, Certificate, Credential, Error, ErrorKind,
    ManagedIdentityId, Result, TokenCache, TokenSource, TokenStore,
};
use serde_json::json;

use crate::support::{GRAPH_SCOPE, World, assert_bound, bearer, pop};

/// A store in memory that tells what it was asked.
#[derive(Default)]
struct Store {
    content: Mutex<HashMap<String, (Vec<u8>, u64)>>,
    asked: Mutex<Vec<&'static str>>,
    broken: bool,
}

impl Store {
    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answer<T>(&self, what: &'static str, body: impl FnOnce() -> T) -> Result<T> {
        self.asked.lock().unwrap().push(what);
        match self.broken {
            true => Err(Error::new(ErrorKind::Callback, "store_callback_failed", "down")),
            false => Ok(body()),
        }
    }
}

impl TokenStore for Store {
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.answer("load", || self.content.lock().unwrap().get(key).map(|(data, _)| data.clone()))
    }

    fn save(&self, key: &str, data: &[u8], expiry: SystemTime) -> Result<()> {
        let expiry = expiry.duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.answer("save", || self.content.lock().unwrap().insert(key.to_owned(), (data.to_vec(), expiry)))
            .map(drop)
    }
}

fn app(world: &World, cache: &TokenCache) -> App {
    App::new(world.app_a_options(world.sni_credential()).with_token_cache(cache.clone())).unwrap()
}

/// Do apps share the tokens of a cache that both were given, and none otherwise?
#[test]
fn sharing_is_a_choice() {
    let world = World::new();
    let cache = TokenCache::new();
    let (one, two, alone) = (app(&world, &cache), app(&world, &cache), world.sni());
    for request in [bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE)] {
        let token = one.acquire_token(&request).unwrap();
        let shared = two.acquire_token(&request).unwrap();
        assert_eq!(shared.source(), TokenSource::Cache);
        assert_eq!(shared.access_token(), token.access_token());
        assert_eq!(alone.acquire_token(&request).unwrap().source(), TokenSource::IdentityProvider);
    }
    let statistics = cache.statistics();
    assert_eq!((statistics.hits, statistics.misses, statistics.entries), (2, 2, 2));
    assert_eq!(one.token_cache().statistics(), statistics);
    let options = world.managed_identity_options(ManagedIdentityId::SystemAssigned);
    let error = App::new(options.with_token_cache(cache)).unwrap_err();
    assert!(error.message().contains("token cache"), "{error}");
}

/// Does a cache hold no more than it may, and say how many went?
#[test]
fn limits_hold() {
    let world = World::new();
    let cache = TokenCache::new().with_max_entries(2);
    let app = app(&world, &cache);
    for name in ["a", "b", "c"] {
        app.acquire_token(&bearer(GRAPH_SCOPE).with_cache_partition_key("k", name)).unwrap();
    }
    let statistics = cache.statistics();
    assert_eq!((statistics.entries, statistics.evictions, statistics.misses), (2, 1, 3));
    assert!(statistics.bytes > 1000);
    let again = app.acquire_token(&bearer(GRAPH_SCOPE).with_cache_partition_key("k", "a")).unwrap();
    assert_eq!(again.source(), TokenSource::IdentityProvider);
}

/// Does a second process find the tokens of the first in the store, bound ones with its own certificate (5.8)?
#[test]
fn a_fleet_shares_a_store() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let process = || TokenCache::new().with_store(store.clone());
    let first = app(&world, &process());
    let tokens =
        [bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE)].map(|request| first.acquire_token(&request).unwrap());
    assert_eq!(store.asked(), ["load", "load", "save", "load", "load", "save"]);
    assert_eq!(tokens[0].metadata().cache_refresh_reason, CacheRefreshReason::NoCachedAccessToken);
    assert!(!tokens[0].metadata().duration_in_cache.is_zero());
    let requests = world.cloud.counter("token");

    let second = app(&world, &process());
    for (request, known) in [bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE)].iter().zip(&tokens) {
        let token = second.acquire_token(request).unwrap();
        assert_eq!(token.access_token(), known.access_token());
        assert_eq!(token.expires_on(), known.expires_on());
        assert_eq!((token.source(), token.metadata().cache_level), (TokenSource::Cache, CacheLevel::L2Cache));
        assert_eq!(token.metadata().cache_refresh_reason, CacheRefreshReason::NotApplicable);
        assert_eq!(token.binding_certificate(), known.binding_certificate());
        let again = second.acquire_token(request).unwrap();
        assert_eq!(again.metadata().cache_level, CacheLevel::L1Cache);
    }
    assert_eq!(store.asked(), ["load", "load"]);
    assert_eq!(world.cloud.counter("token"), requests);

    let key = std::fs::read_to_string(world.cloud.state_dir().join("sni-key.pem")).unwrap();
    let key: String = key.lines().nth(1).unwrap().to_owned();
    let content = store.content.lock().unwrap();
    assert_eq!(content.len(), 2, "Bearer and bound tokens lie apart");
    let x5t = assert_bound(&tokens[1]);
    for (name, (data, expiry)) in content.iter() {
        let start = format!("{}_{}_", directory::APP_A_CLIENT_ID, directory::TENANT_ID);
        let name = name.strip_prefix(&x5t).unwrap_or(name);
        assert!(name.starts_with(&start) && name.ends_with("_AppTokenCache"), "{name}");
        let text = String::from_utf8(data.clone()).unwrap();
        assert!(!text.contains("PRIVATE") && !text.contains(&key), "{text}");
        assert!(world.cloud.now().unsigned_abs() + 3500 < *expiry);
    }
}

/// Is a bound token in the store of no use to an app with another certificate, and is one whose
/// certificate comes from a callback not stored at all?
#[test]
fn bound_tokens_stay_with_their_certificate() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let cache = || TokenCache::new().with_store(store.clone());
    let old = app(&world, &cache()).acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let certificate = Certificate::from_file(&world.cloud.files().sni_rotated(), None, None).unwrap();
    let rotated = world.app_a_options(Credential::Certificate { certificate, send_x5c: true });
    let new = App::new(rotated.with_token_cache(cache())).unwrap().acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_ne!(assert_bound(&old), assert_bound(&new));
    assert_eq!(new.source(), TokenSource::IdentityProvider);
    store.asked();

    let answer = world.fic_answer(true);
    let provider = crate::support::Provider(move |_: &mtlspop::AssertionRequest<'_>| Ok(answer.clone()));
    let fic = App::new(world.fic_options(provider).with_token_cache(cache())).unwrap();
    fic.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert!(store.asked().is_empty());
    fic.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(store.asked(), ["load", "load", "save"]);
}

/// Does a store that fails cost warnings, and nothing else?
#[test]
fn a_failing_store_fails_nothing() {
    let world = World::new();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let log = mtlspop::Logger::new(
        mtlspop::LogLevel::Warning,
        Arc::new(move |_, _: &str, line: &str| sink.lock().unwrap().push(line.to_owned())),
    );
    let store = Arc::new(Store { broken: true, ..Store::default() });
    let options: AppOptions = world.app_a_options(world.sni_credential()).with_logger(log);
    let app = App::new(options.with_token_cache(TokenCache::new().with_store(store))).unwrap();
    let token = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.source(), TokenSource::IdentityProvider);
    let lines = lines.lock().unwrap();
    assert!(lines.iter().any(|line| line.contains("cannot be read")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("cannot be written")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(token.access_token())));
}

/// Is the token that an API has rejected, and no other, kept from being served (section 5.7)?
#[test]
fn a_rejected_token_is_replaced_once() {
    let world = World::new();
    let app = world.sni();
    let rejected = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let sha256 = {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, rejected.access_token().as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let request = bearer(GRAPH_SCOPE).with_claims("{}").with_access_token_hash_to_refresh(&sha256);
    let next = app.acquire_token(&request).unwrap();
    assert_eq!(next.source(), TokenSource::IdentityProvider);
    assert_ne!(next.access_token(), rejected.access_token());
    let again = app.acquire_token(&request).unwrap();
    assert_eq!((again.source(), again.access_token()), (TokenSource::Cache, next.access_token()));
    assert_eq!(world.cloud.counter("token"), 2);
    let error =
        app.acquire_token(&bearer(GRAPH_SCOPE).with_access_token_hash_to_refresh("aGFzaA==")).unwrap_err();
    assert!(error.message().contains("hexadecimal"), "{error}");
    let error = app.acquire_token(&request.with_force_refresh(true)).unwrap_err();
    assert_eq!(error.code(), "force_refresh_and_token_hash_not_compatible");
}

/// A stored token that is due for replacement: is it served where the service is down (design, decision 4)?
#[test]
fn a_stored_token_outlives_an_outage() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let cache = || TokenCache::new().with_store(store.clone());
    world.cloud.fault(Fault::set("token", json!({"refresh_in": 600}))).unwrap();
    let stored = app(&world, &cache()).acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(1000));
    world.cloud.fault(Fault { times: 2, ..Fault::status("token", 503) }).unwrap();
    let token = app(&world, &cache()).acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.access_token(), stored.access_token());
    assert_eq!(token.metadata().cache_level, CacheLevel::L2Cache);
    let token = app(&world, &cache()).acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.source(), TokenSource::IdentityProvider);
}

/// Is what has expired fetched anew although the store still has it, and the reason told?
#[test]
fn stored_tokens_expire() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let app = app(&world, &TokenCache::new().with_store(store.clone()));
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    world.advance(Duration::from_secs(3599 - 299));
    let token = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.source(), TokenSource::IdentityProvider);
    assert_eq!(token.metadata().cache_refresh_reason, CacheRefreshReason::Expired);
}
