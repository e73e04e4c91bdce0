//! What a FIPS build does not do with files: what would be computed outside the validated module (docs/CRYPTOGRAPHY.md).

use crate::error::{Error, ErrorKind, Result};

/// An error that says `what` is not done, in a FIPS build.
pub(super) fn refuse(what: &str) -> Result<()> {
    if cfg!(feature = "fips") {
        let message = format!("{what}, as its encryption is outside the FIPS module");
        return Err(Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message));
    }
    Ok(())
}

#[cfg(all(test, feature = "fips"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use crate::binding::{Certificate, Pkcs12Format};
    use crate::key::SoftwareKey;
    use crate::secret::Secret;

    /// Are PKCS#12, of any encryption, and keys under a password refused before their ciphers run, and PEM not?
    #[test]
    fn what_is_encrypted_elsewhere_is_refused() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let pem = certificate.pem() + &key.serialize_pem();
        let loaded = Certificate::from_pem(pem.as_bytes(), None, None).unwrap();
        let password = Secret::new("password");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for error in [
            loaded.pkcs12(&password, Pkcs12Format::Modern).unwrap_err(),
            loaded.pkcs12(&password, Pkcs12Format::Legacy).unwrap_err(),
            Certificate::from_pkcs12(b"anything", Some(&password)).unwrap_err(),
            Certificate::from_pem(encrypted.as_bytes(), None, Some(&password)).unwrap_err(),
        ] {
            assert_eq!(error.code(), "cryptographic_error");
            assert!(error.message().contains("outside the FIPS module"), "{error}");
        }
        // What is made here signs there.
        let made = SoftwareKey::generate_rsa_2048().unwrap();
        drop(Arc::new(made));
    }
}
