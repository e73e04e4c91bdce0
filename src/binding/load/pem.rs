//! Certificates and private keys in PEM, in any order.

use der::Decode;
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::pkcs5::{self, EncryptionScheme};
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Parts, locked, malformed, parse};
use crate::error::{Error, Result};
use crate::key::SoftwareKey;
use crate::pem::{Block, blocks};
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
    let blocks = blocks(text).map_err(malformed)?;
    let mut ec_parameters = None;
    for block in &blocks {
        if block.is_key() {
            let key = read_key(block, ec_parameters, password);
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

fn read_key(block: &Block, ec_parameters: Option<&[u8]>, password: Option<&Secret>) -> Result<SoftwareKey> {
    if block.encrypted {
        return Err(locked(
            "the private key is encrypted in a way that is not supported (\"Proc-Type: \
             4,ENCRYPTED\"), convert it with: openssl pkcs8 -topk8 -in KEY.pem -out NEW-KEY.pem",
        ));
    }
    match block.label.as_str() {
        "PRIVATE KEY" => SoftwareKey::from_pkcs8_der(&block.contents),
        "RSA PRIVATE KEY" => SoftwareKey::from_pkcs1_der(&block.contents),
        "EC PRIVATE KEY" => SoftwareKey::from_sec1_der(&block.contents, ec_parameters),
        "ENCRYPTED PRIVATE KEY" => {
            SoftwareKey::from_pkcs8_der(decrypt(&block.contents, password)?.as_bytes())
        }
        // "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY" and the like.
        other => Err(locked(format!(
            "a key of the kind \"{other}\" is not supported, use RSA or EC P-256/P-384/P-521 in PKCS#8"
        ))),
    }
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

fn not_pem(text: &[u8]) -> Error {
    if X509Certificate::from_der(text).is_ok() {
        return malformed(
            "it is a certificate in DER without a private key, give a PEM or PKCS#12 file (openssl \
             x509 -inform der makes PEM of it)",
        );
    }
    malformed("it is neither PEM nor DER-encoded PKCS#12")
}
