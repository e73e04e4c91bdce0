//! "TSS2 PRIVATE KEY": a key that only its TPM can use, as a file that OpenSSL's TPM provider reads, too.
//!
//! draft-bottomley-tpm2-keys, ASN.1 Specification for TPM 2.0 Key Files: loadable keys without a policy.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::pem::{LineEnding, encode_string};
use der::{Decode, Encode, Sequence, Tag};

use crate::error::{Error, Result};
use crate::key::unusable;
use crate::pem::blocks;

const LABEL: &str = "TSS2 PRIVATE KEY";
const LOADABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.3");
/// TPM_RH_OWNER.
pub(super) const OWNER_HIERARCHY: u32 = 0x4000_0001;
/// The handles of persistent objects.
const PERSISTENT: std::ops::RangeInclusive<u32> = 0x8100_0000..=0x81ff_ffff;
const TRUE: &[u8] = &[0xff];

/// What is in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyFile {
    /// Whether the key has no authorisation value.
    pub(super) empty_auth: bool,
    /// The owner hierarchy, or a persistent handle.
    pub(super) parent: u32,
    /// A TPMT_PUBLIC.
    pub(super) public: Vec<u8>,
    /// What a TPM2B_PRIVATE holds.
    pub(super) private: Vec<u8>,
}

#[derive(Sequence)]
struct TpmKey<'a> {
    kind: ObjectIdentifier,
    /// Any value, for OpenSSL writes a TRUE that is none in DER.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    empty_auth: Option<AnyRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    policy: Option<AnyRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    secret: Option<AnyRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    auth_policy: Option<AnyRef<'a>>,
    #[asn1(context_specific = "4", tag_mode = "EXPLICIT", optional = "true")]
    description: Option<AnyRef<'a>>,
    #[asn1(context_specific = "5", tag_mode = "EXPLICIT", optional = "true")]
    rsa_parent: Option<AnyRef<'a>>,
    parent: u32,
    public: &'a OctetStringRef,
    private: &'a OctetStringRef,
}

