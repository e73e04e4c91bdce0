//! Claims, forced and early refreshes of managed identities' tokens (managed_identity spec, sections 8 and 9).

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use devcloud::Fault;
use mtlspop::{App, AppOptions, Cancel, Clock, ErrorKind, LogLevel, Logger, TokenSource};
use serde_json::{Value, json};

use crate::support::{
    GRAPH, SYSTEM, World, assert_bound, bearer, cancel_when, claims, hang, is_held_back, pop, wait_for,
};

/// Nobody writes JSON like this but who is quoted.
const CHALLENGE: &str = r#"{ "access_token" : {"nbf":{"essential":true,  "value":"1"}} }"#;

fn calls(world: &World) -> [u64; 3] {
    ["metadata", "issuecredential", "token"].map(|name| world.cloud.counter(name))
}

fn with_capabilities(world: &World, capabilities: &[&str]) -> App {
    App::new(world.managed_identity_options(SYSTEM).with_client_capabilities(capabilities)).unwrap()
}

/// Sections 9.1 to 9.4: what is sent as `claims` on the token leg: nothing by itself, a challenge as it was
/// given, also with a forced refresh, capabilities with each token?
#[test]
fn what_is_sent() {
    let world = World::new();
    let ours = r#"{"access_token":{"xms_cc":{"values":["cp1","cp2"]}}}"#;
    let rows: [(&[&str], _, Option<&str>); 6] = [
        (&[], pop(GRAPH), None),
        (&[], pop(GRAPH).with_force_refresh(true), None),
        (&[], pop(GRAPH).with_claims(CHALLENGE), Some(CHALLENGE)),
        (&[], pop(GRAPH).with_claims(CHALLENGE).with_force_refresh(true), Some(CHALLENGE)),
        (&["cp1", "cp2"], pop(GRAPH), Some(ours)),
        (&["cp1", "cp2"], pop(GRAPH).with_force_refresh(true), Some(ours)),
    ];
    for (number, (capabilities, request, sent)) in rows.into_iter().enumerate() {
        let token = with_capabilities(&world, capabilities).acquire_token(&request).unwrap();
        assert_bound(&token);
        assert_eq!(token.source(), TokenSource::IdentityProvider, "{number}");
        assert_eq!(world.last_token_request().form("claims").as_deref(), sent, "{number}");
        assert_eq!(calls(&world), [1, 1, number as u64 + 1], "the certificate is reused");
    }
    // Empty is none.
    let app = with_capabilities(&world, &[]);
    assert_eq!(app.acquire_token(&pop(GRAPH).with_claims("")).unwrap().source(), TokenSource::Cache);
}

