//! PEM files, as OpenSSL and people write them, and what is said of those that cannot be used.

use std::path::Path;

use mtlspop::Certificate;

use crate::workshop::{P256, PASSWORD, RSA, Workshop, assert_refused, subjects};

/// Is each form of a private key read, in one file with the certificate and in its own?
#[test]
fn every_key_format_is_read() {
    for (kind, traditional) in [(RSA, "rsa -traditional"), (P256, "ec")] {
        let workshop = Workshop::with_certificate(kind);
        workshop.openssl(&format!("{traditional} -in key.pem -out traditional.pem"));
        workshop.openssl("pkcs8 -topk8 -in key.pem -passout env:PASSWORD -out pbkdf2.pem");
        workshop.openssl("pkcs8 -topk8 -in key.pem -passout env:PASSWORD -scrypt -out scrypt.pem");
        workshop.openssl(
            "pkcs8 -topk8 -in key.pem -passout env:PASSWORD -v2 des3 -v2prf hmacWithSHA1 \
             -out openssl1.pem",
        );
        workshop.openssl("pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-3DES -passout env:PASSWORD -out pkcs12.pem");
        for key in ["key.pem", "traditional.pem", "pbkdf2.pem", "scrypt.pem", "openssl1.pem", "pkcs12.pem"] {
            let certificate = workshop.load("cert.pem", Some(key), PASSWORD).unwrap();
            workshop.assert_loaded(&certificate);
            let both = [workshop.read(key), workshop.read("cert.pem")].concat();
            workshop.write("both.pem", both);
            workshop.assert_loaded(&workshop.load("both.pem", None, PASSWORD).unwrap());
        }
    }
}

/// Is a key read whose curve stands in a block of its own before it (`openssl ecparam -genkey`)?
#[test]
fn ec_parameters_before_the_key_are_read() {
    let workshop = Workshop::new();
    workshop.openssl("ecparam -name secp384r1 -genkey -out key.pem");
    workshop.openssl("req -x509 -new -key key.pem -subj /CN=leaf -days 30 -out cert.pem");
    assert!(workshop.read("key.pem").starts_with(b"-----BEGIN EC PARAMETERS-----"));
    let certificate = workshop.load("cert.pem", Some("key.pem"), "").unwrap();
    workshop.assert_loaded(&certificate);
}

/// Does the leaf come first and its issuers in order, whatever their order in the file and whatever
/// else is there?
#[test]
fn chain_is_put_in_order() {
    let workshop = Workshop::with_chain();
    let stranger = Workshop::with_certificate(P256).read("cert.pem");
    let parts = ["root.pem", "key.pem", "cert.pem", "middle.pem"].map(|name| workshop.read(name));
    let all = [b"Bag Attributes\r\n".to_vec(), stranger, parts.concat()].concat();
    workshop.write("all.pem", all);
    let certificate = workshop.load("all.pem", None, "").unwrap();
    assert_eq!(subjects(&certificate), ["cert", "middle", "root"]);
    workshop.assert_loaded(&certificate);
}

/// Is every input that lacks something refused with a sentence that says what?
#[test]
fn incomplete_input_is_explained() {
    let workshop = Workshop::with_certificate(P256);
    let other = Workshop::with_certificate(P256);
    workshop.write("empty.pem", "");
    workshop.write("text.txt", "not a certificate at all");
    workshop.write("other.key", other.read("key.pem"));
    workshop.write("two.key", [workshop.read("key.pem"), other.read("key.pem")].concat());
    workshop.openssl("x509 -in cert.pem -outform DER -out cert.der");
    workshop.openssl("pkcs12 -export -nokeys -in cert.pem -passout pass:x -out nokey.pfx");
    let load = |path, key| workshop.load(path, key, "x");

    assert_refused(load("empty.pem", None), "invalid_certificate", "empty.pem: it is empty");
    assert_refused(load("text.txt", None), "invalid_certificate", "neither PEM nor PKCS#12");
    assert_refused(load("cert.der", None), "invalid_certificate", "without a private key");
    assert_refused(load("key.pem", None), "invalid_certificate", "no certificate");
    assert_refused(load("cert.pem", None), "cert_without_private_key", "no private key");
    assert_refused(load("nokey.pfx", None), "cert_without_private_key", "no private key");
    assert_refused(load("cert.pem", Some("other.key")), "invalid_certificate", "does not belong");
    assert_refused(load("cert.pem", Some("two.key")), "invalid_certificate", "several");
}

