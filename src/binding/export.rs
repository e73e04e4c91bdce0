//! Handing a certificate on: PEM and PKCS#12 for other programs, thumbprints for people.

use std::fmt::Write;

use der::pem::{LineEnding, encode_string};
use p12_keystore::rand::rng;
use p12_keystore::{
    Certificate as Pkcs12Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm,
    PrivateKey as Pkcs12Key, PrivateKeyChain,
};

use super::fips::refuse;
use crate::binding::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{Secret, SecretBytes};

/// How PKCS#12 data is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pkcs12Format {
    /// AES-256 with keys from PBKDF2, HMAC-SHA-256: for OpenSSL 3, .NET, Windows since 2019, Java.
    Modern,
    /// Triple DES and HMAC-SHA-1: for readers that know nothing else, such as Mono. Weak.
    Legacy,
}

/// Rounds of the key derivation. What protects a password that can be guessed, at about a tenth of
/// a second per try.
const MODERN_ROUNDS: u32 = 100_000;
/// OpenSSL's number: old readers are slow, and more would not save Triple DES.
const LEGACY_ROUNDS: u32 = 2048;

impl Certificate {
    /// The certificate itself as PEM.
    pub fn pem(&self) -> String {
        certificate_pem(self.der())
    }

    /// The certificate and the issuers that came with it as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain_der().iter().map(|der| certificate_pem(der)).collect()
    }

    /// Whether the private key may leave its home: [`Certificate::private_key_pem`] and
    /// [`Certificate::pkcs12`] work.
    pub fn is_exportable(&self) -> bool {
        self.key().is_exportable()
    }

    /// The private key as PEM, PKCS#8, not encrypted.
    pub fn private_key_pem(&self) -> Result<Secret> {
        let pkcs8 = self.key().export_pkcs8_der()?;
        encode_string("PRIVATE KEY", LineEnding::LF, pkcs8.expose())
            .map(Secret::new)
            .map_err(|_| Error::internal("the private key could not be written as PEM"))
    }

    /// The private key as "TSS2 PRIVATE KEY" in PEM, where it is in a TPM: a file with which other programs, such as
    /// OpenSSL with its TPM provider, use the same key in the same TPM. It is useless elsewhere.
    pub fn tpm_key_pem(&self) -> Result<String> {
        let key = self.key().in_tpm().ok_or_else(|| {
            let message = "the private key is not in a TPM, so that there is no TSS2 PRIVATE KEY file of it";
            Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message)
        })?;
        key.to_pem()
    }

    /// The private key, the certificate and the issuers that came with it as PKCS#12 (PFX).
    ///
    /// The empty password is allowed, as OpenSSL and .NET allow it: the data is then encrypted in
    /// form only and must be kept like a key file.
    pub fn pkcs12(&self, password: &Secret, format: Pkcs12Format) -> Result<SecretBytes> {
        refuse("PKCS#12 is not written: export certificate and key as PEM")?;
        let password = pkcs12_password(password)?;
        // What the writer draws salts from goes on in a forked child as in its parent.
        rng().reseed().map_err(|_| Error::internal("the system gave no random bytes"))?;
        let pkcs8 = self.key().export_pkcs8_der()?;
        let mut store = KeyStore::new();
        let key = Pkcs12Key::from_der(pkcs8.expose()).map_err(unwritable)?;
        let chain = self.chain_der().iter().map(|der| Pkcs12Certificate::from_der(der));
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unwritable)?;
        let entry = PrivateKeyChain::new(self.sha1().as_slice(), key, chain);
        store.add_entry(&self.sha1_hex(), KeyStoreEntry::PrivateKeyChain(entry));
        let (encryption, mac, rounds) = match format {
            Pkcs12Format::Modern => {
                (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256, MODERN_ROUNDS)
            }
            Pkcs12Format::Legacy => {
                (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1, LEGACY_ROUNDS)
            }
        };
        let written = store
            .writer(password)
            .encryption_algorithm(encryption)
            .encryption_iterations(rounds)
            .mac_algorithm(mac)
            .mac_iterations(rounds)
            .write();
        written.map(SecretBytes::new).map_err(unwritable)
    }

    /// SHA-1 of the DER in upper-case hexadecimal, as .NET and the Azure portal show thumbprints.
    pub fn sha1_hex(&self) -> String {
        hex(self.sha1())
    }

    /// SHA-256 of the DER in upper-case hexadecimal.
    pub fn sha256_hex(&self) -> String {
        hex(self.sha256())
    }
}

/// PKCS#12 turns a password into UCS-2, in which not every character exists.
pub(super) fn pkcs12_password(password: &Secret) -> Result<&str> {
    let password = password.expose();
    if password.chars().any(|c| u32::from(c) > 0xffff) {
        return Err(Error::argument(
            "the password has characters that PKCS#12 cannot express (beyond U+FFFF)",
        ));
    }
    Ok(password)
}

fn certificate_pem(der: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "only a label that is not one or 2 GiB of data fail")]
    encode_string("CERTIFICATE", LineEnding::LF, der).expect("a certificate fits into PEM")
}

fn unwritable(reason: p12_keystore::error::Error) -> Error {
    let message = format!("the certificate cannot be written as PKCS#12: {reason}");
    Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message)
}

/// Upper-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}
