//! Managed identities whose keys are in a TPM, or with a signer of the caller: certificates, attestation, strength.

use std::process::Command;
use std::sync::Arc;

use devcloud::{Fault, Options, ReceivedRequest, Service};
use mtlspop::{
    App, AppOptions, Certificate, ErrorKind, HttpRequest, MtlsBindingStrength, Result, SecretBytes,
    SignRequest, Signer, TokenSource, TpmOptions,
};
use serde_json::Value;

use crate::support::{GRAPH, SYSTEM, VAULT, World, assert_bound, bearer, pop};
use crate::swtpm::Swtpm;

const PCRS: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn in_tpm(swtpm: &Swtpm) -> TpmOptions {
    TpmOptions::new().with_tcti(&swtpm.tcti())
}

fn options(world: &World, tpm: TpmOptions) -> AppOptions {
    world.managed_identity_options(SYSTEM).with_tpm(tpm)
}

fn app(world: &World, tpm: TpmOptions) -> App {
    App::new(options(world, tpm)).unwrap()
}

/// A cloud whose IMDS takes only keys that a TPM vouches for.
fn demanding() -> World {
    World::with(Options { require_tpm_attestation: true, ..Options::default() })
}

fn floor(strength: MtlsBindingStrength) -> mtlspop::TokenRequest {
    pop(GRAPH).with_min_strength(strength)
}

fn strength(app: &App) -> MtlsBindingStrength {
    app.managed_identity_capabilities(None, None).unwrap().max_supported_binding_strength()
}

fn call_graph(app: &App, token: &mtlspop::Token) -> Result<u16> {
    let request = HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me");
    app.send(token, &request).map(|response| response.status())
}

/// One of the TPM's own tools.
pub fn tool(swtpm: &Swtpm, arguments: &[&str]) {
    let output = Command::new(arguments[0])
        .args(&arguments[1..])
        .env("TPM2TOOLS_TCTI", swtpm.tcti())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The bodies of the requests for certificates.
fn bodies(world: &World) -> Vec<Value> {
    let issued = |request: &ReceivedRequest| request.operation.as_deref() == Some("issuecredential");
    let requests = world.cloud.requests_to(Service::Imds);
    requests.iter().filter(|r| issued(r)).map(|r| serde_json::from_str(&r.body).unwrap()).collect()
}

/// A host that takes only keys that a TPM vouches for: is a token had with one, its API called, and is the
/// strength attested; and is the key attested once only?
#[test]
fn attested() {
    let (world, swtpm) = (demanding(), Swtpm::start());
    let app = app(&world, in_tpm(&swtpm).with_attestation(&PCRS));
    assert_eq!(strength(&app), MtlsBindingStrength::Attested);
    let token = app.acquire_token(&floor(MtlsBindingStrength::Attested)).unwrap();
    assert_bound(&token);
    assert_eq!(call_graph(&app, &token).unwrap(), 200);
    app.acquire_token(&pop(VAULT)).unwrap();
    let counted = ["attest_init", "attest_request", "issuecredential"].map(|name| world.cloud.counter(name));
    assert_eq!(counted, [1, 1, 1]);
    let certificate = token.binding_certificate().unwrap();
    assert!(!certificate.is_exportable());
    let error = certificate.private_key_pem().unwrap_err();
    assert!(error.message().contains("it is in a TPM"), "{error}");
    assert!(certificate.tpm_key_pem().unwrap().starts_with("-----BEGIN TSS2 PRIVATE KEY-----"));
}

/// A TPM as Azure provides it, with an attestation key and its certificate: is that key used, and is evidence
/// without a certificate of the service's liking refused where it wants one?
#[test]
fn attested_as_azure_provides() {
    let world = World::with(Options {
        require_tpm_attestation: true,
        require_aik_certificate: true,
        ..Options::default()
    });
    let swtpm = Swtpm::start();
    let error = app(&world, in_tpm(&swtpm).with_attestation(&PCRS)).acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!((error.code(), error.http_status()), ("attestation_failed", Some(400)), "{error}");
    assert!(bodies(&world).is_empty(), "no certificate was asked for");

    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    tool(&swtpm, &["tpm2_createek", "-c", &file("ek"), "-G", "rsa"]);
    let ak =
        ["tpm2_createak", "-C", &file("ek"), "-c", &file("ak"), "-G", "rsa", "-s", "rsassa", "-g", "sha256"];
    tool(&swtpm, &[&ak[..], &["-u", &file("ak.pub"), "-f", "pem"]].concat());
    tool(&swtpm, &["tpm2_flushcontext", "-t"]);
    tool(&swtpm, &["tpm2_evictcontrol", "-C", "o", "-c", &file("ak"), "0x81000003"]);
    let der = Command::new("openssl")
        .args(["rsa", "-pubin", "-RSAPublicKey_out", "-outform", "der", "-in", &file("ak.pub")])
        .output()
        .unwrap();
    let certificate = world.cloud.certify_attestation_key(&der.stdout).unwrap();
    // The place is larger than what is in it, as on Azure.
    let mut place = certificate.clone();
    place.resize(certificate.len() + 200, 0xff);
    std::fs::write(file("cert"), &place).unwrap();
    let size = place.len().to_string();
    tool(
        &swtpm,
        &["tpm2_nvdefine", "0x1c101d0", "-C", "o", "-s", &size, "-a", "ownerread|ownerwrite|authread"],
    );
    tool(&swtpm, &["tpm2_nvwrite", "0x1c101d0", "-C", "o", "-i", &file("cert")]);
    tool(&swtpm, &["tpm2_flushcontext", "-t"]);
    let attested = |tpm: TpmOptions| {
        assert_bound(&app(&world, tpm).acquire_token(&floor(MtlsBindingStrength::Attested)).unwrap())
    };
    let first = attested(in_tpm(&swtpm).with_attestation(&[7]));
    assert_ne!(attested(in_tpm(&swtpm).with_attestation(&[0])), first, "another quote");
    // The certificate is the owner's to read.
    tool(&swtpm, &["tpm2_changeauth", "-c", "owner", "a value"]);
    let owner = SecretBytes::new(*b"a value");
    attested(in_tpm(&swtpm).with_attestation(&[7]).with_owner_auth(owner));
}

/// A TPM without PCRs of the kind that is quoted: is that an error, and can the TPM be used afterwards?
#[test]
fn no_pcrs_to_quote() {
    let (world, mut swtpm) = (World::new(), Swtpm::start());
    tool(&swtpm, &["tpm2_pcrallocate", "sha1:all+sha256:none"]);
    swtpm.stop();
    swtpm.start_again();
    let error = app(&world, in_tpm(&swtpm).with_attestation(&PCRS)).acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(error.code(), "tpm_error");
    assert!(error.message().contains("no SHA-256 PCRs"), "{error}");
    assert_bound(&app(&world, in_tpm(&swtpm)).acquire_token(&pop(GRAPH)).unwrap());
}

/// Apps of one process that give their keys other authorisation values: does each have keys and tokens of its own?
#[test]
fn values_do_not_mix() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let of = |value: &str| match value {
        "" => app(&world, in_tpm(&swtpm)),
        _ => app(&world, in_tpm(&swtpm).with_auth(SecretBytes::new(value))),
    };
    let bound = |value| assert_bound(&of(value).acquire_token(&pop(GRAPH)).unwrap());
    let (one, other, none) = (bound("one value"), bound("another"), bound(""));
    assert!(one != other && other != none && none != one);
    assert_eq!((bound("one value"), bound("another"), bound("")), (one, other, none));
    assert_eq!(world.cloud.counter("issuecredential"), 3);
}

