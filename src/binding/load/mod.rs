//! Making a [`Certificate`] from what people have: PEM text, PKCS#12 data, files of either.

mod ber;
mod chain;
mod name;
mod password;
mod pem;
mod pkcs12;
mod signature;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::fips::refuse;
use crate::binding::Certificate;
use crate::clock::{Clock, SystemClock};
use crate::env::{ProcessEnv, is_shortage};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{CallbackKey, PrivateKey, Signer, SoftwareKey, TpmKey, TpmOptions, usual_public_key};
use crate::runtime::Wait;
use crate::secret::Secret;

/// More than any certificate chain needs, and little enough to read whatever a path leads to.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// What was found in the input, in its order.
#[derive(Default)]
struct Parts {
    /// DER.
    certificates: Vec<Vec<u8>>,
    keys: Vec<SoftwareKey>,
}

impl Certificate {
    /// From PEM text: the certificate, its chain in any order, and the private key, which is in
    /// `key_pem` or beside the certificate. Certificates in `key_pem` do not count. PKCS#8, PKCS#1 and SEC1 keys are read, and PKCS#8 keys
    /// encrypted with `password`. Certificates that do not belong to the chain are left out.
    pub fn from_pem(
        certificate_pem: &[u8],
        key_pem: Option<&[u8]>,
        password: Option<&Secret>,
    ) -> Result<Self> {
        let mut parts = Parts::default();
        pem::read(certificate_pem, password, &mut parts)?;
        if let Some(key_pem) = key_pem {
            parts.read_key(key_pem, password).map_err(|error| error.context("the private key"))?;
        }
        parts.assemble()
    }

    /// From PKCS#12 data (PFX) or base64 text of it: the private key, its certificate, and the chain as far as
    /// it is in there. No password and the empty password are the same.
    pub fn from_pkcs12(pfx: &[u8], password: Option<&Secret>) -> Result<Self> {
        refuse("PKCS#12 is not read: give certificate and key as PEM")?;
        let mut parts = Parts::default();
        pkcs12::read(pfx, password, &mut parts)?;
        parts.assemble()
    }

    /// From a file, PEM or PKCS#12 whatever its name, of at most 1 MiB. `key_path` is the PEM file
    /// of the private key where the certificate's file does not hold it.
    pub fn from_file(path: &Path, key_path: Option<&Path>, password: Option<&Secret>) -> Result<Self> {
        let in_file = |error: Error| error.context(&path.display().to_string());
        let data = read_file(path)?;
        if let Some(pfx) = pkcs12::find(&data) {
            if key_path.is_some() {
                return Err(in_file(Error::argument(
                    "a PKCS#12 file holds its private key, do not give a key file with it",
                )));
            }
            return Self::from_pkcs12(&pfx, password).map_err(in_file);
        }
        let mut parts = Parts::default();
        pem::read(&data, password, &mut parts).map_err(in_file)?;
        if let Some(key_path) = key_path {
            parts
                .read_key(&read_file(key_path)?, password)
                .map_err(|error| error.context(&key_path.display().to_string()))?;
        }
        parts.assemble().map_err(in_file)
    }

    /// With a private key in a TPM: `key` is a "TSS2 PRIVATE KEY" in PEM, as OpenSSL's TPM provider makes it, too.
    /// `chain` is PEM, the certificate first and its issuers in any order, or a single certificate in DER. The
    /// TPM is asked at once whether it can use the key.
    pub fn with_tpm_key(chain: &[u8], key: &[u8], tpm: TpmOptions) -> Result<Self> {
        let tpm = tpm.resolve(&ProcessEnv)?.open()?;
        around(chain, |_| Ok(Arc::new(TpmKey::from_pem(&tpm, key, &Wait::default())?)))
    }

    /// With a private key that lives elsewhere: `signer` signs whenever a TLS handshake or a client
    /// assertion needs a signature. `chain` is PEM, the certificate first and its issuers in any order,
    /// or a single certificate in DER.
    pub fn with_signer(chain: &[u8], signer: Arc<dyn Signer>) -> Result<Self> {
        around(chain, |public_key| Ok(Arc::new(CallbackKey::new(public_key, signer)?)))
    }
}

