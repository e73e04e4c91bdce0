//! Bearer over mTLS for managed identities: the certificate of a bound token, and a token that is bound to nothing
//! (since_july_2026 spec, section 2).

use std::sync::Arc;
use std::time::Duration;

use devcloud::{Fault, Options, ReceivedRequest, Service, Source, directory};
use mtlspop::{
    App, AttestationProvider, AttestationRequest, ErrorKind, HttpRequest, ManagedIdentityId,
    MtlsBindingStrength, Result, Secret, TokenRequest, TokenSource,
};
use serde_json::json;

use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, VAULT, World, assert_bound, bearer, claims, pop, wait_for};

fn over_mtls(resource: &str) -> TokenRequest {
    bearer(resource).with_request_over_mtls(true)
}

/// IMDSv1, both parts of IMDSv2, tokens over mTLS.
fn calls(world: &World) -> [u64; 4] {
    ["imds_token", "metadata", "issuecredential", "token"].map(|operation| world.cloud.counter(operation))
}

fn last_to_mtlsauth(world: &World) -> ReceivedRequest {
    world.cloud.requests_to(Service::Mtlsauth).pop().unwrap()
}

/// Is the token a Bearer one, asked for with the certificate of IMDSv2 at the endpoint of IMDSv2, bound to nothing,
/// without a certificate, good for an API over plain TLS, and kept?
#[test]
fn cold_and_warm() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&over_mtls(GRAPH)).unwrap();
    assert_eq!(calls(&world), [0, 1, 1, 1]);
    assert_eq!((token.token_type().as_str(), token.binding_certificate().is_none()), ("Bearer", true));
    assert!(token.authorization().starts_with("Bearer ey"));
    assert!(claims(&token).get("cnf").is_none());
    assert_eq!(claims(&token)["oid"], directory::SYSTEM_ASSIGNED_OBJECT_ID);
    assert_eq!(token.tenant_id(), Some(directory::TENANT_ID));
    assert!(token.token_endpoint().starts_with("https://eastus.mtlsauth.microsoft.com/"));
    assert_eq!(token.certificate_requested(), Some(true));

    let sent = last_to_mtlsauth(&world);
    assert_eq!(sent.form("token_type").as_deref(), Some("bearer"));
    assert_eq!(sent.form("scope").as_deref(), Some(GRAPH_SCOPE));
    assert_eq!(sent.form("grant_type").as_deref(), Some("client_credentials"));
    for absent in ["client_assertion", "client_secret", "resource", "client_info"] {
        assert_eq!(sent.form(absent), None, "{absent}");
    }
    let response = app.send(&token, &HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me")).unwrap();
    assert_eq!(response.status(), 200);
    let called = world.cloud.requests_to(Service::Graph).pop().unwrap();
    assert_eq!(called.client_certificate, None);

    // As with bound tokens, another app of the process finds it, too.
    for app in [&app, &world.managed_identity(SYSTEM)] {
        let again = app.acquire_token(&over_mtls(GRAPH)).unwrap();
        assert_eq!((again.source(), again.access_token()), (TokenSource::Cache, token.access_token()));
    }
    assert_eq!(calls(&world), [0, 1, 1, 1]);
    // The certificate is that of bound tokens.
    let bound = assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    assert_eq!(sent.client_certificate, Some(bound));
    assert_eq!(calls(&world), [0, 1, 1, 2]);
}

/// Are the three kinds of token kept apart, in whichever order they are asked for?
#[test]
fn kept_apart() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let world = World::new();
        let app = world.managed_identity(SYSTEM);
        let requests = [bearer(GRAPH), over_mtls(GRAPH), pop(GRAPH)];
        let tokens = order.map(|index| {
            let token = app.acquire_token(&requests[index]).unwrap();
            assert_eq!(token.source(), TokenSource::IdentityProvider, "{index} of {order:?}");
            token
        });
        for (index, token) in order.into_iter().zip(&tokens) {
            let again = app.acquire_token(&requests[index]).unwrap();
            assert_eq!((again.source(), again.access_token()), (TokenSource::Cache, token.access_token()));
        }
        assert_eq!(calls(&world), [1, 1, 1, 2]);
    }
}

