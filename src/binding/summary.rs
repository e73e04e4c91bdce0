//! What a person wants to know of a certificate, their own or a server's.

use std::time::SystemTime;

use x509_parser::prelude::{FromDer, X509Certificate};

use super::Certificate;
use crate::clock::from_unix_seconds;

/// A certificate in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Whose it is.
    pub subject: String,
    /// Who vouches for that; the same for one that does so itself.
    pub issuer: String,
    /// The first instant at which it is valid.
    pub not_before: SystemTime,
    /// The last one.
    pub not_after: SystemTime,
}

impl CertificateSummary {
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            not_before: from_unix_seconds(parsed.validity().not_before.timestamp()),
            not_after: from_unix_seconds(parsed.validity().not_after.timestamp()),
        })
    }
}

impl Certificate {
    /// The certificate and the issuers that came with it, as they are sent: itself first.
    pub fn chain_summary(&self) -> Vec<CertificateSummary> {
        self.chain_der().iter().filter_map(|der| CertificateSummary::of(der)).collect()
    }
}
