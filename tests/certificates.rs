//! Certificates that OpenSSL wrote are read, and OpenSSL reads what is exported.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use mtlspop::{Certificate, Error, ErrorKind, Pkcs12Format, Secret, SignRequest, Signer};
use tempfile::TempDir;

const PASSWORD: &str = "pass-w\u{f6}rd";
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

/// A directory in which OpenSSL works.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// With `key.pem` (PKCS#8), of a kind that `openssl genpkey` knows, and `cert.pem` for it.
    fn with_certificate(kind: &str) -> Self {
        let workshop = Self::new();
        workshop.openssl(&format!("genpkey {kind} -out key.pem"));
        workshop.openssl("req -x509 -new -key key.pem -subj /CN=leaf -days 30 -out cert.pem");
        workshop
    }

    /// With `root.pem`, `middle.pem` and `cert.pem`, each issued by the one before, and `key.pem`.
    fn with_chain() -> Self {
        let workshop = Self::new();
        workshop.write("ca.ext", "basicConstraints=critical,CA:true\nsubjectKeyIdentifier=hash\n");
        workshop.openssl(&format!("genpkey {P256} -out root.key"));
        workshop.openssl("req -x509 -new -key root.key -subj /CN=root -days 30 -out root.pem");
        for (issuer, subject, extensions) in [("root", "middle", "-extfile ca.ext"), ("middle", "cert", "")] {
            workshop.openssl(&format!("genpkey {P256} -out {subject}.key"));
            workshop.openssl(&format!("req -new -key {subject}.key -subj /CN={subject} -out csr"));
            workshop.openssl(&format!(
                "x509 -req -in csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 30 \
                 {extensions} -out {subject}.pem"
            ));
        }
        std::fs::rename(workshop.path("cert.key"), workshop.path("key.pem")).unwrap();
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Runs `openssl`, with `PASSWORD` in an environment variable of that name; its output.
    fn openssl(&self, command_line: &str) -> String {
        let output = Command::new("openssl")
            .args(command_line.split_whitespace())
            .current_dir(self.0.path())
            .env("PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {command_line}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn load(&self, path: &str, key: Option<&str>, password: &str) -> Result<Certificate, Error> {
        let key = key.map(|name| self.path(name));
        let password = Some(Secret::new(password)).filter(|password| !password.expose().is_empty());
        Certificate::from_file(&self.path(path), key.as_deref(), password.as_ref())
    }

    /// Is `certificate` that of `cert.pem`, with the private key of `key.pem`?
    #[track_caller]
    fn assert_loaded(&self, certificate: &Certificate) {
        let pem = self.openssl("x509 -in cert.pem");
        assert_eq!(certificate.pem(), pem);
        self.write("loaded.key", certificate.private_key_pem().unwrap().expose());
        assert_eq!(
            self.openssl("pkey -in loaded.key -outform PEM"),
            self.openssl("pkey -in key.pem -outform PEM"),
        );
    }
}

#[track_caller]
fn assert_refused(result: Result<Certificate, Error>, code: &str, words: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, code), "{error}");
    assert!(error.message().contains(words), "{error}");
}

fn subjects(certificate: &Certificate) -> Vec<String> {
    let pem = certificate.chain_pem();
    let workshop = Workshop::new();
    workshop.write("chain.pem", pem);
    let listed = workshop.openssl("crl2pkcs7 -nocrl -certfile chain.pem -out chain.p7");
    drop(listed);
    let text = workshop.openssl("pkcs7 -in chain.p7 -print_certs -noout");
    // OpenSSL 3.2 writes `subject=CN=leaf`, older ones `subject=CN = leaf`.
    let lines = text.lines().map(|line| line.replace(' ', ""));
    lines.filter_map(|line| line.strip_prefix("subject=CN=").map(str::to_owned)).collect()
}

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
        for key in ["key.pem", "traditional.pem", "pbkdf2.pem", "scrypt.pem", "openssl1.pem"] {
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
    assert_refused(load("text.txt", None), "invalid_certificate", "neither PEM nor DER-encoded PKCS#12");
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

/// Are a missing password, a wrong one and damaged data told apart?
#[test]
fn password_errors_are_told_apart() {
    let workshop = Workshop::with_certificate(RSA);
    workshop.openssl("pkcs8 -topk8 -in key.pem -passout env:PASSWORD -out secret.pem");
    let key = |password| workshop.load("cert.pem", Some("secret.pem"), password);
    assert_refused(key(""), "cryptographic_error", "give its password");
    assert_refused(key("wrong"), "cryptographic_error", "password of the private key is wrong");

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

/// Does an encryption or a key that is not supported name the way out?
#[test]
fn unsupported_keys_name_the_way_out() {
    let workshop = Workshop::with_certificate(RSA);
    workshop.openssl("rsa -in key.pem -traditional -aes256 -passout env:PASSWORD -out proc-type.pem");
    workshop.openssl("pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-3DES -passout env:PASSWORD -out v1.pem");
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
        ("proc-type.pem", "openssl pkcs8 -topk8"),
        ("v1.pem", "openssl pkcs8"),
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
    let directory = Certificate::from_file(workshop.0.path(), None, None);
    assert_refused(directory, "invalid_certificate", "Is a directory");
    let endless = Certificate::from_file(Path::new("/dev/zero"), None, None);
    assert_refused(endless, "invalid_certificate", "/dev/zero: it is larger than 1 MiB");
}

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
