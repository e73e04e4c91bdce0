//! What a FIPS build does not speak, and does not send; and that others do.

use super::openssl::{LOCALHOST, P256, Workshop};
use super::*;

const FIPS: bool = cfg!(feature = "fips");

/// Is what the module is approved for all that is spoken: no key exchange over X25519 alone, no ChaCha20, no TLS 1.2 without
/// the extended master secret (SP 800-52, RFC 7627)?
#[test]
fn servers_outside_of_it_are_refused() {
    let workshop = Workshop::new();
    workshop.certificate("own", P256, LOCALHOST);
    let options = |options: &mut TransportOptions| options.roots_pem = Some(workshop.pem("own"));
    let pool = pool_with(&Ca::new("ca"), options, &[]);
    for (settings, approved) in [
        ("-tls1_3", true),
        ("-tls1_2", true),
        ("-groups X25519", false),
        ("-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", false),
        ("-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", false),
    ] {
        let server = workshop.serve("own", settings);
        let outcome = get(&pool.plain().unwrap(), &server.url());
        assert_eq!(outcome.is_ok(), approved || !FIPS, "{settings}: {:?}", outcome.err());
    }
}

/// Does TLS 1.2 take the extended master secret there?
#[test]
fn tls12_takes_the_extended_master_secret() {
    let world = renegotiation::World::new();
    for (priorities, approved) in [("%SAFE_RENEGOTIATION", true), ("%NO_SESSION_HASH", false)] {
        let server = world.gnutls(priorities);
        // What it answers is an echo, and no HTTP.
        let error = get(&world.pool.plain().unwrap(), &server.url).unwrap_err();
        let spoken = error.code() == "invalid_response";
        assert_eq!(spoken, approved || !FIPS, "{priorities}: {error}");
        assert!(spoken || error.code() == "tls_error", "{error}");
    }
}

/// Is a request refused before it goes out, where its server may renegotiate and this build does not?
#[test]
fn renegotiation_is_left_out() {
    let refused = Renegotiation::check_available("contoso.vault.azure.net").err();
    assert_eq!(refused.is_some(), FIPS);
    if let Some(error) = refused {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(
            error.message().contains("contoso.vault.azure.net") && error.message().contains("renegotiation")
        );
    }
}

/// Does the provider of TLS say that it is the module?
#[test]
fn the_module_says_so() {
    assert_eq!(rustls::crypto::aws_lc_rs::default_provider().fips(), FIPS);
    assert_eq!(aws_lc_rs::try_fips_mode().is_ok(), FIPS);
}
