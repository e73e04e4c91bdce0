//! Reading PKCS#12 (PFX): a private key and certificates, as Windows, .NET, OpenSSL and Java write it.

mod text;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence, Tag, TagNumber, Tagged};
use pkcs8::pkcs5::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

pub(super) use self::text::find;
use super::password::{EncryptedKey, MacData, Password, Trouble};
use super::{Parts, ber, locked, malformed};
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
    opened.pfx(&pfx).map_err(|trouble| explain(&trouble, password))?;
    for key in &opened.keys {
        parts.keys.push(SoftwareKey::from_pkcs8_der(key)?);
    }
    parts.certificates.append(&mut opened.certificates);
    Ok(())
}

fn explain(trouble: &Trouble, password: &str) -> Error {
    if let Some(lack) = trouble.lack() {
        // The key stays encrypted in the file between the two.
        return locked(format!(
            "the PKCS#12 data is protected in a way that is not supported ({lack}), write it anew with: openssl pkcs12 \
             -legacy -in OLD.pfx -aes256 -out TEMPORARY.pem && openssl pkcs12 -export -in TEMPORARY.pem -out NEW.pfx && rm TEMPORARY.pem \
             (without -legacy before OpenSSL 3)"
        ));
    }
    match trouble {
        Trouble::WrongPassword if password.is_empty() => {
            locked("the PKCS#12 data is protected by a password, give it")
        }
        Trouble::WrongPassword => {
            locked("the password of the PKCS#12 data is wrong (or the data is damaged)")
        }
        Trouble::NoPasswordMode => locked(
            "the PKCS#12 data is signed or encrypted with a key and not with a password, which is not supported",
        ),
        _ => malformed("the PKCS#12 data is malformed"),
    }
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
            return Err(Trouble::NoPasswordMode);
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
            _ => return Err(Trouble::NoPasswordMode),
        };
        self.bags(Vec::from_der(&contents)?)
    }

    /// How deep bags nest is limited by how deep BER does.
    fn bags(&mut self, bags: Vec<SafeBag<'_>>) -> Result<(), Trouble> {
        for SafeBag { id, value, .. } in bags {
            match id {
                pkcs12::PKCS_12_KEY_BAG_OID => self.keys.push(Zeroizing::new(value.to_der()?)),
                pkcs12::PKCS_12_PKCS8_KEY_BAG_OID => {
                    let key: EncryptedKey<'_> = value.decode_as()?;
                    self.keys.push(self.password.decrypt_key(&key)?);
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
