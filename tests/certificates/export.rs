//! What is handed on: PKCS#12, thumbprints, signatures, and nothing of the key by accident.

use std::process::Command;

use mtlspop::{Certificate, ErrorKind, Pkcs12Format, Secret};

use crate::workshop::{P256, PASSWORD, Workshop};

/// Does OpenSSL open what is exported, with leaf, key and chain, new and old?
#[test]
fn openssl_opens_exported_pkcs12() {
    let workshop = Workshop::with_chain();
    let all = ["cert.pem", "middle.pem", "root.pem", "key.pem"].map(|name| workshop.read(name));
    let certificate = Certificate::from_pem(&all.concat(), None, None).unwrap();
    for (format, flags, algorithms) in [
        (Pkcs12Format::Modern, "", ["MAC: sha256", "AES-256-CBC"]),
        (Pkcs12Format::Legacy, "-legacy", ["MAC: sha1", "pbeWithSHA1And3-KeyTripleDES-CBC"]),
    ] {
        for password in [PASSWORD, ""] {
            let pfx = certificate.pkcs12(&Secret::new(password), format).unwrap();
            workshop.write("exported.pfx", pfx.expose());
            let mode = if password.is_empty() { "pass:" } else { "env:PASSWORD" };
            let open = format!("pkcs12 -in exported.pfx -passin {mode} {flags} -nodes");
            let opened = workshop.openssl(&open);
            workshop.write("opened.pem", &opened);
            let again = workshop.load("opened.pem", None, "").unwrap();
            assert_eq!(again.chain_der(), certificate.chain_der());
            workshop.assert_loaded(&again);
            assert_eq!(opened.matches("localKeyID").count(), 2, "{opened}");
            workshop.openssl(&format!("{open} -clcerts -nokeys -out leaf.pem"));
            assert_eq!(workshop.openssl("x509 -in leaf.pem"), certificate.pem());
            let again = Certificate::from_pkcs12(pfx.expose(), Some(&Secret::new(password)));
            assert_eq!(again.unwrap().chain_der(), certificate.chain_der());
        }
        let output = Command::new("openssl")
            .args(["pkcs12", "-legacy", "-info", "-noout", "-passin", "pass:", "-in"])
            .arg(workshop.path("exported.pfx"))
            .output()
            .unwrap();
        let info = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(algorithms.iter().all(|algorithm| info.contains(algorithm)), "{info}");
    }
}

/// Are thumbprints those that OpenSSL computes?
#[test]
fn thumbprints_agree_with_openssl() {
    let workshop = Workshop::with_certificate(P256);
    let certificate = workshop.load("cert.pem", Some("key.pem"), "").unwrap();
    for (hash, ours) in [("sha1", certificate.sha1_hex()), ("sha256", certificate.sha256_hex())] {
        let theirs = workshop.openssl(&format!("x509 -in cert.pem -noout -fingerprint -{hash}"));
        assert_eq!(theirs.trim().split('=').next_back().unwrap().replace(':', ""), ours);
    }
}

/// Does the textual form of a certificate keep its key to itself?
#[test]
fn debug_shows_no_key() {
    let workshop = Workshop::with_certificate(P256);
    let certificate = workshop.load("cert.pem", Some("key.pem"), "").unwrap();
    let shown = format!("{certificate:?} {:?}", certificate.private_key_pem());
    assert!(shown.contains(certificate.x5t_s256()) && shown.len() < 150, "{shown}");
}

/// Does openssl find the signatures of every kind of key good, by each name that the key has, and is a name
/// that it has not an error that lists those it has?
#[test]
fn openssl_verifies_what_is_signed() {
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
    let rsa = [
        ("PS256", 256, pss),
        ("PS384", 384, pss),
        ("PS512", 512, pss),
        ("RS256", 256, ""),
        ("RS384", 384, ""),
        ("RS512", 512, ""),
    ];
    let ec = |curve: &str| format!("-algorithm EC -pkeyopt ec_paramgen_curve:{curve}");
    let keys = [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2048".to_owned(), rsa.to_vec()),
        (ec("P-256"), vec![("ES256", 256, "")]),
        (ec("P-384"), vec![("ES384", 384, "")]),
        (ec("P-521"), vec![("ES512", 512, "")]),
    ];
    for (kind, algorithms) in keys {
        let workshop = Workshop::with_certificate(&kind);
        let certificate =
            Certificate::from_file(&workshop.path("cert.pem"), Some(&workshop.path("key.pem")), None)
                .unwrap();
        workshop.openssl("x509 -in cert.pem -pubkey -noout -out public.pem");
        workshop.write("message", "a message");
        for (name, bits, options) in algorithms {
            workshop.write("signature", certificate.sign(name, b"a message").unwrap());
            let verified = workshop.openssl(&format!(
                "dgst -sha{bits} {options} -verify public.pem -signature signature message"
            ));
            assert_eq!(verified.trim(), "Verified OK", "{kind} {name}");
        }
        let error = certificate.sign("HS256", b"a message").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("HS256") && error.message().contains("256"), "{error}");
    }
}
