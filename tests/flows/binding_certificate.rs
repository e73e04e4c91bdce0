//! The life of a binding certificate: renewal, its last day, and a month of both with faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use devcloud::{Close, Fault};
use mtlspop::{App, Clock, LogLevel, Logger, TokenSource};
use serde_json::json;

use crate::support::{GRAPH, SYSTEM, VAULT, World, assert_bound, pop, wait_for};

const HOUR: Duration = Duration::from_secs(3600);
/// Later than any jitter puts the renewal of a certificate of seven days, earlier than its last day.
const PAST_HALF_LIFE: Duration = Duration::from_secs(168 * 3600 * 56 / 100);

fn with_lines(world: &World) -> (App, Arc<Mutex<Vec<String>>>) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = lines.clone();
    let sink = move |_: LogLevel, _: &str, line: &str| kept.lock().unwrap().push(line.to_owned());
    let log = Logger::new(LogLevel::Warning, Arc::new(sink));
    (App::new(world.managed_identity_options(SYSTEM).with_logger(log)).unwrap(), lines)
}

/// Past half of a certificate's life: is the caller served with the old one at once, a new one minted behind
/// the scenes, the next token bound to it, and the old token served as long as it lives (the design's table,
/// row "certificate life")?
#[test]
fn renewed_in_the_background() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    world.advance(PAST_HALF_LIFE);
    let second = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(assert_bound(&second), first);
    wait_for(|| world.cloud.counter("issuecredential") == 2);
    wait_for(|| {
        let forced = pop(VAULT).with_force_refresh(true);
        assert_bound(&app.acquire_token(&forced).unwrap()) != first
    });
    let kept = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!((assert_bound(&kept), kept.source()), (first, TokenSource::Cache));
    assert_eq!(world.cloud.counter("issuecredential"), 2);
}

/// The same for an app without a thread: does the call that needs a token renew first, and go on with the
/// old certificate where that fails, without asking IMDS again for a while?
#[test]
fn renewed_by_the_caller() {
    let world = World::new();
    let options = world.managed_identity_options(SYSTEM).with_background_refresh(false);
    let app = App::new(options).unwrap();
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    world.advance(PAST_HALF_LIFE);
    world.cloud.fault(Fault { times: 4, ..Fault::status("issuecredential", 503) }).unwrap();
    for resource in [GRAPH, VAULT] {
        assert_eq!(assert_bound(&app.acquire_token(&pop(resource)).unwrap()), first);
    }
    assert_eq!(world.cloud.counter("issuecredential"), 1 + 4, "one try, with its retries");
    world.advance(Duration::from_secs(31));
    let renewed = app.acquire_token(&pop(GRAPH).with_force_refresh(true)).unwrap();
    assert_ne!(assert_bound(&renewed), first);
}

/// An outage of IMDS from half-life on: is every token got with the old certificate until five minutes before
/// its end, each failure in the log, and then an error rather than a certificate that is over?
#[test]
fn never_past_its_end() {
    let world = World::new();
    let (app, lines) = with_lines(&world);
    let first = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    world.advance(Duration::from_secs(6 * 24 * 3600 + 3600));
    world.cloud.fault(Fault { times: 9999, ..Fault::status("metadata", 503) }).unwrap();
    let forced = pop(GRAPH).with_force_refresh(true);
    for _ in 0..22 {
        assert_eq!(assert_bound(&app.acquire_token(&forced).unwrap()), first);
        world.advance(HOUR);
    }
    assert!(lines.lock().unwrap().iter().filter(|line| line.contains("could not be renewed")).count() >= 22);
    world.advance(HOUR - Duration::from_secs(240));
    let error = app.acquire_token(&forced).unwrap_err();
    assert_eq!((error.code(), error.http_status()), ("managed_identity_request_failed", Some(503)));
}

/// A certificate that is already over when it is issued, as a host with a wrong clock sees it: an error that
/// says so, and no request with it?
#[test]
fn issued_too_late() {
    let world = World::new();
    world.cloud.fault(Fault { certificate_seconds: Some(200), ..Fault::on("issuecredential") }).unwrap();
    let error = world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(error.code(), "invalid_certificate");
    assert!(error.message().contains("check the clock"), "{error}");
    assert_eq!(world.cloud.counter("token"), 0);
}

/// After a try that failed at issuecredential: does the next one go on with the same key, and is a rejected
/// certificate's key never used again?
#[test]
fn a_key_is_used_until_it_has_a_certificate() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let key_of = |n: usize| {
        let requests = world.cloud.requests();
        let issued = requests.iter().filter(|r| r.operation.as_deref() == Some("issuecredential"));
        let body: serde_json::Value = serde_json::from_str(&issued.clone().nth(n).unwrap().body).unwrap();
        // The public key stands in the same place of every request.
        body["csr"].as_str().unwrap()[250..550].to_owned()
    };
    world.cloud.fault(Fault::status("issuecredential", 400)).unwrap();
    app.acquire_token(&pop(GRAPH)).unwrap_err();
    app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(key_of(0), key_of(1));
    let body = Some(r#"{"error":"invalid_client"}"#.to_owned());
    world.cloud.fault(Fault { body, ..Fault::status("token", 401) }).unwrap();
    app.acquire_token(&pop(GRAPH).with_force_refresh(true)).unwrap();
    assert_ne!(key_of(1), key_of(2));
}

