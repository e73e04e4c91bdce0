//! The homes of keys: where the library makes those of managed identities, and finds them again.

use std::sync::Arc;

use super::tpm::{TpmKey, TpmSettings};
use super::{CallbackKey, MtlsBindingStrength, PrivateKey, SoftwareKey, unusable};
use crate::error::Result;
use crate::runtime::Wait;
use crate::secret::SecretBytes;

/// Where an app keeps the keys of its managed identity.
#[derive(Clone, Debug, Default)]
pub(crate) enum KeyHome {
    /// The memory of the process.
    #[default]
    Software,
    Tpm(TpmSettings),
    /// Somewhere that a callback of the caller knows: one key, for as long as the app lives.
    Elsewhere(Arc<CallbackKey>),
}

/// What a store has to keep so that a key is found again.
pub(crate) enum StoredKey {
    /// PKCS#8, DER.
    Software(SecretBytes),
    /// A TPM key file, DER.
    Tpm(Vec<u8>),
    /// Nothing: whoever keeps it has it.
    Elsewhere,
}

impl KeyHome {
    /// Tells homes apart: what was issued for a key of one is not used by an app that has another.
    pub(crate) fn cache_name(&self) -> String {
        match self {
            Self::Software => "software".to_owned(),
            Self::Tpm(tpm) => tpm.cache_name(),
            Self::Elsewhere(key) => format!("elsewhere {}", key.sha256()),
        }
    }

    /// The same where nothing of it is kept: apps that give a TPM other values are told apart, too.
    pub(crate) fn name_in_memory(&self) -> String {
        match self {
            Self::Tpm(tpm) => format!("{}{}", tpm.cache_name(), tpm.tag()),
            other => other.cache_name(),
        }
    }

    /// A key for the next certificate. Never one of another home.
    pub(crate) fn new_key(&self, wait: &Wait) -> Result<Arc<dyn PrivateKey>> {
        Ok(match self {
            Self::Software => Arc::new(SoftwareKey::generate_rsa_2048()?),
            Self::Tpm(tpm) => Arc::new(TpmKey::generate(&tpm.open()?, wait)?),
            Self::Elsewhere(key) => key.clone(),
        })
    }

    /// The key that was stored.
    pub(crate) fn restore(&self, stored: &StoredKey, wait: &Wait) -> Result<Arc<dyn PrivateKey>> {
        Ok(match (self, stored) {
            (Self::Software, StoredKey::Software(pkcs8)) => {
                Arc::new(SoftwareKey::from_pkcs8_der(pkcs8.expose())?)
            }
            (Self::Tpm(tpm), StoredKey::Tpm(stored)) => {
                Arc::new(TpmKey::from_stored(&tpm.open()?, stored, wait)?)
            }
            (Self::Elsewhere(key), StoredKey::Elsewhere) => key.clone(),
            _ => return Err(unusable("the stored key has another home than this app's keys")),
        })
    }

    /// Whether a callback of the caller signs.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere(_))
    }

    /// How well keys are kept there, without attestation.
    pub(crate) fn strength(&self) -> MtlsBindingStrength {
        match self {
            Self::Tpm(_) => MtlsBindingStrength::Hardware,
            // What cannot be seen from here is not claimed.
            Self::Software | Self::Elsewhere(_) => MtlsBindingStrength::Software,
        }
    }

    /// An error that says what is missing where keys cannot be had.
    pub(crate) fn check(&self, wait: &Wait) -> Result<()> {
        match self {
            Self::Tpm(tpm) => tpm.open()?.ping(wait),
            Self::Software | Self::Elsewhere(_) => Ok(()),
        }
    }

    /// Why its keys are not stronger, for people.
    pub(crate) fn limit(&self) -> &'static str {
        match self {
            Self::Software => "the app keeps its keys in software; set a TPM",
            Self::Tpm(_) => "the app's keys are in a TPM, but it has them not attested",
            Self::Elsewhere(_) => {
                "a signer of the caller holds the key, and how it does cannot be seen from here"
            }
        }
    }
}
