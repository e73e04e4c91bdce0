//! What a host's managed identity can do: probes, what is remembered of them, and the floor of a request.

use std::sync::Arc;
use std::time::Duration;

use devcloud::{Close, Fault, ReceivedRequest, directory};
use mtlspop::{
    App, Cancel, ErrorKind, HttpRequest, ManagedIdentityCapabilities, ManagedIdentityId,
    ManagedIdentitySource, MtlsBindingStrength, Result, TokenSource,
};
use serde_json::json;

use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, World, assert_bound, bearer, pop, wait_for};

const SOFTWARE: MtlsBindingStrength = MtlsBindingStrength::Software;

fn ask(app: &App) -> Result<ManagedIdentityCapabilities> {
    app.managed_identity_capabilities(None, None)
}

/// Both probes, compute metadata, certificates, tokens over mTLS.
fn calls(world: &World) -> [u64; 5] {
    ["metadata", "imds_token", "compute", "issuecredential", "token"]
        .map(|operation| world.cloud.counter(operation))
}

fn refuse(world: &World, operation: &str, status: u16) {
    world.cloud.fault(Fault { times: 99, ..Fault::status(operation, status) }).unwrap();
}

/// A host without IMDSv2.
fn v1_only(world: &World) {
    refuse(world, "metadata", 404);
}

/// A host without IMDS.
fn nothing(world: &World) {
    refuse(world, "metadata", 404);
    refuse(world, "imds_token", 404);
}

fn last_to(world: &World, path: &str) -> ReceivedRequest {
    world.cloud.requests().into_iter().rfind(|request| request.path.ends_with(path)).unwrap()
}

/// Is an IMDSv2 host known by one request, and then by none, also for another app (sections 1 and 4.4)?
#[test]
fn imds_v2() {
    let world = World::new();
    for app in [world.managed_identity(SYSTEM), world.managed_identity(SYSTEM)] {
        let found = ask(&app).unwrap();
        assert_eq!(found.source(), Some(ManagedIdentitySource::Imds));
        assert_eq!(found.max_supported_binding_strength(), SOFTWARE);
        assert!(found.is_mtls_pop_supported_by_host());
        assert_eq!(found.error_reason(), None);
        let why = "IMDSv2 answered its probe at the address in AZURE_POD_IDENTITY_AUTHORITY_HOST";
        assert!(found.detection_reason().starts_with(why), "{found:?}");
        assert_eq!(ask(&app).unwrap(), found);
    }
    world.advance(Duration::from_secs(366 * 24 * 3600));
    ask(&world.managed_identity(SYSTEM)).unwrap();
    assert_eq!(calls(&world), [1, 0, 0, 0, 0]);
}

/// Is an IMDSv1 host known by three requests, with the strength that its compute metadata allows
/// (sections 1, 4.4 and 4.7)?
#[test]
fn imds_v1() {
    let rows = [
        (json!({"osType": "Linux", "securityProfile": {"securityType": "TrustedLaunch"}}), 0),
        (json!({"osType": "Windows", "securityProfile": {"securityType": "Standard"}}), 0),
        (json!({"osType": "Windows", "securityProfile": null}), 0),
        (json!({"osType": null, "securityProfile": {"securityType": "ConfidentialVM"}}), 0),
        (json!({"osType": "WINDOWS", "securityProfile": {"securityType": "trustedlaunch"}}), 1),
        (json!({"osType": "windows", "securityProfile": {"securityType": "ConfidentialVM"}}), 1),
    ];
    for (compute, strength) in rows {
        let world = World::new();
        v1_only(&world);
        world.cloud.fault(Fault::set("compute", compute.clone())).unwrap();
        let app = world.managed_identity(SYSTEM);
        let found = ask(&app).unwrap();
        assert_eq!(found.source(), Some(ManagedIdentitySource::Imds));
        assert_eq!(found.max_supported_binding_strength() as i32, strength, "{compute}");
        assert_eq!(found.is_mtls_pop_supported_by_host(), strength > 0);
        assert_eq!(found.error_reason(), None);
        assert!(found.detection_reason().contains("IMDSv1 answered"), "{found:?}");
        assert_eq!(ask(&app).unwrap(), found);
        assert_eq!(calls(&world), [1, 1, 1, 0, 0]);
        let sent = last_to(&world, "/metadata/instance/compute");
        assert_eq!(sent.query, "api-version=2021-02-01");
        assert_eq!(sent.header("metadata"), Some("true"));
        assert_eq!(sent.header("x-ms-client-request-id"), None);
    }
}