/// What a month came to.
#[derive(Debug, Default)]
struct Month {
    calls: u32,
    failed: u32,
    failed_with_a_token: u32,
    tokens: usize,
    certificates: usize,
    /// Requests that were answered with 200.
    good: usize,
    faults: usize,
}

/// A month of a program that asks for two resources every ten minutes, with tokens of an hour that want to be
/// replaced after half of it, certificates of seven days, and this share of requests disturbed.
fn month(share_of_faults: f64) -> Month {
    let world = World::new();
    // Everything happens inside the calls, so that nothing but jitter tells two runs apart.
    let options = world.managed_identity_options(SYSTEM).with_background_refresh(false);
    let app = App::new(options).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut ends: HashMap<String, SystemTime> = HashMap::new();
    // By resource: until when the token in the cache is good, and with which certificate.
    let mut held: HashMap<&str, (SystemTime, String)> = HashMap::new();
    let mut month = Month::default();
    for _ in 0..30 * 24 * 6 {
        for resource in [GRAPH, VAULT] {
            world.cloud.reset();
            for operation in ["metadata", "issuecredential", "token"] {
                if random.f64() < share_of_faults {
                    world.cloud.fault(some_fault(operation, &mut random)).unwrap();
                }
            }
            world
                .cloud
                .fault(Fault { times: 99, ..Fault::set("token", json!({"refresh_in": 1800})) })
                .unwrap();
            // What has to wait is remembered by the process: another region than that of other tests.
            let region = json!({"mtls_authentication_endpoint": "https://month.mtlsauth.microsoft.com"});
            world.cloud.fault(Fault { times: 99, ..Fault::set("issuecredential", region) }).unwrap();
            month.calls += 1;
            let now = world.clock.now();
            match app.acquire_token(&pop(resource)) {
                Ok(token) => {
                    let certificate = token.binding_certificate().unwrap();
                    assert!(certificate.not_after() > now, "a token without a living certificate");
                    let x5t = certificate.x5t_s256().to_owned();
                    ends.insert(x5t.clone(), certificate.not_after());
                    held.insert(resource, (token.expires_on() - Duration::from_secs(300), x5t));
                }
                Err(_) => {
                    month.failed += 1;
                    month.failed_with_a_token +=
                        u32::from(held.get(resource).is_some_and(|(end, _)| *end > now));
                }
            }
            for request in world.cloud.requests() {
                if let Some(end) = request.client_certificate.as_ref().and_then(|x5t| ends.get(x5t)) {
                    assert!(*end > now, "a request with a certificate that is over");
                }
                month.tokens += usize::from(request.operation.as_deref() == Some("token"));
                let issued = request.operation.as_deref() == Some("issuecredential");
                month.certificates += usize::from(issued && request.status == Some(200));
                if request.status == Some(401) {
                    // The token service has said no to this certificate: its tokens are no longer good.
                    held.retain(|_, (_, x5t)| request.client_certificate.as_ref() != Some(x5t));
                }
                match request.status {
                    Some(200) => month.good += 1,
                    _ => month.faults += 1,
                }
            }
            // What the library has slept, the cloud has slept.
            let ahead = world.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
            world.cloud.advance_clock(Duration::from_secs((ahead - world.cloud.now()).max(0) as u64));
        }
        world.advance(Duration::from_secs(600));
    }
    month
}

fn some_fault(operation: &str, random: &mut fastrand::Rng) -> Fault {
    let rejected = r#"{"error":"invalid_client","error_description":"AADSTS1000612: no"}"#;
    match random.u8(..8) {
        0 => Fault { close: Some(Close::BeforeResponse), ..Fault::on(operation) },
        1 => Fault { close: Some(Close::MidResponse), ..Fault::on(operation) },
        2 => Fault { body: Some("<html>".into()), ..Fault::status(operation, 500) },
        3 => Fault::status(operation, 429),
        4 => Fault {
            headers: [("retry-after".to_owned(), "30".to_owned())].into(),
            ..Fault::status(operation, 503)
        },
        5 if operation == "token" => Fault { body: Some(rejected.into()), ..Fault::status(operation, 401) },
        5 => Fault::status(operation, 410),
        6 => Fault::status(operation, 404),
        _ => Fault::status(operation, 503),
    }
}

/// A month with a tenth of the requests disturbed, beside one without: does no call fail that had a living
/// token, is no certificate used after its end, and do the requests stay within a tenth of the ideal?
#[test]
fn a_month_of_faults() {
    let ideal = month(0.0);
    assert_eq!((ideal.failed, ideal.faults), (0, 0));
    // Every 84 hours, and the renewals come with the next token after their time.
    assert!((8..=10).contains(&ideal.certificates), "{ideal:?}");
    let month = month(0.1);
    println!("ideal:   {ideal:?}\n10 %:    {month:?}");
    assert!(month.faults > 100, "{month:?}");
    assert_eq!(month.failed_with_a_token, 0, "{month:?}");
    let difference = month.good.abs_diff(ideal.good) as f64 / ideal.good as f64;
    assert!(difference <= 0.1, "{difference}: {ideal:?} {month:?}");
}
