//! Where private keys live. Everything above signs through one trait and never sees a key.

mod software;

use std::fmt;

use crate::error::Result;
use crate::secret::SecretBytes;

pub(crate) use software::SoftwareKey;

/// How a message is hashed and signed. Names follow the TLS 1.3 registry (RFC 8446, section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SignatureScheme {
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    EcdsaP521Sha512,
}

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyAlgorithm {
    Rsa,
    EcP256,
    EcP384,
    EcP521,
}

/// A private key, wherever it lives.
pub(crate) trait PrivateKey: Send + Sync + fmt::Debug {
    fn algorithm(&self) -> KeyAlgorithm;

    /// SubjectPublicKeyInfo, DER.
    fn public_key_der(&self) -> &[u8];

    /// What this key can sign with, best first.
    fn schemes(&self) -> &'static [SignatureScheme];

    /// Hashes and signs `message`. PSS salts are as long as the hash; ECDSA signatures are DER.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>>;

    /// The key as PKCS#8 DER, or an error that says why it cannot leave its home.
    fn export_pkcs8_der(&self) -> Result<SecretBytes>;

    /// Whether [`PrivateKey::export_pkcs8_der`] can succeed.
    fn is_exportable(&self) -> bool;
}