/// Is compute metadata that cannot be had no error, but no strength (section 4.7)?
#[test]
fn no_compute_metadata() {
    let world = World::new();
    v1_only(&world);
    refuse(&world, "compute", 500);
    let found = ask(&world.managed_identity(SYSTEM)).unwrap();
    assert_eq!(found.source(), Some(ManagedIdentitySource::Imds));
    assert!(!found.is_mtls_pop_supported_by_host());
    assert_eq!(calls(&world), [1, 1, 4, 0, 0]);
}

/// Are the probes those of the table, for each kind of id (section 4.6)?
#[test]
fn probes() {
    let resource = directory::USER_ASSIGNED_RESOURCE_ID;
    let encoded = resource.replace('/', "%2F");
    let rows = [
        (SYSTEM, String::new()),
        (ManagedIdentityId::ClientId("a-b".into()), "&client_id=a-b".to_owned()),
        (ManagedIdentityId::ObjectId("a-b".into()), "&object_id=a-b".to_owned()),
        (ManagedIdentityId::ResourceId(resource.into()), format!("&mi_res_id={encoded}")),
    ];
    for (id, query) in rows {
        let world = World::new();
        nothing(&world);
        ask(&world.managed_identity(id)).unwrap();
        let v2 = last_to(&world, "/metadata/identity/getplatformmetadata");
        let v1 = last_to(&world, "/metadata/identity/oauth2/token");
        assert_eq!(v2.query, format!("cred-api-version=2.0{query}"));
        assert_eq!(v1.query, format!("api-version=2018-02-01{query}"));
        for sent in [v2, v1] {
            assert_eq!((sent.method.as_str(), sent.header("metadata")), ("GET", None));
            assert_eq!(sent.header("accept"), Some("application/json"));
            assert_eq!(sent.header("x-ms-client-request-id").unwrap().len(), 36);
        }
    }
}

/// Is nothing but 400 a success: not 200, not 403 (section 4.6)? And what is retried (section 7.2)?
#[test]
fn what_a_probe_takes_for_an_answer() {
    let rows = [(200, 1), (403, 1), (404, 1), (429, 4), (503, 4), (410, 8)];
    for (status, asked) in rows {
        let world = World::new();
        refuse(&world, "metadata", status);
        refuse(&world, "imds_token", status);
        let found = ask(&world.managed_identity(SYSTEM)).unwrap();
        assert_eq!((found.source(), found.is_mtls_pop_supported_by_host()), (None, false));
        let why = found.error_reason().unwrap();
        for label in ["IMDSv2", "IMDSv1"] {
            assert!(why.contains(&format!("{label}: HTTP {status}")), "{why}");
        }
        assert_eq!(calls(&world), [asked, asked, 0, 0, 0], "{status}");
    }
    let world = World::new();
    world.cloud.fault(Fault { times: 3, ..Fault::status("metadata", 500) }).unwrap();
    assert!(ask(&world.managed_identity(SYSTEM)).unwrap().is_mtls_pop_supported_by_host());
    assert_eq!(calls(&world), [4, 0, 0, 0, 0]);
}

/// Is a connection that breaks a failed probe, with the reason in words?
#[test]
fn broken_connection() {
    let world = World::new();
    for operation in ["metadata", "imds_token"] {
        let cut = Fault { close: Some(Close::BeforeResponse), times: 9, ..Fault::on(operation) };
        world.cloud.fault(cut).unwrap();
    }
    let found = ask(&world.managed_identity(SYSTEM)).unwrap();
    assert_eq!(found.source(), None);
    assert!(found.error_reason().unwrap().starts_with("IMDSv2: "), "{found:?}");
}

/// Is a host that is slow once asked again, and not taken for one without IMDS?
#[test]
fn slow_host() {
    let world = World::new();
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("metadata") }).unwrap();
    let options = world.managed_identity_options(SYSTEM).with_probe_timeout(Duration::from_millis(500));
    let found = ask(&App::new(options).unwrap()).unwrap();
    assert!(found.is_mtls_pop_supported_by_host(), "{found:?}");
}

