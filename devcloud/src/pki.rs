//! The certificate authorities of the cloud and the certificates they issue.

use std::error::Error;
use std::net::Ipv4Addr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
    SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use crate::directory::{APP_A_SUBJECT_NAME, FIC_BINDING_SUBJECT_NAME, IMDS_ISSUER_NAME};

/// How long a certificate from IMDS lasts.
pub(crate) const IMDS_CERTIFICATE_LIFETIME: i64 = 7 * 24 * 3600;

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
/// tcg-kp-AIKCertificate: the purpose of an attestation key.
const ATTESTATION_KEY: [u64; 5] = [2, 23, 133, 8, 3];
const DOMAIN_COMPONENT: [u64; 7] = [0, 9, 2342, 19200300, 100, 1, 25];

pub(crate) type Issuer = CertifiedIssuer<'static, KeyPair>;

/// Every authority, and the certificates that exist from the start.
pub(crate) struct Pki {
    /// Signs the server certificates; the one root that clients must trust.
    pub(crate) server_ca: Issuer,
    /// Signs what `issuecredential` hands out.
    pub(crate) imds_ca: Issuer,
    /// Vouches for the attestation keys of TPMs.
    pub(crate) tpm_ca: Issuer,
    pub(crate) sni_root: Issuer,
    /// Signs the SN/I certificates; itself signed by `sni_root`.
    pub(crate) sni_ca: Issuer,
    pub(crate) sni: Identity,
    /// The same subject name as `sni`, another key: what a rotation leaves behind.
    pub(crate) sni_rotated: Identity,
    /// The same subject name once more, with an EC P-256 key.
    pub(crate) sni_ec: Identity,
    /// What federated assertions are bound to.
    pub(crate) fic_binding: Identity,
    /// For a server of the tests' own.
    pub(crate) localhost: Identity,
    /// Service Fabric's server on 127.0.0.1, signed by itself: trusted by its thumbprint, or not at all.
    pub(crate) fabric: Identity,
}

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key: KeyPair,
}

impl Pki {
    /// `keys` are RSA keys; they take long to make, so the caller makes them side by side.
    pub(crate) fn new(now: i64, keys: [KeyPair; 3]) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let server_ca = CertifiedIssuer::self_signed(ca("devcloud server root", now)?, KeyPair::generate()?)?;
        let imds_ca = CertifiedIssuer::self_signed(ca(IMDS_ISSUER_NAME, now)?, KeyPair::generate()?)?;
        let tpm_ca = CertifiedIssuer::self_signed(ca("devcloud TPM CA", now)?, KeyPair::generate()?)?;
        let sni_root = CertifiedIssuer::self_signed(ca("devcloud SN/I root", now)?, KeyPair::generate()?)?;
        let sni_ca =
            CertifiedIssuer::signed_by(ca("devcloud SN/I issuer", now)?, KeyPair::generate()?, &sni_root)?;
        let identity = |params: CertificateParams, key: KeyPair, issuer: &Issuer| {
            let certificate = params.signed_by(&key, issuer)?;
            let (der, pem) = (certificate.der().clone(), certificate.pem());
            Ok::<_, rcgen::Error>(Identity { certificate: der, certificate_pem: pem, key })
        };
        let issue = |name: &str, key: KeyPair| identity(sni(name, now)?, key, &sni_ca);
        let [sni, rotated, fic] = keys;
        Ok(Pki {
            sni: issue(APP_A_SUBJECT_NAME, sni)?,
            sni_rotated: issue(APP_A_SUBJECT_NAME, rotated)?,
            sni_ec: issue(APP_A_SUBJECT_NAME, KeyPair::generate()?)?,
            fic_binding: issue(FIC_BINDING_SUBJECT_NAME, fic)?,
            localhost: identity(server("localhost", now)?, KeyPair::generate()?, &server_ca)?,
            fabric: self_signed_server(now)?,
            server_ca,
            imds_ca,
            tpm_ca,
            sni_root,
            sni_ca,
        })
    }
}

/// The certificate of a server in a cluster, and the authority that vouches for no other.
pub(crate) struct ClusterIdentity {
    pub(crate) ca_pem: String,
    pub(crate) certificate: CertificateDer<'static>,
}

impl ClusterIdentity {
    pub(crate) fn new(name: &str, key: &KeyPair, now: i64) -> Result<Self, rcgen::Error> {
        let ca = CertifiedIssuer::self_signed(ca("devcloud cluster CA", now)?, KeyPair::generate()?)?;
        let certificate = server(name, now)?.signed_by(key, &ca)?.der().clone();
        Ok(Self { ca_pem: ca.pem(), certificate })
    }
}