/// Section 9.3: are a challenge and the capabilities one JSON: objects merged, arrays joined with the
/// capabilities first, else the caller's value, but for a null where there is something?
#[test]
fn challenge_and_capabilities() {
    let ours = || json!({"access_token": {"xms_cc": {"values": ["cp1"]}}});
    let rows = [
        ("{}", ours()),
        (
            CHALLENGE,
            json!({"access_token": {"xms_cc": {"values": ["cp1"]}, "nbf": {"essential": true, "value": "1"}}}),
        ),
        (
            r#"{"userinfo":{"a":null},"access_token":{"acrs":null}}"#,
            json!({"access_token": {"xms_cc": {"values": ["cp1"]}, "acrs": null}, "userinfo": {"a": null}}),
        ),
        (
            r#"{"access_token":{"xms_cc":{"values":["llt","cp1"],"essential":true}}}"#,
            json!({"access_token": {"xms_cc": {"values": ["cp1", "llt", "cp1"], "essential": true}}}),
        ),
        (r#"{"access_token":{"xms_cc":{"values":null}}}"#, ours()),
        (r#"{"access_token":{"xms_cc":null}}"#, ours()),
        (r#"{"access_token":null}"#, ours()),
        (
            r#"{"access_token":{"xms_cc":{"values":"x"}}}"#,
            json!({"access_token": {"xms_cc": {"values": "x"}}}),
        ),
        (r#"{"access_token":{"xms_cc":1}}"#, json!({"access_token": {"xms_cc": 1}})),
        (r#"{"access_token":[1]}"#, json!({"access_token": [1]})),
    ];
    let world = World::new();
    let app = with_capabilities(&world, &["cp1"]);
    for (challenge, expected) in rows {
        app.acquire_token(&pop(GRAPH).with_claims(challenge)).unwrap();
        let sent = world.last_token_request().form("claims").unwrap();
        assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), expected, "{challenge}");
        assert!(!sent.contains(": "), "compact: {sent}");
    }
}

/// Sections 9.3 and 11: are claims that are no JSON object an error before anybody is asked, and nothing kept?
/// (MSAL finds out only where it has to merge them.)
#[test]
fn no_object() {
    let world = World::new();
    for capabilities in [&["cp1"][..], &[]] {
        let app = with_capabilities(&world, capabilities);
        for bad in ["[1]", "1", "null", "{", "text", r#""{}""#] {
            for request in [pop(GRAPH), bearer(GRAPH)] {
                let error = app.acquire_token(&request.with_claims(bad)).unwrap_err();
                let told = (error.code(), error.kind(), error.http_status());
                assert_eq!(told, ("invalid_json_claims_format", ErrorKind::InvalidArgument, None), "{bad}");
            }
        }
    }
    assert!(world.cloud.requests().is_empty());
    let token = with_capabilities(&world, &["cp1"]).acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(token.source(), TokenSource::IdentityProvider);
}

/// Sections 9.1 and 9.2: is the token for a challenge, or a forced one, kept in the place of the old one; and
/// if it is refused, the old one, which still lives, for who asks without?
#[test]
fn in_place_of_the_old_one() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let first = app.acquire_token(&pop(GRAPH)).unwrap();
    let requests = [
        pop(GRAPH).with_claims(CHALLENGE),
        pop(GRAPH).with_force_refresh(true),
        pop(GRAPH).with_claims(CHALLENGE).with_force_refresh(true),
    ];
    let mut last = first.access_token().to_owned();
    for request in &requests {
        let body = Some(r#"{"error":"invalid_request"}"#.to_owned());
        world.cloud.fault(Fault { body, ..Fault::status("token", 400) }).unwrap();
        assert_eq!(app.acquire_token(request).unwrap_err().code(), "invalid_request");
        assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap().access_token(), last);
        let token = app.acquire_token(request).unwrap();
        assert_ne!(token.access_token(), last);
        let cached = app.acquire_token(&pop(GRAPH)).unwrap();
        assert_eq!((cached.access_token(), cached.source()), (token.access_token(), TokenSource::Cache));
        last = token.access_token().to_owned();
    }
    assert!(claims(&app.acquire_token(&pop(GRAPH)).unwrap())["devcloud_claims"].is_string());
    assert_eq!(calls(&world), [1, 1, 7]);
}

/// Section 9.1, Bearer from IMDS: do claims have a new token fetched, and nothing more sent?
#[test]
fn bearer_with_claims() {
    let world = World::new();
    let app = with_capabilities(&world, &["cp1"]);
    for (request, count) in
        [(bearer(GRAPH), 1), (bearer(GRAPH).with_claims(CHALLENGE), 2), (bearer(GRAPH), 2)]
    {
        app.acquire_token(&request).unwrap();
        assert_eq!(world.cloud.counter("imds_token"), count);
    }
    let requests = world.cloud.requests();
    assert_eq!(requests[0].query, requests[1].query);
    assert!(!requests[1].query.contains("xms_cc"));
}

/// An app and the lines that it logs.
fn with_lines(options: AppOptions) -> (App, Arc<Mutex<Vec<String>>>) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = lines.clone();
    let sink = move |_: LogLevel, _: &str, line: &str| kept.lock().unwrap().push(line.to_owned());
    let log = Logger::new(LogLevel::Warning, Arc::new(sink));
    (App::new(options.with_logger(log)).unwrap(), lines)
}

/// Section 8.4 and design, decision 4: past its refresh time and while it lives, is a bound token served
/// whatever the replacement fails with, each failure in the log with its code, the service asked every half
/// minute and no more; and is it an error only when the token is over?
#[test]
fn a_refresh_that_fails() {
    let body = |status, text: &str| Fault { body: Some(text.to_owned()), ..Fault::status("token", status) };
    let cases = [
        (Fault::status("token", 503), "service_not_available", 2),
        (body(400, r#"{"error":"invalid_scope"}"#), "invalid_scope", 1),
        (body(429, "<html>"), "request_throttled", 1),
        (Fault::set("token", json!({"token_type": "Bearer"})), "token_type_mismatch", 1),
        (body(200, "<html>"), "non_parsable_oauth_error", 1),
    ];
    for background in [true, false] {
        let world = World::new();
        let options = world.managed_identity_options(SYSTEM).with_background_refresh(background);
        let (app, lines) = with_lines(options);
        world.cloud.fault(Fault::set("token", json!({"refresh_in": 600}))).unwrap();
        let first = app.acquire_token(&pop(GRAPH)).unwrap();
        assert!(first.refresh_on().is_some());
        world.advance(Duration::from_secs(900));
        let mut asked = 1;
        for (number, (fault, code, requests)) in cases.iter().enumerate() {
            world.cloud.clear_faults();
            world.cloud.fault(Fault { times: 99, ..fault.clone() }).unwrap();
            asked += requests;
            for _ in 0..3 {
                let served = app.acquire_token(&pop(GRAPH)).unwrap();
                assert_eq!(
                    (served.access_token(), served.source()),
                    (first.access_token(), TokenSource::Cache)
                );
                wait_for(|| lines.lock().unwrap().len() == number + 1);
            }
            assert!(lines.lock().unwrap()[number].contains(&format!("cached token is served: {code}")));
            assert_eq!(world.cloud.counter("token"), asked, "{code}: once, with its retries");
            // One that is overloaded is left alone for longer (section 7.4).
            world.advance(Duration::from_secs(if matches!(fault.status, Some(429 | 503)) { 61 } else { 31 }));
        }
        // Until five minutes before its end (section 8.3).
        world.advance(Duration::from_secs(3600 - 300 - 900));
        assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap_err().code(), "non_parsable_oauth_error");
        world.cloud.clear_faults();
        let next = app.acquire_token(&pop(GRAPH)).unwrap();
        assert_eq!(next.source(), TokenSource::IdentityProvider);
        assert_eq!(assert_bound(&next), assert_bound(&first));
    }
}

/// Section 8.2: does only the service say when a bound token is to be replaced, however long it lives; is a Bearer
/// token of more than two hours replaced after half of its life, whatever IMDS says, and a shorter one never early?
#[test]
fn when_a_refresh_is_due() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let long = json!({"expires_in": 86_400});
    let rows = [
        (pop(GRAPH), Fault::set("token", long), None),
        (pop(GRAPH), Fault::set("token", json!({"expires_in": 86_400, "refresh_in": "7200"})), Some(7200)),
        (bearer(GRAPH), in_seconds(&world, 86_400), Some(43_200)),
        (bearer(GRAPH), in_seconds(&world, 7200), None),
        (bearer(GRAPH), in_seconds(&world, 3600), None),
    ];
    for (request, fault, due) in rows {
        let shown = format!("{fault:?}");
        world.cloud.fault(fault).unwrap();
        let token = app.acquire_token(&request.with_force_refresh(true)).unwrap();
        let now = world.clock.now();
        let seconds = token.refresh_on().map(|at| at.duration_since(now).unwrap().as_secs());
        // Apps do not all come at the same moment.
        assert_eq!(seconds.is_some(), due.is_some(), "{shown}");
        assert!(seconds.is_none_or(|at| at.abs_diff(due.unwrap()) <= 310), "{shown}: {seconds:?}");
    }
}

/// IMDS's next token lives so long.
fn in_seconds(world: &World, seconds: u64) -> Fault {
    let end = world.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + seconds;
    let (end, seconds) = (end.to_string(), seconds.to_string());
    Fault::set("imds_token", json!({"expires_on": end, "expires_in": seconds, "refresh_in": "60"}))
}

/// Sections 8.2 and 8.4, Bearer from IMDS: past half of its life, is the old token served at once, one new one
/// fetched behind the scenes for all who ask, and that one served after it?
#[test]
fn bearer_is_replaced_at_half_life() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let first = app.acquire_token(&bearer(GRAPH)).unwrap();
    world.advance(Duration::from_secs(12 * 3600 - 330));
    for _ in 0..3 {
        assert_eq!(app.acquire_token(&bearer(GRAPH)).unwrap().source(), TokenSource::Cache);
    }
    assert_eq!(world.cloud.counter("imds_token"), 1, "not before");
    world.advance(Duration::from_secs(660));
    world.cloud.fault(Fault { delay_ms: 300, ..Fault::on("imds_token") }).unwrap();
    for _ in 0..20 {
        let served = app.acquire_token(&bearer(GRAPH)).unwrap();
        assert_eq!(served.source(), TokenSource::Cache);
    }
    wait_for(|| app.acquire_token(&bearer(GRAPH)).unwrap().access_token() != first.access_token());
    assert_eq!(world.cloud.counter("imds_token"), 2, "one for all");
}

