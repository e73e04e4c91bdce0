//! The secret that a cache is encrypted under: in the kernel's keyring, or in a file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use linux_keyutils::{KeyError, KeyRing, KeyRingIdentifier};
use mtlspop::{Error, SecretBytes};
use zeroize::Zeroizing;

use crate::output::write_private;
use crate::secrets::read;
use crate::server::Callers;
use crate::{Failure, Result};

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// In the user's persistent keyring, which outlives sessions and processes, but no reboot, and not three days without use.
    Keyring,
    File(PathBuf),
}

/// What [`Callers::new_secret`] gives.
const LENGTH: usize = 64;

impl FromStr for Key {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("file:")) {
            ("keyring", _) => Ok(Self::Keyring),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            ("tpm", _) => Err("keys in a TPM sign here, and seal nothing: keyring or file:PATH is possible"),
            _ => Err("it is keyring or file:PATH"),
        }
    }
}

/// For the command line.
pub(super) fn known(text: &str) -> Result<String, &'static str> {
    text.parse::<Key>().map(|_| text.to_owned())
}

impl Key {
    /// The secret, made where there is none. For who keeps others from doing the same meanwhile.
    pub(super) fn secret(&self, directory: &Path) -> Result<SecretBytes> {
        match self {
            Self::Keyring => of_the_keyring(directory).map_err(|error| {
                Failure::credential(format!(
                    "the kernel's keyring cannot be used here ({error}), as in most containers: --cache-key file:PATH has the secret in a file"
                ))
            }),
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

/// Removes it, where it is.
pub(super) fn forget(directory: &Path) {
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
