//! A private key in a TPM.

use std::fmt;

use aws_lc_rs::digest::{self, SHA256, SHA384, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::UnparsedPublicKey;

use super::interface::{Described, Evidence, Hash, Key, Padding, Reply, Request};
use super::key_file::{KeyFile, OWNER_HIERARCHY};
use super::{KEY_LOST, Tpm, pss};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyAlgorithm, MtlsBindingStrength, PrivateKey, SignatureScheme, StoredKey, unusable};
use crate::runtime::Wait;
use crate::secret::SecretBytes;

/// RSA. What is here is its public half, and a blob that only the TPM can read or the handle of its place.
pub(crate) struct TpmKey {
    tpm: Tpm,
    key: Key,
    /// SubjectPublicKeyInfo, DER.
    public_key: Vec<u8>,
    modulus_length: usize,
    /// It was made in the TPM, and cannot leave it.
    fixed: bool,
    pss: Pss,
}

/// How PSS signatures with a salt as long as the hash are had from this TPM and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pss {
    ByTpm,
    /// The TPM salts otherwise: padded here.
    Here,
}

const MODULUS_LENGTHS: std::ops::RangeInclusive<usize> = 256..=1024;

impl TpmKey {
    /// A new key, RSA-2048, that can leave neither the TPM nor its parent. Where the app has a persistent handle,
    /// the key at it, which is made there if there is none.
    pub(crate) fn generate(tpm: &Tpm, wait: &Wait) -> Result<Self> {
        if let Some(handle) = tpm.persistent_handle {
            match Self::at(tpm, handle, Vec::new(), wait) {
                Err(error) if error.code() == KEY_LOST => {}
                found => return found,
            }
        }
        let made = Self::create(tpm, false, wait)?;
        let key = match made.test_of_pss(wait)? {
            Some(pss) => Self { pss, ..made },
            // Only a key that also decrypts can be used otherwise, which must be decided when it is made.
            None => {
                let made = Self::create(tpm, true, wait)?;
                made.with_tested_pss(wait)?
            }
        };
        let Some(handle) = tpm.persistent_handle else { return Ok(key) };
        let place = Request::Persist { owner: tpm.owner(), key: key.key.clone(), handle };
        if let Err(error) = tpm.device.call(&place, wait) {
            // Another process may have been first.
            return Self::at(tpm, handle, Vec::new(), wait).map_err(|_| error);
        }
        let Key::Blob { public, .. } = key.key else { return Ok(key) };
        Ok(Self { key: Key::Persistent { handle, public }, ..key })
    }

    /// The key at a persistent handle, with this TPMT_PUBLIC unless that is empty.
    fn at(tpm: &Tpm, handle: u32, public: Vec<u8>, wait: &Wait) -> Result<Self> {
        let key = Self::new(tpm, Self::describe(tpm, Key::Persistent { handle, public }, wait)?)?;
        if !key.fixed {
            return Err(unusable(format!(
                "the key at the persistent handle {handle:#x} is no key that was made in the TPM and cannot leave it"
            ))
            .with_code("tpm_error"));
        }
        key.with_tested_pss(wait)
    }

    /// From what a store kept of it. The TPM is asked whether it can still use the key.
    pub(crate) fn from_stored(tpm: &Tpm, stored: &[u8], wait: &Wait) -> Result<Self> {
        if let Some(handle) = tpm.persistent_handle {
            let file = KeyFile::from_der(stored)?;
            return Self::at(tpm, handle, file.public, wait);
        }
        let key = Self::load(tpm, KeyFile::from_der(stored)?, wait)?;
        if !key.fixed {
            return Err(unusable("the stored key can leave its TPM").with_code("tpm_error"));
        }
        Ok(key)
    }

    /// From a "TSS2 PRIVATE KEY" in PEM, made by this library or another.
    pub(crate) fn from_pem(tpm: &Tpm, pem: &[u8], wait: &Wait) -> Result<Self> {
        Self::load(tpm, KeyFile::from_pem(pem)?, wait)
    }