/// Is a source that the environment names found without a request, and why in words without values
/// (sections 4.2 and 4.4)?
#[test]
fn environment() {
    let rows: [(&[&str], _); 5] = [
        (&["IDENTITY_ENDPOINT", "IDENTITY_HEADER"], ManagedIdentitySource::AppService),
        (
            &["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"],
            ManagedIdentitySource::ServiceFabric,
        ),
        (&["MSI_ENDPOINT", "MSI_SECRET"], ManagedIdentitySource::MachineLearning),
        (&["MSI_ENDPOINT"], ManagedIdentitySource::CloudShell),
        (&["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], ManagedIdentitySource::AzureArc),
    ];
    for (names, source) in rows {
        let world = World::new();
        let mut env = world.env();
        env.extend(names.iter().map(|name| ((*name).to_owned(), "http://127.0.0.1:1/s3cret".to_owned())));
        env.insert("DEFAULT_IDENTITY_CLIENT_ID".to_owned(), "x".to_owned());
        env.entry("IDENTITY_SERVER_THUMBPRINT".to_owned()).and_modify(|value| *value = "0f".repeat(20));
        let app = App::new(world.managed_identity_options(SYSTEM).with_env(Arc::new(env))).unwrap();
        let found = ask(&app).unwrap();
        assert_eq!(found.source(), Some(source));
        assert_eq!(found.max_supported_binding_strength(), MtlsBindingStrength::None);
        assert_eq!((found.is_mtls_pop_supported_by_host(), found.error_reason()), (false, None));
        for name in names {
            assert!(found.detection_reason().contains(name), "{found:?}");
        }
        assert!(!format!("{found:?}").contains("s3cret"));
        // Section 4.9: with a floor it is the floor that is not met.
        let error = app.acquire_token(&pop(GRAPH).with_min_strength(SOFTWARE)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotSupported, "min_strength_not_met"));
        assert!(error.message().contains(source.name()), "{error}");
        assert_eq!(world.cloud.requests().len(), 0);
    }
}

/// Is it forgotten after a minute that nobody answered, and is acquiring tokens not changed by it
/// (sections 4.3 and 4.4; the design's table, row "failed discovery")?
#[test]
fn nothing_is_forgotten() {
    let world = World::new();
    nothing(&world);
    let app = world.managed_identity(SYSTEM);
    assert_eq!(ask(&app).unwrap().source(), None);
    world.cloud.clear_faults();
    assert_eq!(ask(&app).unwrap().source(), None);
    assert_eq!(calls(&world), [1, 1, 0, 0, 0]);
    app.acquire_token(&bearer(GRAPH)).unwrap();
    app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(calls(&world), [2, 2, 0, 1, 1]);
    world.advance(Duration::from_secs(61));
    assert_eq!(ask(&app).unwrap().source(), Some(ManagedIdentitySource::Imds));
    assert_eq!(calls(&world), [3, 2, 0, 1, 1]);
}

/// Does an acquisition without a floor never probe (section 4.3)?
#[test]
fn acquiring_does_not_probe() {
    let world = World::new();
    world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(calls(&world), [1, 0, 0, 1, 1]);
}

/// Do threads that ask at once cause one probe?
#[test]
fn one_probe_for_all() {
    let world = World::new();
    world.cloud.fault(Fault { delay_ms: 300, ..Fault::on("metadata") }).unwrap();
    let app = world.managed_identity(SYSTEM);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(ask(&app).unwrap().is_mtls_pop_supported_by_host()));
        }
    });
    assert_eq!(calls(&world), [1, 0, 0, 0, 0]);
}

/// Is a cold PoP call with a floor four requests, and a cached one none, with tokens of different floors
/// apart (sections 1, 4.9 and 5.13)?
#[test]
fn floor_that_is_met() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let request = pop(GRAPH).with_min_strength(SOFTWARE);
    let token = app.acquire_token(&request).unwrap();
    assert_eq!(calls(&world), [2, 0, 0, 1, 1]);
    assert_eq!(app.acquire_token(&request).unwrap().source(), TokenSource::Cache);
    let other = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(other.source(), TokenSource::IdentityProvider);
    assert_eq!(assert_bound(&other), assert_bound(&token));
    let none = pop(GRAPH).with_min_strength(MtlsBindingStrength::None);
    assert_eq!(app.acquire_token(&none).unwrap().source(), TokenSource::Cache);
    assert_eq!(calls(&world), [2, 0, 0, 1, 2]);
    assert_eq!(
        app.send(&token, &HttpRequest::new("GET", "https://graph.microsoft.com/")).unwrap().status(),
        200
    );
}

