//! Which servers' certificates are believed: those that webpki accepts, and named roots that serve themselves.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use super::roots::Trusted;
use crate::error::{Error, Result, text};

/// The shortest RSA key whose signatures are accepted.
const MIN_RSA_BITS: usize = 2048;

/// Webpki's rules, but for one certificate: a root that the app, or `SSL_CERT_FILE`, names may be the server's
/// own, as for curl, though it is an authority's (docs/adr/017). Its name, dates and purpose are checked all
/// the same, and that the server has its key.
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    trusted: Arc<Trusted>,
}

/// An RSA key that is too short to be believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeakKey {
    pub(super) bits: usize,
    /// Whether it is the server's own, and not that of an authority.
    pub(super) own: bool,
}

/// An authority that neither the roots nor the server's chain lead beyond.
#[derive(Clone, Debug)]
pub(super) struct Untrusted {
    pub(super) issuer: String,
}

impl Verifier {
    pub(super) fn new(trusted: Arc<Trusted>, provider: Arc<CryptoProvider>) -> Result<Self> {
        let webpki = WebPkiServerVerifier::builder_with_provider(trusted.store.clone(), provider)
            .build()
            .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?;
        Ok(Self { webpki, trusted })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let error = match self.webpki.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        if is_authority(&error) && self.trusted.named.iter().any(|named| named == end_entity) {
            return by_itself(end_entity, server_name, now);
        }
        if error == CertificateError::UnknownIssuer.into() {
            return Err(untrusted(end_entity, intermediates)
                .map_or(error, |untrusted| CertificateError::Other(OtherError(Arc::new(untrusted))).into()));
        }
        let chain = std::iter::once(end_entity).chain(intermediates).filter_map(parse);
        let issuers: HashSet<_> = chain.map(|below| below.tbs_certificate.issuer.as_raw()).collect();
        let has_issued = |root: &&CertificateDer<'_>| {
            parse(root).is_some_and(|root| issuers.contains(root.subject().as_raw()))
        };
        let roots = self.trusted.named.iter().filter(has_issued);
        Err(or_weak(error, intermediates.iter().chain(roots), false))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let outcome = self.webpki.verify_tls12_signature(message, certificate, signature);
        outcome.map_err(|error| or_weak(error, [certificate], true))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let outcome = self.webpki.verify_tls13_signature(message, certificate, signature);
        outcome.map_err(|error| or_weak(error, [certificate], true))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether what the key of a server's certificate signs can be accepted. rustls finds out when it verifies such a
/// signature; this is for who has another do that.
#[cfg_attr(any(feature = "fips", not(feature = "renegotiation")), allow(dead_code))]
pub(super) fn judge_key(end_entity: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    match rsa_bits(end_entity) {
        Some(bits) if bits < MIN_RSA_BITS => {
            Err(CertificateError::Other(OtherError(Arc::new(WeakKey { bits, own: true }))).into())
        }
        _ => Ok(()),
    }
}

/// Whether all that speaks against the certificate so far is that it is an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            matches!(inner.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

/// What webpki checks of a certificate that needs no issuer: it is one of those that are trusted.
fn by_itself(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    let parsed = parse(certificate).ok_or(CertificateError::BadEncoding)?;
    let at = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
    let at = at.ok_or(rustls::Error::FailedToGetCurrentTime)?;
    let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
    if at < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before: unix(not_before) }.into());
    }
    if at > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after: unix(not_after) }.into());
    }
    let purposes = parsed.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    if purposes.is_some_and(|purposes| !purposes.value.server_auth) {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

/// Who would have to be trusted: the issuer of the last certificate that the chain leads to.
fn untrusted(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Option<Untrusted> {
    let mut last = parse(end_entity)?;
    let mut others: Vec<_> = intermediates.iter().filter_map(parse).collect();
    while let Some(above) = others.iter().position(|other| other.subject() == last.issuer()) {
        last = others.swap_remove(above);
    }
    Some(Untrusted { issuer: text::cut(&last.issuer().to_string(), 200) })
}

fn unix(time: ASN1Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0)))
}

/// A signature by a key that is too short looks like a wrong one to webpki.
fn or_weak<'a, 'c: 'a>(
    error: rustls::Error,
    signers: impl IntoIterator<Item = &'a CertificateDer<'c>>,
    own: bool,
) -> rustls::Error {
    if error != CertificateError::BadSignature.into() {
        return error;
    }
    match signers.into_iter().filter_map(rsa_bits).min() {
        Some(bits) if bits < MIN_RSA_BITS => {
            CertificateError::Other(OtherError(Arc::new(WeakKey { bits, own }))).into()
        }
        _ => error,
    }
}

fn rsa_bits(certificate: &CertificateDer<'_>) -> Option<usize> {
    match parse(certificate)?.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(8 * key.modulus.iter().skip_while(|byte| **byte == 0).count()),
        _ => None,
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().map(|(_, parsed)| parsed)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an RSA key of {} bits", self.bits)
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an authority that is not trusted, {}", self.issuer)
    }
}

impl std::error::Error for WeakKey {}

impl std::error::Error for Untrusted {}
