//! What is made of the answers: the expiry, what cannot be used, and refusals in words.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use devcloud::{Fault, Source};
use mtlspop::{Clock, ErrorKind};
use serde_json::json;

use super::{SYSTEM, app, app_on, host, operation};
use crate::support::{GRAPH, World, bearer};

/// Section 8.1: is the expiry understood in every form, the last of the two names counting? Section 8.2: is
/// a refresh due after half the life of what lives longer than two hours, whatever the source says?
#[test]
fn expiry() {
    let world = World::new();
    let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let now = || seconds(world.clock.now());
    let date = httpdate::fmt_http_date(world.clock.now() + Duration::from_secs(3600));
    let rows = [
        (json!({"expires_on": 3600}), 3600),
        (json!({"expires_on": "3600"}), 3600),
        (json!({"expires_on": now() + 3600}), 3600),
        (json!({"expires_on": (now() + 3600).to_string()}), 3600),
        (json!({"expires_on": null, "expires_in": (now() + 3600).to_string()}), 3600),
        (json!({"expires_on": date}), 3600),
        (json!({"expires_on": "2100-01-01T00:00:00+00:00"}), 4_102_444_800 - now()),
        (json!({"expires_on": 7200, "refresh_in": 60}), 7200),
        (json!({"expires_on": 7202, "refresh_in": 60}), 7202),
    ];
    let check = |shown: &str, life: i64| {
        let request = bearer(GRAPH).with_force_refresh(true);
        let token = app(&world, Source::AppService).acquire_token(&request).unwrap();
        let left = seconds(token.expires_on()) - now();
        assert!((left - life).abs() <= 5, "{shown}: {left}");
        let due = token.refresh_on().map(|at| seconds(at) - now());
        assert_eq!(due.is_some(), life > 7200, "{shown}");
        // Apps do not all come at the same moment.
        assert!(due.is_none_or(|due| (due - life / 2).abs() <= 310), "{shown}: {due:?}");
    };
    for (members, life) in rows {
        world.cloud.fault(Fault::set("app_service", members.clone())).unwrap();
        check(&members.to_string(), life);
    }
    for (members, life) in
        [(r#""expires_on":3600,"expires_in":1800"#, 1800), (r#""expires_in":1800,"expires_on":3600"#, 3600)]
    {
        let body = Some(format!(r#"{{"access_token":"t",{members},"token_type":"Bearer"}}"#));
        world.cloud.fault(Fault { body, ..Fault::on("app_service") }).unwrap();
        check(members, life);
    }
}

/// Section 6.0, "Failure on 200", and 11: is an answer of success that cannot be used refused, under MSAL's code?
#[test]
fn unusable_answers() {
    let expiry = |value| Fault::set("", json!({ "expires_on": value }));
    let body = |text: &str| Fault { body: Some(text.to_owned()), ..Fault::default() };
    let rows = [
        (body("<html>"), "managed_identity_response_parse_failure"),
        (body("[1]"), "managed_identity_response_parse_failure"),
        (body(r#"{"access_token":"#), "managed_identity_response_parse_failure"),
        (body("null"), "managed_identity_request_failed"),
        (body(""), "managed_identity_request_failed"),
        (body("{}"), "managed_identity_request_failed"),
        (Fault::set("", json!({"access_token": null})), "managed_identity_request_failed"),
        (Fault::set("", json!({"access_token": ""})), "managed_identity_request_failed"),
        (Fault::set("", json!({"expires_on": null, "expires_in": null})), "managed_identity_request_failed"),
        (expiry(json!("soon")), "invalid_timestamp_format"),
        (expiry(json!(0)), "invalid_token_provider_response_value"),
        (expiry(json!("-3")), "invalid_token_provider_response_value"),
        (expiry(json!(1_000_000_000)), "invalid_token_provider_response_value"),
        (expiry(json!("2020-01-01T00:00:00Z")), "invalid_token_provider_response_value"),
    ];
    let sources = [None, Some(Source::AppService), Some(Source::CloudShell), Some(Source::ServiceFabric)];
    for source in sources {
        let world = World::new();
        let name = source.map_or("imds_token", operation);
        for (fault, code) in &rows {
            let fault = Fault { operation: name.to_owned(), ..fault.clone() };
            world.cloud.fault(fault.clone()).unwrap();
            let app = match source {
                Some(source) => app(&world, source),
                None => world.managed_identity(SYSTEM),
            };
            let error = app.acquire_token(&bearer(GRAPH)).unwrap_err();
            assert_eq!(error.code(), *code, "{source:?} {fault:?}");
            let of_body = code.starts_with("managed_identity");
            assert_eq!(error.http_status(), of_body.then_some(200), "{source:?} {fault:?}");
            assert_eq!(world.cloud.counter(name), 1, "not retried");
            world.cloud.reset();
        }
    }
}

/// Section 6.0: is what each source says in its own shape quoted, with its name and what to look at?
#[test]
fn refusals_in_words() {
    let world = World::new();
    for source in Source::ALL {
        let error = app(&world, source).acquire_token(&bearer("https://nobody.invalid")).unwrap_err();
        assert_eq!((error.code(), error.http_status()), ("managed_identity_request_failed", Some(400)));
        for words in ["AADSTS500011", "is the identity assigned to this host"] {
            assert!(error.message().contains(words), "{error}");
        }
    }
    for (source, secret, name) in [
        (Source::AppService, "IDENTITY_HEADER", "App Service"),
        (Source::ServiceFabric, "IDENTITY_HEADER", "Service Fabric"),
        (Source::MachineLearning, "MSI_SECRET", "Machine Learning"),
    ] {
        let mut host = host(&world, source);
        host.variables.insert(secret.to_owned(), "hunter2".to_owned());
        let app = app_on(&world, host).unwrap();
        let error = app.acquire_token(&bearer("https://vault.azure.net")).unwrap_err();
        assert_eq!((error.code(), error.http_status()), ("managed_identity_request_failed", Some(401)));
        assert!(error.message().contains(name) && error.message().contains(secret), "{error}");
        assert!(!format!("{error:?} {app:?}").contains("hunter2"));
    }
    // One that repeats what it was sent, and one that does so with 200.
    for (source, secret, operation) in [
        (Source::AppService, "IDENTITY_HEADER", "app_service"),
        (Source::ServiceFabric, "IDENTITY_HEADER", "service_fabric"),
        (Source::MachineLearning, "MSI_SECRET", "machine_learning"),
    ] {
        for status in [400, 200] {
            let host = host(&world, source);
            let body = json!({ "error": "x", "message": format!("not {}", host.variables[secret]) });
            let fault = Fault { body: Some(body.to_string()), ..Fault::status(operation, status) };
            world.cloud.fault(fault).unwrap();
            let error = app_on(&world, host).unwrap().acquire_token(&bearer(GRAPH)).unwrap_err();
            assert!(error.message().contains("not ***"), "{status}: {error}");
        }
    }
    // What support at Azure can find is the service's own id.
    let id = "3f0d2f43-4c2b-4a5f-9f55-0a5f4f3b1c2d";
    let body = json!({ "statusCode": 501, "message": "broken", "correlationId": id }).to_string();
    world.cloud.fault(Fault { body: Some(body), ..Fault::status("app_service", 501) }).unwrap();
    let error = app(&world, Source::AppService).acquire_token(&bearer(GRAPH)).unwrap_err();
    assert_eq!(error.correlation_id(), Some(id));
}

/// Section 11: is an address where nobody listens told apart from a refusal?
#[test]
fn nobody_there() {
    let world = World::new();
    // A port that is taken, and at which nobody listens.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    for source in Source::ALL {
        let mut host = host(&world, source);
        for name in ["IDENTITY_ENDPOINT", "MSI_ENDPOINT"] {
            host.variables.entry(name.to_owned()).and_modify(|url| *url = format!("http://{address}/x"));
        }
        let error = app_on(&world, host).unwrap().acquire_token(&bearer(GRAPH)).unwrap_err();
        let expected = (ErrorKind::Network, "managed_identity_unreachable_network");
        assert_eq!((error.kind(), error.code()), expected, "{source:?}");
        assert!(error.message().contains("ENDPOINT"), "{error}");
    }
}
