//! Issued certificates on disk, for the next start of the program and for other processes of this host.
//!
//! One file for each identity, one small file for each name that an identity was asked for by, and one
//! to lock each. A store that cannot be used is a line in the log, and fails no call. What does is a key in a TPM
//! that is stored and cannot be had now: another must not take its place.

pub(crate) mod cipher;
mod directory;
mod entry;
#[cfg(any(test, fuzzing))]
mod fuzzing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use aws_lc_rs::digest::{SHA256, digest};
use once_cell::sync::OnceCell;

use super::{Binding, Lifetime, hex, lifetime};
use crate::clock::unix_seconds;
use crate::env::is_shortage;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KEY_LOST, KeyHome};
use crate::log::Logger;
use crate::runtime::{Call, PerProcess};
use crate::secret::SecretBytes;
pub use directory::FileLock;
pub(crate) use directory::{Directory, Problem};
use entry::{Keys, LARGEST, Opened};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzing::fuzz_entry;

/// Where binding certificates are kept with their private keys, and how those are protected.
///
/// Off unless an app is given one. The directory is made if it is not there (mode 0700); an existing
/// one must belong to this user and be closed to all others. It belongs to one host: what was stored
/// before a disk was cloned (another `/etc/machine-id`) is not found. Where there is no such file, as in
/// many containers, do not share the directory between hosts.
#[derive(Clone)]
pub struct BindingStore {
    directory: PathBuf,
    protection: Protection,
    /// This host, so that nothing is taken for its own that another one left on the same disk.
    host: OnceCell<Arc<[u8]>>,
}

/// Gives the secret that keys are encrypted under.
pub type StoreSecretFn = dyn Fn() -> Result<SecretBytes> + Send + Sync;

#[derive(Clone)]
enum Protection {
    Encrypted(Arc<Source>),
    Plain,
}

struct Source {
    provide: Box<StoreSecretFn>,
    /// The threads that are being asked.
    asking: PerProcess<Mutex<Vec<ThreadId>>>,
    keys: OnceCell<Keys>,
}

/// A shorter secret is no secret.
const SHORTEST_SECRET: usize = 16;
const ENTRY: &str = "v1.binding";
const NAME: &str = "v1.name";
const LOCK: &str = "v1.lock";

impl BindingStore {
    /// Private keys are encrypted (AES-256-GCM) under a key that is derived (PBKDF2) from `secret`, at
    /// least 16 bytes. Who gives another one later finds nothing, and stores anew.
    pub fn encrypted(directory: impl Into<PathBuf>, secret: SecretBytes) -> Self {
        Self::encrypted_with(directory, Box::new(move || Ok(SecretBytes::new(secret.expose()))))
    }

    /// The same with a secret that is asked for by [`App::new`](crate::App::new), until it was given once.
    pub fn encrypted_with(directory: impl Into<PathBuf>, provide: Box<StoreSecretFn>) -> Self {
        let source = Source { provide, asking: PerProcess::new(Mutex::default), keys: OnceCell::new() };
        let (directory, protection) = (directory.into(), Protection::Encrypted(Arc::new(source)));
        Self { directory, protection, host: OnceCell::new() }
    }

