//! What the files of a store say: a versioned format, whose content is encrypted where there is a secret.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::cipher;
use crate::binding::{Binding, Certificate, renewal_time};
use crate::clock::{from_unix_seconds, unix_seconds};
use crate::error::Error;
use crate::key::{KeyHome, StoredKey};
use crate::runtime::{PerProcess, Wait};
use crate::secret::SecretBytes;

/// No entry comes near it.
pub(super) const LARGEST: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Entry {
    format: String,
    version: u32,
    /// Which identity of which host it is for, hashed.
    identity: String,
    /// When its certificate ends, Unix seconds: only for tidying up.
    expires_on: i64,
    protection: ProtectedBy,
    /// Base64 of [`Content`] as JSON, encrypted where `protection` says so.
    content: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "algorithm")]
enum ProtectedBy {
    #[serde(rename = "none")]
    Nothing,
    #[serde(rename = "AES-256-GCM")]
    Aes256Gcm {
        kdf: String,
        iterations: u32,
        /// Base64.
        salt: String,
        /// Base64.
        nonce: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Content {
    client_id: String,
    tenant_id: String,
    endpoint: String,
    /// Base64 of DER.
    certificate: String,
    #[serde(flatten)]
    key: KeyContent,
    /// Unix seconds.
    issued_on: i64,
}

/// Where the private key is. Base64.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyContent {
    /// Here, PKCS#8.
    PrivateKey(Zeroizing<String>),
    /// In a TPM, and this leads to it: a TPM key file, without which the TPM has nothing.
    TpmKey(String),
    /// Wherever the app's signer has it.
    KeyElsewhere(()),
}

#[derive(Serialize, Deserialize)]
struct Name {
    format: String,
    version: u32,
    name: String,
    identity: String,
}

/// What an entry came to.
pub(super) enum Opened {
    Binding(Box<Binding>),
    KeyUnusable(Error),
}

/// The secret, and the keys that were derived from it: that takes about a tenth of a second.
pub(super) struct Keys {
    secret: SecretBytes,
    derived: PerProcess<Mutex<Vec<Derived>>>,
}

#[derive(Clone)]
struct Derived {
    salt: Vec<u8>,
    iterations: u32,
    key: Zeroizing<[u8; 32]>,
}

/// A host has few identities, and they share a key where one process stored them.
const MOST_DERIVED: usize = 16;
const FORMAT: &str = "mtlspop binding certificate";
const NAME_FORMAT: &str = "mtlspop identity name";
const VERSION: u32 = 1;
const KDF: &str = "PBKDF2-HMAC-SHA256";
/// What OWASP recommends for this function; a program pays for it once. A fuzzer does not.
const ITERATIONS: u32 = if cfg!(fuzzing) { 1000 } else { 600_000 };
/// More is not believed: a file must not be able to keep a program busy.
const MOST_ITERATIONS: u32 = if cfg!(fuzzing) { 20_000 } else { 10_000_000 };

/// Why an entry is not used or not written. Goes to the log, and no further.
type Result<T> = std::result::Result<T, String>;

/// The file for `binding`.
pub(super) fn seal(binding: &Binding, identity: &str, keys: Option<&Keys>) -> Result<SecretBytes> {
    let key = match binding.certificate.key().to_stored().map_err(said)? {
        StoredKey::Software(pkcs8) => KeyContent::PrivateKey(Zeroizing::new(STANDARD.encode(pkcs8.expose()))),
        StoredKey::Tpm(file) => KeyContent::TpmKey(STANDARD.encode(file)),
        StoredKey::Elsewhere => KeyContent::KeyElsewhere(()),
    };
    let content = Content {
        client_id: binding.client_id.clone(),
        tenant_id: binding.tenant_id.clone(),
        endpoint: binding.endpoint.to_string(),
        certificate: STANDARD.encode(binding.certificate.der()),
        key,
        issued_on: unix_seconds(binding.minted),
    };
    let json = write(&content)?;
    let (protection, content) = match keys {
        None => (ProtectedBy::Nothing, json),
        Some(keys) => encrypt(&json, identity, keys)?,
    };
    let entry = Entry {
        format: FORMAT.to_owned(),
        version: VERSION,
        identity: identity.to_owned(),
        expires_on: unix_seconds(binding.certificate.not_after()),
        protection,
        content: Zeroizing::new(STANDARD.encode(&*content)),
    };
    Ok(SecretBytes::new(std::mem::take(&mut *write(&entry)?)))
}

/// Reads what [`seal`] wrote. The certificate is that of the key, or this is an error.
pub(super) fn open(
    file: &SecretBytes,
    identity: &str,
    keys: Option<&Keys>,
    home: &KeyHome,
    now: i64,
    wait: &Wait,
) -> Result<Opened> {
    let entry: Entry = serde_json::from_slice(file.expose()).map_err(|_| damaged("it is not JSON"))?;
    if entry.format != FORMAT || entry.version != VERSION || entry.identity != identity {
        return Err(damaged("it is of another format or for another identity"));
    }
    // Its key is not asked for then: a TPM that does not answer must not keep a dead entry alive.
    if entry.expires_on <= now {
        return Err("it has expired".to_owned());
    }
    let content = Zeroizing::new(STANDARD.decode(&*entry.content).map_err(|_| damaged("no Base64"))?);
    let json = match (&entry.protection, keys) {
        (ProtectedBy::Nothing, None) => content,
        (protection @ ProtectedBy::Aes256Gcm { .. }, Some(keys)) => {
            decrypt(protection, content, identity, keys)?
        }
        _ => return Err(damaged("it is protected in another way than this app asks for")),
    };
    let content: Content = serde_json::from_slice(&json).map_err(|_| damaged("its content is not JSON"))?;
    let base64 = |text: &str| STANDARD.decode(text).map_err(|_| damaged("no Base64"));
    let stored = match &content.key {
        KeyContent::PrivateKey(pkcs8) => StoredKey::Software(SecretBytes::new(base64(pkcs8)?)),
        KeyContent::TpmKey(file) => StoredKey::Tpm(base64(file)?),
        KeyContent::KeyElsewhere(()) => StoredKey::Elsewhere,
    };
    let key = match (home.restore(&stored, wait), &stored) {
        (Ok(key), _) => key,
        // What the TPM says about it, or why it says nothing, is for the call to know.
        (Err(error), StoredKey::Tpm(_)) => return Ok(Opened::KeyUnusable(error)),
        (Err(error), _) => return Err(said(error)),
    };
    let certificate = Certificate::new(vec![base64(&content.certificate)?], key).map_err(said)?;
    let endpoint = Url::parse(&content.endpoint).ok().filter(|url| url.scheme() == "https");
    Ok(Opened::Binding(Box::new(Binding {
        renew_on: renewal_time(&certificate, Uuid::new_v4().as_fields().0),
        certificate,
        endpoint: endpoint.ok_or_else(|| damaged("its endpoint is not an https URL"))?,
        client_id: content.client_id,
        tenant_id: content.tenant_id,
        minted: from_unix_seconds(content.issued_on),
        minted_here: None,
    })))
}

/// When the certificate in a file ends, in Unix seconds, if that is one.
pub(super) fn expiry(file: &SecretBytes) -> Option<i64> {
    let entry: Entry = serde_json::from_slice(file.expose()).ok()?;
    (entry.format == FORMAT).then_some(entry.expires_on)
}

/// The file that says which identity `name` means.
pub(super) fn write_name(name: &str, identity: &str) -> Vec<u8> {
    let (name, identity) = (name.to_owned(), identity.to_owned());
    let file = Name { format: NAME_FORMAT.to_owned(), version: VERSION, name, identity };
    serde_json::to_vec(&file).unwrap_or_default()
}

/// What [`write_name`] wrote; `None` where the file is something else.
pub(super) fn read_name(file: &SecretBytes, name: &str) -> Option<String> {
    let file: Name = serde_json::from_slice(file.expose()).ok()?;
    (file.format == NAME_FORMAT && file.version == VERSION && file.name == name).then_some(file.identity)
}

type Sealed = (ProtectedBy, Zeroizing<Vec<u8>>);

fn encrypt(json: &[u8], identity: &str, keys: &Keys) -> Result<Sealed> {
    let (salt, key) = keys.newest()?;
    let (nonce, content) = cipher::seal(&key, &vouched(identity), json).ok_or_else(cannot_write)?;
    let protection = ProtectedBy::Aes256Gcm {
        kdf: KDF.to_owned(),
        iterations: ITERATIONS,
        salt: STANDARD.encode(&salt),
        nonce: STANDARD.encode(nonce),
    };
    Ok((protection, content))
}

fn decrypt(
    protection: &ProtectedBy,
    content: Zeroizing<Vec<u8>>,
    identity: &str,
    keys: &Keys,
) -> Result<Zeroizing<Vec<u8>>> {
    let ProtectedBy::Aes256Gcm { kdf, iterations, salt, nonce } = protection else { return Ok(content) };
    let salt = STANDARD.decode(salt).map_err(|_| damaged("no Base64"))?;
    let nonce = STANDARD.decode(nonce).ok().filter(|nonce| nonce.len() == NONCE_LEN);
    let nonce = nonce.ok_or_else(|| damaged("it has no nonce"))?;
    if kdf != KDF || *iterations > MOST_ITERATIONS {
        return Err(damaged("its key is derived in a way that is not known"));
    }
    let key = keys.derived(&salt, *iterations)?;
    cipher::open(&key, &vouched(identity), &nonce, content)
        .ok_or_else(|| damaged("the secret is another one, or it was changed"))
}

/// What the encryption also vouches for: an entry is of no use in the place of another identity's.
fn vouched(identity: &str) -> String {
    format!("{FORMAT} {VERSION} {identity}")
}

impl Keys {
    pub(super) fn new(secret: SecretBytes) -> Self {
        Self { secret, derived: PerProcess::new(Mutex::default) }
    }

