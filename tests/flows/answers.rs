//! What services answer that is not as the specifications have it: is it read, told, or refused for what it is?

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use devcloud::{Fault, Source};
use mtlspop::ErrorKind::{InvalidResponse, Rejected};
use mtlspop::{App, AppOptions, Error, TokenRequest};
use serde_json::json;

use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, World, assert_bound, bearer, pop};

/// Each service that is asked on the way to a token, by its operation, with an app that asks it and for what.
fn services(world: &World) -> Vec<(&'static str, AppOptions, TokenRequest)> {
    let client = || world.app_a_options(world.sni_credential()).with_azure_region("DisableMsalForceRegion");
    let identity = || world.managed_identity_options(SYSTEM);
    let on_app_service = || {
        let mut env = world.env();
        env.extend(world.cloud.source_env(Source::AppService));
        identity().with_env(Arc::new(env))
    };
    vec![
        ("token", client(), pop(GRAPH_SCOPE)),
        (
            "openid_configuration",
            client().with_oidc_authority("https://idp.devcloud.test"),
            bearer(GRAPH_SCOPE),
        ),
        ("webfinger", client().with_authority("https://adfs.devcloud.test/adfs"), bearer(GRAPH_SCOPE)),
        ("imds_token", identity(), bearer(GRAPH)),
        ("metadata", identity(), pop(GRAPH)),
        ("issuecredential", identity(), pop(GRAPH)),
        ("app_service", on_app_service(), bearer(GRAPH)),
    ]
}

fn fails(options: AppOptions, request: &TokenRequest) -> Error {
    App::new(options).unwrap().acquire_token(request).unwrap_err()
}