    /// Private keys lie there as they are, in files that only this user may read (mode 0600).
    pub fn unencrypted(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), protection: Protection::Plain, host: OnceCell::new() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Asks for the secret, and refuses what must not be used: a relative path, a directory that others may
    /// enter, a secret that is too short. What only does not work now (a read-only disk) is logged.
    pub(crate) fn check(&self, log: &Logger) -> Result<()> {
        if !self.directory.is_absolute() {
            return Err(Error::argument("the directory of the binding store is not an absolute path"));
        }
        if let Protection::Encrypted(source) = &self.protection {
            source.get()?;
        }
        if self.host.get_or_try_init(this_host)?.is_empty() {
            log.warn("binding_store", || {
                "this host has no /etc/machine-id: the store must not be shared with other hosts".to_owned()
            });
        }
        match Directory::open(&self.directory) {
            Err(error) if error.is_refusal() => {
                Err(Error::argument(format!("{}: {error}", self.directory.display())))
            }
            Err(error) => {
                self.unusable(log, "open the directory", &error);
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// The identity that `name` was known to mean.
    pub(crate) fn identity(&self, name: &str, log: &Logger) -> Option<String> {
        let bytes = self.read(&self.file(name, NAME), log)?;
        entry::read_name(&bytes, name)
    }

    /// Notes that `name` means `identity`, unless another process is doing that.
    pub(crate) fn name(&self, name: &str, identity: &str, log: &Logger) {
        if self.identity(name, log).is_none_or(|known| known != identity) {
            self.with_lock(name, log, |directory| {
                directory.replace(&self.file(name, NAME), &entry::write_name(name, identity))
            });
        }
    }

    /// The certificate of `identity`, as long as it may be used, with its key from `home`. One whose key is
    /// lost is removed; an error is why a key that may still be there cannot be had.
    pub(crate) fn load(&self, identity: &str, home: &KeyHome, call: &Call) -> Result<Option<Binding>> {
        let file = self.file(identity, ENTRY);
        let Some(bytes) = self.read(&file, &call.log) else { return Ok(None) };
        let label = self.label(identity);
        let opened = self.keys().and_then(|keys| {
            entry::open(&bytes, &label, keys, home, unix_seconds(call.clock.now()), &call.wait())
        });
        let problem = match opened {
            Ok(Opened::Binding(binding)) if lifetime(&binding, call.clock.now()) != Lifetime::Over => {
                return Ok(Some(*binding));
            }
            Ok(Opened::Binding(_)) => "it has expired".to_owned(),
            Ok(Opened::KeyUnusable(error)) if error.code() == KEY_LOST => {
                self.with_lock(identity, &call.log, |directory| {
                    // Another process may have put a better one there meanwhile.
                    match directory.read(&file, LARGEST)? {
                        Some(now) if now == bytes => directory.remove(&file),
                        _ => Ok(()),
                    }
                });
                error.message().to_owned()
            }
            Ok(Opened::KeyUnusable(error)) if may_come_back(&error) => {
                return Err(error.context("the stored key"));
            }
            Ok(Opened::KeyUnusable(error)) => error.message().to_owned(),
            Err(why) => why,
        };
        call.log.warn("binding_store", || format!("a stored certificate is not used: {problem}"));
        Ok(None)
    }

    /// Keeps `binding` for `identity`, in place of what was there, and removes what has expired. For who
    /// has the lock of `identity`.
    pub(crate) fn save(&self, identity: &str, binding: &Binding, call: &Call) {
        let Some(sealed) = self.seal(identity, binding, &call.log) else { return };
        let written = Directory::open(&self.directory).and_then(|directory| {
            self.remove_expired(&directory, unix_seconds(call.clock.now()), &call.log);
            directory.replace(&self.file(identity, ENTRY), sealed.expose())
        });
        if let Err(error) = written {
            self.unusable(&call.log, "write", &error);
        }
    }

    /// The same for who has not locked it; leaves it to another process that has.
    pub(crate) fn save_if_free(&self, identity: &str, binding: &Binding, call: &Call) {
        let Some(sealed) = self.seal(identity, binding, &call.log) else { return };
        self.with_lock(identity, &call.log, |directory| {
            directory.replace(&self.file(identity, ENTRY), sealed.expose())
        });
    }

    /// Keeps other processes from minting for `identity` until dropped. Waits for those that are at it as
    /// long as `call` allows. `None` where there is nothing to lock.
    pub(crate) fn lock(&self, identity: &str, call: &Call) -> Result<Option<FileLock>> {
        let file = self.file(identity, LOCK);
        match Directory::open(&self.directory).map(|directory| directory.lock(&file, call)) {
            Ok(Ok(locked)) => locked,
            Ok(Err(error)) | Err(error) => {
                self.unusable(&call.log, "lock", &error);
                Ok(None)
            }
        }
    }

    /// What is to be written for `binding`.
    fn seal(&self, identity: &str, binding: &Binding, log: &Logger) -> Option<SecretBytes> {
        let sealed = self.keys().and_then(|keys| entry::seal(binding, &self.label(identity), keys));
        let said = |why: &String| {
            log.warn("binding_store", || format!("a certificate is not stored: {why}"));
        };
        sealed.inspect_err(said).ok()
    }

    /// Keys of identities that nobody asks for any more must not lie there for ever. Those that another
    /// process is writing are not among them.
    fn remove_expired(&self, directory: &Directory, now: i64, log: &Logger) {
        let files = directory.files().unwrap_or_default();
        for stem in files.iter().filter_map(|file| file.strip_suffix(ENTRY)) {
            let file = format!("{stem}{ENTRY}");
            let expired = || -> std::result::Result<bool, Problem> {
                Ok(directory
                    .read(&file, LARGEST)?
                    .and_then(|entry| entry::expiry(&entry))
                    .is_some_and(|end| end <= now))
            };
            let removed = expired().and_then(|candidate| {
                match candidate.then(|| directory.try_lock(&format!("{stem}{LOCK}"))).transpose()?.flatten() {
                    Some(_lock) if expired()? => directory.remove(&file),
                    _ => Ok(()),
                }
            });
            if let Err(error) = removed {
                self.unusable(log, "remove", &error);
            }
        }
    }

    /// Does what needs the lock called after `what`, unless another process has it.
    fn with_lock(
        &self,
        what: &str,
        log: &Logger,
        work: impl FnOnce(&Directory) -> std::result::Result<(), Problem>,
    ) {
        let done = Directory::open(&self.directory).and_then(|directory| {
            match directory.try_lock(&self.file(what, LOCK))? {
                Some(_lock) => work(&directory),
                None => Ok(()),
            }
        });
        if let Err(error) = done {
            self.unusable(log, "write", &error);
        }
    }

    fn read(&self, file: &str, log: &Logger) -> Option<SecretBytes> {
        match Directory::open_existing(&self.directory).and_then(|directory| directory.read(file, LARGEST)) {
            Ok(bytes) => bytes,
            // Nothing was stored yet.
            Err(error) if error.is_absence() => None,
            Err(error) => {
                self.unusable(log, "read", &error);
                None
            }
        }
    }

    fn keys(&self) -> std::result::Result<Option<&Keys>, String> {
        match &self.protection {
            Protection::Encrypted(source) => match source.get() {
                Ok(keys) => Ok(Some(keys)),
                Err(error) => Err(error.message().to_owned()),
            },
            Protection::Plain => Ok(None),
        }
    }

    /// What a file is called that is about `what`.
    fn file(&self, what: &str, kind: &str) -> String {
        format!("{}.{kind}", &self.label(what)[..32])
    }

    /// Stands for an identity or a name on this host.
    fn label(&self, what: &str) -> String {
        // Known since `check`.
        let mut text = self.host.get().map_or_else(Vec::new, |host| host.to_vec());
        text.push(0);
        text.extend_from_slice(what.as_bytes());
        hex(digest(&SHA256, &text).as_ref())
    }

    fn unusable(&self, log: &Logger, what: &str, error: &Problem) {
        let directory = self.directory.display();
        log.warn("binding_store", || format!("cannot {what} in {directory}: {error}; going on without"));
    }
}

impl Source {
    /// Asks for the secret where nobody has given it yet. No lock is held meanwhile.
    fn get(&self) -> Result<&Keys> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let this = thread::current().id();
        let threads = self.asking.get();
        let asking = || threads.lock().unwrap_or_else(PoisonError::into_inner);
        if asking().contains(&this) {
            let message = "the secret callback made an app that needs the very secret it is asked for";
            return Err(Error::new(ErrorKind::InvalidArgument, "reentrant_call", message));
        }
        asking().push(this);
        let secret = (self.provide)();
        asking().retain(|thread| *thread != this);
        let secret = secret?;
        if secret.expose().len() < SHORTEST_SECRET {
            return Err(Error::argument("the secret of the binding store has fewer than 16 bytes"));
        }
        Ok(self.keys.get_or_init(|| Keys::new(secret)))
    }
}

/// Whether a key that cannot be used now may be usable later, or with other settings of the app.
fn may_come_back(error: &Error) -> bool {
    let refused = matches!(error.code(), "tpm_auth_failed" | "tpm_locked_out");
    let kind = error.kind();
    refused
        || error.is_retryable()
        || matches!(kind, ErrorKind::NotSupported | ErrorKind::Timeout | ErrorKind::Cancelled)
}

/// An error is a shortage: a host that is known must not be taken for one that is not, for as long as the app lives.
fn this_host() -> Result<Arc<[u8]>> {
    let file = "/etc/machine-id";
    match fs::read(file) {
        Err(error) if is_shortage(&error) => {
            let message = format!("{file} cannot be read now, which the binding store needs: {error}");
            Err(Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message).with_retryable(true))
        }
        read => Ok(host(&read.unwrap_or_default()).into()),
    }
}

/// What tells a host from others, of its machine-id; an image that was not started yet has an empty one or a word.
fn host(machine_id: &[u8]) -> &[u8] {
    let id = machine_id.trim_ascii_end();
    if id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit) { machine_id } else { b"" }
}

impl fmt::Debug for BindingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encrypted = matches!(self.protection, Protection::Encrypted(_));
        f.debug_struct("BindingStore")
            .field("directory", &self.directory)
            .field("encrypted", &encrypted)
            .finish()
    }
}
