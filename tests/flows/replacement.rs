//! Rejections and resets at their edges: a name that means another identity, callers without patience.

use std::thread;
use std::time::Duration;

use devcloud::{Close, Fault};
use mtlspop::{App, BindingStore, Cancel, ErrorKind, ManagedIdentityId, TokenSource};

use crate::support::{GRAPH, World, assert_bound, pop, wait_for};

const SYSTEM: ManagedIdentityId = ManagedIdentityId::SystemAssigned;
const VAULT: &str = "https://vault.azure.net";

fn rejected(times: u32) -> Fault {
    let body = Some(r#"{"error":"invalid_client","error_codes":[700027]}"#.to_owned());
    Fault { times, body, ..Fault::status("token", 401) }
}

/// The token service does not know the client (its identity was made anew): is the host asked once what the
/// name means, the store not believed, and a certificate minted only if it means something else?
#[test]
fn the_name_is_asked_for_again() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let store = BindingStore::unencrypted(directory.path().join("store"));
    let app = App::new(world.managed_identity_options(SYSTEM).with_binding_store(store)).unwrap();
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let forced = pop(GRAPH).with_force_refresh(true);
    let unknown = r#"{"error":"unauthorized_client","error_description":"AADSTS700016: not found"}"#;
    let unknown = |times| Fault { times, body: Some(unknown.to_owned()), ..Fault::status("token", 400) };
    let names = || {
        let files = std::fs::read_dir(directory.path().join("store")).unwrap();
        files.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "name").count()
    };
    world.cloud.fault(unknown(3)).unwrap();
    assert_eq!(app.acquire_token(&forced).unwrap_err().code(), "unauthorized_client");
    assert_eq!((world.cloud.counter("metadata"), names()), (1, 0));
    for _ in 0..2 {
        assert_eq!(app.acquire_token(&forced).unwrap_err().code(), "unauthorized_client");
        assert_eq!((world.cloud.counter("metadata"), names()), (2, 1), "once, not with every call");
    }
    assert_eq!(assert_bound(&app.acquire_token(&forced).unwrap()), first);
    assert_eq!((world.cloud.counter("metadata"), world.cloud.counter("issuecredential")), (2, 1));
}

/// A store has an older certificate than memory (another app renewed it): does the older one stay where it is
/// when the newer one cannot be renewed?
#[test]
fn the_newer_certificate_stays() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let store = BindingStore::unencrypted(directory.path().join("store"));
    let options = || world.managed_identity_options(SYSTEM).with_background_refresh(false);
    let with_store = App::new(options().with_binding_store(store)).unwrap();
    let without = App::new(options()).unwrap();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let two_weeks = Fault { certificate_seconds: Some(14 * 86_400), ..Fault::on("issuecredential") };
    world.cloud.fault(two_weeks).unwrap();
    let older = assert_bound(&with_store.acquire_token(&pop(GRAPH)).unwrap());
    world.advance(days(8));
    let newer = assert_bound(&without.acquire_token(&pop(GRAPH)).unwrap());
    assert_ne!(older, newer);
    world.advance(days(4));
    world.cloud.fault(Fault { times: 99, ..Fault::status("metadata", 503) }).unwrap();
    for app in [&with_store, &without] {
        assert_eq!(assert_bound(&app.acquire_token(&pop(VAULT).with_force_refresh(true)).unwrap()), newer);
    }
}

/// One reset, with a certificate of any age: is it asked with again, and with no time for that the reset
/// reported, rather than the certificate blamed (docs/adr/005)?
#[test]
fn one_reset_is_the_networks() {
    let reset = || Fault { close: Some(Close::BeforeResponse), ..Fault::on("token") };
    for age in [0, 600] {
        let world = World::new();
        let first = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap();
        let first = assert_bound(&first);
        world.advance(Duration::from_secs(age));
        // A kept connection that breaks is nobody's failure: these have none.
        let app = world.managed_identity(SYSTEM);
        world.cloud.fault(reset()).unwrap();
        let second = app.acquire_token(&pop(GRAPH).with_force_refresh(true)).unwrap();
        assert_eq!((assert_bound(&second), second.source()), (first.clone(), TokenSource::IdentityProvider));
        let app = world.managed_identity(SYSTEM);
        world.cloud.fault(reset()).unwrap();
        let short = pop(GRAPH).with_force_refresh(true).with_timeout(Some(Duration::from_millis(900)));
        let error = app.acquire_token(&short).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{error}");
        assert_eq!(world.cloud.counter("issuecredential"), 1);
    }
}

/// A caller that is cancelled, or has no time, while another certificate is fetched: is that what its error
/// says, and does the next caller get the certificate without waiting for a pause?
#[test]
fn the_impatient_pause_nobody() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let forced = || pop(GRAPH).with_force_refresh(true);
    let slow = || Fault { delay_ms: 60_000, ..Fault::on("issuecredential") };

    world.cloud.fault(rejected(1)).unwrap();
    world.cloud.fault(slow()).unwrap();
    let cancel = Cancel::new();
    thread::scope(|scope| {
        let request = forced().with_cancel(cancel.clone());
        let app = &app;
        let caller = scope.spawn(move || app.acquire_token(&request));
        wait_for(|| world.cloud.counter("issuecredential") == 2);
        cancel.cancel();
        assert_eq!(caller.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
    world.cloud.fault(rejected(1)).unwrap();
    world.cloud.fault(slow()).unwrap();
    let short = forced().with_timeout(Some(Duration::from_secs(2)));
    assert_eq!(app.acquire_token(&short).unwrap_err().kind(), ErrorKind::Timeout);

    world.cloud.fault(rejected(1)).unwrap();
    assert_ne!(assert_bound(&app.acquire_token(&forced()).unwrap()), first);
}
