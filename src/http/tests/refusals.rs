//! Servers as they are found outside that cannot be trusted or agreed with: is the reason told, and what to do?

use super::openssl::{IS_CA, LOCALHOST, NO_CA, OpensslServer, P256, Workshop};
use super::*;

const OLD: &str = "-cipher ALL:@SECLEVEL=0";

/// A pool that trusts what is in the PEM text.
fn trusting(pem: Vec<u8>, env: &[(&str, &str)]) -> Pool {
    pool_with(&Ca::new("nobody"), |options| options.roots_pem = Some(pem), env)
}

/// The answer, which is the same whoever speaks TLS.
fn ask(server: &OpensslServer, pool: &Pool) -> Result<Response> {
    let mut answers = server.over.iter().map(|over| over.visit(pool, &server.url()));
    let first = answers.next().unwrap();
    let told =
        |answer: &Result<Response>| answer.as_ref().map(|response| response.status).map_err(Error::to_string);
    answers.for_each(|other| assert_eq!(told(&first), told(&other)));
    first
}

fn refused(server: &OpensslServer, pool: &Pool, words: &[&str]) {
    let error = ask(server, pool).unwrap_err();
    assert_eq!(
        (error.code(), error.transport()),
        ("tls_error", Some(TransportFailure::ServerTls)),
        "{error}"
    );
    assert!(!error.is_retryable());
    for word in ["localhost"].iter().chain(words) {
        assert!(error.message().contains(word), "{word:?} is not in: {error}");
    }
}

/// Is an authority's certificate accepted as a server's own where the app or SSL_CERT_FILE names exactly
/// that one, and nowhere else?
#[test]
fn a_root_that_serves_itself() {
    let workshop = Workshop::new();
    workshop.certificate("own", P256, &format!("{LOCALHOST} {IS_CA}"));
    workshop.certificate("other", P256, &format!("{LOCALHOST} {IS_CA}"));
    // The same name and key: it would vouch for what the first one issues.
    workshop.run(&format!("req -x509 -new -key own.key -out twin.pem -days 30 {LOCALHOST} {IS_CA}"));
    let file = workshop.path("own.pem");
    for version in ["-tls1_2", "-tls1_3"] {
        let server = workshop.serve("own", version);
        let pool = trusting(workshop.pem("own"), &[]);
        assert_eq!(ask(&server, &pool).unwrap().status, 200);
        let mut pools = Vec::new();
        for (name, accepted) in [("SSL_CERT_FILE", true), ("SSL_CERT_DIR", false)] {
            let value = if accepted { file.as_path() } else { file.parent().unwrap() };
            let no_option = |options: &mut TransportOptions| options.roots_pem = None;
            let pool = pool_with(&Ca::new("nobody"), no_option, &[(name, value.to_str().unwrap())]);
            pools.push((pool, accepted));
        }
        for (pool, accepted) in pools {
            assert_eq!(ask(&server, &pool).is_ok(), accepted);
        }
        for other in ["other", "twin"] {
            let pool = trusting(workshop.pem(other), &[]);
            refused(&server, &pool, &["that of an authority", "CA:TRUE", "SSL_CERT_FILE"]);
        }
    }
}