/// Without attestation: a token of a host that demands none has a key of the strength hardware; one that does
/// says no; and an attested key is not claimed.
#[test]
fn hardware() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let app_of = |world: &World| app(world, in_tpm(&swtpm));
    let app = app_of(&world);
    assert_eq!(strength(&app), MtlsBindingStrength::Hardware);
    assert_bound(&app.acquire_token(&floor(MtlsBindingStrength::Hardware)).unwrap());
    let error = app.acquire_token(&floor(MtlsBindingStrength::Attested)).unwrap_err();
    assert_eq!(error.code(), "min_strength_not_met");
    assert!(error.message().contains("not attested"), "{error}");
    let error = app_of(&demanding()).acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!((error.code(), error.http_status()), ("managed_identity_request_failed", Some(400)));
}

/// No TPM answers: does the call say so, is nothing asked for with a key of another kind, and are Bearer tokens
/// and the apps with keys in software left alone?
#[test]
fn never_in_software() {
    let world = World::new();
    let gone = TpmOptions::new().with_tcti("swtpm:host=127.0.0.1,port=1");
    let app = app(&world, gone);
    for request in [pop(GRAPH), floor(MtlsBindingStrength::Software)] {
        let error = app.acquire_token(&request).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("tpm_unavailable", true), "{error}");
        assert!(error.message().contains("no TPM answers at swtpm:host=127.0.0.1,port=1"), "{error}");
    }
    let capabilities = app.managed_identity_capabilities(None, None).unwrap();
    assert!(!capabilities.is_mtls_pop_supported_by_host());
    assert!(bodies(&world).is_empty());
    app.acquire_token(&bearer(GRAPH)).unwrap();
    assert_bound(&world.managed_identity(SYSTEM).acquire_token(&pop(GRAPH)).unwrap());
}

/// The attestation service says no, is busy, or answers nonsense: an error that says who said what, and no
/// certificate for a key that is not attested?
#[test]
fn attestation_refused() {
    let swtpm = Swtpm::start();
    let world = demanding();
    let app = app(&world, in_tpm(&swtpm).with_attestation(&PCRS));
    for (fault, kind, retryable) in [
        (Fault::status("attest_request", 400), ErrorKind::Rejected, false),
        (Fault { times: 9, ..Fault::status("attest_init", 503) }, ErrorKind::Rejected, true),
        (Fault::status("attest_init", 429), ErrorKind::Throttled, true),
        (
            Fault { body: Some("{}".to_owned()), ..Fault::status("attest_init", 200) },
            ErrorKind::InvalidResponse,
            false,
        ),
    ] {
        world.cloud.fault(fault).unwrap();
        let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, "attestation_failed"), "{error}");
        assert_eq!(error.is_retryable(), retryable, "{error}");
        world.cloud.clear_faults();
    }
    assert!(bodies(&world).is_empty());
    assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
}