    fn load(tpm: &Tpm, file: KeyFile, wait: &Wait) -> Result<Self> {
        if file.empty_auth != tpm.auth.expose().is_empty() {
            let message = match file.empty_auth {
                true => "the TPM key has no authorisation value, but one is set",
                false => "the TPM key has an authorisation value, and none is set",
            };
            return Err(Error::argument(message));
        }
        let key = Key::Blob { parent: file.parent, public: file.public, private: file.private };
        Self::new(tpm, Self::describe(tpm, key, wait)?)?.with_tested_pss(wait)
    }

    /// As "TSS2 PRIVATE KEY" in PEM; an error for a key at a persistent handle.
    pub(crate) fn to_pem(&self) -> Result<String> {
        match self.key {
            Key::Blob { .. } => self.file().to_pem(),
            Key::Persistent { handle, .. } => Err(unusable(format!(
                "the key has no file: it is inside the TPM, at the persistent handle {handle:#x}"
            ))),
        }
    }

    /// Whether the TPM is reached as a device of this host.
    pub(crate) fn is_of_this_host(&self) -> bool {
        self.tpm.device.tcti().starts_with("device")
    }

    /// Has the TPM vouch for the key and for its PCRs.
    pub(crate) fn attest(&self, challenge: &[u8], pcrs: &[u8], wait: &Wait) -> Result<Evidence> {
        let (owner, auth) = (self.tpm.owner(), self.tpm.auth());
        let (challenge, pcrs) = (challenge.to_vec(), pcrs.to_vec());
        let request = Request::Attest { owner, key: self.key.clone(), auth, challenge, pcrs };
        match self.tpm.device.call(&request, wait)? {
            Reply::Evidence(evidence) => Ok(*evidence),
            _ => Err(unexpected()),
        }
    }

    fn file(&self) -> KeyFile {
        let empty_auth = self.tpm.auth.expose().is_empty();
        match &self.key {
            Key::Blob { parent, public, private } => {
                KeyFile { empty_auth, parent: *parent, public: public.clone(), private: private.clone() }
            }
            Key::Persistent { public, .. } => {
                KeyFile { empty_auth, parent: OWNER_HIERARCHY, public: public.clone(), private: Vec::new() }
            }
        }
    }

    fn create(tpm: &Tpm, decrypts: bool, wait: &Wait) -> Result<Self> {
        let request = Request::Create { owner: tpm.owner(), auth: tpm.auth(), decrypts };
        match tpm.device.call(&request, wait)? {
            Reply::Key(described) => Self::new(tpm, described),
            _ => Err(unexpected()),
        }
    }

    fn describe(tpm: &Tpm, key: Key, wait: &Wait) -> Result<Described> {
        match tpm.device.call(&Request::Describe { owner: tpm.owner(), key }, wait)? {
            Reply::Key(described) => Ok(described),
            _ => Err(unexpected()),
        }
    }

    fn new(tpm: &Tpm, described: Described) -> Result<Self> {
        if !described.signs || !MODULUS_LENGTHS.contains(&described.modulus.len()) {
            let message = "the TPM key is no unrestricted RSA signing key of 2048 bits or more";
            return Err(unusable(message).with_code("tpm_error"));
        }
        let modulus_length = described.modulus.len();
        let exponent = described.exponent.to_be_bytes();
        let exponent = exponent.iter().copied().skip_while(|byte| *byte == 0).collect();
        let components: PublicKeyComponents<Vec<u8>> =
            PublicKeyComponents { n: described.modulus, e: exponent };
        let public_key: PublicKeyX509Der<'_> =
            components.as_der().map_err(|_| unusable("the public key of the TPM key is malformed"))?;
        let public_key = public_key.as_ref().to_vec();
        let (key, fixed) = (described.key, described.fixed);
        Ok(Self { tpm: tpm.clone(), key, public_key, modulus_length, fixed, pss: Pss::ByTpm })
    }

    /// With the way to have PSS signatures that works, or an error where none does.
    fn with_tested_pss(self, wait: &Wait) -> Result<Self> {
        match self.test_of_pss(wait)? {
            Some(pss) => Ok(Self { pss, ..self }),
            None => Err(unusable(
                "this TPM makes PSS signatures with another salt than TLS 1.3 and IMDS want, and the key \
                 does not allow the bare RSA operation that would help",
            )
            .with_code("tpm_error")),
        }
    }

