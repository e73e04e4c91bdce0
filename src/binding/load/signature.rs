//! Whether the key of one certificate signed another.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    VerificationAlgorithm,
};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::X509Certificate;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
    /// The algorithm or the key is none that is known here. It is for others to judge.
    Unknown,
}

/// Old algorithms count, too: this tells issuers apart, and makes nobody trusted.
pub(super) fn signed_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Verdict {
    let Some((key_kind, algorithm)) = algorithm(&certificate.signature_algorithm, issuer) else {
        return Verdict::Unknown;
    };
    let key = issuer.public_key();
    if key.algorithm.algorithm != key_kind {
        return Verdict::Bad;
    }
    let Ok(key) = ParsedPublicKey::new(algorithm, &key.subject_public_key.data) else {
        return Verdict::Unknown;
    };
    let signed = certificate.tbs_certificate.as_ref();
    match key.verify_sig(signed, &certificate.signature_value.data) {
        Ok(()) => Verdict::Good,
        Err(_) => Verdict::Bad,
    }
}

/// What kind of key makes such a signature, and how it is verified with the key of `issuer`.
fn algorithm(
    used: &AlgorithmIdentifier<'_>,
    issuer: &X509Certificate<'_>,
) -> Option<(oid::Oid<'static>, &'static dyn VerificationAlgorithm)> {
    let rsa = |algorithm: &'static dyn VerificationAlgorithm| Some((oid::OID_PKCS1_RSAENCRYPTION, algorithm));
    let ec = |hash| Some((oid::OID_KEY_TYPE_EC_PUBLIC_KEY, ecdsa(hash, issuer)?));
    match &used.algorithm {
        used if *used == oid::OID_PKCS1_SHA1WITHRSA => rsa(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        used if *used == oid::OID_PKCS1_SHA256WITHRSA => rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        used if *used == oid::OID_PKCS1_SHA384WITHRSA => rsa(&RSA_PKCS1_2048_8192_SHA384),
        used if *used == oid::OID_PKCS1_SHA512WITHRSA => rsa(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        name if *name == oid::OID_PKCS1_RSASSAPSS => rsa(pss(used)?),
        used if *used == oid::OID_SIG_ECDSA_WITH_SHA256 => ec(256),
        used if *used == oid::OID_SIG_ECDSA_WITH_SHA384 => ec(384),
        used if *used == oid::OID_SIG_ECDSA_WITH_SHA512 => ec(512),
        used if *used == oid::OID_SIG_ED25519 => Some((oid::OID_SIG_ED25519, &ED25519)),
        _ => None,
    }
}

fn ecdsa(hash: u16, issuer: &X509Certificate<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let curve = issuer.public_key().algorithm.parameters.as_ref()?.as_oid().ok()?;
    Some(match hash {
        256 if curve == oid::OID_EC_P256 => &ECDSA_P256_SHA256_ASN1,
        384 if curve == oid::OID_EC_P256 => &ECDSA_P256_SHA384_ASN1,
        512 if curve == oid::OID_EC_P256 => &ECDSA_P256_SHA512_ASN1,
        256 if curve == oid::OID_NIST_EC_P384 => &ECDSA_P384_SHA256_ASN1,
        384 if curve == oid::OID_NIST_EC_P384 => &ECDSA_P384_SHA384_ASN1,
        512 if curve == oid::OID_NIST_EC_P384 => &ECDSA_P384_SHA512_ASN1,
        256 if curve == oid::OID_NIST_EC_P521 => &ECDSA_P521_SHA256_ASN1,
        384 if curve == oid::OID_NIST_EC_P521 => &ECDSA_P521_SHA384_ASN1,
        512 if curve == oid::OID_NIST_EC_P521 => &ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

/// With a salt as long as the hash, as RFC 8446 and everybody wants it.
fn pss(used: &AlgorithmIdentifier<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let parameters = RsaSsaPssParams::try_from(used.parameters.as_ref()?).ok()?;
    let hash = parameters.hash_algorithm_oid();
    Some(match parameters.salt_length() {
        32 if *hash == oid::OID_NIST_HASH_SHA256 => &RSA_PSS_2048_8192_SHA256,
        48 if *hash == oid::OID_NIST_HASH_SHA384 => &RSA_PSS_2048_8192_SHA384,
        64 if *hash == oid::OID_NIST_HASH_SHA512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}
