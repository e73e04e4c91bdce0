//! Reading PKCS#12 (PFX): a private key and certificates, as Windows, .NET, OpenSSL and Java write it.

use der::asn1::AnyRef;
use der::{Decode, Header, Reader, SliceReader, Tag};
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error as Pkcs12Error;

use super::{Parts, locked, malformed};
use crate::binding::pkcs12_password;
use crate::error::{Error, Result};
use crate::key::SoftwareKey;
use crate::secret::Secret;

/// Adds the private key and the certificates in `pfx` to `parts`.
pub(super) fn read(pfx: &[u8], password: Option<&Secret>, parts: &mut Parts) -> Result<()> {
    if pfx.is_empty() {
        return Err(malformed("it is empty"));
    }
    if !is_pkcs12(pfx) {
        return Err(malformed("it is not DER-encoded PKCS#12"));
    }
    let password = password.map(pkcs12_password).transpose()?.unwrap_or_default();
    let archive = Pkcs12Archive::from_pkcs12(pfx, password).map_err(|error| broken(error, pfx, password))?;
    for bag in &archive.keys {
        parts.keys.push(SoftwareKey::from_pkcs8_der(bag.key.as_der())?);
    }
    parts.certificates.extend(archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()));
    Ok(())
}

/// Whether `data` starts like a PFX: a sequence whose first element is the version, 3.
pub(super) fn is_pkcs12(data: &[u8]) -> bool {
    let start = SliceReader::new(data)
        .and_then(|mut reader| Ok((Header::decode(&mut reader)?, u8::decode(&mut reader)?)));
    start.is_ok_and(|(header, version)| header.tag() == Tag::Sequence && version == 3)
}

/// Whether there is a checksum over everything: the third element of a PFX.
fn has_mac(pfx: &[u8]) -> bool {
    let elements = AnyRef::from_der(pfx).and_then(|pfx| {
        let mut content = SliceReader::new(pfx.value())?;
        let _version = AnyRef::decode(&mut content)?;
        let _content = AnyRef::decode(&mut content)?;
        Ok(!content.is_finished())
    });
    elements.unwrap_or(false)
}

fn broken(error: Pkcs12Error, pfx: &[u8], password: &str) -> Error {
    match error {
        Pkcs12Error::UnsupportedEncryptionScheme
        | Pkcs12Error::UnsupportedMacAlgorithm
        | Pkcs12Error::InvalidParameters => locked(
            "the PKCS#12 data is protected in a way that is not supported, write it anew with: \
             openssl pkcs12 -in OLD.pfx -nodes | openssl pkcs12 -export -out NEW.pfx",
        ),
        Pkcs12Error::MacError(_) | Pkcs12Error::UnpadError | Pkcs12Error::Pkcs5Error(_) => {
            wrong_password(password)
        }
        // Without a MAC, a wrong password may also decrypt to something that looks padded.
        _ if AnyRef::from_der(pfx).is_ok() && !has_mac(pfx) => wrong_password(password),
        _ => malformed("the PKCS#12 data is malformed"),
    }
}

fn wrong_password(password: &str) -> Error {
    locked(if password.is_empty() {
        "the PKCS#12 data is protected by a password, give it"
    } else {
        "the password of the PKCS#12 data is wrong (or the data is damaged)"
    })
}
