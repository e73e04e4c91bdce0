//! The commands that messages advise are run as they stand, by somebody who types passwords when asked.

use std::io::Write;
use std::process::{Command, Stdio};

use mtlspop::{Certificate, Error};

use crate::workshop::{P256, PASSWORD, RSA, Workshop};

const LEGACY: &str = "-provider legacy -provider default";
const NEW_PASSWORD: &str = "new-password";

/// Runs each command after "with: " in the message, and types `answers` to the first, the second and so on.
fn follow(workshop: &Workshop, error: &Error, answers: &[&[&str]]) {
    let advice = error.message().split_once("with: ").unwrap().1;
    let commands: Vec<&str> = advice.split(" (").next().unwrap().split(" && ").collect();
    assert_eq!(commands.len(), answers.len(), "{error}");
    for (command, answers) in commands.iter().zip(answers) {
        assert!(!command.contains("pass"), "a password on a command line is one for everybody: {command}");
        // Without a terminal, openssl reads passwords from its input.
        let mut shell = Command::new("setsid")
            .args(["--wait", "sh", "-c", command])
            .current_dir(workshop.path(""))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let typed: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
        shell.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = shell.wait_with_output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Does PKCS#12 data with a cipher that is not read become data that is, with the key encrypted all the way, and the chain?
#[test]
fn pkcs12_is_written_anew() {
    for cipher in ["PBE-SHA1-RC4-128", "PBE-MD5-DES", "PBE-SHA1-RC2-64"] {
        let workshop = Workshop::with_chain();
        workshop.write("issuers.pem", [workshop.read("middle.pem"), workshop.read("root.pem")].concat());
        workshop.openssl(&format!(
            "pkcs12 -export -legacy -keypbe {cipher} -certpbe {cipher} -inkey key.pem -in cert.pem -certfile \
             issuers.pem -passout env:PASSWORD -out OLD.pfx"
        ));
        let error = workshop.load("OLD.pfx", None, PASSWORD).unwrap_err();
        let between = "only-between";
        let answers = [&[PASSWORD, between, between][..], &[between, NEW_PASSWORD, NEW_PASSWORD], &[]];
        follow(&workshop, &error, &answers);
        assert!(!workshop.path("TEMPORARY.pem").exists());
        let certificate = workshop.load("NEW.pfx", None, NEW_PASSWORD).unwrap();
        workshop.assert_loaded(&certificate);
        assert_eq!(certificate.chain_der().len(), 3);
    }
}

/// Does a private key whose encryption is not read become one that is: of PKCS #5 version 1, of PKCS#12 with RC4, and
/// OpenSSL's own of before PKCS#8?
#[test]
fn private_keys_are_converted() {
    let workshop = Workshop::with_certificate(RSA);
    for command in [
        "pkcs8 -topk8 -v1 PBE-MD5-DES",
        "pkcs8 -topk8 -v1 PBE-SHA1-RC2-64",
        "pkcs8 -topk8 -v1 PBE-SHA1-RC4-128",
        "rsa -traditional -des",
        "rsa -traditional -aes256",
    ] {
        workshop.openssl(&format!("{command} {LEGACY} -in key.pem -passout env:PASSWORD -out KEY.pem"));
        let error = workshop.load("cert.pem", Some("KEY.pem"), PASSWORD).unwrap_err();
        follow(&workshop, &error, &[&[PASSWORD, NEW_PASSWORD, NEW_PASSWORD]]);
        workshop.assert_loaded(&workshop.load("cert.pem", Some("NEW-KEY.pem"), NEW_PASSWORD).unwrap());
    }
}

/// Does a certificate in DER become PEM?
#[test]
fn a_certificate_in_der_becomes_pem() {
    let workshop = Workshop::with_certificate(P256);
    workshop.openssl("x509 -in cert.pem -outform DER -out CERTIFICATE.cer");
    let error = Certificate::from_file(&workshop.path("CERTIFICATE.cer"), None, None).unwrap_err();
    follow(&workshop, &error, &[&[]]);
    workshop.assert_loaded(&workshop.load("CERTIFICATE.pem", Some("key.pem"), "").unwrap());
}
