//! Whom we trust, whom we are, and how a refusal of either reads.

use super::server::{answer, config_for, ok};
use super::*;

/// Is our certificate presented and accepted, and signed with through the trait, in both versions?
#[test]
fn a_certificate_is_presented() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    for (version, over) in Over::each() {
        let server = Server::mtls(&ca, &clients, version, |_| ok());
        let (pool, certificate) = (pool(&ca), clients.client());
        let response = over.get(&pool.for_certificate(&certificate).unwrap(), &server.url("/")).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(server.seen()[0].certificate.as_deref(), Some(certificate.der()));
    }
}

/// Does a server get the issuers too that came with the certificate?
#[test]
fn the_whole_chain_is_sent() {
    let ca = Ca::new("ca");
    let root = Ca::new("root");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    let key = KeyPair::generate().unwrap();
    let intermediate = params.signed_by(&key, &root.issuer).unwrap();
    let below =
        Ca { der: intermediate.der().to_vec(), pem: intermediate.pem(), issuer: Issuer::new(params, key) };
    let (leaf, key) = below.issue(|_| {});
    let key: Arc<dyn PrivateKey> = Arc::new(TestKey::new(&key));
    let certificate = Certificate::new(vec![leaf, below.der], key).unwrap();
    for (version, over) in Over::each() {
        let server = Server::mtls(&ca, &root, version, |_| ok());
        over.get(&pool(&ca).for_certificate(&certificate).unwrap(), &server.url("/")).unwrap();
    }
}

/// Is a server that is not trusted refused, in words that tell what to do?
#[test]
fn an_untrusted_server_is_refused_in_words() {
    let server = Server::tls(&Ca::new("somebody"), |_| ok());
    for over in BOTH {
        let error = over.visit(&pool(&Ca::new("ca")), &server.url("/")).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "tls_error"));
        assert_eq!(error.transport(), Some(TransportFailure::ServerTls));
        assert!(!error.is_retryable());
        for word in ["localhost", "not trusted here (CN=somebody)", "SSL_CERT_FILE"] {
            assert!(error.message().contains(word), "{error}");
        }
    }
}

/// Do a wrong name and a date in the past or future each say so?
#[test]
fn wrong_name_and_wrong_date() {
    let ca = Ca::new("ca");
    type Edit = fn(&mut CertificateParams);
    let cases: [(Edit, &str); 3] = [
        (
            |params| {
                params.subject_alt_names = vec![rcgen::SanType::DnsName("other.test".try_into().unwrap())]
            },
            "another name",
        ),
        (|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1), "has expired"),
        (|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1), "not valid yet"),
    ];
    for (edit, words) in cases {
        let (certificate, key) = ca.issue(edit);
        let config = config_for(vec![certificate], key.serialize_der(), None, rustls::ALL_VERSIONS);
        let server = Server::with_config(config);
        for over in BOTH {
            let error = over.visit(&pool(&ca), &server.url("/")).unwrap_err();
            assert_eq!(error.transport(), Some(TransportFailure::ServerTls));
            assert!(error.message().contains(words), "{error}");
        }
    }
}

/// Is the refusal of our certificate told apart from everything else, in both versions, also while a
/// long request is being written?
#[test]
fn a_refused_certificate_is_named() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let long = vec![b'x'; 4 * 1024 * 1024];
    for (version, over) in Over::each() {
        let server = Server::mtls(&ca, &clients, version, |_| ok());
        let (pool, stranger) = (pool(&ca), Ca::new("strangers").client());
        let client = pool.for_certificate(&stranger).unwrap();
        for body in [&b"short"[..], &long] {
            let url = server.url("/");
            let error = client.send(&over.request(Request::post(&url, body)), &call()).unwrap_err();
            assert_eq!(error.transport(), Some(TransportFailure::ClientCertificate), "{error}");
            assert_eq!(error.code(), "client_certificate_rejected");
            assert!(error.message().contains(stranger.x5t_s256()) && error.message().contains("valid until"));
        }
        let error = get(&pool.plain().unwrap(), &server.url("/")).unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::ServerTls), "{error}");
        assert!(error.message().contains("client certificate"), "{error}");
    }
}

/// Does the key's own error reach the caller when it cannot sign the handshake?
#[test]
fn a_key_that_cannot_sign_says_so() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let (der, key) = clients.issue(|_| {});
    let key = TestKey { broken: true, ..TestKey::new(&key) };
    let certificate = Certificate::new(vec![der], Arc::new(key)).unwrap();
    for (version, over) in Over::each() {
        let server = Server::mtls(&ca, &clients, version, |_| ok());
        let pool = pool(&ca);
        let client = pool.for_certificate(&certificate).unwrap();
        let error = over.get(&client, &server.url("/")).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "key_gone"));
    }
}

/// Which roots count, and is an unusable source named?
#[test]
fn roots_come_from_option_file_or_environment() {
    let ca = Ca::new("ca");
    let server = Server::tls(&ca, |_| answer(200, "", ""));
    let folder = tempfile::tempdir().unwrap();
    let (good, bad, empty) =
        (folder.path().join("good.pem"), folder.path().join("bad.pem"), folder.path().join("empty.pem"));
    std::fs::write(&good, &ca.pem).unwrap();
    std::fs::write(&bad, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let plain = |file: Option<&std::path::Path>, env: &[(&str, &str)]| {
        let options = |options: &mut TransportOptions| {
            options.roots_pem = None;
            options.roots_file = file.map(Into::into);
        };
        pool_with(&ca, options, env).plain().and_then(|client| get(&client, &server.url("/")))
    };
    plain(Some(&good), &[("SSL_CERT_FILE", &path(&bad))]).expect("the option wins");
    plain(None, &[("SSL_CERT_FILE", &path(&good))]).expect("the environment counts");
    let error = plain(None, &[]).unwrap_err();
    assert!(
        error.transport() == Some(TransportFailure::ServerTls) || error.code() == "invalid_trusted_roots"
    );
    let missing = folder.path().join("missing.pem");
    for file in [&bad, &empty, &missing] {
        let error = plain(None, &[("SSL_CERT_FILE", &path(file))]).unwrap_err();
        assert_eq!(error.code(), "invalid_trusted_roots");
        assert!(
            error.message().contains("SSL_CERT_FILE") && error.message().contains(&path(file)),
            "{error}"
        );
        let error = plain(Some(file), &[]).unwrap_err();
        assert!(error.message().contains(&path(file)), "{error}");
    }
    let others = tempfile::tempdir().unwrap();
    let dirs = std::env::join_paths([others.path(), folder.path()]).unwrap();
    plain(None, &[("SSL_CERT_DIR", dirs.to_str().unwrap())]).expect("all folders count");
    let error = plain(None, &[("SSL_CERT_DIR", &path(others.path()))]).unwrap_err();
    assert!(error.message().contains("SSL_CERT_DIR"), "{error}");
}

/// Does a client for this machine work where no roots can be loaded at all?
#[test]
fn the_direct_client_needs_no_roots() {
    let server = Server::plain(|_| ok());
    let broken = |options: &mut TransportOptions| options.roots_pem = Some(b"nothing".to_vec());
    let pool = pool_with(&Ca::new("ca"), broken, &[]);
    get(&pool.direct().unwrap(), &server.url("/")).unwrap();
    assert!(pool.plain().is_err());
}
