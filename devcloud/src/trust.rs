//! Which authorities may vouch for a client certificate.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::clock::Clock;
use crate::fault::Faults;
use crate::pki::Pki;

/// The sets of authorities that are asked.
pub(crate) struct Trust {
    /// The SN/I issuer and the root above it.
    pub(crate) sni: Authorities,
    /// The issuer of IMDS.
    pub(crate) imds: Authorities,
    /// Both: what TLS accepts.
    pub(crate) any: Authorities,
}

/// Trust anchors for client certificates.
#[derive(Clone)]
pub(crate) struct Authorities {
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
}

/// What TLS asks whether to go on with a client: all of this, for it has no more words than yes and no.
pub(crate) struct Door {
    pub(crate) trust: Arc<Trust>,
    pub(crate) clock: Clock,
    pub(crate) faults: Arc<Faults>,
}

impl Door {
    /// Whether the cloud takes a client's certificates, leaf first.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        if self.faults.take_any("tls_client_certificate").is_some() {
            return Err(CertificateError::Revoked.into());
        }
        self.trust.any.verify(chain, &self.clock)
    }
}

impl Trust {
    pub(crate) fn new(
        pki: &Pki,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let sni = [pki.sni_root.der(), pki.sni_ca.der()];
        let imds = pki.imds_ca.der();
        Ok(Trust {
            sni: Authorities::new(&sni, provider)?,
            imds: Authorities::new(&[imds], provider)?,
            any: Authorities::new(&[sni[0], sni[1], imds], provider)?,
        })
    }
}

impl Authorities {
    fn new(
        anchors: &[&CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add((*anchor).clone())?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        Ok(Authorities { verifier })
    }

    /// Whether the chain (leaf first) ends at one of the authorities. Its leaf's dates are not judged here.
    pub(crate) fn verify(&self, chain: &[CertificateDer<'_>], clock: &Clock) -> Result<(), rustls::Error> {
        let [leaf, intermediates @ ..] = chain else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let now = clock.current_time().ok_or(rustls::Error::FailedToGetCurrentTime)?;
        self.verifier.verify_client_cert(leaf, intermediates, within(leaf, now)).map(|_| ())
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities")
    }
}

/// `now`, moved into the life of the certificate.
///
/// A certificate that is out of date reaches the STS, which refuses it in words, as Entra does; a
/// TLS alert would say less.
fn within(leaf: &CertificateDer<'_>, now: UnixTime) -> UnixTime {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return now;
    };
    let validity = certificate.validity();
    let second = |at: i64| u64::try_from(at).unwrap_or_default();
    let (from, to) = (second(validity.not_before.timestamp()), second(validity.not_after.timestamp()));
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().min(to).max(from)))
}
