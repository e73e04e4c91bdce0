//! Where private keys live. Everything above signs through one trait and never sees a key.

mod callback;
mod home;
mod public;
mod scheme;
mod software;
mod strength;
mod tpm;

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Wait;
use crate::secret::SecretBytes;

pub(crate) use callback::CallbackKey;
pub use callback::{SignRequest, Signer};
pub(crate) use home::{KeyHome, StoredKey};
pub(crate) use public::usual_public_key;
pub(crate) use scheme::{KeyAlgorithm, SignatureScheme};
pub(crate) use software::SoftwareKey;
pub use strength::MtlsBindingStrength;
#[cfg(any(test, fuzzing))]
pub(crate) use tpm::fuzz_plugin_frame;
pub(crate) use tpm::{Evidence, KEY_LOST, TpmKey};
pub use tpm::{TpmAuthFn, TpmOptions};

/// A private key, wherever it lives.
pub(crate) trait PrivateKey: Send + Sync + fmt::Debug {
    fn algorithm(&self) -> KeyAlgorithm;

    /// SubjectPublicKeyInfo, DER.
    fn public_key_der(&self) -> &[u8];

    /// What this key can sign with, best first.
    fn schemes(&self) -> &'static [SignatureScheme] {
        self.algorithm().schemes()
    }

    /// Hashes and signs `message`. PSS salts are as long as the hash; ECDSA signatures are DER. A key that
    /// takes its time is not waited for longer than `wait` says.
    fn sign_within(&self, scheme: SignatureScheme, message: &[u8], wait: &Wait) -> Result<Vec<u8>>;

    /// The same for who has no limit.
    #[cfg(test)]
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>> {
        self.sign_within(scheme, message, &Wait::default())
    }

    /// The same by the name that `algorithm` has in JOSE (RFC 7518, section 3.1).
    fn sign_as(&self, algorithm: &str, message: &[u8], wait: &Wait) -> Result<Vec<u8>> {
        let scheme = self.schemes().iter().find(|scheme| scheme.jose_name() == algorithm);
        let scheme = scheme.ok_or_else(|| {
            let names: Vec<_> = self.schemes().iter().map(|scheme| scheme.jose_name()).collect();
            Error::argument(format!("this key cannot sign {algorithm:?}, but {}", names.join(", ")))
        })?;
        self.sign_within(*scheme, message, wait)
    }

    /// Whether code of the caller runs when it signs.
    fn calls_back(&self) -> bool {
        false
    }

    /// How well it is kept, as far as can be seen from here, and without attestation.
    fn strength(&self) -> MtlsBindingStrength {
        MtlsBindingStrength::Software
    }

    /// The key itself, where it is in a TPM.
    fn in_tpm(&self) -> Option<&TpmKey> {
        None
    }

    /// The key as PKCS#8 DER, or an error that says why it cannot leave its home.
    fn export_pkcs8_der(&self) -> Result<SecretBytes>;

    /// Whether [`PrivateKey::export_pkcs8_der`] can succeed.
    fn is_exportable(&self) -> bool;

    /// What a store keeps of it.
    fn to_stored(&self) -> Result<StoredKey>;
}

fn unusable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message)
}
