//! The strength on a token: what this process knows of its key, whatever a service says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use devcloud::{Fault, ReceivedRequest, Service};
use mtlspop::{
    App, AttestationProvider, AttestationRequest, Certificate, Credential, MtlsBindingStrength, Result,
    Secret, Token, TokenCache, TokenSource, TokenStore, TpmOptions,
};
use serde_json::json;

use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, VAULT, World, assert_bound, bearer, pop};
use crate::swtpm::Swtpm;
use crate::tpm_identity::signer_of;

/// A store in memory.
#[derive(Default)]
struct Store(Mutex<HashMap<String, Vec<u8>>>);

impl TokenStore for Store {
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn save(&self, key: &str, data: &[u8], _: SystemTime) -> Result<()> {
        self.0.lock().unwrap().insert(key.to_owned(), data.to_vec());
        Ok(())
    }
}

/// The attestation service of a cloud, which takes any key for a good one.
struct Gullible(Arc<devcloud::Cloud>);

impl AttestationProvider for Gullible {
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Secret> {
        // Behind the SubjectPublicKeyInfo's head.
        Ok(Secret::new(self.0.mint_attestation(&request.public_key[24..]).unwrap()))
    }
}

/// The strength of a new token, which is that of the cached one, too.
fn strength(app: &App, scope: &str) -> MtlsBindingStrength {
    let token = app.acquire_token(&pop(scope)).unwrap();
    let cached = app.acquire_token(&pop(scope)).unwrap();
    assert_eq!((token.source(), cached.source()), (TokenSource::IdentityProvider, TokenSource::Cache));
    assert_eq!(token.binding_strength(), cached.binding_strength());
    token.binding_strength()
}

fn certified(credential: Certificate) -> Credential {
    Credential::Certificate { certificate: credential, send_x5c: true }
}

/// Is a token's strength that of its key, for each kind of credential whose key is no more than software as far as
/// can be seen from here; and is there none where nothing is bound (since July 2026, section 9)?
#[test]
fn of_each_credential() {
    let world = World::new();
    let software = MtlsBindingStrength::Software;
    assert_eq!(strength(&world.managed_identity(SYSTEM), GRAPH), software);
    assert_eq!(strength(&world.sni(), GRAPH_SCOPE), software);
    let chain = std::fs::read(world.cloud.files().sni_certificate()).unwrap();
    let (_, signer) = signer_of(Certificate::from_file(&world.cloud.files().sni(), None, None).unwrap());
    let elsewhere = certified(Certificate::with_signer(&chain, signer).unwrap());
    assert_eq!(strength(&App::new(world.app_a_options(elsewhere)).unwrap(), GRAPH_SCOPE), software);
    // A certificate that a callback gives is none that the cache is asked for again here.
    let federated = world.fic(true).acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(federated.binding_strength(), software);

    let over_mtls = world.app_a_options(world.sni_credential()).with_send_certificate_over_mtls(true);
    for (app, scope) in [
        (world.managed_identity(SYSTEM), GRAPH),
        (world.sni(), GRAPH_SCOPE),
        (App::new(over_mtls).unwrap(), GRAPH_SCOPE),
    ] {
        let token = app.acquire_token(&bearer(scope)).unwrap();
        assert_eq!(token.binding_strength(), MtlsBindingStrength::None);
        assert!(format!("{token:?}").contains("binding_strength: None"), "{token:?}");
    }
}

/// A token that a store had: does it get its strength from the app's own certificate, and not from what lies
/// there, with which a version that knew no strength wrote it just the same?
#[test]
fn of_a_stored_token() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let app = || {
        let cache = TokenCache::new().with_store(store.clone());
        App::new(world.app_a_options(world.sni_credential()).with_token_cache(cache)).unwrap()
    };
    app().acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    for (key, data) in store.0.lock().unwrap().iter_mut() {
        let mut content: serde_json::Value = serde_json::from_slice(data).unwrap();
        assert!(!content.to_string().contains("strength"), "{key}");
        content["tokens"][0]["binding_strength"] = json!(3);
        *data = serde_json::to_vec(&content).unwrap();
    }
    let token = app().acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!((token.source(), world.cloud.counter("token")), (TokenSource::Cache, 1));
    assert_eq!(token.binding_strength(), MtlsBindingStrength::Software);
}

