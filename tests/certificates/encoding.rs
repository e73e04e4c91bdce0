//! Keys and certificates are matched by their numbers, however they are written.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mtlspop::{Certificate, Error, SignRequest, Signer};

use crate::workshop::{RSA, Workshop};

/// An `AlgorithmIdentifier` of rsaEncryption, with its NULL and without.
const WITH_NULL: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const WITHOUT_NULL: &[u8] = b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

/// Signs with what was loaded, as an HSM would.
struct Elsewhere(Certificate);

impl Signer for Elsewhere {
    fn sign(&self, request: &SignRequest<'_>) -> Result<Vec<u8>, Error> {
        self.0.sign(request.algorithm, request.message)
    }
}

/// `der` without the NULL, in sequences that begin at `around` and, in certificates, right before it.
fn without_null(der: &[u8], around: &[usize]) -> Vec<u8> {
    let at = der.windows(WITH_NULL.len()).position(|window| window == WITH_NULL).unwrap();
    let mut out = [&der[..at], WITHOUT_NULL, &der[at + WITH_NULL.len()..]].concat();
    for start in around.iter().copied().chain([at - 4]) {
        if let [0x30, 0x82, high, low] = out[start..start + 4] {
            let length = u16::from_be_bytes([high, low]) - 2;
            out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    out
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// Can `certificate` sign, itself and through a signer that has only the certificate to go by?
#[track_caller]
fn assert_signs(workshop: &Workshop, certificate: &Certificate, algorithm: &str, what: &str) {
    workshop.write("message", "a message");
    workshop.openssl("x509 -in cert.pem -pubkey -noout -out public.pem");
    let signer = Arc::new(Elsewhere(certificate.clone()));
    let elsewhere = Certificate::with_signer(&workshop.read("cert.pem"), signer).unwrap();
    for one in [certificate, &elsewhere] {
        workshop.write("signature", one.sign(algorithm, b"a message").unwrap());
        let hash = &algorithm[2..];
        let verified =
            workshop.openssl(&format!("dgst -sha{hash} -verify public.pem -signature signature message"));
        assert_eq!(verified.trim(), "Verified OK", "{what}");
    }
}

/// Do key and certificate belong together where either has its point compressed, in PKCS#8 and in SEC1?
#[test]
fn compressed_points_are_the_same_points() {
    for (curve, algorithm) in [("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512")] {
        let workshop = Workshop::new();
        workshop.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out key.pem"));
        for form in ["compressed", "uncompressed"] {
            workshop.openssl(&format!("ec -in key.pem -conv_form {form} -out sec1-{form}.pem"));
            workshop.openssl(&format!("pkcs8 -topk8 -nocrypt -in sec1-{form}.pem -out pkcs8-{form}.pem"));
            workshop.openssl(&format!(
                "req -x509 -new -key sec1-{form}.pem -subj /CN={form} -days 30 -out {form}.pem"
            ));
        }
        let sizes = ["compressed.pem", "uncompressed.pem"].map(|name| workshop.read(name).len());
        assert!(sizes[0] + 30 < sizes[1], "OpenSSL compresses: {sizes:?}");
        for certificate in ["compressed.pem", "uncompressed.pem"] {
            workshop.write("cert.pem", workshop.read(certificate));
            for key in ["sec1-compressed", "sec1-uncompressed", "pkcs8-compressed", "pkcs8-uncompressed"] {
                let what = format!("{curve}: {certificate} with {key}");
                let loaded = workshop.load("cert.pem", Some(&format!("{key}.pem")), "");
                let loaded = loaded.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(loaded.pem(), workshop.openssl("x509 -in cert.pem"), "{what}");
                assert_signs(&workshop, &loaded, algorithm, &what);
            }
        }
    }
}

/// Is an RSA key whose algorithm lacks the NULL that RFC 3279, section 2.3.1, wants the same key, in PKCS#8 and in the
/// certificate?
#[test]
fn rsa_without_null_is_the_same_key() {
    let workshop = Workshop::with_certificate(RSA);
    workshop.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
    workshop.write("key-with.pem", workshop.read("key.pem"));
    workshop.write("key-without.pem", pem("PRIVATE KEY", &without_null(&workshop.read("key.der"), &[0])));
    // The same certificate with two bytes less, signed again.
    workshop.openssl("x509 -in cert.pem -outform DER -out cert.der");
    let der = without_null(&workshop.read("cert.der"), &[0, 4]);
    let signed = 4 + 4 + usize::from(u16::from_be_bytes([der[6], der[7]]));
    workshop.write("signed", &der[4..signed]);
    workshop.openssl("dgst -sha256 -sign key.pem -out signature signed");
    let der = [&der[..der.len() - 256], &workshop.read("signature")].concat();
    workshop.write("cert-with.pem", workshop.read("cert.pem"));
    workshop.write("cert-without.pem", pem("CERTIFICATE", &der));
    for certificate in ["cert-with.pem", "cert-without.pem"] {
        workshop.write("cert.pem", workshop.read(certificate));
        workshop.openssl("verify -CAfile cert.pem cert.pem");
        for key in ["key-with.pem", "key-without.pem"] {
            let what = format!("{certificate} with {key}");
            let loaded = workshop.load("cert.pem", Some(key), "");
            let loaded = loaded.unwrap_or_else(|error| panic!("{what}: {error}"));
            workshop.assert_loaded(&loaded);
            assert_signs(&workshop, &loaded, "RS256", &what);
        }
    }
}

/// Is a key of another number still another key, where everything else is alike?
#[test]
fn other_numbers_are_another_key() {
    for kind in [RSA, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"] {
        let (workshop, other) = (Workshop::with_certificate(kind), Workshop::with_certificate(kind));
        workshop.write("other.pem", other.read("key.pem"));
        let error = workshop.load("cert.pem", Some("other.pem"), "").unwrap_err();
        assert!(error.message().contains("does not belong"), "{error}");
    }
}