/// Are name, dates and purpose of such a certificate still checked, and that the server has its key?
#[test]
fn a_root_that_serves_itself_is_checked() {
    let workshop = Workshop::new();
    let elsewhere = "-subj /CN=localhost -addext subjectAltName=DNS:other.test";
    workshop.certificate("named", P256, &format!("{elsewhere} {IS_CA}"));
    workshop.certificate("nameless", P256, &format!("-subj /CN=localhost {IS_CA}"));
    workshop.certificate("client", P256, &format!("{LOCALHOST} {IS_CA} -addext extendedKeyUsage=clientAuth"));
    for (name, words) in [
        ("named", "for other.test, not for localhost"),
        ("nameless", "subjectAltName=DNS:localhost"),
        ("client", "serverAuth"),
    ] {
        let server = workshop.serve(name, "");
        refused(&server, &trusting(workshop.pem(name), &[]), &[words]);
    }
    type Edit = fn(&mut CertificateParams);
    let dates: [(Edit, &str); 2] = [
        (|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1), "has expired on Wed, 01 Jan 2020"),
        (|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1), "not valid yet"),
    ];
    for (edit, words) in dates {
        let (der, pem, key) = self_issued(edit);
        let server = Server::with_config(server::config_for(vec![der], key, None, rustls::ALL_VERSIONS));
        let error = get(&trusting(pem, &[]).plain().unwrap(), &server.url("/")).unwrap_err();
        assert!(error.message().contains(words), "{error}");
    }
    let (der, pem, key) = self_issued(|_| {});
    let mut config = server::config_for(vec![der.clone()], key, None, rustls::ALL_VERSIONS);
    config.cert_resolver = pins::with_the_key_of_another(der);
    let server = Server::with_config(config);
    let error = get(&trusting(pem, &[]).plain().unwrap(), &server.url("/")).unwrap_err();
    assert!(error.message().contains("do not belong together"), "{error}");
    assert!(server.seen().is_empty());
}

/// An authority's certificate for `localhost`: DER, PEM and key.
fn self_issued(edit: fn(&mut CertificateParams)) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    edit(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().to_vec(), certificate.pem().into_bytes(), key.serialize_der())
}

/// Is it told that a certificate has its name in the common name only, is of version 1, or not for servers?
#[test]
fn certificates_of_old_habits() {
    let workshop = Workshop::new();
    workshop.certificate("ca", P256, &format!("-subj /CN=ca {IS_CA}"));
    let by_ca = format!("-CA ca.pem -CAkey ca.key {NO_CA}");
    workshop.certificate("nameless", P256, &format!("-subj /CN=localhost {by_ca}"));
    workshop.certificate("client", P256, &format!("{LOCALHOST} {by_ca} -addext extendedKeyUsage=clientAuth"));
    workshop.run(&format!("req -new -nodes -newkey {P256} -keyout v1.key -out v1.csr -subj /CN=localhost"));
    let to = "-in v1.csr -CA ca.pem -CAkey ca.key -out v1.pem -days 30";
    // Later versions of OpenSSL write version 3 unless asked for 1, which earlier ones do not know.
    if !workshop.tries(&format!("req -x509 -x509v1 {to}")) {
        workshop.run(&format!("x509 -req -CAcreateserial {to}"));
    }
    let pool = trusting(workshop.pem("ca"), &[]);
    for (name, words) in [
        ("nameless", &["names no host", "common name", "subjectAltName=DNS:localhost"][..]),
        ("client", &["not for servers", "serverAuth"]),
        ("v1", &["version 1", "version 3"]),
    ] {
        refused(&workshop.serve(name, ""), &pool, words);
    }
}

/// Are keys and signatures that are too weak called that?
#[test]
fn weak_keys_and_signatures() {
    let workshop = Workshop::new();
    workshop.certificate("ca", "rsa:2048", &format!("-subj /CN=ca {IS_CA}"));
    workshop.certificate("weak-ca", "rsa:1024", &format!("-subj /CN=weak-ca {IS_CA}"));
    let leaf = |name: &str, key: &str, ca: &str, more: &str| {
        workshop.certificate(name, key, &format!("{LOCALHOST} {NO_CA} -CA {ca}.pem -CAkey {ca}.key {more}"));
    };
    leaf("short", "rsa:1024", "ca", "");
    leaf("below-short", P256, "weak-ca", "");
    leaf("sha1", P256, "ca", "-sha1");
    leaf("curve", "ec -pkeyopt ec_paramgen_curve:secp256k1", "ca", "");
    let pool = trusting([workshop.pem("ca"), workshop.pem("weak-ca")].concat(), &[]);
    for version in ["-tls1_2", "-tls1_3"] {
        let short = workshop.serve("short", &format!("{OLD} {version}"));
        refused(&short, &pool, &["has an RSA key of 1024 bits", "2048"]);
    }
    let below = workshop.serve("below-short", OLD);
    refused(&below, &pool, &["authority with an RSA key of 1024 bits"]);
    refused(&workshop.serve("sha1", OLD), &pool, &["SHA-1 (sha1WithRSAEncryption)", "SHA-256"]);
    refused(&workshop.serve("curve", OLD), &pool, &["no cipher, key exchange or signature"]);
}