/// IMDS and the token service call a key attested that is in software: is it not believed; and is a floor that it
/// does not reach refused before anybody is asked?
#[test]
fn not_by_what_a_service_says() {
    let world = World::new();
    let said = json!({
        "mtlsBindingStrength": "attested", "binding_strength": 3, "attested": true, "key_type": "KeyGuard",
    });
    for operation in ["metadata", "issuecredential", "token"] {
        let mut claims = serde_json::Map::new();
        if operation == "token" {
            claims = said.as_object().unwrap().clone();
            // As devcloud's Key Vault reads it.
            claims.insert("devcloud_binding_strength".into(), json!("AttestedConfidential"));
        }
        world.cloud.fault(Fault { claims, ..Fault::set(operation, said.clone()) }).unwrap();
    }
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_bound(&token);
    assert_eq!(token.response_parameter("mtlsBindingStrength"), Some("attested"), "it was said");
    assert_eq!(token.binding_strength(), MtlsBindingStrength::Software);
    let floor = pop(VAULT).with_min_strength(MtlsBindingStrength::Attested);
    assert_eq!(app.acquire_token(&floor).unwrap_err().code(), "min_strength_not_met");
    assert_eq!(world.cloud.counter("token"), 1);
}

/// An attestation service and an IMDS that take a key in software for one that hardware vouches for: is the token
/// no stronger for it, though kept apart from one without attestation?
#[test]
fn software_is_not_attested() {
    let world = World::new();
    let options = world.managed_identity_options(SYSTEM);
    let attested = App::new(options.with_attestation(Arc::new(Gullible(world.cloud.clone())))).unwrap();
    assert_eq!(strength(&world.managed_identity(SYSTEM), GRAPH), MtlsBindingStrength::Software);
    assert_eq!(strength(&attested, GRAPH), MtlsBindingStrength::Software);
}

/// Keys in a TPM, with its attestation and without: are both told, kept apart, and served again as what they are?
#[test]
fn of_keys_in_a_tpm() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let tpm = || TpmOptions::new().with_tcti(&swtpm.tcti());
    let app = |tpm| App::new(world.managed_identity_options(SYSTEM).with_tpm(tpm)).unwrap();
    assert_eq!(strength(&app(tpm()), GRAPH), MtlsBindingStrength::Hardware);
    assert_eq!(strength(&app(tpm().with_attestation(&[7])), GRAPH), MtlsBindingStrength::Attested);
    let cached = |tpm| app(tpm).acquire_token(&pop(GRAPH)).unwrap();
    let (hardware, attested) = (cached(tpm()), cached(tpm().with_attestation(&[7])));
    assert_eq!(hardware.binding_strength(), MtlsBindingStrength::Hardware);
    assert_eq!(attested.binding_strength(), MtlsBindingStrength::Attested);
    assert_ne!(assert_bound(&hardware), assert_bound(&attested));
    let sources = [hardware, attested].map(|token: Token| token.source());
    assert_eq!(sources, [TokenSource::Cache; 2]);
}

/// One key, at a persistent handle: IMDS answers the request with an attestation with the certificate that it had
/// issued without one. Is it asked again for one of its own; and if it stays with that, is there no token?
#[test]
fn a_certificate_without_attestation_again() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let tpm = || TpmOptions::new().with_tcti(&swtpm.tcti()).with_persistent_handle(0x8101_0042);
    let app = |tpm| App::new(world.managed_identity_options(SYSTEM).with_tpm(tpm)).unwrap();
    let first = app(tpm()).acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(first.binding_strength(), MtlsBindingStrength::Hardware);
    let certificate = {
        use base64::Engine;
        let der = first.binding_certificate().unwrap().der();
        base64::engine::general_purpose::STANDARD.encode(der)
    };
    let lie = |times| {
        let again = Fault::set("issuecredential", json!({ "certificate": certificate }));
        world.cloud.fault(Fault { times, ..again }).unwrap();
    };
    let attested = app(tpm().with_attestation(&[7]));
    lie(2);
    let tokens = world.cloud.counter("token");
    let error = attested.acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(error.code(), "invalid_certificate");
    assert!(error.message().contains("without one"), "{error}");
    assert_eq!(world.cloud.counter("token"), tokens, "nobody was shown it");
    lie(1);
    let token = attested.acquire_token(&pop(GRAPH)).unwrap();
    assert_ne!(assert_bound(&token), assert_bound(&first));
    assert_eq!(token.binding_strength(), MtlsBindingStrength::Attested);
    let issued = |request: &ReceivedRequest| request.operation.as_deref() == Some("issuecredential");
    let requests = world.cloud.requests_to(Service::Imds);
    let bypassing: Vec<_> =
        requests.iter().filter(|r| issued(r)).map(|r| r.query.contains("bypass_cache=true")).collect();
    assert_eq!(bypassing, [false, false, true, false, true]);
}
