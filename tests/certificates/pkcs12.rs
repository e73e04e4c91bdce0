//! PKCS#12 files, as OpenSSL writes them.

use mtlspop::{Certificate, ErrorKind, Pkcs12Format, Secret};

use crate::workshop::{P256, PASSWORD, RSA, Workshop, assert_refused, subjects};

/// Is PKCS#12 data read as OpenSSL writes it today and wrote it before version 3, with its chain?
#[test]
fn every_pkcs12_format_is_read() {
    let workshop = Workshop::with_chain();
    let issuers = [workshop.read("root.pem"), workshop.read("middle.pem")].concat();
    workshop.write("issuers.pem", issuers);
    let export = "pkcs12 -export -inkey key.pem -in cert.pem -certfile issuers.pem -out a.pfx";
    for flags in [
        "-passout env:PASSWORD",
        "-passout env:PASSWORD -legacy",
        "-passout env:PASSWORD -legacy -descert",
        "-passout env:PASSWORD -nomac",
        "-passout env:PASSWORD -keypbe NONE -certpbe NONE",
    ] {
        workshop.openssl(&format!("{export} {flags}"));
        let certificate = workshop.load("a.pfx", None, PASSWORD).unwrap();
        assert_eq!(subjects(&certificate), ["cert", "middle", "root"], "{flags}");
        workshop.assert_loaded(&certificate);
    }
}

/// Are no password and the empty password the same, as for Windows and for Azure Key Vault?
#[test]
fn pkcs12_without_password_is_read() {
    let workshop = Workshop::with_certificate(RSA);
    for flags in ["", "-legacy", "-nomac -keypbe NONE -certpbe NONE"] {
        workshop.openssl(&format!(
            "pkcs12 -export -inkey key.pem -in cert.pem -passout pass: -out a.pfx {flags}"
        ));
        let pfx = workshop.read("a.pfx");
        workshop.assert_loaded(&Certificate::from_pkcs12(&pfx, None).unwrap());
        let empty = Secret::new("");
        workshop.assert_loaded(&Certificate::from_pkcs12(&pfx, Some(&empty)).unwrap());
    }
}

/// Are a missing password, a wrong one and damaged data told apart?
#[test]
fn pkcs12_password_errors_are_told_apart() {
    let workshop = Workshop::with_certificate(RSA);
    for flags in ["", "-legacy", "-nomac"] {
        workshop.openssl(&format!(
            "pkcs12 -export -inkey key.pem -in cert.pem -passout env:PASSWORD -out a.pfx {flags}"
        ));
        let pfx = |password| workshop.load("a.pfx", None, password);
        assert_refused(pfx(""), "cryptographic_error", "give it");
        assert_refused(pfx("wrong"), "cryptographic_error", "data is wrong");
    }
    workshop.write("cut.pfx", &workshop.read("a.pfx")[..500]);
    assert_refused(workshop.load("cut.pfx", None, PASSWORD), "invalid_certificate", "malformed");
}

/// Is a password that PKCS#12 has no way to express refused when writing and when reading?
#[test]
fn inexpressible_password_is_an_argument_error() {
    let workshop = Workshop::with_certificate(P256);
    let certificate = workshop.load("cert.pem", Some("key.pem"), "").unwrap();
    let password = Secret::new("\u{1f511}");
    let error = certificate.pkcs12(&password, Pkcs12Format::Modern).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let pfx = certificate.pkcs12(&Secret::new(""), Pkcs12Format::Modern).unwrap();
    let error = Certificate::from_pkcs12(pfx.expose(), Some(&password)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}
