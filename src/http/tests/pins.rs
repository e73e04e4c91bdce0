//! Servers that are known by their thumbprint (managed_identity spec, section 6.4, row "TLS").

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};

use super::server::config_for;
use super::*;

const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

fn thumbprint(certificate: &[u8]) -> Thumbprint {
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate);
    let text: String = sha1.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Thumbprint::parse(&text).unwrap()
}

/// A certificate that nobody trusts, for another name, and of long ago.
fn worthless() -> (Vec<u8>, KeyPair) {
    Ca::new("somebody").issue(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("other.test".try_into().unwrap())];
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    })
}

/// What a server shows that does not hold the key of its certificate.
pub(super) fn with_the_key_of_another(certificate: Vec<u8>) -> Arc<SingleCertAndKey> {
    let stranger = PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap();
    let stolen =
        CertifiedKey::new(vec![CertificateDer::from(certificate)], any_ecdsa_type(&stranger).unwrap());
    Arc::new(SingleCertAndKey::from(stolen))
}

/// Is the one certificate accepted, whatever else is wrong with it, and no other that is not trusted?
#[test]
fn the_one_certificate() {
    let (certificate, key) = worthless();
    let pool = pool(&Ca::new("ca"));
    for versions in VERSIONS {
        let config = config_for(vec![certificate.clone()], key.serialize_der(), None, versions);
        let server = Server::with_config(config);
        let pinned = pool.pinned(thumbprint(&certificate)).unwrap();
        assert_eq!(get(&pinned, &server.url("/")).unwrap().status, 200);
        let error = get(&pool.pinned(thumbprint(b"another")).unwrap(), &server.url("/")).unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::ServerTls));
        // The pin is for this client alone.
        assert!(get(&pool.direct().unwrap(), &server.url("/")).is_err());
    }
}

/// Is a trusted server accepted too, and still only under its name?
#[test]
fn trusted_servers() {
    let ca = Ca::new("ca");
    let pinned = pool(&ca).pinned(thumbprint(b"another")).unwrap();
    for versions in VERSIONS {
        let (certificate, key) = ca.issue(|_| {});
        let server = Server::with_config(config_for(vec![certificate], key.serialize_der(), None, versions));
        assert_eq!(get(&pinned, &server.url("/")).unwrap().status, 200);
        let (certificate, key) = ca.issue(|params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName("other.test".try_into().unwrap())];
        });
        let server = Server::with_config(config_for(vec![certificate], key.serialize_der(), None, versions));
        let error = get(&pinned, &server.url("/")).unwrap_err();
        assert!(error.message().contains("another name"), "{error}");
    }
}

/// Is a server refused that shows the one certificate and does not hold its key?
#[test]
fn a_certificate_without_its_key() {
    let (certificate, key) = worthless();
    for versions in VERSIONS {
        let mut config = config_for(vec![certificate.clone()], key.serialize_der(), None, versions);
        config.cert_resolver = with_the_key_of_another(certificate.clone());
        let server = Server::with_config(config);
        let pinned = pool(&Ca::new("ca")).pinned(thumbprint(&certificate)).unwrap();
        let error = get(&pinned, &server.url("/")).unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::ServerTls), "{error}");
        assert!(error.message().contains("do not belong together"), "{error}");
        assert!(server.seen().is_empty());
    }
}

/// Where no roots can be loaded, is the one certificate still enough, and the reason told for any other?
#[test]
fn without_roots() {
    let (certificate, key) = worthless();
    let config = config_for(vec![certificate.clone()], key.serialize_der(), None, rustls::ALL_VERSIONS);
    let server = Server::with_config(config);
    let broken = |options: &mut TransportOptions| options.roots_pem = Some(b"nothing".to_vec());
    let pool = pool_with(&Ca::new("ca"), broken, &[]);
    get(&pool.pinned(thumbprint(&certificate)).unwrap(), &server.url("/")).unwrap();
    let error = get(&pool.pinned(thumbprint(b"another")).unwrap(), &server.url("/")).unwrap_err();
    assert_eq!(error.code(), "invalid_trusted_roots");
}

/// Is the connection kept for the next request, and plain http still spoken?
#[test]
fn one_client() {
    let (certificate, key) = worthless();
    let config = config_for(vec![certificate.clone()], key.serialize_der(), None, rustls::ALL_VERSIONS);
    let server = Server::with_config(config);
    let pool = pool(&Ca::new("ca"));
    for _ in 0..2 {
        get(&pool.pinned(thumbprint(&certificate)).unwrap(), &server.url("/")).unwrap();
    }
    assert_eq!(server.seen()[1].connection, 1);
    let plain = Server::plain(|_| super::server::ok());
    get(&pool.pinned(thumbprint(&certificate)).unwrap(), &plain.url("/")).unwrap();
}
