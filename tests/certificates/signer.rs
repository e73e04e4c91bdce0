//! Certificates whose key is elsewhere.

use std::sync::Arc;

use mtlspop::{Certificate, Error, ErrorKind, SignRequest, Signer};

use crate::workshop::{P256, Workshop, assert_refused, subjects};

/// A signer that nobody asks: these tests only load.
struct NeverAsked;

impl Signer for NeverAsked {
    fn sign(&self, request: &SignRequest<'_>) -> Result<Vec<u8>, Error> {
        unreachable!("asked for {request:?}");
    }
}

/// Is a certificate whose key is elsewhere read from PEM, leaf first, and from DER?
#[test]
fn a_signer_needs_only_the_chain() {
    let workshop = Workshop::with_chain();
    let load = |chain: &[u8]| Certificate::with_signer(chain, Arc::new(NeverAsked)).unwrap();
    let pem = ["cert.pem", "root.pem", "middle.pem"].map(|name| workshop.read(name)).concat();
    assert_eq!(subjects(&load(&pem)), ["cert", "middle", "root"]);
    workshop.openssl("x509 -in cert.pem -outform DER -out cert.der");
    let certificate = load(&workshop.read("cert.der"));
    assert_eq!(certificate.pem(), workshop.openssl("x509 -in cert.pem"));
    assert!(!certificate.is_exportable());
}

/// What cannot go with a signer: a private key in the input, keys of other kinds and sizes, no certificate.
#[test]
fn what_a_signer_cannot_have_is_explained() {
    let workshop = Workshop::with_certificate(P256);
    let load = |chain: &[u8]| Certificate::with_signer(chain, Arc::new(NeverAsked));
    workshop.openssl("pkcs8 -topk8 -in key.pem -passout env:PASSWORD -out encrypted.pem");
    workshop.openssl("ec -in key.pem -aes128 -passout env:PASSWORD -out old.pem");
    for key in ["key.pem", "encrypted.pem", "old.pem"] {
        let error = load(&[workshop.read("cert.pem"), workshop.read(key)].concat()).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidArgument, "invalid_argument"));
        assert!(error.message().contains("there is a private key in it"), "{error}");
    }
    for (kind, words) in [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "at least 2048 bits"),
        ("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "use an rsaEncryption key"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "not supported"),
        ("-algorithm ED25519", "not supported"),
    ] {
        let result = load(&Workshop::with_certificate(kind).read("cert.pem"));
        assert_refused(result, "cryptographic_error", words);
    }
    for nothing in [&b""[..], b"text", b"\x30\x03\x02\x01\x03"] {
        assert_refused(load(nothing), "invalid_certificate", "no certificate in it, neither PEM nor DER");
    }
}
