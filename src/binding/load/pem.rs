//! Certificates and private keys in PEM, in any order.

use der::Decode;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::password::{EncryptedKey, Password, Trouble};
use super::{Parts, locked, malformed, parse, pkcs12};
use crate::binding::fips::refuse;
use crate::error::{Error, Result};
use crate::key::SoftwareKey;
use crate::pem::{Block, blocks};
use crate::secret::Secret;

/// Adds the certificates and private keys in `text` to `parts`.
pub(super) fn read(text: &[u8], password: Option<&Secret>, parts: &mut Parts) -> Result<()> {
    if text.is_empty() {
        return Err(malformed("it is empty"));
    }
    if pkcs12::find(text).is_some() {
        return Err(malformed(
            "it is PKCS#12 (PFX) where PEM is expected, load it as PKCS#12: it holds certificate and key",
        ));
    }
    let blocks = blocks(text).map_err(malformed)?;
    // One for all keys, and with it one limit of work.
    let mut password = Password::new(password.map(Secret::expose).unwrap_or_default());
    let mut ec_parameters = None;
    for block in &blocks {
        if block.is_key() {
            let key = read_key(block, ec_parameters, &mut password);
            parts.keys.push(key.map_err(|error| error.context(&format!("line {}", block.line)))?);
        } else if block.label == "EC PARAMETERS" {
            ec_parameters = Some(block.contents.as_slice());
        } else if let Some(der) = read_certificate(block)? {
            parts.certificates.push(der);
        }
    }
    if blocks.is_empty() { Err(not_pem(text)) } else { Ok(()) }
}

/// The certificates in `text`, where a private key is a mistake: it is held by somebody else.
pub(super) fn read_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>> {
    let blocks = blocks(text).map_err(malformed)?;
    if blocks.iter().any(Block::is_key) {
        return Err(Error::argument(
            "there is a private key in it, while a signer is to hold the key: give the certificate and its \
             issuers only, or load it together with its key and without a signer",
        ));
    }
    blocks.iter().filter_map(|block| read_certificate(block).transpose()).collect()
}

fn read_certificate(block: &Block) -> Result<Option<Vec<u8>>> {
    let Some(der) = block.certificate().map_err(malformed)? else { return Ok(None) };
    parse(der).map_err(|error| error.context(&format!("line {}", block.line)))?;
    Ok(Some(der.to_vec()))
}

fn read_key(block: &Block, ec_parameters: Option<&[u8]>, password: &mut Password<'_>) -> Result<SoftwareKey> {
    if block.encrypted {
        return Err(unsupported_encryption("\"Proc-Type: 4,ENCRYPTED\""));
    }
    match block.label.as_str() {
        "PRIVATE KEY" => SoftwareKey::from_pkcs8_der(&block.contents),
        "RSA PRIVATE KEY" => SoftwareKey::from_pkcs1_der(&block.contents),
        "EC PRIVATE KEY" => SoftwareKey::from_sec1_der(&block.contents, ec_parameters),
        "ENCRYPTED PRIVATE KEY" => SoftwareKey::from_pkcs8_der(&decrypt(&block.contents, password)?),
        // "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY" and the like.
        other => Err(locked(format!(
            "a key of the kind \"{other}\" is not supported, use RSA or EC P-256/P-384/P-521 in PKCS#8"
        ))),
    }
}

fn decrypt(der: &[u8], password: &mut Password<'_>) -> Result<Zeroizing<Vec<u8>>> {
    refuse("a private key under a password is not read: give it unencrypted, and guard the file")?;
    let key = EncryptedKey::from_der(der).map_err(|_| locked("the encrypted private key is malformed"))?;
    password.decrypt_key(&key).map_err(|trouble| match trouble {
        Trouble::WrongPassword if password.is_empty() => {
            locked("the private key is encrypted, give its password")
        }
        Trouble::WrongPassword => locked("the password of the private key is wrong"),
        Trouble::Malformed => locked("the encrypted private key is malformed"),
        other => unsupported_encryption(&other.lack().unwrap_or_default()),
    })
}

fn unsupported_encryption(reason: &str) -> Error {
    locked(format!(
        "the encryption of the private key is not supported ({reason}), convert it with: openssl pkcs8 -topk8 \
         -provider legacy -provider default -in KEY.pem -out NEW-KEY.pem (without the providers before OpenSSL 3)"
    ))
}

fn not_pem(text: &[u8]) -> Error {
    if X509Certificate::from_der(text).is_ok() {
        return malformed(
            "it is a certificate in DER without a private key, give a PEM or PKCS#12 file; PEM is made of it with: \
             openssl x509 -inform der -in CERTIFICATE.cer -out CERTIFICATE.pem",
        );
    }
    malformed("it is neither PEM nor PKCS#12")
}