/// Where no cipher, key exchange or version is had by both sides, is it told what is offered, and never laid
/// to our certificate, which the server has not even seen?
#[test]
fn nothing_in_common() {
    let workshop = Workshop::new();
    workshop.certificate("server", "rsa:2048", &format!("{LOCALHOST} {NO_CA}"));
    let pool = trusting(workshop.pem("server"), &[]);
    let certificate = Ca::new("clients").client();
    for (options, words) in [
        (
            "-tls1_2 -cipher AES128-SHA",
            &["no cipher", "TLS 1.3 and TLS 1.2", "ECDHE-RSA-AES128-GCM-SHA256"][..],
        ),
        ("-tls1_3 -groups secp521r1", &["key exchange", "X25519, P-256 or P-384"]),
        ("-tls1_1 -cipher ALL:@SECLEVEL=0", &["neither TLS 1.3 nor TLS 1.2", "RFC 8996", "protocol_version"]),
        ("-tls1 -cipher ALL:@SECLEVEL=0", &["neither TLS 1.3 nor TLS 1.2"]),
    ] {
        let server = workshop.serve("server", options);
        refused(&server, &pool, words);
        assert!(!ask(&server, &pool).unwrap_err().message().contains("client certificate"));
        let error = get(&pool.for_certificate(&certificate).unwrap(), &server.url()).unwrap_err();
        assert_eq!(error.code(), "tls_error", "{error}");
        assert!(error.message().contains(words[0]), "{error}");
    }
}

/// Is a port that does not speak TLS called that, and a server that wants a certificate, with TLS 1.2 by an
/// alert that has other causes too?
#[test]
fn no_tls_and_no_certificate() {
    let plain = Server::plain(|_| server::ok());
    let url = Url::parse(&format!("https://localhost:{}/", plain.address.port())).unwrap();
    // It takes the hello for a request and waits for its end.
    let limit = Duration::from_secs(1);
    let ca = Ca::new("ca");
    let (pool, certificate) = (pool(&ca), ca.client());
    for over in BOTH {
        let client = pool.for_certificate(&certificate).unwrap();
        let request = over.request(Request::get(&url).attempt_timeout(limit));
        let error = client.send(&request, &call()).unwrap_err();
        assert!(error.message().contains("did not complete the TLS handshake"), "{error}");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port())).unwrap();
    std::thread::spawn(move || {
        for _ in BOTH {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
        }
    });
    for over in BOTH {
        let error = over.visit(&pool, &url).unwrap_err();
        assert!(error.message().contains("is not TLS") && error.message().contains("https"), "{error}");
    }

    let workshop = Workshop::new();
    workshop.certificate("server", P256, &format!("{LOCALHOST} {NO_CA}"));
    let pool = trusting(workshop.pem("server"), &[]);
    let mut server = workshop.serve("server", "-tls1_2 -Verify 1");
    // The other one goes nowhere without a certificate.
    server.over = &BOTH[..1];
    refused(&server, &pool, &["requires a client certificate"]);
}

/// Is a server that hangs up in the handshake, as some do that have nothing in common with us, told apart from one
/// that loses an answer, with what is offered?
#[test]
fn a_server_that_hangs_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let linger = (number / 2 == 1).then_some(Duration::ZERO);
            socket2::SockRef::from(&stream).set_linger(linger).unwrap();
        }
    });
    let pool = pool(&Ca::new("ca"));
    for over in ["by FIN", "by RST"].iter().flat_map(|_| BOTH) {
        let error = over.visit(&pool, &url).unwrap_err();
        assert_eq!((error.code(), error.transport()), ("network_error", Some(TransportFailure::Connect)));
        assert!(error.is_retryable());
        for word in ["server 127.0.0.1", "hung up in the TLS handshake", "TLS 1.3 and TLS 1.2"] {
            assert!(error.message().contains(word), "{error}");
        }
    }
}