/// Must the answer say Bearer, in any case, and is every other one refused, with nothing kept?
#[test]
fn lies() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let rows = [
        (json!({ "token_type": "mtls_pop" }), Some("token_type_mismatch")),
        (json!({ "token_type": "pop" }), Some("token_type_mismatch")),
        (json!({ "token_type": "Bearer " }), Some("token_type_mismatch")),
        (json!({ "token_type": "" }), Some("token_type_missing")),
        (json!({ "token_type": null }), Some("token_type_missing")),
        (json!({ "token_type": "BEARER" }), None),
        (json!({ "token_type": "bearer" }), None),
    ];
    for (lie, code) in rows {
        world.cloud.fault(Fault::set("token", lie.clone())).unwrap();
        match (app.acquire_token(&over_mtls(GRAPH).with_force_refresh(true)), code) {
            (Ok(token), None) => assert!(token.authorization().starts_with("Bearer "), "{lie}"),
            (Err(error), Some(code)) => {
                assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidResponse, code), "{lie}");
                assert!(!format!("{error:?}").contains("eyJ"), "{error:?}");
                println!("{lie}: {}: {error}", error.code());
            }
            (outcome, _) => panic!("{lie}: {outcome:?}"),
        }
    }
    let fresh = World::new();
    fresh.cloud.fault(Fault::set("token", json!({ "token_type": "mtls_pop" }))).unwrap();
    let app = fresh.managed_identity(SYSTEM);
    app.acquire_token(&over_mtls(GRAPH)).unwrap_err();
    assert_eq!(app.acquire_token(&over_mtls(GRAPH)).unwrap().source(), TokenSource::IdentityProvider);
    assert_eq!(calls(&fresh), [0, 1, 1, 2]);
}

/// Is there nothing in its place where there is no IMDSv2, or where the token service says no: not IMDSv1, which
/// would answer?
#[test]
fn no_fallback() {
    let world = World::new();
    world.cloud.fault(Fault { times: 99, ..Fault::status("metadata", 404) }).unwrap();
    let app = world.managed_identity(SYSTEM);
    let error = app.acquire_token(&over_mtls(GRAPH)).unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::NotSupported, "mtls_pop_token_not_supported_in_imds_v1")
    );
    world.cloud.clear_faults();
    for (operation, status) in [("issuecredential", 400), ("token", 400), ("token", 403)] {
        world.cloud.fault(Fault::status(operation, status)).unwrap();
        let error = app.acquire_token(&over_mtls(VAULT)).unwrap_err();
        assert_eq!((error.kind(), error.http_status()), (ErrorKind::Rejected, Some(status)), "{operation}");
    }
    assert_eq!(world.cloud.counter("imds_token"), 0);
    for source in Source::ALL {
        let mut env = world.env();
        env.extend(world.cloud.source_env(source));
        world.cloud.reset();
        let options = world.managed_identity_options(SYSTEM).with_env(Arc::new(env));
        let error = App::new(options).unwrap().acquire_token(&over_mtls(GRAPH)).unwrap_err();
        let expected = (ErrorKind::NotSupported, "mtls_pop_not_supported_for_environment");
        assert_eq!((error.kind(), error.code()), expected, "{source:?}");
        assert!(error.message().contains("ask for ordinary Bearer"), "{error}");
        assert!(world.cloud.requests().is_empty());
    }
}

/// Does a floor count, that of the request and that of the app, and are tokens of different floors apart?
#[test]
fn floor() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let software = MtlsBindingStrength::Software;
    let token = app.acquire_token(&over_mtls(GRAPH).with_min_strength(software)).unwrap();
    assert_eq!(token.token_type().as_str(), "Bearer");
    assert_eq!(app.acquire_token(&over_mtls(GRAPH)).unwrap().source(), TokenSource::IdentityProvider);
    let hardware = world.managed_identity_options(SYSTEM).with_min_strength(MtlsBindingStrength::Hardware);
    let strict = App::new(hardware).unwrap();
    for (app, request) in [
        (&app, over_mtls(GRAPH).with_min_strength(MtlsBindingStrength::Attested)),
        (&strict, over_mtls(GRAPH)),
    ] {
        let error = app.acquire_token(&request).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotSupported, "min_strength_not_met"));
    }
    strict.acquire_token(&bearer(GRAPH)).unwrap();
}

/// Attests with devcloud's own key.
struct Attestor(Arc<devcloud::Cloud>);

impl AttestationProvider for Attestor {
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Secret> {
        // Before the PKCS#1 key of 2048 bits there are 24 bytes.
        Ok(Secret::new(self.0.mint_attestation(&request.public_key[24..]).unwrap()))
    }
}

