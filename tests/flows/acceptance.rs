//! Rows of MSAL.NET's acceptance matrix for bound tokens that need all credentials, or certificates made for them.

use std::process::Command;
use std::sync::Arc;

use devcloud::directory;
use mtlspop::{
    App, AssertionRequest, Certificate, CertificateProvider, Credential, Result, Secret, SignedAssertion,
    Token, TokenCache, TokenSource,
};

use crate::support::{GRAPH, GRAPH_SCOPE, Provider, SYSTEM, World, assert_bound, authority, bearer, pop};

const ME: &str = "https://graph.microsoft.com/v1.0/me";

/// What another client than the library is answered that sends the token of `token` with this scheme, and over TLS
/// the certificate that is in these files.
fn by_curl(world: &World, token: &Token, scheme: &str, certificate: Option<&Certificate>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut curl = Command::new("curl");
    curl.envs(world.cloud.env()).args(["-q", "-sS", "-o", "/dev/null", "-w", "%{http_code}", ME]);
    curl.arg("--cacert").arg(world.cloud.files().ca());
    // Not among the arguments, which others can read.
    let header = directory.path().join("header");
    std::fs::write(&header, format!("Authorization: {scheme} {}", token.access_token())).unwrap();
    curl.arg("-H").arg(format!("@{}", header.display()));
    if let Some(certificate) = certificate {
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        std::fs::write(&chain, certificate.chain_pem()).unwrap();
        std::fs::write(&key, certificate.private_key_pem().unwrap().expose()).unwrap();
        curl.arg("--cert").arg(chain).arg("--key").arg(key);
    }
    let output = curl.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// BIND-01 to BIND-07, with each kind of credential: is the certificate of a result usable as it is, by another
/// client, for the token that names it; and is the token worth nothing with another scheme, without that certificate
/// or with another one?
#[test]
fn binding() {
    let world = World::new();
    let other = Certificate::from_file(&world.cloud.files().sni_rotated(), None, None).unwrap();
    for (app, scope) in
        [(world.sni(), GRAPH_SCOPE), (world.fic(true), GRAPH_SCOPE), (world.managed_identity(SYSTEM), GRAPH)]
    {
        let token = app.acquire_token(&pop(scope)).unwrap();
        assert_bound(&token);
        let own = token.binding_certificate().unwrap();
        assert_eq!(own.sign("PS256", b"message").unwrap().len(), 256);
        assert_eq!(by_curl(&world, &token, "mtls_pop", Some(own)), "200");
        for (scheme, certificate) in [("Bearer", Some(own)), ("mtls_pop", None), ("mtls_pop", Some(&other))] {
            assert_eq!(by_curl(&world, &token, scheme, certificate), "401", "{scheme} {certificate:?}");
        }
    }
}

/// App A with this certificate, and a cache that it shares.
fn app(world: &World, certificate: Certificate, cache: &TokenCache) -> App {
    let credential = Credential::Certificate { certificate, send_x5c: true };
    App::new(world.app_a_options(credential).with_token_cache(cache.clone())).unwrap()
}

/// CACHE-02, CACHE-03 and CACHE-06: a certificate that is renewed with its key is another one, in memory; its
/// token is not the old one's, and both go on being served, each with its own.
#[test]
fn same_key_renewed_certificate() {
    let world = World::new();
    let files = world.cloud.files();
    let key = std::fs::read(files.sni_key()).unwrap();
    let old = Certificate::from_file(&files.sni(), None, None).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(old.der()).unwrap();
    let public_key = &parsed.public_key().subject_public_key.data;
    let renewed = world.cloud.certify_sni_key(public_key).unwrap();
    let renewed = Certificate::from_pem(renewed.as_bytes(), Some(&key), None).unwrap();
    let (_, again) = x509_parser::parse_x509_certificate(renewed.der()).unwrap();
    assert_eq!(again.public_key().raw, parsed.public_key().raw);
    assert_ne!(old.der(), renewed.der());
    let cache = TokenCache::new();
    let apps = [old, renewed].map(|certificate| {
        let x5t = certificate.x5t_s256().to_owned();
        (app(&world, certificate, &cache), x5t)
    });
    for source in [TokenSource::IdentityProvider, TokenSource::Cache] {
        for (app, x5t) in &apps {
            let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
            assert_eq!((token.source(), &assert_bound(&token)), (source, x5t));
        }
    }
    assert_eq!(cache.statistics().entries, 2);
}

/// CACHE-04 and CACHE-07: the leaf is what a token is bound to, so that the same leaf with another chain finds it,
/// with its type, its key and a certificate that can be used; the chain is that of who got it.
#[test]
fn same_leaf_other_chain() {
    let world = World::new();
    let file = world.cloud.files().sni();
    let whole = Certificate::from_file(&file, None, None).unwrap();
    let leaf =
        Certificate::from_pem(whole.pem().as_bytes(), Some(&std::fs::read(&file).unwrap()), None).unwrap();
    assert!(whole.chain_der().len() > leaf.chain_der().len(), "devcloud's file has the issuer");
    let cache = TokenCache::new();
    let token = app(&world, whole, &cache).acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let other = app(&world, leaf, &cache);
    let found = other.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!((found.source(), found.access_token()), (TokenSource::Cache, token.access_token()));
    assert_eq!(assert_bound(&found), assert_bound(&token));
    assert_eq!(found.tenant_id(), Some(directory::TENANT_ID));
    let request = mtlspop::HttpRequest::new("GET", ME);
    assert_eq!(other.send(&found, &request).unwrap().status(), 200);
}

/// ROUTE-16, as MSAL.NET 4.92 and MSAL for Go have it (since_july_2026, section 13): do the older names of two clouds
/// lead to the mTLS hosts of these clouds, with a region and without?
#[test]
fn older_names_of_clouds() {
    let world = World::new();
    for (host, mtls) in [
        ("login.usgovcloudapi.net", "mtlsauth.microsoftonline.us"),
        ("login.chinacloudapi.cn", "mtlsauth.partner.microsoftonline.cn"),
    ] {
        for region in [None, Some("eastus")] {
            let options = world.app_a_options(world.sni_credential()).with_authority(&authority(host));
            let options = options.with_azure_region(region.unwrap_or("DisableMsalForceRegion"));
            let token = App::new(options).unwrap().acquire_token(&pop(GRAPH_SCOPE)).unwrap();
            assert_bound(&token);
            let asked = region.map_or(mtls.to_owned(), |region| format!("{region}.{mtls}"));
            let tenant = directory::TENANT_ID;
            assert_eq!(token.token_endpoint(), format!("https://{asked}/{tenant}/oauth2/v2.0/token"));
            assert_eq!(token.region(), region);
        }
    }
}

/// Is dSTS asked for `mtls_pop` where it is, without a region, and is `/consumers` asked like any tenant, so that the
/// service decides (since_july_2026, section 11)?
#[test]
fn dsts_and_consumers() {
    let world = World::new();
    let at = |text: &str| App::new(world.app_a_options(world.sni_credential()).with_authority(text)).unwrap();
    let dsts = format!("https://a.dsts.core.azure-test.net/dstsv2/{}", directory::TENANT_ID);
    let token = at(&dsts).acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.token_endpoint(), format!("{dsts}/oauth2/v2.0/token"));
    let asked = world.last_token_request();
    assert_eq!((asked.form("token_type").as_deref(), token.region()), (Some("mtls_pop"), None));
    for request in [bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE)] {
        let consumers = at("https://login.microsoftonline.com/consumers");
        let error = consumers.acquire_token(&request).unwrap_err();
        assert_eq!(error.aadsts_codes(), [50_059], "{error}");
        assert_eq!(world.last_token_request().path, "/consumers/oauth2/v2.0/token");
    }
}