/// An early refresh by the caller itself, with a service that hangs: does the flag end the call as it ends any
/// other, and does a time limit that is over leave the token that lives (design, decisions 1 and 4)?
#[test]
fn early_refresh_by_the_caller() {
    let world = World::new();
    let app = App::new(world.managed_identity_options(SYSTEM).with_background_refresh(false)).unwrap();
    world.cloud.fault(Fault::set("token", json!({"refresh_in": 600}))).unwrap();
    let first = app.acquire_token(&pop(GRAPH)).unwrap();
    world.advance(Duration::from_secs(900));
    hang(&world, "token");
    let error = cancel_when(&app, &pop(GRAPH), || world.cloud.counter("token") == 2).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("operation_cancelled", ErrorKind::Cancelled));
    assert!(is_held_back(&world, "token"));

    world.advance(Duration::from_secs(31));
    hang(&world, "token");
    let kept = app.acquire_token(&pop(GRAPH).with_timeout(Some(Duration::from_secs(2)))).unwrap();
    assert_eq!((kept.source(), kept.access_token()), (TokenSource::Cache, first.access_token()));
    assert!(is_held_back(&world, "token"));

    world.advance(Duration::from_secs(31));
    let next = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(next.source(), TokenSource::IdentityProvider);
    assert_eq!(calls(&world), [1, 1, 4]);
}

/// An early refresh that nobody waits for: is it stopped neither by the flag nor by the limit of the call that
/// set it off, and the token that lives served meanwhile (section 8.4, where MSAL's goes with the caller)?
#[test]
fn early_refresh_in_the_background() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    world.cloud.fault(Fault::set("token", json!({"refresh_in": 600}))).unwrap();
    let first = app.acquire_token(&pop(GRAPH)).unwrap();
    world.advance(Duration::from_secs(900));
    world.cloud.fault(Fault { delay_ms: 500, ..Fault::on("token") }).unwrap();
    let cancel = Cancel::new();
    let request = pop(GRAPH).with_cancel(cancel.clone()).with_timeout(Some(Duration::from_millis(300)));
    let served = app.acquire_token(&request).unwrap();
    assert_eq!((served.source(), served.access_token()), (TokenSource::Cache, first.access_token()));
    cancel.cancel();
    wait_for(|| app.acquire_token(&pop(GRAPH)).unwrap().access_token() != first.access_token());
    assert_eq!(calls(&world), [1, 1, 2]);
}