impl Parts {
    /// Adds the keys of a text that was given for its key: a certificate that happens to be there
    /// must not take the place of the one that was named.
    fn read_key(&mut self, text: &[u8], password: Option<&Secret>) -> Result<()> {
        let mut parts = Self::default();
        pem::read(text, password, &mut parts)?;
        self.keys.append(&mut parts.keys);
        Ok(())
    }

    fn assemble(self) -> Result<Certificate> {
        let certificates = self.certificates.iter().map(|der| parse(der)).collect::<Result<Vec<_>>>()?;
        if certificates.is_empty() {
            return Err(malformed("there is no certificate in it"));
        }
        let key = only_key(self.keys)?;
        // A renewed certificate may keep the key of its predecessor.
        let now = SystemClock.now();
        let leaf = certificates
            .iter()
            .filter(|certificate| *usual_public_key(certificate.public_key().raw) == *key.public_key_der())
            .max_by_key(|certificate| chain::usefulness(certificate, now))
            .ok_or_else(|| malformed("the private key does not belong to any certificate given"))?;
        with_issuers(leaf, &certificates, Arc::new(key))
    }
}

/// The first certificate of `chain` with a key that is not there: `key` is given the public half.
fn around(chain: &[u8], key: impl FnOnce(&[u8]) -> Result<Arc<dyn PrivateKey>>) -> Result<Certificate> {
    let ders = match X509Certificate::from_der(chain) {
        Ok(_) => vec![chain.to_vec()],
        Err(_) => pem::read_certificates(chain)?,
    };
    let certificates = ders.iter().map(|der| parse(der)).collect::<Result<Vec<_>>>()?;
    let leaf = certificates
        .first()
        .ok_or_else(|| malformed("there is no certificate in it, neither PEM nor DER"))?;
    with_issuers(leaf, &certificates, key(leaf.public_key().raw)?)
}

fn with_issuers(
    leaf: &X509Certificate<'_>,
    pool: &[X509Certificate<'_>],
    key: Arc<dyn PrivateKey>,
) -> Result<Certificate> {
    let chosen = chain::choose(leaf, pool, SystemClock.now())?;
    let chain = chosen.chain.iter().map(|one| one.as_raw().to_vec()).collect();
    Ok(Certificate::new(chain, key)?.with_notes(chosen.notes))
}

/// The one key there is. The same key twice is fine: one file may be named as both.
fn only_key(keys: Vec<SoftwareKey>) -> Result<SoftwareKey> {
    let mut keys = keys.into_iter();
    let key = keys.next().ok_or_else(|| {
        let message = "there is no private key in it, give the private key of the certificate too";
        Error::new(ErrorKind::KeyUnavailable, "cert_without_private_key", message)
    })?;
    if keys.any(|other| other.public_key_der() != key.public_key_der()) {
        return Err(malformed("there are several private keys, give only that of the certificate"));
    }
    Ok(key)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(malformed("a certificate in it is malformed")),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    // The room for everything is made at once: a buffer that grows leaves copies of a key behind. What is no file, as a pipe of
    // a shell's <(...), does not say how much comes.
    let size = match file.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => metadata.len().min(MAX_FILE_SIZE),
        _ => MAX_FILE_SIZE,
    };
    let mut data = Zeroizing::new(Vec::with_capacity(size as usize + 32));
    let read = file.take(MAX_FILE_SIZE + 1).read_to_end(&mut data);
    let read = read.map_err(|error| unreadable(path, &error))?;
    if read as u64 > MAX_FILE_SIZE {
        let why = "it is larger than 1 MiB, so it cannot be a certificate";
        return Err(malformed(format!("{}: {why}", path.display())));
    }
    Ok(data)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    malformed(format!("{}: {error}", path.display())).with_retryable(is_shortage(error))
}

/// The input is not what it should be.
fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::KeyUnavailable, "invalid_certificate", message)
}

/// A private key is there, but it cannot be had.
fn locked(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    /// Is a key that comes by a pipe, as from a shell's `<(...)`, read into one place, so that no copy of it stays behind?
    #[test]
    fn a_pipe_is_read_into_one_place() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let text = vec![b'x'; 300_000];
        let written = text.clone();
        let thread = std::thread::spawn(move || writer.write_all(&written).unwrap());
        let data = read_file(Path::new(&format!("/proc/self/fd/{}", reader.as_raw_fd()))).unwrap();
        thread.join().unwrap();
        assert!(*data == text && data.capacity() == MAX_FILE_SIZE as usize + 32, "{}", data.capacity());
    }
}
