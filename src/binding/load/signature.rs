//! Whether the key of one certificate signed another.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, VerificationAlgorithm,
};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::X509Certificate;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
    /// The algorithm or the key is none that is known here. It is for others to judge.
    Unknown,
}

/// Old algorithms count, too: this tells issuers apart, and makes nobody trusted.
pub(super) fn signed_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Verdict {
    let key = issuer.public_key();
    let algorithm = match algorithm(&certificate.signature_algorithm, key) {
        Ok(algorithm) => algorithm,
        Err(verdict) => return verdict,
    };
    let Ok(key) = ParsedPublicKey::new(algorithm, &key.subject_public_key.data) else {
        return Verdict::Unknown;
    };
    let signed = certificate.tbs_certificate.as_ref();
    match key.verify_sig(signed, &certificate.signature_value.data) {
        Ok(()) => Verdict::Good,
        Err(_) => Verdict::Bad,
    }
}

/// How a signature of the kind `used` is verified with `key`. The error is what is known without: bad where such a
/// key makes no such signature.
fn algorithm(
    used: &AlgorithmIdentifier<'_>,
    key: &SubjectPublicKeyInfo<'_>,
) -> Result<&'static dyn VerificationAlgorithm, Verdict> {
    let kind = &key.algorithm.algorithm;
    let made_by = |kinds: &[oid::Oid<'static>]| kinds.contains(kind).then_some(()).ok_or(Verdict::Bad);
    let rsa = |kinds: &[_], algorithm: Option<&'static RsaParameters>| {
        made_by(kinds)?;
        let algorithm = algorithm.ok_or(Verdict::Unknown)?;
        let bits = RsaParameters::public_modulus_len(&key.subject_public_key.data);
        let sizes = algorithm.min_modulus_len()..=algorithm.max_modulus_len();
        let judged = bits.is_ok_and(|bits| sizes.contains(&bits));
        judged.then_some(algorithm as &dyn VerificationAlgorithm).ok_or(Verdict::Unknown)
    };
    let pkcs1 = |algorithm| rsa(&[oid::OID_PKCS1_RSAENCRYPTION], Some(algorithm));
    let ec = |hash| {
        made_by(&[oid::OID_KEY_TYPE_EC_PUBLIC_KEY])?;
        ecdsa(hash, key).ok_or(Verdict::Unknown)
    };
    match &used.algorithm {
        used if *used == oid::OID_PKCS1_SHA1WITHRSA => pkcs1(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        used if *used == oid::OID_PKCS1_SHA256WITHRSA => {
            pkcs1(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY)
        }
        used if *used == oid::OID_PKCS1_SHA384WITHRSA => pkcs1(&RSA_PKCS1_2048_8192_SHA384),
        used if *used == oid::OID_PKCS1_SHA512WITHRSA => {
            pkcs1(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY)
        }
        // Its keys may be for nothing else, and are called so then.
        name if *name == oid::OID_PKCS1_RSASSAPSS => {
            rsa(&[oid::OID_PKCS1_RSAENCRYPTION, oid::OID_PKCS1_RSASSAPSS], pss(used))
        }
        used if *used == oid::OID_SIG_ECDSA_WITH_SHA256 => ec(256),
        used if *used == oid::OID_SIG_ECDSA_WITH_SHA384 => ec(384),
        used if *used == oid::OID_SIG_ECDSA_WITH_SHA512 => ec(512),
        used if *used == oid::OID_SIG_ED25519 => made_by(&[oid::OID_SIG_ED25519]).map(|()| &ED25519 as _),
        _ => Err(Verdict::Unknown),
    }
}

fn ecdsa(hash: u16, key: &SubjectPublicKeyInfo<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
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
fn pss(used: &AlgorithmIdentifier<'_>) -> Option<&'static RsaParameters> {
    let parameters = RsaSsaPssParams::try_from(used.parameters.as_ref()?).ok()?;
    let hash = parameters.hash_algorithm_oid();
    Some(match parameters.salt_length() {
        32 if *hash == oid::OID_NIST_HASH_SHA256 => &RSA_PSS_2048_8192_SHA256,
        48 if *hash == oid::OID_NIST_HASH_SHA384 => &RSA_PSS_2048_8192_SHA384,
        64 if *hash == oid::OID_NIST_HASH_SHA512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}