/// A certificate from a function.
struct Certificates<F>(F);

impl<F: Fn() -> Result<Certificate> + Send + Sync> CertificateProvider for Certificates<F> {
    fn certificate(&self, _: &AssertionRequest<'_>) -> Result<Certificate> {
        (self.0)()
    }
}

/// Does a certificate that is empty, malformed, without a key or over fail before anything is sent, as the
/// credential, from the callback that gives the credential, and beside a federated assertion (section 11)?
#[test]
fn certificates_that_are_none() {
    let world = World::new();
    let whole = Certificate::from_file(&world.cloud.files().sni(), None, None).unwrap();
    let malformed = whole.pem().replace("MII", "AAA");
    let other = std::fs::read(world.cloud.files().fic_binding()).unwrap();
    let rows = [
        ("empty", Vec::new(), None),
        ("malformed", malformed.into_bytes(), None),
        ("keyless", whole.pem().into(), None),
        ("another's key", whole.pem().into(), Some(other)),
    ];
    for (what, pem, key) in rows {
        let load = move || Certificate::from_pem(&pem, key.as_deref(), None);
        let code = load().unwrap_err().code().to_owned();
        println!("{what} | {code} | {}", load().unwrap_err());
        let (by_certificate, by_assertion) = (load.clone(), load);
        let provider = Credential::CertificateProvider {
            provider: Arc::new(Certificates(by_certificate)),
            send_x5c: true,
        };
        let federated = world.fic_options(Provider(move |_: &AssertionRequest<'_>| {
            Ok(SignedAssertion { assertion: Secret::new("a.b.c"), certificate: Some(by_assertion()?) })
        }));
        for options in [world.app_a_options(provider), federated] {
            let error = App::new(options).unwrap().acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
            assert_eq!(error.code(), code, "{what}: {error}");
        }
    }
    world.clock.advance(std::time::Duration::from_secs(2 * 365 * 24 * 3600));
    let bound = world.fic_answer(true);
    let federated = world.fic_options(Provider(move |_: &AssertionRequest<'_>| Ok(bound.clone())));
    for options in [world.app_a_options(world.sni_credential()), federated] {
        let error = App::new(options).unwrap().acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
        assert_eq!(error.code(), "certificate_expired", "{error}");
    }
    assert!(world.cloud.requests().is_empty(), "nothing was sent");
}