    /// The key to encrypt with, and its salt: one that was derived before, where there is one.
    fn newest(&self) -> Result<(Vec<u8>, Zeroizing<[u8; 32]>)> {
        let known =
            self.with(|derived| derived.iter().rev().find(|known| known.iterations == ITERATIONS).cloned());
        let salt = known.map_or_else(|| Uuid::new_v4().into_bytes().to_vec(), |known| known.salt);
        let key = self.derived(&salt, ITERATIONS)?;
        Ok((salt, key))
    }

    fn derived(&self, salt: &[u8], iterations: u32) -> Result<Zeroizing<[u8; 32]>> {
        let is_it = |known: &&Derived| known.salt == salt && known.iterations == iterations;
        let known = self.with(|derived| derived.iter().find(is_it).map(|known| known.key.clone()));
        Ok(match known {
            Some(key) => key,
            None => {
                let rounds =
                    iterations.try_into().map_err(|_| damaged("its key is derived without iterations"))?;
                let mut key = Zeroizing::new([0; 32]);
                pbkdf2::derive(PBKDF2_HMAC_SHA256, rounds, salt, self.secret.expose(), &mut *key);
                self.with(|derived| {
                    if derived.len() == MOST_DERIVED {
                        derived.remove(0);
                    }
                    derived.push(Derived { salt: salt.to_vec(), iterations, key: key.clone() });
                });
                key
            }
        })
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Vec<Derived>) -> T) -> T {
        use_it(&mut self.derived.get().lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// As JSON, into room that is enough from the start: growing would leave copies of the key behind.
fn write(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    let mut json = Zeroizing::new(Vec::with_capacity(LARGEST));
    serde_json::to_writer(&mut *json, value).map_err(|_| cannot_write())?;
    Ok(json)
}

fn cannot_write() -> String {
    "it could not be encoded".to_owned()
}

fn damaged(why: &str) -> String {
    why.to_owned()
}

fn said(error: Error) -> String {
    error.message().to_owned()
}