    /// Signs something in each way, until a signature verifies: some TPMs use the longest salt there is room for.
    fn test_of_pss(&self, wait: &Wait) -> Result<Option<Pss>> {
        let message = b"which salt?";
        for pss in [Pss::ByTpm, Pss::Here] {
            match self.signed(SignatureScheme::RsaPssSha256, message, pss, wait) {
                Ok(signature) if self.verifies(SignatureScheme::RsaPssSha256, message, &signature) => {
                    return Ok(Some(pss));
                }
                Ok(_) => {}
                // Either may be refused: PSS by some TPMs, the bare operation by keys that were not made for it.
                Err(error) if error.code() == "tpm_error" => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn signed(&self, scheme: SignatureScheme, message: &[u8], pss: Pss, wait: &Wait) -> Result<Vec<u8>> {
        let padding = match scheme.jose_name().starts_with("PS") {
            true => Padding::Pss,
            false => Padding::Pkcs1,
        };
        let (owner, key, auth) = (self.tpm.owner(), self.key.clone(), self.tpm.auth());
        let digest = digest(scheme.hash(), message).as_ref().to_vec();
        let request = match (padding, pss) {
            (Padding::Pss, Pss::Here) => {
                let block = pss::encode(scheme.hash(), &digest, self.modulus_length)?;
                Request::Exponentiate { owner, key, auth, block }
            }
            _ => Request::Sign { owner, key, auth, padding, hash: hash_of(scheme.hash()), digest },
        };
        match self.tpm.device.call(&request, wait)? {
            Reply::Bytes(signature) => Ok(signature),
            _ => Err(unexpected()),
        }
    }

    fn verifies(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        // Parsed anew each time: a parsed key has a lock inside, which a fork could leave locked.
        let key = UnparsedPublicKey::new(scheme.verification(), &self.public_key);
        key.verify(message, signature).is_ok()
    }
}

impl PrivateKey for TpmKey {
    fn algorithm(&self) -> KeyAlgorithm {
        KeyAlgorithm::Rsa
    }

    fn public_key_der(&self) -> &[u8] {
        &self.public_key
    }

    fn sign_within(&self, scheme: SignatureScheme, message: &[u8], wait: &Wait) -> Result<Vec<u8>> {
        KeyAlgorithm::Rsa.require(scheme)?;
        let signature = self.signed(scheme, message, self.pss, wait)?;
        if self.verifies(scheme, message, &signature) {
            return Ok(signature);
        }
        let name = scheme.jose_name();
        Err(Error::new(
            ErrorKind::KeyUnavailable,
            "tpm_error",
            format!(
                "the {name} signature of the TPM does not verify, or its salt is not as long as the hash"
            ),
        ))
    }

    /// One that was brought into the TPM may be elsewhere, too.
    fn strength(&self) -> MtlsBindingStrength {
        match self.fixed {
            true => MtlsBindingStrength::Hardware,
            false => MtlsBindingStrength::Software,
        }
    }

    fn in_tpm(&self) -> Option<&TpmKey> {
        Some(self)
    }

    fn export_pkcs8_der(&self) -> Result<SecretBytes> {
        Err(unusable(
            "the private key cannot be exported: it is in a TPM, which it never leaves; other programs of this \
             host can use it by its TSS2 PRIVATE KEY file",
        ))
    }

    fn is_exportable(&self) -> bool {
        false
    }

    fn to_stored(&self) -> Result<StoredKey> {
        self.file().to_der().map(StoredKey::Tpm)
    }
}

impl fmt::Debug for TpmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TpmKey").field("tcti", &self.tpm.device.tcti()).finish_non_exhaustive()
    }
}

fn hash_of(hash: &'static digest::Algorithm) -> Hash {
    if *hash == SHA256 {
        Hash::Sha256
    } else if *hash == SHA384 {
        Hash::Sha384
    } else {
        Hash::Sha512
    }
}

fn unexpected() -> Error {
    Error::internal("the TPM plugin gave another answer than was asked for")
}
