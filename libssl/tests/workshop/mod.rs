//! Certificates and keys, made by openssl, and what signs with them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};

/// A folder with `NAME.pem` and `NAME.key`: of an authority `ca`, servers (`server`, `second` with another certificate for
/// the same name, `server-KEY` for each kind of key), and clients named after their keys.
pub(crate) struct Workshop(PathBuf);

const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

/// The kinds of keys, as openssl makes them.
pub(crate) const KEYS: [(&str, &str); 4] = [
    ("rsa", "rsa:2048"),
    ("p256", P256),
    ("p384", "ec -pkeyopt ec_paramgen_curve:P-384"),
    ("p521", "ec -pkeyopt ec_paramgen_curve:P-521"),
];

/// A private key of a client.
pub(crate) enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(u16, EcdsaKeyPair),
}

impl Workshop {
    /// The one of all tests: keys take their time.
    pub(crate) fn shared() -> &'static Self {
        static WORKSHOP: OnceLock<Workshop> = OnceLock::new();
        WORKSHOP.get_or_init(Self::new)
    }

    fn new() -> Self {
        let workshop = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("mtlspop-libssl"));
        std::fs::create_dir_all(workshop.path()).unwrap();
        // What the machine's own file would add is not asked for.
        std::fs::write(workshop.path().join("openssl.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
        let localhost = "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
        workshop.make("ca", P256, "-subj /CN=ca -addext basicConstraints=critical,CA:TRUE");
        for name in ["server", "second"] {
            workshop.issue(name, P256, localhost);
        }
        for (name, key) in KEYS {
            workshop.issue(&format!("server-{name}"), key, localhost);
        }
        for (name, key) in KEYS {
            workshop.issue(name, key, &format!("-subj /CN={name}"));
        }
        workshop
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn der(&self, name: &str) -> Vec<u8> {
        self.openssl(&format!("x509 -in {name}.pem -outform DER"))
    }

    pub(crate) fn key(&self, name: &str) -> Key {
        let pkcs8 = self.openssl(&format!("pkcs8 -topk8 -nocrypt -in {name}.key -outform DER"));
        let ec = |scheme, algorithm| Key::Ec(scheme, EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).unwrap());
        match name {
            "p256" => ec(0x0403, &ECDSA_P256_SHA256_ASN1_SIGNING),
            "p384" => ec(0x0503, &ECDSA_P384_SHA384_ASN1_SIGNING),
            "p521" => ec(0x0603, &ECDSA_P521_SHA512_ASN1_SIGNING),
            _ => Key::Rsa(Box::new(RsaKeyPair::from_pkcs8(&pkcs8).unwrap())),
        }
    }

    /// Makes `name`, issued by the authority.
    fn issue(&self, name: &str, key: &str, options: &str) {
        self.make(
            name,
            key,
            &format!("{options} -addext basicConstraints=CA:FALSE -CA ca.pem -CAkey ca.key"),
        );
    }

    fn make(&self, name: &str, key: &str, options: &str) {
        self.openssl(&format!(
            "req -x509 -nodes -newkey {key} -keyout {name}.key -out {name}.pem -days 30 {options}"
        ));
    }

    fn openssl(&self, arguments: &str) -> Vec<u8> {
        let mut command = Command::new("openssl");
        command
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env("OPENSSL_CONF", "openssl.cnf");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

impl Key {
    pub(crate) fn schemes(&self) -> &[u16] {
        match self {
            Self::Rsa(_) => &[0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601],
            Self::Ec(scheme, _) => std::slice::from_ref(scheme),
        }
    }

    pub(crate) fn sign(&self, scheme: u16, message: &[u8]) -> io::Result<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(own, key) => {
                assert_eq!(scheme, *own);
                Ok(key.sign(&random, message).unwrap().as_ref().to_vec())
            }
            Self::Rsa(key) => {
                let encoding: &dyn RsaEncoding = match scheme {
                    0x0804 => &RSA_PSS_SHA256,
                    0x0805 => &RSA_PSS_SHA384,
                    0x0806 => &RSA_PSS_SHA512,
                    0x0401 => &RSA_PKCS1_SHA256,
                    0x0501 => &RSA_PKCS1_SHA384,
                    0x0601 => &RSA_PKCS1_SHA512,
                    other => panic!("{other:#06x} was not offered"),
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).unwrap();
                Ok(signature)
            }
        }
    }
}