/// Does attestation count: is such a token asked for with an attested certificate, and kept from apps without?
#[test]
fn attestation() {
    let world = World::with(Options { require_attestation: true, ..Options::default() });
    let options = world.managed_identity_options(SYSTEM);
    let app = App::new(options.with_attestation(Arc::new(Attestor(world.cloud.clone())))).unwrap();
    app.acquire_token(&over_mtls(GRAPH)).unwrap();
    assert_eq!(calls(&world), [0, 1, 1, 1]);
    let plain = world.managed_identity(SYSTEM);
    let error = plain.acquire_token(&over_mtls(GRAPH)).unwrap_err();
    assert!(error.message().contains("Attestation token is missing"), "{error}");
    plain.acquire_token(&bearer(GRAPH)).unwrap();
}

/// Is a certificate that the token service rejects replaced, as for a bound token; and are bound tokens of the
/// rejected one given up?
#[test]
fn rejected_certificate() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let bound = assert_bound(&app.acquire_token(&pop(VAULT)).unwrap());
    let rejected =
        json!({"error": "invalid_client", "error_codes": [1000610], "error_description": "AADSTS1000610"});
    let fault = Fault { status: Some(401), body: Some(rejected.to_string()), ..Fault::on("token") };
    world.cloud.fault(fault).unwrap();
    app.acquire_token(&over_mtls(GRAPH)).unwrap();
    assert_eq!(world.cloud.counter("issuecredential"), 2);
    assert_ne!(assert_bound(&app.acquire_token(&pop(VAULT)).unwrap()), bound);
}

/// Is the certificate behind such a token renewed at half of its life, while nobody waits?
#[test]
fn renewal() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    app.acquire_token(&over_mtls(GRAPH)).unwrap();
    world.advance(Duration::from_secs(4 * 24 * 3600));
    app.acquire_token(&over_mtls(GRAPH)).unwrap();
    wait_for(|| world.cloud.counter("issuecredential") == 2);
}

/// Does the token live as long as the service says, also where the certificate that it was asked for with ends before?
#[test]
fn outlives_the_certificate() {
    let world = World::new();
    world.cloud.fault(Fault { certificate_seconds: Some(1800), ..Fault::on("issuecredential") }).unwrap();
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&over_mtls(GRAPH)).unwrap();
    let bound = app.acquire_token(&pop(GRAPH)).unwrap();
    assert!(token.expires_on() > bound.expires_on() + Duration::from_secs(1000));
    world.advance(Duration::from_secs(2400));
    assert_eq!(app.acquire_token(&over_mtls(GRAPH)).unwrap().source(), TokenSource::Cache);
}

/// Does `MSAL_MI_DISABLE_IMDS_V2` stop it at once (section 3)?
#[test]
fn turned_off() {
    let world = World::new();
    let mut env = world.env();
    env.insert("MSAL_MI_DISABLE_IMDS_V2".into(), "1".into());
    let app = App::new(world.managed_identity_options(SYSTEM).with_env(Arc::new(env))).unwrap();
    let floor = over_mtls(GRAPH).with_min_strength(MtlsBindingStrength::Attested);
    for request in [over_mtls(GRAPH), floor] {
        assert_eq!(app.acquire_token(&request).unwrap_err().code(), "imds_v2_disabled");
    }
    assert!(world.cloud.requests().is_empty());
}

/// Is it refused together with `mtls_pop`, and for a confidential client, before anything is asked? Does it take the
/// query parameters that a bound request takes?
#[test]
fn combinations() {
    let world = World::new();
    let app = world.managed_identity(ManagedIdentityId::ClientId(directory::USER_ASSIGNED_CLIENT_ID.into()));
    let rows = [
        (&app, over_mtls(GRAPH).with_mtls_proof_of_possession(true), "exclude each other"),
        (&app, pop(GRAPH).with_request_over_mtls(true), "exclude each other"),
        (&world.sni(), over_mtls(GRAPH_SCOPE), "send_certificate_over_mtls"),
    ];
    for (app, request, words) in rows {
        let error = app.acquire_token(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(words), "{error}");
    }
    assert!(world.cloud.requests().is_empty());
    let request = over_mtls(GRAPH).with_extra_query_parameter("slice", "test", true);
    let token = app.acquire_token(&request).unwrap();
    assert_eq!(claims(&token)["oid"], directory::USER_ASSIGNED_OBJECT_ID);
    assert_eq!(last_to_mtlsauth(&world).query("slice").as_deref(), Some("test"));
    let off = over_mtls(GRAPH).with_request_over_mtls(false);
    app.acquire_token(&off).unwrap();
    assert_eq!(world.cloud.counter("imds_token"), 1);
}
