//! Rejections and resets at their edges: a name that means another identity, callers without patience.

use std::thread;
use std::time::Duration;

use devcloud::{Close, Fault, directory};
use mtlspop::{App, BindingStore, Cancel, ErrorKind, TokenSource};

use crate::support::{GRAPH, SYSTEM, VAULT, World, assert_bound, pop, wait_for};

fn rejected(times: u32) -> Fault {
    let body = Some(r#"{"error":"invalid_client","error_codes":[700027]}"#.to_owned());
    Fault { times, body, ..Fault::status("token", 401) }
}

/// The token service does not know the client: is the host asked what the name means, once a minute, nothing
/// changed where that is the same or the host does not answer, other resources not held up; and where it means
/// another identity (one that was made anew), a certificate asked for that one, by who has a store, too?
#[test]
fn the_name_is_asked_for_again() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let store = BindingStore::unencrypted(directory.path().join("store"));
    let app = App::new(world.managed_identity_options(SYSTEM).with_binding_store(store)).unwrap();
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    let forced = pop(GRAPH).with_force_refresh(true);
    let unknown = || {
        let body = r#"{"error":"unauthorized_client","error_description":"AADSTS700016: not found"}"#;
        world.cloud.fault(Fault { body: Some(body.to_owned()), ..Fault::status("token", 400) }).unwrap();
        app.acquire_token(&forced).unwrap_err()
    };
    let counts = || (world.cloud.counter("metadata"), world.cloud.counter("issuecredential"));
    let names = || {
        let files = std::fs::read_dir(directory.path().join("store")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        let name = files.find(|path| path.extension().unwrap() == "name").unwrap();
        std::fs::read_to_string(name).unwrap()
    };
    assert_eq!((unknown().code(), counts()), ("unauthorized_client", (1, 1)), "it was asked just now");
    world.advance(Duration::from_secs(61));
    for _ in 0..2 {
        assert_eq!(unknown().code(), "unauthorized_client");
        assert_eq!(counts(), (2, 1), "once, not with every call");
    }
    world.advance(Duration::from_secs(61));
    world.cloud.fault(Fault { times: 9, ..Fault::status("metadata", 503) }).unwrap();
    assert_eq!(unknown().code(), "unauthorized_client");
    world.cloud.clear_faults();
    assert_eq!(assert_bound(&app.acquire_token(&pop(VAULT)).unwrap()), first);
    assert!(names().contains(directory::SYSTEM_ASSIGNED_CLIENT_ID));

    world.advance(Duration::from_secs(61));
    let (asked, issued) = counts();
    let anew = serde_json::json!({ "clientId": directory::USER_ASSIGNED_CLIENT_ID });
    world.cloud.fault(Fault { times: 2, ..Fault::set("metadata", anew) }).unwrap();
    // devcloud issues no certificate for another identity than it has; that it is asked is what counts.
    assert_eq!(unknown().code(), "managed_identity_request_failed");
    assert_eq!(counts(), (asked + 2, issued + 1));
    assert!(names().contains(directory::USER_ASSIGNED_CLIENT_ID), "{}", names());
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

/// A certificate is rejected while IMDS is out of order, in either of its answers: is that what is told, beside the
/// service's word, and is another one fetched by the next call as soon as IMDS is back (docs/adr/005)?
#[test]
fn an_outage_of_imds_is_no_verdict() {
    for operation in ["metadata", "issuecredential"] {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
        let forced = pop(GRAPH).with_force_refresh(true);
        world.cloud.fault(Fault { times: 4, ..Fault::status(operation, 503) }).unwrap();
        world.cloud.fault(rejected(2)).unwrap();
        let error = app.acquire_token(&forced).unwrap_err();
        assert_eq!((error.code(), error.http_status()), ("invalid_client", Some(401)), "{error}");
        assert!(error.message().contains("HTTP 503") && error.is_retryable(), "{error}");
        assert_ne!(assert_bound(&app.acquire_token(&forced).unwrap()), first, "{operation}");
        assert_eq!(world.cloud.counter(operation), 6, "the first, four in vain, the new one");
    }
}

/// Others were rejected as well: do the call that finds that out, and each one in the minute after it, say when it
/// is worth trying again; and does an answer about something else begin no such minute (docs/adr/005)?
#[test]
fn a_pause_tells_its_end() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    world.cloud.fault(rejected(99)).unwrap();
    for (passed, left) in [(0, 60), (20, 40), (20, 20)] {
        world.advance(Duration::from_secs(passed));
        let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, "invalid_client"));
        let told = error.retry_after().unwrap().as_secs();
        assert!(error.is_retryable() && (1..=left).contains(&told), "{told} of {left}: {error}");
        assert!(error.message().contains(&format!("no other certificate is tried for {told} s")), "{error}");
        assert_eq!(world.cloud.counter("issuecredential"), 2);
    }
    world.cloud.clear_faults();
    world.advance(Duration::from_secs(61));
    let second = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());

    let forced = pop(GRAPH).with_force_refresh(true);
    world.cloud.fault(rejected(1)).unwrap();
    world.cloud.fault(Fault::status("token", 400)).unwrap();
    let error = app.acquire_token(&forced).unwrap_err();
    assert_eq!((error.code(), error.retry_after()), ("http_status_not_200", None), "{error}");
    world.cloud.fault(rejected(1)).unwrap();
    assert_ne!(assert_bound(&app.acquire_token(&forced).unwrap()), second);
}
