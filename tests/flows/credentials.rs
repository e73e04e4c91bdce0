//! Credentials, row by row: what each of them puts onto the wire, and what it refuses.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::{Assertion, Fault, ReceivedRequest, directory};
use mtlspop::{
    App, AppOptions, AssertionRequest, Certificate, CertificateProvider, Credential, Error, ErrorKind,
    Result, Secret, SignedAssertion,
};
use serde_json::Value;
use url::form_urlencoded;

use crate::support::{GRAPH_SCOPE, Provider, World, assert_bound, authority, bearer, pop};

const VAULT_SCOPE: &str = "https://vault.azure.net/.default";
const STORAGE_SCOPE: &str = "https://storage.azure.com/.default";
const LOGIN: &str = "eastus.login.microsoft.com";
const MTLSAUTH: &str = "eastus.mtlsauth.microsoft.com";

/// A certificate provider made of a function.
struct Certificates<F>(F);

impl<F> CertificateProvider for Certificates<F>
where
    F: Fn() -> Result<Certificate> + Send + Sync,
{
    fn certificate(&self, _: &AssertionRequest<'_>) -> Result<Certificate> {
        (self.0)()
    }
}

fn load(file: &Path) -> Certificate {
    Certificate::from_file(file, None, None).unwrap()
}

fn provider(give: impl Fn() -> Result<Certificate> + Send + Sync + 'static) -> Credential {
    Credential::CertificateProvider { provider: Arc::new(Certificates(give)), send_x5c: true }
}