/// Do the words of each service, or of what stands before it, reach the user, from whichever of the services
/// they come, and is only a no called a no (managed_identity spec, section 6.0)?
#[test]
fn what_is_said_is_told() {
    let world = World::new();
    let arm =
        r#"{"error":{"code":"Forbidden","message":"AADSTS700016: gone","innererror":{"code":"Inner"}}}"#;
    let twice =
        r#"{"error":"x","error_description":"AADSTS700016: gone","error_description":null,"error_codes":{}}"#;
    let rows = [
        (403, "", arm, "AADSTS700016: gone"),
        (403, "", r#"{"statusCode":403,"message":"Out of call volume quota"}"#, "Out of call volume quota"),
        (403, "", r#"{"Message":"An error has occurred."}"#, "An error has occurred."),
        (
            400,
            "",
            "\u{feff}{\"error\":\"x\",\"error_description\":\"AADSTS700016: gone\"}",
            "AADSTS700016: gone",
        ),
        (400, "", twice, "AADSTS700016: gone"),
        (403, "", "blocked by \u{202e}the firewall\r\n", "blocked by the firewall"),
        (403, "", "<html><head><title>403 Forbidden</title></head>", "\"403 Forbidden\""),
        (403, "", "", "(Forbidden)"),
        (
            302,
            "https://portal.contoso.example/login?x=secret",
            "<title>moved</title>",
            "portal.contoso.example",
        ),
    ];
    for (operation, options, request) in services(&world) {
        for (status, location, body, words) in &rows {
            let mut headers = std::collections::BTreeMap::new();
            if !location.is_empty() {
                headers.insert("location".to_owned(), (*location).to_owned());
            }
            let body = Some((*body).to_owned());
            world.cloud.fault(Fault { headers, body, ..Fault::status(operation, *status) }).unwrap();
            let error = fails(options.clone(), &request);
            assert!(error.message().contains(words), "{operation}: {error}");
            assert!(!error.message().contains("secret") && !error.message().contains('\u{202e}'), "{error}");
            let numbers: &[u32] = if words.starts_with("AADSTS") { &[700_016] } else { &[] };
            assert_eq!(error.aadsts_codes(), numbers, "{operation}: {error}");
            let is_no = *status >= 400 && error.code() != "non_parsable_oauth_error";
            assert_eq!(error.kind(), if is_no { Rejected } else { InvalidResponse }, "{operation}: {error}");
            assert_eq!(error.http_status(), Some(*status), "{operation}");
        }
    }
}

/// Where 200 comes without what was asked for: is the title of a page told, as networks send it that want a person
/// to sign in first, and a refusal that comes with the status of success?
#[test]
fn a_page_in_place_of_an_answer() {
    let world = World::new();
    let page = "<!DOCTYPE html><title>Sign in to Wi-Fi</title>";
    let refusal = r#"{"error":"x","error_description":"AADSTS700016: gone","claims":"{}"}"#;
    for (operation, options, request) in services(&world) {
        for (body, words) in
            [(page, "a page with the title \"Sign in to Wi-Fi\""), (refusal, "AADSTS700016: gone")]
        {
            let headers = [("server".to_owned(), "IMDS/1".to_owned())].into();
            let fault = Fault { body: Some(body.to_owned()), headers, ..Fault::on(operation) };
            world.cloud.fault(fault).unwrap();
            let error = fails(options.clone(), &request);
            // A host that can be read, and does not say that it is AD FS, says no.
            let says_no = operation == "webfinger" && body == refusal;
            assert_eq!(
                error.kind(),
                if says_no { Rejected } else { InvalidResponse },
                "{operation}: {error}"
            );
            assert!(error.message().contains(words), "{operation}: {error}");
            let claims = (body == refusal).then_some("{}");
            assert_eq!(
                (error.aadsts_codes().is_empty(), error.claims()),
                (body == page, claims),
                "{operation}"
            );
        }
    }
}

/// RFC 6749, A.12: is a token that could end the header it is put into refused, whoever sends it, and not kept?
#[test]
fn tokens_that_no_header_may_hold() {
    let world = World::new();
    for (operation, options, request) in services(&world) {
        if !matches!(operation, "token" | "imds_token" | "app_service") {
            continue;
        }
        let app = App::new(options).unwrap();
        for token in ["eyJ\r\nX-Injected: 1", "eyJ\n", "eyJ\0", "eyJ\u{e4}", "\u{200b}eyJ", " "] {
            world.cloud.fault(Fault::set(operation, json!({ "access_token": token }))).unwrap();
            let error = app.acquire_token(&request).unwrap_err();
            let expected = (InvalidResponse, "invalid_token_provider_response_value");
            assert_eq!((error.kind(), error.code()), expected, "{operation} {token:?}");
            assert!(!error.message().contains("eyJ"), "{error}");
        }
        assert!(app.acquire_token(&request).unwrap().access_token().is_ascii());
    }
}

/// Is a token that is said to live for ever one whose end every language can write: before the year 9999?
#[test]
fn lives_without_end() {
    let world = World::new();
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_370_764_800);
    for (operation, options, request) in services(&world) {
        if !matches!(operation, "token" | "imds_token" | "app_service") {
            continue;
        }
        let app = App::new(options).unwrap();
        for life in
            [json!(i64::MAX), json!(u64::MAX), json!("253402300800"), json!(1e300), json!("2147483647.5")]
        {
            let members = match operation {
                "token" => json!({ "expires_in": life, "refresh_in": life }),
                _ => json!({ "expires_on": life, "expires_in": life }),
            };
            world.cloud.fault(Fault::set(operation, members)).unwrap();
            let token = app.acquire_token(&request.clone().with_force_refresh(true)).unwrap();
            assert!(token.expires_on() < last, "{operation} {life}: {:?}", token.expires_on());
            assert!(token.refresh_on().is_none_or(|at| at < last), "{operation} {life}");
        }
    }
}

/// Is it never called the caller's argument what IMDS or an OpenID provider sent: a URL with a user in it, one
/// that no request can be sent to, a tenant that is none?
#[test]
fn never_the_callers_fault() {
    let world = World::new();
    let endless = format!("https://idp.devcloud.test/{}", "x".repeat(70_000));
    let endpoint = |url: &str| Fault::set("issuecredential", json!({ "mtls_authentication_endpoint": url }));
    let rows = [
        endpoint("https://user:secret@eastus.mtlsauth.microsoft.com"),
        endpoint("https://eastus.mtlsauth.microsoft.com:99999"),
        endpoint("eastus.mtlsauth.microsoft.com"),
        endpoint(&endless),
        Fault::set("issuecredential", json!({ "tenant_id": "../x" })),
        Fault::set("issuecredential", json!({ "tenant_id": "x?y" })),
        Fault::set("metadata", json!({ "clientId": "a_b" })),
        Fault::set("metadata", json!({ "cuId": "x" })),
        Fault::set(
            "openid_configuration",
            json!({ "token_endpoint": "https://u:secret@idp.devcloud.test/x" }),
        ),
        Fault::set("openid_configuration", json!({ "token_endpoint": endless })),
    ];
    for fault in rows {
        let (_, options, request) =
            services(&world).into_iter().find(|(operation, ..)| *operation == fault.operation).unwrap();
        world.cloud.fault(fault.clone()).unwrap();
        let error = fails(options, &request);
        assert_eq!(error.kind(), InvalidResponse, "{fault:?}: {error}");
        assert!(!error.message().contains("secret"), "{error}");
    }
    assert_eq!(world.cloud.counter("token"), 0);
    assert_bound(&world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap());
}
