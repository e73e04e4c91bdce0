//! PEM as it is found outside: nothing in it is lost without a word.

use std::process::{Command, Stdio};

use mtlspop::Certificate;

use crate::workshop::{P256, Workshop, assert_refused, subjects};

impl Workshop {
    /// With `all.pem`: a chain of three and the key, in this order.
    fn with_everything() -> Self {
        let workshop = Self::with_chain();
        let all = ["cert.pem", "middle.pem", "root.pem", "key.pem"].map(|name| workshop.read(name));
        workshop.write("all.pem", all.concat());
        workshop
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// How many certificates and keys OpenSSL finds in `text`.
    fn found_by_openssl(&self, text: &[u8]) -> (usize, usize) {
        self.write("judged.pem", text);
        let run = |command_line: &str| {
            let mut command = Command::new("openssl");
            let command = command.args(command_line.split_whitespace()).current_dir(self.path(""));
            let output = command.stdin(Stdio::null()).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        // Nothing where it reads none of them.
        let listed = run("crl2pkcs7 -nocrl -certfile judged.pem");
        self.write("judged.p7", listed);
        let certificates = run("pkcs7 -in judged.p7 -print_certs");
        let keys = run("pkey -in judged.pem");
        (certificates.matches("BEGIN CERTIFICATE").count(), keys.matches("BEGIN PRIVATE KEY").count())
    }

    #[track_caller]
    fn assert_complete(&self, text: &[u8], what: &str) {
        let certificate = Certificate::from_pem(text, None, None);
        assert!(certificate.is_ok(), "{what}: {certificate:?}");
        let certificate = certificate.unwrap();
        assert_eq!(subjects(&certificate), ["cert", "middle", "root"], "{what}");
        self.assert_loaded(&certificate);
    }
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// Is everything read, as editors, shells and mails leave a file, whatever OpenSSL makes of it?
#[test]
fn every_form_of_text_is_read() {
    let workshop = Workshop::with_everything();
    let all = workshop.text("all.pem");
    let bom = "\u{feff}";
    let blocks = ["cert.pem", "middle.pem", "root.pem", "key.pem"].map(|name| workshop.text(name));
    let stranger = Workshop::with_certificate(P256).text("cert.pem");
    let old_header = "-----BEGIN CERTIFICATE-----\nProc-Type: 4,MIC-CLEAR\nComment: old\n\n";
    let forms = [
        ("as it is", all.clone()),
        ("without the last line end", all.trim_end().to_owned()),
        ("from Windows", all.replace('\n', "\r\n")),
        ("from an old Mac", all.replace('\n', "\r")),
        ("with a BOM", format!("{bom}{all}")),
        ("with a BOM in each line", all.lines().map(|line| format!("{bom}{line}\n")).collect()),
        ("with a BOM in each file", blocks.clone().map(|block| format!("{bom}{block}")).concat()),
        ("glued", blocks.clone().map(|block| block.trim_end().to_owned()).concat()),
        ("behind text without a line end", format!("subject=cert{all}")),
        ("indented", all.lines().map(|line| format!("    {line}\n")).collect()),
        ("with tabs and blanks at the ends", all.lines().map(|line| format!("\t{line} \t\n")).collect()),
        ("in one line, as in an environment variable", all.replace('\n', " ")),
        ("with empty lines", all.replace('\n', "\n\n")),
        ("with text between", blocks.clone().map(|block| format!("Bag Attributes: <No>\n{block}")).concat()),
        ("with headers", all.replace("-----BEGIN CERTIFICATE-----\n", old_header)),
        ("with labels of long ago", all.replace(" CERTIFICATE-", " X509 CERTIFICATE-")),
        (
            "with a certificate commented out",
            all.clone() + &stranger.lines().map(|line| format!("# {line}\n")).collect::<String>(),
        ),
    ];
    for (what, text) in &forms {
        workshop.assert_complete(text.as_bytes(), what);
        workshop.write("form.pem", text);
        let with_key_beside = workshop.load("form.pem", Some("form.pem"), "");
        workshop.assert_loaded(&with_key_beside.unwrap_or_else(|error| panic!("{what}: {error}")));
    }
    for start in ["", bom] {
        let text = format!("{start}{}", all.replace('\n', "\r\n"));
        workshop.assert_complete(&utf16(&text, u16::to_le_bytes), "UTF-16, little endian");
        workshop.assert_complete(&utf16(&text, u16::to_be_bytes), "UTF-16, big endian");
    }
}

/// Is what stands beside certificates and keys without harm: parameters, requests, public keys, revocation lists?
#[test]
fn neighbours_do_no_harm() {
    let workshop = Workshop::with_everything();
    workshop.openssl("req -new -key key.pem -subj /CN=cert -out request.pem");
    workshop.openssl("pkey -in key.pem -pubout -out public.pem");
    workshop.openssl("ecparam -name P-256 -out parameters.pem");
    workshop.openssl("genpkey -genparam -algorithm DH -pkeyopt dh_rfc5114:2 -out dh.pem");
    workshop.write("index", "");
    workshop.write("ca.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\n");
    workshop.openssl("ca -gencrl -config ca.cnf -crldays 1 -keyfile root.key -cert root.pem -out crl.pem");
    for neighbour in ["request.pem", "public.pem", "parameters.pem", "dh.pem", "crl.pem"] {
        let text = [workshop.read(neighbour), workshop.read("all.pem"), workshop.read(neighbour)].concat();
        assert_eq!(workshop.found_by_openssl(&text), (3, 1), "{neighbour}");
        workshop.assert_complete(&text, neighbour);
    }
}

/// Is OpenSSL's form with what a certificate is trusted for read, without that?
#[test]
fn trusted_certificates_are_read() {
    let workshop = Workshop::with_everything();
    workshop.openssl("x509 -in cert.pem -trustout -addtrust clientAuth -setalias mine -out trusted.pem");
    assert!(workshop.text("trusted.pem").starts_with("-----BEGIN TRUSTED CERTIFICATE-----"));
    let rest = ["middle.pem", "root.pem", "key.pem"].map(|name| workshop.read(name)).concat();
    let text = [workshop.read("trusted.pem"), rest].concat();
    assert_eq!(workshop.found_by_openssl(&text), (3, 1));
    workshop.assert_complete(&text, "trusted");
    // What is behind a certificate does not matter elsewhere either.
    let text = String::from_utf8(text).unwrap().replace("TRUSTED ", "");
    assert_eq!(workshop.found_by_openssl(text.as_bytes()), (3, 1));
    workshop.assert_complete(text.as_bytes(), "with bytes behind it");
}

/// Is what is not read an error that names the line, and never a certificate less? Does OpenSSL not read it, too?
#[test]
fn what_is_not_read_is_named() {
    let workshop = Workshop::with_everything();
    let (all, key) = (workshop.text("all.pem"), workshop.text("key.pem"));
    let lines = |name: &str| workshop.text(name).lines().count();
    let (second, third) = (1 + lines("cert.pem"), 1 + lines("cert.pem") + lines("middle.pem"));
    workshop.openssl("crl2pkcs7 -nocrl -certfile root.pem -out root.p7");
    let middle = workshop.text("middle.pem");
    let without_root = [workshop.text("cert.pem"), middle.clone()].concat();
    let in_second = |from: &str, to: &str| all.replacen(&middle, &middle.replacen(from, to, 1), 1);
    let cut = |text: String| text.split_inclusive("-----END").next().unwrap().to_owned();
    for (text, line, words) in [
        (in_second("-----BEGIN", "----BEGIN"), second, "five dashes"),
        (in_second("-----BEGIN", "\u{2013}BEGIN"), second, "five dashes"),
        (in_second("E-----\n", "E----\n"), second, "five dashes"),
        (in_second("END CERTIFICATE", "END CERTIFICAT"), third - 1, "CERTIFICATE block of line"),
        (in_second("\nMII", "\nM!I"), second + 1, "base64"),
        (in_second("\nMII", "\nMI"), second, "base64"),
        (in_second("\nMII", "\nMIA"), second, "malformed"),
        (in_second("-----END CERTIFICATE-----\n", ""), third - 1, "must end first"),
        (in_second(" CERTIFICATE-----\n", " CERTIFICATE-----\\n"), second, "line ends are written as \\n"),
        (without_root.clone() + &key + &cut(workshop.text("root.pem")), 0, "must end first"),
        (without_root.clone() + &key + "-----BEGIN CERTI", 0, "five dashes"),
        (without_root.clone() + &key + "-----BE", 0, "five dashes"),
        (without_root.clone() + &key + &workshop.text("root.p7"), 0, "-print_certs"),
        (
            without_root.clone() + &key + &workshop.text("root.pem").replace("CERTIFICATE", "ZERTIFIKAT"),
            0,
            "ZERTIFIKAT",
        ),
    ] {
        let judged = workshop.found_by_openssl(text.as_bytes());
        assert!(judged.0 < 3, "OpenSSL reads it ({judged:?}): {text}");
        let error = Certificate::from_pem(text.as_bytes(), None, None).unwrap_err();
        assert!(error.message().contains(words) && error.message().starts_with("line "), "{error}");
        if line > 0 {
            assert!(error.message().starts_with(&format!("line {line}: ")), "{line}? {error}");
        }
        workshop.write("form.pem", text);
        assert_refused(workshop.load("form.pem", None, ""), "invalid_certificate", "form.pem: line ");
    }
    let wide = utf16(&workshop.text("root.pem"), u16::to_le_bytes);
    let mixed = [without_root.into_bytes(), key.into_bytes(), wide].concat();
    let line = lines("cert.pem") + lines("middle.pem") + lines("key.pem") + 1;
    let words = format!("line {line}: the text is UTF-16 in one part");
    assert_refused(Certificate::from_pem(&mixed, None, None), "invalid_certificate", &words);
}

/// Does the way out that the message on a PKCS7 block names work?
#[test]
fn advice_for_pkcs7_works() {
    let workshop = Workshop::with_everything();
    let (certificates, key) = (["cert.pem", "middle.pem", "root.pem"], workshop.read("key.pem"));
    workshop.write("certificates.pem", certificates.map(|name| workshop.read(name)).concat());
    workshop.openssl("crl2pkcs7 -nocrl -certfile certificates.pem -out FILE");
    let error = workshop.load("FILE", Some("key.pem"), "").unwrap_err();
    let (_, advice) = error.message().split_once(": openssl ").unwrap();
    workshop.openssl(advice);
    workshop.assert_complete(&[workshop.read("CERTIFICATES.pem"), key].concat(), advice);
}

/// Does a key that is broken or of another kind name the line where it begins?
#[test]
fn key_errors_name_the_line() {
    let workshop = Workshop::with_everything();
    let text = workshop.text("all.pem");
    let line = 1 + text.lines().position(|line| line.contains("BEGIN PRIVATE KEY")).unwrap();
    for label in ["RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let text = text.replace("PRIVATE KEY", label);
        let result = Certificate::from_pem(text.as_bytes(), None, None);
        assert_refused(result, "cryptographic_error", &format!("line {line}: "));
    }
}
