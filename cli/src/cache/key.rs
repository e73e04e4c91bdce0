//! The secret that a cache is encrypted under: in the kernel's keyring, of the TPM, or in a file.

use std::fs;
use std::path::{Path, PathBuf};

use linux_keyutils::{KeyError, KeyRing, KeyRingIdentifier};
use mtlspop::{Error, SecretBytes, TpmOptions};
use zeroize::Zeroizing;

use crate::output::write_private;
use crate::secrets::read;
use crate::server::Callers;
use crate::{Failure, Result};

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// In the user's persistent keyring, which outlives sessions and processes, but no reboot, and not three days without use.
    Keyring,
    /// By a key that is in the TPM, and whose file is in the cache.
    Tpm(TpmOptions),
    File(PathBuf),
}

/// What [`Callers::new_secret`] gives.
const LENGTH: usize = 64;

/// The file of the key in a TPM.
const KEY_FILE: &str = "tpm-key.pem";

/// For the command line.
pub(super) fn known(text: &str) -> Result<String, &'static str> {
    match text {
        "keyring" | "tpm" => Ok(text.to_owned()),
        _ if text.strip_prefix("file:").is_some_and(|path| !path.is_empty()) => Ok(text.to_owned()),
        _ => Err("it is keyring, tpm or file:PATH"),
    }
}

impl Key {
    pub(super) fn named(text: &str, tpm: impl FnOnce() -> Result<TpmOptions>) -> Result<Self> {
        let text = known(text).map_err(|why| Failure::input(format!("cache-key {text}: {why}")))?;
        Ok(match text.strip_prefix("file:") {
            Some(path) => Self::File(path.into()),
            None if text == "tpm" => Self::Tpm(tpm()?),
            None => Self::Keyring,
        })
    }

    /// The secret, made where there is none. For who keeps others from doing the same meanwhile.
    pub(super) fn secret(&self, directory: &Path) -> Result<SecretBytes> {
        match self {
            Self::Keyring => of_the_keyring(directory).map_err(|error| {
                Failure::credential(format!(
                    "the kernel's keyring cannot be used here ({error}), as in most containers: --cache-key file:PATH has the secret in a file"
                ))
            }),
            Self::Tpm(tpm) => of_the_tpm(tpm, &directory.join(KEY_FILE)),
            Self::File(path) => {
                if matches!(path.try_exists(), Ok(false)) {
                    write_private(path, Callers::new_secret().expose().as_bytes())?;
                }
                Ok(SecretBytes::new(read(path)?.as_slice()))
            }
        }
    }

    /// For a secret that is none.
    pub(super) fn refused(&self, error: &Error) -> Failure {
        let place = match self {
            Self::Keyring => "the key in the kernel's keyring".to_owned(),
            Self::Tpm(_) => "the key in the TPM".to_owned(),
            Self::File(path) => path.display().to_string(),
        };
        Failure::credential(format!("{place}: {}; without it another one is made", error.message()))
    }
}

/// That of the keyring for this cache, which has one of its own.
fn of_the_keyring(directory: &Path) -> Result<SecretBytes, KeyError> {
    let (ring, name) = (keyring()?, name(directory));
    let key = match ring.search(&name) {
        Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => {
            ring.add_key(&name, Callers::new_secret().expose().as_bytes())?
        }
        found => found?,
    };
    let mut secret = Zeroizing::new([0; LENGTH]);
    // The whole length, or as much as there is room for.
    let length = key.read(&mut *secret)?.min(LENGTH);
    Ok(SecretBytes::new(&secret[..length]))
}

/// That of the TPM's key for this cache. Where its file cannot be written, the next run makes another one: nothing else can be
/// kept there either.
fn of_the_tpm(tpm: &TpmOptions, file: &Path) -> Result<SecretBytes> {
    let key = match file.symlink_metadata() {
        Ok(_) => Some(read(file)?),
        Err(_) => None,
    };
    let (secret, made) = tpm.secret(key.as_ref().map(|key| key.as_slice())).map_err(|error| {
        let lost = error.code() == "tpm_key_lost";
        let hint = lost
            .then_some("the cache was kept by another TPM, or this one was cleared: `mtlspop cache clear`");
        let failure = Failure::from(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    if let Some(made) = made {
        let _ = write_private(file, made.as_bytes());
    }
    Ok(secret)
}

/// Removes it, where it is.
pub(super) fn forget(directory: &Path) {
    let _ = fs::remove_file(directory.join(KEY_FILE));
    if let Ok(ring) = keyring()
        && let Ok(key) = ring.search(&name(directory))
    {
        let _ = ring.unlink_key(key);
    }
}

/// Linked to that of the process, by which its keys can be read: a session need not have it, as in services of systemd.
fn keyring() -> Result<KeyRing, KeyError> {
    KeyRing::get_persistent(KeyRingIdentifier::Process)
}

fn name(directory: &Path) -> String {
    format!("mtlspop:{}", directory.display())
}