/// The TPM is cleared while the program runs: is the call with a token whose key is lost an error that says so,
/// and does the next token come with another key and certificate?
#[test]
fn cleared_meanwhile() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let app = app(&world, in_tpm(&swtpm));
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    let first = assert_bound(&token);
    assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap().source(), TokenSource::Cache);
    tool(&swtpm, &["tpm2_clear", "-c", "platform"]);
    let error = call_graph(&app, &token).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "tpm_key_lost"), "{error}");
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_ne!(assert_bound(&token), first);
    assert_eq!(call_graph(&app, &token).unwrap(), 200);
    assert_eq!(world.cloud.counter("issuecredential"), 2);
}

/// Apps of one process with keys in software and in a TPM: does each have a certificate and tokens of its own?
#[test]
fn homes_do_not_mix() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let apps = [world.managed_identity(SYSTEM), app(&world, in_tpm(&swtpm))];
    let exportable = apps.map(|app| {
        for source in [TokenSource::IdentityProvider, TokenSource::Cache] {
            assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap().source(), source);
        }
        app.acquire_token(&pop(GRAPH)).unwrap().binding_certificate().unwrap().is_exportable()
    });
    assert_eq!(exportable, [true, false]);
}

/// A signer made of a function.
struct Function<F>(F);

impl<F: Fn(&SignRequest<'_>) -> Result<Vec<u8>> + Send + Sync> Signer for Function<F> {
    fn sign(&self, request: &SignRequest<'_>) -> Result<Vec<u8>> {
        (self.0)(request)
    }
}

/// The public half (SubjectPublicKeyInfo) of the key of `certificate`, and a signer that has the private one.
pub fn signer_of(certificate: Certificate) -> (Vec<u8>, Arc<dyn Signer>) {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    let public_key = parsed.public_key().raw.to_vec();
    let sign = move |request: &SignRequest<'_>| certificate.sign(request.algorithm, request.message);
    (public_key, Arc::new(Function(sign)))
}

/// A key that a signer of the caller has: does it sign the certificate request and the handshakes of a managed
/// identity; is nothing claimed of it; and is a key that IMDS does not take an error of `App::new`?
#[test]
fn key_elsewhere() {
    let world = World::new();
    let held = Certificate::from_file(&world.cloud.files().sni(), None, None).unwrap();
    let (public_key, signer) = signer_of(held);
    let options = || world.managed_identity_options(SYSTEM);
    let app = App::new(options().with_key_signer(&public_key, signer.clone())).unwrap();
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_bound(&token);
    assert_eq!(call_graph(&app, &token).unwrap(), 200);
    assert_eq!(strength(&app), MtlsBindingStrength::Software);
    let error = app.acquire_token(&floor(MtlsBindingStrength::Hardware)).unwrap_err();
    assert!(error.message().contains("cannot be seen from here"), "{error}");
    let (_, parsed) =
        x509_parser::parse_x509_certificate(token.binding_certificate().unwrap().der()).unwrap();
    assert_eq!(parsed.public_key().raw, public_key);

    let ec = rcgen::KeyPair::generate().unwrap();
    let error =
        App::new(options().with_key_signer(&rcgen::PublicKeyData::subject_public_key_info(&ec), signer));
    assert!(error.unwrap_err().message().contains("RSA"));
}

/// What makes no sense is an error of `App::new`, before any TPM is asked.
#[test]
fn refused_settings() {
    let world = World::new();
    let options = |tpm| world.managed_identity_options(SYSTEM).with_tpm(tpm);
    let secret = |length| SecretBytes::new(vec![7; length]);
    for (made, part) in [
        (options(TpmOptions::new().with_plugin("libmtlspop_tpm.so")), "not absolute"),
        (options(TpmOptions::new().with_persistent_handle(0x4000_0001)), "0x81000000"),
        (options(TpmOptions::new().with_attestation(&[])), "0 to 23"),
        (options(TpmOptions::new().with_attestation(&[24])), "0 to 23"),
        (options(TpmOptions::new().with_auth(secret(33))), "32 bytes"),
        (options(TpmOptions::new().with_auth(SecretBytes::new([1, 0]))), "zero byte"),
        (world.app_a_options(world.sni_credential()).with_tpm(TpmOptions::new()), "takes no place for keys"),
    ] {
        let error = App::new(made).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(part), "{error}");
    }
    // The TCTI is judged by who knows them.
    let app = App::new(options(TpmOptions::new().with_tcti("telepathy"))).unwrap();
    let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}
