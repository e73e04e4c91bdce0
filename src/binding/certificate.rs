//! A certificate chain together with the private key of its leaf: one immutable value.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::from_unix_seconds;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyAlgorithm, MtlsBindingStrength, PrivateKey, usual_public_key};
use crate::log::Logger;
use crate::runtime::{PerProcess, Wait};

/// A certificate, the chain that came with it, and its private key. Cheap to clone; never changes.
///
/// It is what a caller loads to authenticate with, what IMDS issues for a managed identity, and what
/// a result names as the binding certificate of its token.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    /// DER, leaf first, then the issuers as far as they were given.
    chain: Vec<Vec<u8>>,
    key: Arc<dyn PrivateKey>,
    sha1: [u8; 20],
    sha256: [u8; 32],
    x5t_s256: String,
    subject: String,
    not_before: SystemTime,
    not_after: SystemTime,
    /// The same in Unix seconds, which certificates count in.
    ends_on: i64,
    /// Whoever issued it saw an attestation of its key.
    attested: bool,
    attachments: PerProcess<Attachments>,
    /// What there is to say about how it was loaded.
    notes: Vec<String>,
}

/// Per owner; `PerProcess` because what hangs here is connections.
type Attachments = Mutex<HashMap<u64, (Weak<u64>, Arc<dyn Any + Send + Sync>)>>;

impl Certificate {
    /// Puts `chain` (DER, leaf first) and the private key of the leaf together.
    ///
    /// Fails where the leaf is not a certificate or the key is not its key.
    pub(crate) fn new(chain: Vec<Vec<u8>>, key: Arc<dyn PrivateKey>) -> Result<Self> {
        let leaf = chain.first().ok_or_else(|| invalid("there is no certificate"))?;
        let (rest, parsed) = X509Certificate::from_der(leaf)
            .map_err(|_| invalid("the certificate is not a DER-encoded X.509 certificate"))?;
        if !rest.is_empty() {
            return Err(invalid("there are bytes after the end of the certificate"));
        }
        if *usual_public_key(parsed.public_key().raw) != *key.public_key_der() {
            return Err(invalid("the private key does not belong to the certificate"));
        }
        let sha256 = fixed(digest(&SHA256, leaf).as_ref());
        let inner = Inner {
            sha1: fixed(digest(&SHA1_FOR_LEGACY_USE_ONLY, leaf).as_ref()),
            sha256,
            x5t_s256: URL_SAFE_NO_PAD.encode(sha256),
            subject: parsed.subject().to_string(),
            not_before: from_unix_seconds(parsed.validity().not_before.timestamp()),
            not_after: from_unix_seconds(parsed.validity().not_after.timestamp()),
            ends_on: parsed.validity().not_after.timestamp(),
            key,
            attested: false,
            attachments: PerProcess::new(Attachments::default),
            notes: Vec::new(),
            chain,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The same where whoever issued it saw an attestation of its key.
    pub(crate) fn with_attestation(mut self, attested: bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.attested = attested;
        }
        self
    }

    pub(crate) fn is_attested(&self) -> bool {
        self.0.attested
    }

    /// How well its key is kept. By what is known here, the home of the key and what was sent to be issued it:
    /// nothing that a service says makes it stronger.
    pub fn strength(&self) -> MtlsBindingStrength {
        match self.0.attested {
            true => self.0.key.strength().attested(),
            false => self.0.key.strength(),
        }
    }

    /// With what is to be said about it where there is a log.
    pub(crate) fn with_notes(mut self, notes: Vec<String>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.notes = notes;
        }
        self
    }

    /// Loading has no log; who uses the certificate has one.
    pub(crate) fn log_notes(&self, log: &Logger) {
        for note in &self.0.notes {
            log.info("binding", || note.clone());
        }
    }

    /// The certificate itself, DER.
    pub fn der(&self) -> &[u8] {
        &self.0.chain[0]
    }

    /// DER, leaf first, then the issuers as far as they were given with it.
    pub fn chain_der(&self) -> &[Vec<u8>] {
        &self.0.chain
    }

    /// SHA-256 of the DER, base64url without padding: `x5t#S256` of RFC 8705, section 3.1.
    pub fn x5t_s256(&self) -> &str {
        &self.0.x5t_s256
    }

    /// SHA-1 of the DER, the classic thumbprint.
    pub fn sha1(&self) -> &[u8; 20] {
        &self.0.sha1
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.0.sha256
    }

