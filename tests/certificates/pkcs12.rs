//! PKCS#12 files, as OpenSSL writes them.

use mtlspop::{Certificate, ErrorKind, Pkcs12Format, Secret};

use crate::pfx::{Encoding, Mac, Pfx};
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

/// Does each form of "no password" open what was written with it: the empty one, two zero bytes in each derivation, and the
/// null one of Windows and Azure Key Vault, no bytes at all (RFC 7292 appendix B.1)? Is any other password wrong?
#[test]
fn null_and_empty_are_both_no_password() {
    let workshop = Workshop::with_certificate(P256);
    for password in [None, Some("")] {
        for mac in
            [Mac::Traditional("sha1"), Mac::Traditional("sha256"), Mac::Pbmac1("sha256", 32), Mac::None]
        {
            let recipe = Pfx { password, mac, ..Pfx::default() };
            let pfx = recipe.build(&workshop);
            for given in [None, Some(Secret::new(""))] {
                workshop.assert_loaded(&Certificate::from_pkcs12(&pfx, given.as_ref()).unwrap());
            }
            let wrong = Certificate::from_pkcs12(&pfx, Some(&Secret::new("pw")));
            assert_refused(wrong, "cryptographic_error", "data is wrong");
            if matches!(mac, Mac::Traditional(_)) {
                workshop.write("a.pfx", &pfx);
                workshop.openssl("pkcs12 -in a.pfx -passin pass: -nodes -out opened.pem");
                workshop.assert_loaded(&workshop.load("opened.pem", None, "").unwrap());
            }
        }
    }
}

/// Is BER read wherever it may stand (RFC 7292 section 3.1): around everything, inside of the octet strings and inside of
/// what is encrypted, and bags inside of bags, as deep as openssl reads them?
#[test]
fn ber_and_bags_in_bags_are_read() {
    let workshop = Workshop::with_certificate(P256);
    for encoding in [Encoding::Der, Encoding::Indefinite, Encoding::Pieces] {
        for depth in [0, 5] {
            for encrypted in [true, false] {
                let recipe = Pfx { encoding, depth, encrypted, ..Pfx::default() };
                workshop.write("a.pfx", recipe.build(&workshop));
                workshop.assert_loaded(&workshop.load("a.pfx", None, "pw").unwrap());
                assert_refused(workshop.load("a.pfx", None, "no"), "cryptographic_error", "data is wrong");
                workshop.openssl("pkcs12 -in a.pfx -passin pass:pw -nodes -out opened.pem");
                workshop.assert_loaded(&workshop.load("opened.pem", None, "").unwrap());
            }
        }
    }
}

/// Is the checksum that OpenSSL writes in FIPS mode read (RFC 9579), with each of its hashes, and refused with a key that
/// is too short to mean anything (section 9) or longer than any hash?
#[test]
fn pbmac1_is_read() {
    let workshop = Workshop::with_certificate(P256);
    let pfx = |mac| Pfx { mac, ..Pfx::default() }.build(&workshop);
    for mac in [
        Mac::Pbmac1("sha1", 20),
        Mac::Pbmac1("sha256", 32),
        Mac::Pbmac1("sha384", 48),
        Mac::Pbmac1("sha512", 64),
        Mac::Pbmac1("sha256", 20),
    ] {
        let pfx = pfx(mac);
        workshop.assert_loaded(&Certificate::from_pkcs12(&pfx, Some(&Secret::new("pw"))).unwrap());
        let wrong = Certificate::from_pkcs12(&pfx, Some(&Secret::new("pww")));
        assert_refused(wrong, "cryptographic_error", "data is wrong");
    }
    for length in [19, 65] {
        let result = Certificate::from_pkcs12(&pfx(Mac::Pbmac1("sha256", length)), Some(&Secret::new("pw")));
        assert_refused(result, "invalid_certificate", "malformed");
    }
}