impl Pki {
    /// A server certificate for `host`.
    pub(crate) fn issue_server(
        &self,
        host: &str,
        key: &KeyPair,
        now: i64,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        Ok(server(host, now)?.signed_by(key, &self.server_ca)?.der().clone())
    }

    /// The certificate IMDS issues for the public key of a CSR (an RSAPublicKey in DER).
    pub(crate) fn issue_imds(
        &self,
        client_id: &str,
        tenant_id: &str,
        rsa_public_key: &[u8],
        now: i64,
        lifetime: i64,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        let mut subject = DistinguishedName::new();
        let dc = DnType::CustomDnType(DOMAIN_COMPONENT.to_vec());
        subject.push(dc, DnValue::Ia5String(Ia5String::try_from(tenant_id)?));
        subject.push(DnType::CommonName, DnValue::PrintableString(PrintableString::try_from(client_id)?));
        let mut params = leaf(subject, now - 300, now + lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&RsaPublicKey(rsa_public_key), &self.imds_ca)?.der().clone())
    }

    /// The certificate of a TPM's attestation key (RSAPublicKey, DER), as a trusted-launch machine has one.
    pub(crate) fn issue_attestation_key(
        &self,
        rsa_public_key: &[u8],
        now: i64,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        let machine = hex(&digest(&SHA256, rsa_public_key).as_ref()[..16]);
        let subject = common_name(&format!("{machine}.TrustedVM.Azure.windows.net"))?;
        let mut params = leaf(subject, now - HOUR, now + YEAR)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(ATTESTATION_KEY.to_vec())];
        Ok(params.signed_by(&RsaPublicKey(rsa_public_key), &self.tpm_ca)?.der().clone())
    }

    /// A certificate of application A for a key (RSAPublicKey, DER) that it holds elsewhere, and the intermediate.
    pub(crate) fn issue_sni(&self, rsa_public_key: &[u8], now: i64) -> Result<String, rcgen::Error> {
        let params = sni(APP_A_SUBJECT_NAME, now)?;
        let certificate = params.signed_by(&RsaPublicKey(rsa_public_key), &self.sni_ca)?;
        Ok(format!("{}{}", certificate.pem(), self.sni_ca.pem()))
    }

    /// Whose client certificates the cloud takes; the intermediate, too, for clients that do not send it.
    pub(crate) fn client_cas_pem(&self) -> String {
        [&self.imds_ca, &self.sni_root, &self.sni_ca].map(|issuer| issuer.pem()).concat()
    }

    /// Certificate, intermediate and nothing else: what an SN/I holder presents.
    pub(crate) fn sni_chain_pem(&self, identity: &Identity) -> String {
        format!("{}{}", identity.certificate_pem, self.sni_ca.pem())
    }
}

/// An RSA-2048 key.
pub(crate) fn rsa_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
}

/// `x5t#S256` of RFC 8705: base64url of the SHA-256 of the DER.
pub(crate) fn thumbprint(certificate: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate))
}

/// What Windows calls the thumbprint: the SHA-1 of the DER, in upper-case hex.
pub(crate) fn sha1_thumbprint(certificate: &[u8]) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref()).to_ascii_uppercase()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A public key that somebody else holds the private half of.
struct RsaPublicKey<'a>(&'a [u8]);

impl PublicKeyData for RsaPublicKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

fn ca(name: &str, now: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = leaf(common_name(name)?, now - 24 * HOUR, now + 10 * YEAR)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

fn leaf(
    subject: DistinguishedName,
    not_before: i64,
    not_after: i64,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = date(not_before);
    params.not_after = date(not_after);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn sni(name: &str, now: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = leaf(common_name(name)?, now - HOUR, now + YEAR)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn server(host: &str, now: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = leaf(common_name(host)?, now - 24 * HOUR, now + YEAR)?;
    params.subject_alt_names = vec![rcgen::SanType::DnsName(host.try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn self_signed_server(now: i64) -> Result<Identity, rcgen::Error> {
    let mut params = leaf(common_name("fabric.devcloud.test")?, now - 24 * HOUR, now + YEAR)?;
    params.subject_alt_names = vec![rcgen::SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = false;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Identity { certificate: certificate.der().clone(), certificate_pem: certificate.pem(), key })
}

/// A certificate of a signing key, for key sets: nobody is asked to trust it.
pub(crate) fn signing_certificate(key: &KeyPair) -> Result<CertificateDer<'static>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("accounts.accesscontrol.windows.net")?;
    Ok(params.self_signed(key)?.der().clone())
}

fn common_name(name: &str) -> Result<DistinguishedName, rcgen::Error> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, DnValue::Utf8String(name.to_owned()));
    Ok(subject)
}

fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}