/// Is a floor that this host does not reach an error before anything is minted, which says what it
/// reaches, what was demanded and what is missing (section 4.9)?
#[test]
fn floor_that_is_not_met() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    for (floor, name) in
        [(MtlsBindingStrength::Hardware, "Hardware"), (MtlsBindingStrength::Attested, "Attested")]
    {
        let error = app.acquire_token(&pop(GRAPH).with_min_strength(floor)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotSupported, "min_strength_not_met"));
        for text in [name, "Software", "TPM"] {
            assert!(error.message().contains(text), "{error}");
        }
    }
    assert_eq!(calls(&world), [1, 0, 0, 0, 0]);

    let world = World::new();
    v1_only(&world);
    let app = world.managed_identity(SYSTEM);
    let error = app.acquire_token(&pop(GRAPH).with_min_strength(SOFTWARE)).unwrap_err();
    assert_eq!(error.code(), "min_strength_not_met");
    assert!(error.message().contains("IMDSv1 only"), "{error}");
    assert_eq!(calls(&world), [1, 1, 1, 0, 0]);
}

/// Does the app's floor hold for each of its bound tokens, the request's where that is higher, and neither for
/// Bearer; is a token that an app without a floor has got not served to one with it; and is a floor refused for
/// a confidential client when the app is made?
#[test]
fn floor_of_the_app() {
    let world = World::new();
    let with = |floor| App::new(world.managed_identity_options(SYSTEM).with_min_strength(floor)).unwrap();
    world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap();
    let hardware = with(MtlsBindingStrength::Hardware);
    for request in [pop(GRAPH), pop(GRAPH).with_min_strength(SOFTWARE)] {
        let error = hardware.acquire_token(&request).unwrap_err();
        assert_eq!(error.code(), "min_strength_not_met");
        assert!(error.message().contains("Hardware"), "{error}");
    }
    hardware.acquire_token(&bearer(GRAPH)).unwrap();
    let software = with(SOFTWARE);
    let request = pop(GRAPH).with_min_strength(MtlsBindingStrength::Attested);
    assert_eq!(software.acquire_token(&request).unwrap_err().code(), "min_strength_not_met");
    let token = software.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(token.source(), TokenSource::IdentityProvider);
    assert_eq!(world.cloud.counter("issuecredential"), 1);
    let client = world.app_a_options(world.sni_credential()).with_min_strength(SOFTWARE);
    assert_eq!(App::new(client).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// Is it another error where no source was found, for it may pass (section 11)?
#[test]
fn floor_where_nothing_was_found() {
    let world = World::new();
    nothing(&world);
    let app = world.managed_identity(SYSTEM);
    let request = pop(GRAPH).with_min_strength(SOFTWARE);
    let error = app.acquire_token(&request).unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.http_status()),
        (ErrorKind::NotSupported, "managed_identity_all_sources_unavailable", None)
    );
    assert!(error.is_retryable());
    assert!(error.message().contains("IMDSv2: HTTP 404") && error.message().contains("IMDSv1: HTTP 404"));
    world.cloud.clear_faults();
    world.advance(Duration::from_secs(61));
    assert_bound(&app.acquire_token(&request).unwrap());
}

/// Is a floor refused where it means nothing: for Bearer, and for a certificate of the caller's?
#[test]
fn misplaced() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    for (app, request) in [(&app, bearer(GRAPH)), (&world.sni(), pop(GRAPH_SCOPE))] {
        let error = app.acquire_token(&request.with_min_strength(SOFTWARE)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    assert_eq!(ask(&world.sni()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let options = world.app_a_options(world.sni_credential()).with_probe_timeout(Duration::from_secs(1));
    assert_eq!(App::new(options).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(world.cloud.requests().len(), 0);
}

/// Does a caller get no answer but its own error when its time is over or it gives up, and do others not
/// inherit it?
#[test]
fn deadline_and_cancel() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    // Too little time for the wait before the next attempt.
    world.cloud.fault(Fault::status("metadata", 503)).unwrap();
    let error = app.managed_identity_capabilities(Some(Duration::from_millis(900)), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");

    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("metadata") }).unwrap();
    let error = app.managed_identity_capabilities(Some(Duration::from_millis(300)), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");

    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("metadata") }).unwrap();
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| app.managed_identity_capabilities(None, Some(cancel.clone())));
        wait_for(|| world.cloud.counter("metadata") == 3);
        cancel.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
    let error = app.managed_identity_capabilities(None, Some(cancel)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(calls(&world), [3, 0, 0, 0, 0]);
    assert!(ask(&app).unwrap().is_mtls_pop_supported_by_host());
}