/// Is the same file named as certificate and key taken for what it is?
#[test]
fn one_file_may_be_named_twice() {
    let workshop = Workshop::with_certificate(P256);
    workshop.write("both.pem", [workshop.read("key.pem"), workshop.read("cert.pem")].concat());
    workshop.assert_loaded(&workshop.load("both.pem", Some("both.pem"), "").unwrap());
}

/// Are a missing password and a wrong one told apart?
#[test]
fn key_password_errors_are_told_apart() {
    let workshop = Workshop::with_certificate(RSA);
    workshop.openssl("pkcs8 -topk8 -in key.pem -passout env:PASSWORD -out secret.pem");
    let key = |password| workshop.load("cert.pem", Some("secret.pem"), password);
    assert_refused(key(""), "cryptographic_error", "give its password");
    assert_refused(key("wrong"), "cryptographic_error", "password of the private key is wrong");
}

/// Does a key that is not supported name the way out?
#[test]
fn unsupported_keys_name_the_way_out() {
    let workshop = Workshop::with_certificate(RSA);
    for (kind, name) in [
        ("-algorithm ED25519", "ed25519.pem"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "k1.pem"),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "rsa1024.pem"),
        ("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "pss.pem"),
    ] {
        workshop.openssl(&format!("genpkey {kind} -out {name}"));
    }
    workshop.openssl("ec -in k1.pem -out k1-sec1.pem");
    for (key, words) in [
        ("ed25519.pem", "use RSA or EC P-256/P-384/P-521"),
        ("k1.pem", "use RSA or EC P-256/P-384/P-521"),
        ("k1-sec1.pem", "use RSA or EC P-256/P-384/P-521"),
        ("rsa1024.pem", "at least 2048 bits"),
        ("pss.pem", "use an rsaEncryption key"),
    ] {
        let result = workshop.load("cert.pem", Some(key), PASSWORD);
        assert_refused(result, "cryptographic_error", words);
    }
}

/// Is text that was cut off or mistyped an error, not a certificate less?
#[test]
fn malformed_pem_is_explained() {
    let workshop = Workshop::with_certificate(P256);
    let pem = String::from_utf8(workshop.read("cert.pem")).unwrap();
    let cut = pem.split("-----END").next().unwrap().to_owned();
    let mistyped = pem.replacen("MII", "M!I", 1);
    let swapped = pem.replacen("MII", "MIA", 1);
    for (text, words) in
        [(cut, "cut off"), (mistyped, "base64"), (swapped, "a certificate in it is malformed")]
    {
        let result = Certificate::from_pem(text.as_bytes(), Some(&workshop.read("key.pem")), None);
        assert_refused(result, "invalid_certificate", words);
    }
}

/// Does a file that cannot be read say which and why, and does an endless one end?
#[test]
fn file_errors_name_the_path() {
    let workshop = Workshop::with_certificate(P256);
    let missing = workshop.load("missing.pem", None, "");
    assert_refused(missing, "invalid_certificate", "missing.pem: No such file");
    let key = workshop.load("cert.pem", Some("missing.key"), "");
    assert_refused(key, "invalid_certificate", "missing.key: No such file");
    let directory = Certificate::from_file(&workshop.path(""), None, None);
    assert_refused(directory, "invalid_certificate", "Is a directory");
    let endless = Certificate::from_file(Path::new("/dev/zero"), None, None);
    assert_refused(endless, "invalid_certificate", "/dev/zero: it is larger than 1 MiB");
}

/// Does a certificate in the key's file take the place of the one that was named?
#[test]
fn the_key_file_gives_only_the_key() {
    let workshop = Workshop::with_certificate(P256);
    let stranger = Workshop::with_certificate(P256);
    workshop.write("stranger.pem", [stranger.read("cert.pem"), stranger.read("key.pem")].concat());
    let error = workshop.load("cert.pem", Some("stranger.pem"), "").unwrap_err();
    assert!(error.message().contains("does not belong"), "{error}");
    workshop.write("both.pem", [workshop.read("key.pem"), stranger.read("cert.pem")].concat());
    workshop.assert_loaded(&workshop.load("cert.pem", Some("both.pem"), "").unwrap());
}
