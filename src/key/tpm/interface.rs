//! What the library and its TPM plugin say to each other. Both are compiled with this file, and one talks only
//! to the other of its own version.

use std::ffi::{c_char, c_void};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The one symbol of the plugin: a function of the type [`Entry`].
pub(crate) const SYMBOL: &[u8] = b"mtlspop_tpm_plugin\0";

pub(crate) type Entry = unsafe extern "C" fn() -> *const Plugin;

/// Receives an answer, before `call` returns.
pub(crate) type Answer = unsafe extern "C" fn(userdata: *mut c_void, json: *const u8, length: usize);

/// What the plugin can do. A device is used by one thread at a time.
#[repr(C)]
pub(crate) struct Plugin {
    /// The version of the package, with a NUL. Looked at before anything else, so it stays the first.
    pub(crate) version: unsafe extern "C" fn() -> *const c_char,
    /// A device by the TCTI that leads to it, UTF-8. The TPM is not contacted yet.
    pub(crate) open: unsafe extern "C" fn(tcti: *const u8, length: usize) -> *mut c_void,
    /// Answers a [`Request`] with a [`Response`], both JSON.
    pub(crate) call: unsafe extern "C" fn(
        device: *mut c_void,
        json: *const u8,
        length: usize,
        answer: Answer,
        userdata: *mut c_void,
    ),
    /// Lets go of the TPM until the next call, so that other programs can have it.
    pub(crate) rest: unsafe extern "C" fn(device: *mut c_void),
    pub(crate) close: unsafe extern "C" fn(device: *mut c_void),
}

/// An authorisation value; empty where there is none. On the way it is hexadecimal text, which is read without
/// a copy that nobody wipes.
#[derive(Clone, Default)]
pub(crate) struct Auth(Zeroizing<Vec<u8>>);

impl Auth {
    pub(crate) fn new(value: &[u8]) -> Self {
        Self(Zeroizing::new(value.to_vec()))
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Auth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
        let mut hex = Zeroizing::new(String::with_capacity(2 * self.0.len()));
        self.0.iter().for_each(|byte| hex.extend([digit(byte >> 4), digit(*byte)]));
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = <&str>::deserialize(deserializer)?;
        let mut value = Zeroizing::new(Vec::with_capacity(hex.len() / 2));
        for at in (0..hex.len()).step_by(2) {
            let byte = hex.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            value.push(byte.ok_or_else(|| D::Error::custom("not hexadecimal"))?);
        }
        Ok(Self(value))
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// Does nothing but find out whether a TPM answers.
    Ping,
    /// Makes an RSA-2048 signing key below the owner hierarchy.
    Create { owner: Auth, auth: Auth, decrypts: bool },
    /// Makes `key` permanent at a handle.
    Persist { owner: Auth, key: Key, handle: u32 },
    /// Loads `key` and tells its public half.
    Describe { owner: Auth, key: Key },
    /// Signs a digest.
    Sign { owner: Auth, key: Key, auth: Auth, padding: Padding, hash: Hash, digest: Vec<u8> },
    /// The bare RSA operation on a block as long as the modulus.
    Exponentiate { owner: Auth, key: Key, auth: Auth, block: Vec<u8> },
    /// Has the TPM vouch for `key` and for its PCRs of the SHA-256 bank.
    Attest { owner: Auth, key: Key, auth: Auth, challenge: Vec<u8>, pcrs: Vec<u8> },
}

pub(crate) type Response = Result<Reply, Failure>;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Key(Described),
    /// A signature, or a block.
    Bytes(Vec<u8>),
    Evidence(Box<Evidence>),
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Key {
    /// Outside, encrypted by the TPM for itself. `parent` is the owner hierarchy or a persistent handle,
    /// `public` a TPMT_PUBLIC, `private` what a TPM2B_PRIVATE holds.
    Blob { parent: u32, public: Vec<u8>, private: Vec<u8> },
    /// Inside. It must be the one with this TPMT_PUBLIC, unless that is empty.
    Persistent { handle: u32, public: Vec<u8> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) key: Key,
    /// Of the RSA key, big-endian.
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: u32,
    /// Whether the TPM made it and it can leave neither the TPM nor its parent.
    pub(crate) fixed: bool,
    pub(crate) signs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Padding {
    Pss,
    Pkcs1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Structures of the TPM 2.0 library specification, part 2, as the TPM marshals them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// The TPMT_PUBLIC of the key.
    pub(crate) public: Vec<u8>,
    /// TPMS_ATTEST and TPMT_SIGNATURE of TPM2_Certify.
    pub(crate) certification: Vec<u8>,
    pub(crate) certification_signature: Vec<u8>,
    /// TPMS_ATTEST and TPMT_SIGNATURE of TPM2_Quote.
    pub(crate) quote: Vec<u8>,
    pub(crate) quote_signature: Vec<u8>,
    /// The PCRs of the quote, by index.
    pub(crate) pcrs: Vec<(u8, Vec<u8>)>,
    /// Of the attestation key: RSA, big-endian.
    pub(crate) ak_modulus: Vec<u8>,
    pub(crate) ak_exponent: u32,
    /// Its certificate, DER, where the host has one. Bytes that are no part of it may follow.
    pub(crate) ak_certificate: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// A sentence for a person, without what was asked for.
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cause {
    /// The TCTI is none that is known.
    BadTcti,
    /// No TPM answers, or it stopped answering.
    Unreachable,
    /// What was loaded is gone: the TPM was reset, again and again.
    Reset,
    /// The TPM cannot do it now.
    Busy,
    /// The authorisation value is not that of the key.
    AuthWrong,
    /// Or that of the owner or endorsement hierarchy.
    HierarchyAuthWrong,
    /// Wrong values were tried too often.
    LockedOut,
    /// The key is not one of this TPM: it was cleared, or is another one.
    KeyLost,
    /// There is no key at the persistent handle.
    Absent,
    /// The key, or the TPM, is of a kind that cannot do this.
    Unsupported,
    Other,
}