    /// The subject name as text.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The first instant at which it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.0.not_before
    }

    /// The last instant at which it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.0.not_after
    }

    /// The same in Unix seconds.
    #[inline(always)]
    pub(crate) fn ends_on(&self) -> i64 {
        self.0.ends_on
    }

    /// Signs with the private key, wherever it lives: for TLS stacks and protocols other than this library's.
    /// `algorithm` is a name of RFC 7518, section 3.1: `PS256`, `PS384`, `PS512`, `RS256`, `RS384` or `RS512`
    /// for an RSA key, `ES256`, `ES384` or `ES512` for one on P-256, P-384 or P-521. PSS salts are as long as
    /// the hash; ECDSA signatures are DER (X9.62), as TLS wants them.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>> {
        self.0.key.sign_as(algorithm, message, &Wait::default())
    }

    pub(crate) fn key(&self) -> &Arc<dyn PrivateKey> {
        &self.0.key
    }

    /// Whether it can sign a client assertion: Entra takes only RSA there. A bound token may have an
    /// EC certificate, which signs nothing but TLS handshakes.
    pub(crate) fn ensure_rsa(&self) -> Result<()> {
        if self.0.key.algorithm() == KeyAlgorithm::Rsa {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::KeyUnavailable,
            "certificate_not_rsa",
            "a Bearer token needs a certificate with an RSA key, this one has an EC key: ask for an \
             mTLS proof-of-possession token, or use an RSA certificate",
        ))
    }

    /// What a higher room keeps for as long as this certificate is in use (its connections), made
    /// by `make` where there is none yet for `owner`. Dropped with the last clone of the certificate,
    /// or some time after `owner` has gone.
    pub(crate) fn attachment<T: Any + Send + Sync>(
        &self,
        owner: &Arc<u64>,
        make: impl FnOnce() -> Result<Arc<T>>,
    ) -> Result<Arc<T>> {
        let process = self.0.attachments.get();
        let mut attachments = process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, present)) = attachments.get(&**owner)
            && let Ok(present) = present.clone().downcast::<T>()
        {
            return Ok(present);
        }
        let made = make()?;
        attachments.retain(|_, (owner, _)| owner.strong_count() > 0);
        attachments.insert(**owner, (Arc::downgrade(owner), made.clone()));
        Ok(made)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.sha256 == other.0.sha256
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("x5t#S256", &self.0.x5t_s256).finish_non_exhaustive()
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::KeyUnavailable, "invalid_certificate", message)
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::key::{SignatureScheme, StoredKey};
    use crate::secret::SecretBytes;

    /// A key that exists elsewhere: all that is known of it is its public half.
    #[derive(Debug)]
    struct AbsentKey(KeyAlgorithm, Vec<u8>);

    impl PrivateKey for AbsentKey {
        fn algorithm(&self) -> KeyAlgorithm {
            self.0
        }

        fn public_key_der(&self) -> &[u8] {
            &self.1
        }

        fn sign_within(&self, _: SignatureScheme, _: &[u8], _: &Wait) -> Result<Vec<u8>> {
            Err(invalid("absent"))
        }

        fn export_pkcs8_der(&self) -> Result<SecretBytes> {
            Err(invalid("absent"))
        }

        fn is_exportable(&self) -> bool {
            false
        }

        fn to_stored(&self) -> Result<StoredKey> {
            Err(invalid("absent"))
        }
    }

    /// The certificate of RFC 8705, appendix A.
    fn example(algorithm: KeyAlgorithm) -> Certificate {
        let der = STANDARD
            .decode(
                "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEy\
                 MzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C\
                 7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIh\
                 AP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L\
                 +SY=",
            )
            .unwrap();
        let public_key = X509Certificate::from_der(&der).unwrap().1.public_key().raw.to_vec();
        Certificate::new(vec![der], Arc::new(AbsentKey(algorithm, public_key))).unwrap()
    }

    /// Is the thumbprint that of the standard's own example?
    #[test]
    fn x5t_s256_is_that_of_rfc_8705() {
        let certificate = example(KeyAlgorithm::EcP256);
        assert_eq!(certificate.x5t_s256(), "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0");
        assert_eq!(certificate.subject(), "CN=mtls");
    }

    /// Does an EC certificate say that it is for bound tokens only?
    #[test]
    fn ec_certificate_cannot_sign_assertions() {
        assert!(example(KeyAlgorithm::Rsa).ensure_rsa().is_ok());
        let error = example(KeyAlgorithm::EcP256).ensure_rsa().unwrap_err();
        assert_eq!(error.code(), "certificate_not_rsa");
        assert!(error.message().contains("proof-of-possession"), "{error}");
    }

    /// Is a key that stays where it is neither exported nor asked for?
    #[test]
    fn absent_key_is_not_exported() {
        let certificate = example(KeyAlgorithm::EcP256);
        assert!(!certificate.is_exportable());
        assert!(certificate.private_key_pem().is_err());
    }
}