/// Are the ciphers read that PKCS#12 had before PBES2, and each hash that OpenSSL makes the checksum with?
#[test]
fn old_ciphers_and_every_hash_are_read() {
    let workshop = Workshop::with_certificate(P256);
    let ciphers = [
        "PBE-SHA1-RC2-40",
        "PBE-SHA1-RC2-128",
        "PBE-SHA1-2DES",
        "PBE-SHA1-3DES",
        "aes-128-cbc",
        "aes-192-cbc",
    ];
    let ciphers = ciphers.map(|cipher| format!("-keypbe {cipher} -certpbe {cipher}"));
    let hashes = ["sha1", "sha224", "sha256", "sha384", "sha512", "sha512-224", "sha512-256"];
    for flags in ciphers.into_iter().chain(hashes.map(|hash| format!("-macalg {hash}"))) {
        workshop.openssl(&format!(
            "pkcs12 -export -legacy -inkey key.pem -in cert.pem -passout env:PASSWORD -out a.pfx {flags}"
        ));
        workshop.assert_loaded(&workshop.load("a.pfx", None, PASSWORD).unwrap());
        assert_refused(workshop.load("a.pfx", None, "wrong"), "cryptographic_error", "data is wrong");
    }
}

/// Is a PFX read as base64 text, as `az keyvault secret show`, `certutil -encode` and PowerShell write it, from a file and from
/// memory? Is it found out where PEM was expected?
#[test]
fn base64_text_is_read() {
    let workshop = Workshop::with_certificate(RSA);
    workshop.openssl("pkcs12 -export -inkey key.pem -in cert.pem -passout env:PASSWORD -out a.pfx");
    let lines = workshop.openssl("base64 -in a.pfx");
    let line = workshop.openssl("base64 -A -in a.pfx");
    let password = Secret::new(PASSWORD);
    for text in [
        lines.clone(),
        lines.replace('\n', "\r\n"),
        line.clone(),
        format!("{line}\n"),
        format!("\"{line}\"\n"),
        format!("\u{feff}{line}\r\n"),
        format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"),
    ] {
        workshop.write("a.txt", &text);
        workshop.assert_loaded(&workshop.load("a.txt", None, PASSWORD).unwrap());
        workshop.assert_loaded(&Certificate::from_pkcs12(text.as_bytes(), Some(&password)).unwrap());
        let as_pem = Certificate::from_pem(text.as_bytes(), None, Some(&password));
        assert_refused(as_pem, "invalid_certificate", "it is PKCS#12 (PFX) where PEM is expected");
        let as_key = workshop.load("cert.pem", Some("a.txt"), PASSWORD);
        assert_refused(as_key, "invalid_certificate", "a.txt: it is PKCS#12 (PFX) where PEM is expected");
    }
    let cut = Certificate::from_pkcs12(&line.as_bytes()[..1000], Some(&password));
    assert_refused(cut, "invalid_certificate", "malformed");
    let text = Certificate::from_pkcs12(b"not a certificate at all", None);
    assert_refused(text, "invalid_certificate", "neither PKCS#12 nor base64 text of it");
}

/// Is what is well-formed but not read called something else than malformed: a salt that is too long for PBKDF2, data that
/// is signed with a key?
#[test]
fn what_is_not_read_has_a_name() {
    let workshop = Workshop::with_certificate(P256);
    let recipe = Pfx { mac: Mac::Pbmac1("sha256", 32), ..Pfx::default() };
    let salt = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
    let long = Pfx { salt, ..recipe.clone() }.build(&workshop);
    let long = Certificate::from_pkcs12(&long, Some(&Secret::new("pw")));
    assert_refused(
        long,
        "cryptographic_error",
        "its salt is longer than 32 bytes), write it anew with: openssl",
    );

    let mut signed = recipe.build(&workshop);
    let data = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
    let place = signed.windows(data.len()).position(|window| window == data).unwrap();
    signed[place + data.len() - 1] = 2;
    let signed = Certificate::from_pkcs12(&signed, Some(&Secret::new("pw")));
    assert_refused(signed, "cryptographic_error", "with a key and not with a password");
}
