//! Certificates and keys for a test, made by the openssl command in a directory of their own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use mtlspop::{Certificate, Error, ErrorKind, Secret};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "pass-w\u{f6}rd";
pub(crate) const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
pub(crate) const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

/// A directory in which OpenSSL works.
pub(crate) struct Workshop(TempDir);

impl Workshop {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// With `key.pem` (PKCS#8), of a kind that `openssl genpkey` knows, and `cert.pem` for it.
    pub(crate) fn with_certificate(kind: &str) -> Self {
        let workshop = Self::new();
        workshop.openssl(&format!("genpkey {kind} -out key.pem"));
        workshop.openssl("req -x509 -new -key key.pem -subj /CN=leaf -days 30 -out cert.pem");
        workshop
    }

    /// With `root.pem`, `middle.pem` and `cert.pem`, each issued by the one before, and `key.pem`.
    pub(crate) fn with_chain() -> Self {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Runs `openssl`, with `PASSWORD` in an environment variable of that name; its output.
    pub(crate) fn openssl(&self, command_line: &str) -> String {
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

    pub(crate) fn load(&self, path: &str, key: Option<&str>, password: &str) -> Result<Certificate, Error> {
        let key = key.map(|name| self.path(name));
        let password = Some(Secret::new(password)).filter(|password| !password.expose().is_empty());
        Certificate::from_file(&self.path(path), key.as_deref(), password.as_ref())
    }

    /// Is `certificate` that of `cert.pem`, with the private key of `key.pem`?
    #[track_caller]
    pub(crate) fn assert_loaded(&self, certificate: &Certificate) {
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
pub(crate) fn assert_refused(result: Result<Certificate, Error>, code: &str, words: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, code), "{error}");
    assert!(error.message().contains(words), "{error}");
}

pub(crate) fn subjects(certificate: &Certificate) -> Vec<String> {
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