fn callback(give: impl Fn() -> Result<SignedAssertion> + Send + Sync + 'static) -> Credential {
    Credential::Assertion(Arc::new(Provider(move |_: &AssertionRequest<'_>| give())))
}

/// App B with the federated token file that the environment names.
fn with_token_file(world: &World, file: Option<&Path>) -> Result<App> {
    let mut env: HashMap<String, String> = world.env();
    env.remove("AZURE_FEDERATED_TOKEN_FILE");
    if let Some(file) = file {
        env.insert("AZURE_FEDERATED_TOKEN_FILE".to_owned(), file.to_str().unwrap().to_owned());
    }
    App::new(
        AppOptions::confidential_client(directory::APP_B_CLIENT_ID)
            .with_authority(&authority("login.microsoftonline.com"))
            .with_azure_region("eastus")
            .with_credential(Credential::FederatedTokenFile(None))
            .with_env(Arc::new(env))
            .with_clock(world.clock.clone()),
    )
}

fn app_a(world: &World, credential: Credential) -> App {
    App::new(world.app_a_options(credential)).unwrap()
}

fn over_mtls(world: &World, credential: Credential) -> App {
    App::new(world.app_a_options(credential).with_send_certificate_over_mtls(true)).unwrap()
}

fn fields(request: &ReceivedRequest) -> BTreeSet<String> {
    form_urlencoded::parse(request.body.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// Header and claims of an assertion on the wire.
fn assertion(request: &ReceivedRequest) -> [Value; 2] {
    let jwt = request.form("client_assertion").unwrap();
    let mut parts = jwt.split('.');
    [(); 2].map(|()| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap())
}

/// Name, app, whether PoP is asked for; host, certificate in TLS, kind of assertion, fields of its own.
type Row<'a> = (&'a str, App, bool, &'a str, Option<&'a Certificate>, Option<&'a str>, &'a [&'a str]);

/// Each row of the request-body matrix (confidential_client spec, section 4.1; row J does not exist
/// here): which host, which certificate in TLS, exactly which form fields, which kind of token?
#[test]
fn request_body_matrix() {
    let world = World::new();
    let files = world.cloud.files();
    let (sni, fic) = (load(&files.sni()), load(&files.fic_binding()));
    let certificate = || Credential::Certificate { certificate: sni.clone(), send_x5c: false };
    let from_provider = || {
        let sni = sni.clone();
        provider(move || Ok(sni.clone()))
    };
    let secret = || app_a(&world, Credential::Secret(Secret::new(directory::APP_A_SECRET)));
    let file = || with_token_file(&world, Some(&files.fic_assertion_unbound())).unwrap();
    let (sni, fic) = (Some(&sni), Some(&fic));
    let signed: &[&str] = &["client_assertion", "client_assertion_type"];
    let plain_app_a = || app_a(&world, world.sni_credential());
    let rows: [Row<'_>; 11] = [
        ("A", secret(), false, LOGIN, None, None, &["client_secret"]),
        ("B", plain_app_a(), false, LOGIN, None, Some("bearer"), signed),
        ("B, provider", app_a(&world, from_provider()), false, LOGIN, None, Some("bearer"), signed),
        ("C", app_a(&world, certificate()), true, MTLSAUTH, sni, None, &[]),
        ("C, provider", app_a(&world, from_provider()), true, MTLSAUTH, sni, None, &[]),
        ("D", over_mtls(&world, certificate()), false, MTLSAUTH, sni, Some("bearer"), signed),
        ("E", over_mtls(&world, certificate()), true, MTLSAUTH, sni, None, &[]),
        ("F", file(), false, LOGIN, None, Some("bearer"), signed),
        ("G", world.fic(false), false, LOGIN, None, Some("bearer"), signed),
        ("H", world.fic(true), false, MTLSAUTH, fic, Some("pop"), signed),
        ("I", world.fic(true), true, MTLSAUTH, fic, Some("pop"), signed),
    ];
    for (row, app, bound, host, certificate, kind, own) in rows {
        let ask = if bound { pop(GRAPH_SCOPE) } else { bearer(GRAPH_SCOPE) };
        let token = app.acquire_token(&ask).unwrap_or_else(|error| panic!("row {row}: {error}"));
        let request = world.last_token_request();
        let endpoint = format!("https://{host}/{}/oauth2/v2.0/token", directory::TENANT_ID);
        assert_eq!(format!("https://{}{}", request.host, request.path), endpoint, "row {row}");
        assert_eq!(
            request.client_certificate.as_deref(),
            certificate.map(Certificate::x5t_s256),
            "row {row}"
        );
        let mut expected: BTreeSet<_> = ["client_id", "scope", "grant_type", "client_info"].into();
        expected.extend(own);
        expected.extend(bound.then_some("token_type"));
        assert_eq!(fields(&request), expected.into_iter().map(str::to_owned).collect(), "row {row}");
        assert_eq!(request.form("client_info").as_deref(), Some("2"), "row {row}");
        let kind = kind.map(|kind| format!("urn:ietf:params:oauth:client-assertion-type:jwt-{kind}"));
        assert_eq!(request.form("client_assertion_type"), kind, "row {row}");
        assert_eq!(request.form("token_type"), bound.then(|| "mtls_pop".to_owned()), "row {row}");
        if bound {
            assert_bound(&token);
        } else {
            assert_eq!(
                (token.token_type().as_str(), token.binding_certificate()),
                ("Bearer", None),
                "row {row}"
            );
        }
        match row {
            // Over mTLS with the chain, although the app does not send it otherwise.
            "D" => {
                let [header, claims] = assertion(&request);
                assert_eq!(header["x5c"].as_array().map(Vec::len), Some(sni.unwrap().chain_der().len()));
                assert_eq!(claims["aud"], endpoint);
            }
            "F" | "G" => {
                let verbatim = std::fs::read_to_string(files.fic_assertion_unbound()).unwrap();
                assert_eq!(request.form("client_assertion"), Some(verbatim), "row {row}");
            }
            _ => {}
        }
    }
}

/// What each credential cannot do (section 2.2): which `error_code`, and does nothing reach the network?
#[test]
fn refusals() {
    let world = World::new();
    let files = world.cloud.files();
    let secret = || Credential::Secret(Secret::new(directory::APP_A_SECRET));
    let unbound = world.fic_answer(false);
    let blank = || callback(|| Ok(SignedAssertion { assertion: Secret::new(" "), certificate: None }));
    let failing = || Err(Error::new(ErrorKind::Callback, "vault_is_closed", "come back tomorrow"));
    let ec = load(&files.sni_ec());
    let rows: [(&str, App, bool, &str); 8] = [
        ("secret", app_a(&world, secret()), true, "mtls_certificate_not_provided"),
        (
            "token file",
            with_token_file(&world, Some(&files.fic_assertion())).unwrap(),
            true,
            "mtls_certificate_not_provided",
        ),
        (
            "callback without certificate",
            app_a(&world, callback(move || Ok(unbound.clone()))),
            true,
            "mtls_certificate_not_provided",
        ),
        ("blank assertion", app_a(&world, blank()), false, "invalid_client_assertion"),
        ("blank assertion", app_a(&world, blank()), true, "invalid_client_assertion"),
        ("failing provider", app_a(&world, provider(failing)), false, "vault_is_closed"),
        ("failing provider", app_a(&world, provider(failing)), true, "vault_is_closed"),
        ("EC key, no PoP", app_a(&world, provider(move || Ok(ec.clone()))), false, "certificate_not_rsa"),
    ];
    for (row, app, bound, code) in rows {
        let ask = if bound { pop(GRAPH_SCOPE) } else { bearer(GRAPH_SCOPE) };
        assert_eq!(app.acquire_token(&ask).unwrap_err().code(), code, "{row}");
    }
    let code = |error: Error| error.code().to_owned();
    let unsigned = app_a(&world, secret())
        .acquire_token(&bearer(GRAPH_SCOPE).with_extra_client_assertion_claims(r#"{"a":"b"}"#));
    assert_eq!(code(unsigned.unwrap_err()), "invalid_argument");
    let keyless = Certificate::from_file(&files.sni_certificate(), None, None);
    assert_eq!(code(keyless.unwrap_err()), "cert_without_private_key");
    let misplaced = App::new(world.app_a_options(secret()).with_send_certificate_over_mtls(true));
    assert_eq!(code(misplaced.unwrap_err()), "invalid_credential_material");
    assert_eq!(code(with_token_file(&world, None).unwrap_err()), "invalid_argument");
    assert_eq!(world.cloud.requests().len(), 0);
}

/// Is a blank secret refused when the app is made (section 4.6)?
#[test]
fn blank_secret() {
    let world = World::new();
    for blank in ["", " "] {
        let app = App::new(world.app_a_options(Credential::Secret(Secret::new(blank))));
        assert_eq!(app.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

/// Kubernetes replaces the token in the file: is it read for each network request, and does an expired
/// one end in advice (the table of AADSTS numbers)?
#[test]
fn federated_token_file() {
    let world = World::new();
    let file = world.cloud.state_dir().join("projected-token");
    let mint = |expires_in| {
        let token = world.cloud.mint_assertion(&Assertion { expires_in, ..Assertion::default() }).unwrap();
        std::fs::write(&file, format!("{token}\n")).unwrap();
        token
    };
    let first = mint(3600);
    let app = with_token_file(&world, Some(&file)).unwrap();
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(world.last_token_request().form("client_assertion"), Some(first));
    let second = mint(3600);
    app.acquire_token(&bearer(VAULT_SCOPE)).unwrap();
    assert_eq!(world.last_token_request().form("client_assertion"), Some(second));

    mint(-3600);
    let error = app.acquire_token(&bearer(STORAGE_SCOPE)).unwrap_err();
    assert_eq!((error.code(), error.aadsts_codes()), ("invalid_client", [700_024].as_slice()));
    assert!(error.message().contains("make a fresh one"), "{error}");
    std::fs::remove_file(&file).unwrap();
    let error = app.acquire_token(&bearer(STORAGE_SCOPE)).unwrap_err();
    assert_eq!(error.code(), "invalid_client_assertion");
    app.acquire_token(&bearer(GRAPH_SCOPE)).expect("the cache needs no file");
}

/// Is a signed assertion used again until it expires, and no longer, and not after a refusal? The
/// provider is asked all the same, once for each request: the certificate may be another one.
#[test]
fn assertions_are_reused() {
    let world = World::new();
    let (asked, sni) = (Arc::new(AtomicU32::new(0)), load(&world.cloud.files().sni()));
    let count = asked.clone();
    let counting = provider(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(sni.clone())
    });
    for app in [world.sni(), app_a(&world, counting)] {
        let jti = |scope: &str| {
            app.acquire_token(&bearer(scope).with_force_refresh(true)).unwrap();
            assertion(&world.last_token_request())[1]["jti"].as_str().unwrap().to_owned()
        };
        let first = jti(GRAPH_SCOPE);
        assert_eq!(jti(VAULT_SCOPE), first);
        world.advance(Duration::from_secs(600));
        let second = jti(GRAPH_SCOPE);
        assert_ne!(second, first);
        assert_eq!(jti(STORAGE_SCOPE), second);

        let body = r#"{"error":"invalid_client","error_description":"AADSTS700027: no"}"#;
        world.cloud.fault(Fault { body: Some(body.into()), ..Fault::status("token", 401) }).unwrap();
        app.acquire_token(&bearer(GRAPH_SCOPE).with_force_refresh(true)).unwrap_err();
        assert_ne!(jti(GRAPH_SCOPE), second);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 6);
}
