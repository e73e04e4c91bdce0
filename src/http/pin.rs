//! A server that is known by its certificate, where no authority vouches for it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, OtherError, SignatureScheme};

use super::roots::Trusted;
use super::verify::Verifier;
use crate::error::Result;

/// The SHA-1 of a certificate. It is what Azure writes down; nothing else here relies on SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thumbprint([u8; 20]);

impl Thumbprint {
    /// From 40 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref() == self.0
    }
}

/// Accepts the one certificate, whatever its name and dates, and any that the roots vouch for. That the
/// server holds the private key is verified in either case.
pub(super) struct Pinned {
    leaf: Thumbprint,
    provider: Arc<CryptoProvider>,
    /// Or why there are none: nobody needs them to meet the one certificate.
    roots: Result<Verifier>,
}

impl Pinned {
    pub(super) fn new(
        leaf: Thumbprint,
        trusted: Result<Arc<Trusted>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        let roots = trusted.and_then(|trusted| Verifier::new(trusted, provider.clone()));
        Self { leaf, provider, roots }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.leaf.is_of(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.roots {
            Ok(roots) => roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            Err(error) => Err(OtherError(Arc::new(error.clone())).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is a thumbprint read in either case of its digits, and nothing else taken for one?
    #[test]
    fn thumbprints() {
        let lower = "00112233445566778899aabbccddeeff00112233";
        assert_eq!(Thumbprint::parse(lower).unwrap().0[..3], [0, 0x11, 0x22]);
        assert_eq!(Thumbprint::parse(lower), Thumbprint::parse(&lower.to_ascii_uppercase()));
        for wrong in ["", "00", &lower[1..], &format!("{lower}00"), &lower.replace('0', "+")] {
            assert_eq!(Thumbprint::parse(wrong), None, "{wrong}");
        }
    }
}