impl KeyFile {
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self> {
        let blocks = blocks(pem).map_err(|fault| malformed(&fault))?;
        match blocks.as_slice() {
            [key] if key.label == LABEL => Self::from_der(&key.contents),
            [other] => Err(malformed(&format!("it is a {}, not a {LABEL}", other.label))),
            [] => Err(malformed("it is not PEM")),
            _ => Err(malformed("there is more than the key in it")),
        }
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self> {
        let key = TpmKey::from_der(der).map_err(|_| malformed("its ASN.1 is not that of a TPM key"))?;
        if key.kind != LOADABLE {
            return Err(malformed(
                "it is no loadable key (2.23.133.10.1.3), but an importable or sealed one",
            ));
        }
        if key.policy.is_some() || key.auth_policy.is_some() || key.secret.is_some() {
            return Err(malformed("the key has a policy, which is not supported"));
        }
        if key.rsa_parent.as_ref().is_some_and(is_true) {
            return Err(malformed("the parent of the key is an RSA key, which is not supported"));
        }
        if key.parent != OWNER_HIERARCHY && !PERSISTENT.contains(&key.parent) {
            return Err(malformed("its parent is neither the owner hierarchy nor a persistent key"));
        }
        Ok(Self {
            empty_auth: key.empty_auth.as_ref().is_some_and(is_true),
            parent: key.parent,
            public: unsized_bytes(key.public.as_bytes())?,
            private: unsized_bytes(key.private.as_bytes())?,
        })
    }

    pub(super) fn to_der(&self) -> Result<Vec<u8>> {
        let (public, private) = (sized(&self.public)?, sized(&self.private)?);
        let octets = |bytes| OctetStringRef::new(bytes).map_err(|_| unwritable());
        let flag = AnyRef::new(Tag::Boolean, TRUE).map_err(|_| unwritable())?;
        let key = TpmKey {
            kind: LOADABLE,
            empty_auth: self.empty_auth.then_some(flag),
            policy: None,
            secret: None,
            auth_policy: None,
            description: None,
            rsa_parent: None,
            parent: self.parent,
            public: octets(&public)?,
            private: octets(&private)?,
        };
        key.to_der().map_err(|_| unwritable())
    }

    pub(super) fn to_pem(&self) -> Result<String> {
        encode_string(LABEL, LineEnding::LF, &self.to_der()?).map_err(|_| unwritable())
    }
}

fn is_true(value: &AnyRef<'_>) -> bool {
    value.value().iter().any(|byte| *byte != 0)
}

/// Without the length that a TPM2B structure begins with.
fn unsized_bytes(bytes: &[u8]) -> Result<Vec<u8>> {
    match bytes {
        [high, low, rest @ ..] if usize::from(u16::from_be_bytes([*high, *low])) == rest.len() => {
            Ok(rest.to_vec())
        }
        _ => Err(malformed("the lengths in it do not fit")),
    }
}

fn sized(bytes: &[u8]) -> Result<Vec<u8>> {
    let length = u16::try_from(bytes.len()).map_err(|_| unwritable())?;
    Ok([&length.to_be_bytes(), bytes].concat())
}

fn malformed(why: &str) -> Error {
    unusable(format!("the TPM key is malformed: {why}"))
}

fn unwritable() -> Error {
    Error::internal("the TPM key could not be encoded")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(parent: u32, empty_auth: bool) -> KeyFile {
        KeyFile { empty_auth, parent, public: vec![1; 278], private: vec![2; 222] }
    }

    /// Does a key come back as it was written, below a hierarchy and below a persistent key?
    #[test]
    fn round_trip() {
        for key in [key(0x4000_0001, true), key(0x8100_0001, false)] {
            let pem = key.to_pem().unwrap();
            assert_eq!(KeyFile::from_pem(pem.as_bytes()).unwrap(), key);
            let indented: String = pem.lines().map(|line| format!("  {line}\r\n")).collect();
            assert_eq!(KeyFile::from_pem(format!("\u{feff}{indented}").as_bytes()).unwrap(), key);
        }
    }

    /// Is OpenSSL's TRUE, which is not DER's, read as one?
    #[test]
    fn openssl_true() {
        let mut der = key(0x4000_0001, true).to_der().unwrap();
        let at = der.windows(3).position(|bytes| bytes == [1, 1, 0xff]).unwrap();
        der[at + 2] = 1;
        assert!(KeyFile::from_der(&der).unwrap().empty_auth);
    }

    /// Is what cannot be used refused with the reason?
    #[test]
    fn refusals() {
        let der = key(0x4000_0001, true).to_der().unwrap();
        let mut sealed = der.clone();
        let at = sealed.windows(2).position(|bytes| bytes == [1, 3]).unwrap();
        sealed[at + 1] = 5;
        let mut cut = der.clone();
        cut.truncate(40);
        let mut lengths = der.clone();
        let at = lengths.windows(2).position(|bytes| bytes == [1, 22]).unwrap();
        lengths[at + 1] = 21;
        let other = encode_string("PRIVATE KEY", LineEnding::LF, &der).unwrap();
        for (result, reason) in [
            (KeyFile::from_der(&sealed), "no loadable key"),
            (KeyFile::from_der(&cut), "ASN.1"),
            (KeyFile::from_der(&lengths), "lengths"),
            (KeyFile::from_pem(other.as_bytes()), "it is a PRIVATE KEY"),
            (KeyFile::from_pem(b"nothing"), "not PEM"),
            (KeyFile::from_pem(other.repeat(2).as_bytes()), "more than the key"),
            (KeyFile::from_pem(&other.as_bytes()[..60]), "line 1"),
        ] {
            let error = result.unwrap_err();
            assert!(error.message().contains(reason), "{error}");
        }
    }
}
