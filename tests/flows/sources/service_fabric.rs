//! What only Service Fabric has: a server known by its thumbprint, capabilities, and a cache of its own.

use aws_lc_rs::digest::{SHA256, digest};
use devcloud::Source;
use mtlspop::{App, ErrorKind, TokenSource};
use serde_json::json;

use super::{CLAIMS, SYSTEM, app_on, host, options, received};
use crate::support::{GRAPH, World, bearer, claims};

const FABRIC: Source = Source::ServiceFabric;

/// Sections 6.8 and 9.1: is it told the capabilities in each request, and with claims the hash of the
/// token that is cached, so that it gives out another?
#[test]
fn what_to_refresh() {
    let world = World::new();
    let options = options(&world, FABRIC, SYSTEM).with_client_capabilities(&["cp1", "cp2"]);
    let app = App::new(options).unwrap();
    let last = || received(&world, FABRIC).pop().unwrap();

    let unknown = app.acquire_token(&bearer("https://vault.azure.net").with_claims(CLAIMS)).unwrap();
    assert_eq!(last().query("token_sha256_to_refresh"), None, "nothing was cached");
    assert_eq!(claims(&unknown)["xms_cc"], json!(["cp1", "cp2"]));

    let first = app.acquire_token(&bearer(GRAPH)).unwrap();
    assert_eq!(last().query("xms_cc").as_deref(), Some("cp1,cp2"));
    assert_eq!(last().query("token_sha256_to_refresh"), None);
    // Its own cache gives the same again.
    let forced = app.acquire_token(&bearer(GRAPH).with_force_refresh(true)).unwrap();
    assert_eq!(forced.access_token(), first.access_token());
    let both = app.acquire_token(&bearer(GRAPH).with_force_refresh(true).with_claims(CLAIMS)).unwrap();
    assert_eq!(both.access_token(), first.access_token());
    assert_eq!(last().query("token_sha256_to_refresh"), None, "section 9.2: a forced refresh goes without");

    let second = app.acquire_token(&bearer(GRAPH).with_claims(CLAIMS)).unwrap();
    assert_ne!(second.access_token(), first.access_token());
    assert_eq!(last().query("token_sha256_to_refresh").unwrap(), sha256(first.access_token()));
    assert_eq!(last().query("xms_cc").as_deref(), Some("cp1,cp2"));
    assert!(!last().query.contains("acrs"));

    // The caller may name the token himself.
    let hash = sha256(second.access_token()).to_ascii_uppercase();
    let request = bearer(GRAPH).with_access_token_hash_to_refresh(&hash);
    let third = app.acquire_token(&request).unwrap();
    assert_ne!(third.access_token(), second.access_token());
    assert_eq!(last().query("token_sha256_to_refresh").unwrap(), hash.to_ascii_lowercase());
    let cached = app.acquire_token(&request).unwrap();
    assert_eq!((cached.access_token(), cached.source()), (third.access_token(), TokenSource::Cache));
}

/// Section 6.4, row "TLS": is the server believed by its thumbprint alone, and not without it?
#[test]
fn thumbprint() {
    let world = World::new();
    let with = |thumbprint: &str| {
        let mut host = host(&world, FABRIC);
        host.variables.insert("IDENTITY_SERVER_THUMBPRINT".to_owned(), thumbprint.to_owned());
        app_on(&world, host)
    };
    let own = host(&world, FABRIC).variables["IDENTITY_SERVER_THUMBPRINT"].clone();
    let error = with(&"00".repeat(20)).unwrap().acquire_token(&bearer(GRAPH)).unwrap_err();
    let expected = (ErrorKind::Network, "managed_identity_unreachable_network");
    assert_eq!((error.kind(), error.code()), expected, "{error}");
    assert!(error.message().contains("IDENTITY_SERVER_THUMBPRINT"), "{error}");
    assert!(!error.is_retryable());
    assert!(received(&world, FABRIC).is_empty(), "no secret for a stranger");
    with(&own.to_ascii_lowercase()).unwrap().acquire_token(&bearer(GRAPH)).unwrap();
    with(&own.to_ascii_uppercase()).unwrap().acquire_token(&bearer("https://vault.azure.net")).unwrap();
    assert_eq!(with("not hexadecimal").unwrap_err().code(), "invalid_managed_identity_endpoint");
}

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
