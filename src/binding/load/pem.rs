//! Reading PEM: certificates and private keys, in any order, with anything else between them.

use der::Decode;
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::pkcs5::{self, EncryptionScheme};
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use x509_parser::error::PEMError;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{Parts, locked, malformed};
use crate::error::{Error, Result};
use crate::key::SoftwareKey;
use crate::secret::Secret;

/// What a file may ask of us before its password is known to be right. OpenSSL writes 2048 rounds,
/// OWASP recommends 600 000; scrypt as OpenSSL writes it takes 16 MiB.
const MAX_PBKDF2_ROUNDS: u32 = 5_000_000;
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;
const MAX_SCRYPT_PARALLELISM: u16 = 16;

/// Adds the certificates and private keys in `text` to `parts`.
pub(super) fn read(text: &[u8], password: Option<&Secret>, parts: &mut Parts) -> Result<()> {
    if text.is_empty() {
        return Err(malformed("it is empty"));
    }
    if has_encrypted_header(text) {
        return Err(locked(
            "the private key is encrypted in a way that is not supported (\"Proc-Type: \
             4,ENCRYPTED\"), convert it with: openssl pkcs8 -topk8 -in KEY.pem -out NEW-KEY.pem",
        ));
    }
    let mut ec_parameters = None;
    let mut empty = true;
    for block in blocks(text) {
        let (label, contents) = block?;
        empty = false;
        match label.as_str() {
            label if is_certificate(label) => parts.certificates.push(contents.to_vec()),
            "PRIVATE KEY" => parts.keys.push(SoftwareKey::from_pkcs8_der(&contents)?),
            "RSA PRIVATE KEY" => parts.keys.push(SoftwareKey::from_pkcs1_der(&contents)?),
            "EC PARAMETERS" => ec_parameters = Some(contents),
            "EC PRIVATE KEY" => {
                let parameters = ec_parameters.as_ref().map(|der| der.as_slice());
                parts.keys.push(SoftwareKey::from_sec1_der(&contents, parameters)?);
            }
            "ENCRYPTED PRIVATE KEY" => {
                let pkcs8 = decrypt(&contents, password)?;
                parts.keys.push(SoftwareKey::from_pkcs8_der(pkcs8.as_bytes())?);
            }
            // "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY" and the like.
            other if is_key(other) => {
                return Err(locked(format!(
                    "a key of the kind \"{other}\" is not supported, use RSA or EC \
                     P-256/P-384/P-521 in PKCS#8"
                )));
            }
            _ => {}
        }
    }
    if empty { Err(not_pem(text)) } else { Ok(()) }
}

/// The certificates in `text`, where a private key is a mistake: it is held by somebody else.
pub(super) fn read_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>> {
    let misplaced = || {
        Error::argument(
            "there is a private key in it, while a signer is to hold the key: give the certificate and its \
             issuers only, or load it together with its key and without a signer",
        )
    };
    if has_encrypted_header(text) {
        return Err(misplaced());
    }
    let mut certificates = Vec::new();
    for block in blocks(text) {
        let (label, contents) = block?;
        match label.as_str() {
            label if is_certificate(label) => certificates.push(contents.to_vec()),
            label if is_key(label) => return Err(misplaced()),
            _ => {}
        }
    }
    Ok(certificates)
}

/// Label and contents of each block.
fn blocks(text: &[u8]) -> impl Iterator<Item = Result<(String, Zeroizing<Vec<u8>>)>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Pem::iter_from_buffer(text).map(|block| {
        let Pem { label, contents } = block.map_err(broken)?;
        Ok((label, Zeroizing::new(contents)))
    })
}

fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE")
}

fn is_key(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}

fn decrypt(der: &[u8], password: Option<&Secret>) -> Result<SecretDocument> {
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(der)
        .map_err(|_| unsupported_encryption("its algorithm is unknown or it is malformed"))?;
    let EncryptionScheme::Pbes2(parameters) = &encrypted.encryption_algorithm else {
        return Err(unsupported_encryption("it uses PBES1"));
    };
    if !is_affordable(&parameters.kdf) {
        return Err(unsupported_encryption("its key derivation asks for too much work"));
    }
    let password = password.ok_or_else(|| locked("the private key is encrypted, give its password"))?;
    encrypted.decrypt(password.expose()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs5::Error::UnsupportedAlgorithm { oid } | pkcs5::Error::AlgorithmParametersInvalid { oid },
        ) => unsupported_encryption(&format!("it uses the algorithm {oid}")),
        // A wrong password shows as bad padding or, one time in 256, as a plaintext that is no key.
        _ => locked("the password of the private key is wrong"),
    })
}

fn is_affordable(kdf: &Kdf) -> bool {
    match kdf {
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= MAX_PBKDF2_ROUNDS,
        Kdf::Scrypt(scrypt) => {
            let memory = u64::from(scrypt.block_size) * 128;
            scrypt.parallelization <= MAX_SCRYPT_PARALLELISM
                && memory.checked_mul(scrypt.cost_parameter).is_some_and(|m| m <= MAX_SCRYPT_MEMORY)
        }
        _ => false,
    }
}

fn unsupported_encryption(reason: &str) -> Error {
    locked(format!(
        "the encryption of the private key is not supported ({reason}), convert it with: openssl \
         pkcs8 -in KEY.pem -topk8 -v2 aes256 -out NEW-KEY.pem"
    ))
}

/// OpenSSL's own encryption of before PKCS#8: headers inside the block.
fn has_encrypted_header(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"Proc-Type: 4,ENCRYPTED"))
}

fn broken(error: PEMError) -> Error {
    malformed(match error {
        PEMError::Base64DecodeError => "the base64 of a PEM block is malformed",
        PEMError::IncompletePEM => "a PEM block has no END line, the text was cut off",
        _ => "a PEM block is malformed",
    })
}

fn not_pem(text: &[u8]) -> Error {
    if X509Certificate::from_der(text).is_ok() {
        return malformed(
            "it is a certificate in DER without a private key, give a PEM or PKCS#12 file (openssl \
             x509 -inform der makes PEM of it)",
        );
    }
    malformed("it is neither PEM nor DER-encoded PKCS#12")
}
