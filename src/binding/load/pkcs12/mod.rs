//! Reading PKCS#12 (PFX): a private key and certificates, as Windows, .NET, OpenSSL and Java write it.

mod ber;
mod password;
mod text;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence, Tag, TagNumber, Tagged};
use pkcs8::pkcs5::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use self::password::{MacData, Password};
pub(super) use self::text::find;
use super::{Parts, locked, malformed};
use crate::binding::pkcs12_password;
use crate::error::{Error, Result};
use crate::key::SoftwareKey;
use crate::secret::Secret;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");

/// Adds the private key and the certificates in `pfx` to `parts`.
pub(super) fn read(pfx: &[u8], password: Option<&Secret>, parts: &mut Parts) -> Result<()> {
    if pfx.is_empty() {
        return Err(malformed("it is empty"));
    }
    let pfx = find(pfx).ok_or_else(|| malformed("it is neither PKCS#12 nor base64 text of it"))?;
    let password = password.map(pkcs12_password).transpose()?.unwrap_or_default();
    let mut opened = Opened { password: Password::new(password), keys: Vec::new(), certificates: Vec::new() };
    opened.pfx(&pfx).map_err(|trouble| trouble.explain(password))?;
    for key in &opened.keys {
        parts.keys.push(SoftwareKey::from_pkcs8_der(key)?);
    }
    parts.certificates.append(&mut opened.certificates);
    Ok(())
}

/// Why PKCS#12 data cannot be read.
enum Trouble {
    Malformed,
    WrongPassword,
    TooMuchWork,
    /// One that is not supported.
    Algorithm(ObjectIdentifier),
}

impl Trouble {
    fn explain(self, password: &str) -> Error {
        match self {
            Self::Malformed => malformed("the PKCS#12 data is malformed"),
            Self::WrongPassword if password.is_empty() => {
                locked("the PKCS#12 data is protected by a password, give it")
            }
            Self::WrongPassword => {
                locked("the password of the PKCS#12 data is wrong (or the data is damaged)")
            }
            Self::TooMuchWork => unsupported("its key derivation asks for too much work"),
            Self::Algorithm(oid) => unsupported(&format!("it uses the algorithm {oid}")),
        }
    }
}

impl From<der::Error> for Trouble {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// The key stays encrypted in the file between the two.
fn unsupported(reason: &str) -> Error {
    locked(format!(
        "the PKCS#12 data is protected in a way that is not supported ({reason}), write it anew with: openssl pkcs12 \
         -legacy -in OLD.pfx -aes256 -out TEMPORARY.pem && openssl pkcs12 -export -in TEMPORARY.pem -out NEW.pfx \
         (without -legacy before OpenSSL 3)"
    ))
}

/// PFX, RFC 7292 section 4.
#[derive(Sequence)]
struct Pfx<'a> {
    version: u8,
    auth_safe: ContentInfo<'a>,
    mac_data: Option<MacData<'a>>,
}

#[derive(Sequence)]
struct ContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

/// EncryptedData, RFC 5652 section 8.
#[derive(Sequence)]
struct EncryptedData<'a> {
    version: u8,
    content: EncryptedContentInfo<'a>,
    attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct EncryptedContentInfo<'a> {
    content_type: ObjectIdentifier,
    algorithm: AlgorithmIdentifierRef<'a>,
    /// `[0] IMPLICIT OCTET STRING`
    content: Option<AnyRef<'a>>,
}

/// SafeBag, RFC 7292 section 4.2.
#[derive(Sequence)]
struct SafeBag<'a> {
    id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: AnyRef<'a>,
    attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct CertBag<'a> {
    id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: AnyRef<'a>,
}

#[derive(Sequence)]
struct EncryptedPrivateKeyInfo<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    content: &'a OctetStringRef,
}

/// What has been found so far.
struct Opened<'a> {
    password: Password<'a>,
    /// PKCS#8.
    keys: Vec<Zeroizing<Vec<u8>>>,
    /// DER.
    certificates: Vec<Vec<u8>>,
}

impl Opened<'_> {
    fn pfx(&mut self, pfx: &[u8]) -> Result<(), Trouble> {
        let pfx = der(pfx)?;
        let pfx = Pfx::from_der(&pfx)?;
        // Anything else is signed with a key, instead of with a password.
        if pfx.auth_safe.content_type != DATA {
            return Err(Trouble::Algorithm(pfx.auth_safe.content_type));
        }
        let content = pfx.auth_safe.content.decode_as::<&OctetStringRef>()?.as_bytes();
        if let Some(mac) = &pfx.mac_data {
            self.password.verify(mac, content)?;
        }
        // Each octet string is a document of its own, so that BER starts again inside of it.
        for safe in Vec::<ContentInfo<'_>>::from_der(&der(content)?)? {
            self.safe(&safe)?;
        }
        Ok(())
    }

    fn safe(&mut self, safe: &ContentInfo<'_>) -> Result<(), Trouble> {
        let contents = match safe.content_type {
            DATA => der(safe.content.decode_as::<&OctetStringRef>()?.as_bytes())?,
            ENCRYPTED_DATA => {
                let EncryptedContentInfo { algorithm, content, .. } =
                    safe.content.decode_as::<EncryptedData<'_>>()?.content;
                let Some(content) = content else { return Ok(()) };
                self.password.decrypt(algorithm, &implicit_octet_string(content)?)?
            }
            // Encrypted with a key, instead of with a password.
            other => return Err(Trouble::Algorithm(other)),
        };
        self.bags(Vec::from_der(&contents)?)
    }

    /// How deep bags nest is limited by how deep BER does.
    fn bags(&mut self, bags: Vec<SafeBag<'_>>) -> Result<(), Trouble> {
        for SafeBag { id, value, .. } in bags {
            match id {
                pkcs12::PKCS_12_KEY_BAG_OID => self.keys.push(Zeroizing::new(value.to_der()?)),
                pkcs12::PKCS_12_PKCS8_KEY_BAG_OID => {
                    let EncryptedPrivateKeyInfo { algorithm, content } = value.decode_as()?;
                    self.keys.push(self.password.decrypt(algorithm, content.as_bytes())?);
                }
                pkcs12::PKCS_12_CERT_BAG_OID => {
                    let certificate: CertBag<'_> = value.decode_as()?;
                    if certificate.id == pkcs12::PKCS_12_X509_CERT_OID {
                        let certificate: &OctetStringRef = certificate.value.decode_as()?;
                        self.certificates.push(certificate.as_bytes().to_vec());
                    }
                }
                pkcs12::PKCS_12_SAFE_CONTENTS_BAG_OID => self.bags(value.decode_as()?)?,
                // Revocation lists and secrets that are no private keys.
                _ => {}
            }
        }
        Ok(())
    }
}

fn der(ber: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    ber::to_der(ber).ok_or(Trouble::Malformed)
}

/// What an octet string with the tag `[0]` holds, in one piece or in several.
fn implicit_octet_string(any: AnyRef<'_>) -> Result<Vec<u8>, Trouble> {
    match any.tag() {
        Tag::ContextSpecific { constructed: false, number: TagNumber(0) } => Ok(any.value().to_vec()),
        Tag::ContextSpecific { constructed: true, number: TagNumber(0) } => {
            ber::join(any.value()).ok_or(Trouble::Malformed)
        }
        _ => Err(Trouble::Malformed),
    }
}
