//! What a key can sign with: the kinds of keys, the signature schemes, and which goes with which.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};

use super::unusable;
use crate::error::Result;

/// How a message is hashed and signed. Names follow the TLS 1.3 registry (RFC 8446, section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SignatureScheme {
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    EcdsaP521Sha512,
}

use SignatureScheme::*;

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyAlgorithm {
    Rsa,
    EcP256,
    EcP384,
    EcP521,
}

impl KeyAlgorithm {
    /// What such a key can sign with, best first.
    pub(super) fn schemes(self) -> &'static [SignatureScheme] {
        match self {
            Self::Rsa => {
                &[RsaPssSha256, RsaPssSha384, RsaPssSha512, RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512]
            }
            Self::EcP256 => &[EcdsaP256Sha256],
            Self::EcP384 => &[EcdsaP384Sha384],
            Self::EcP521 => &[EcdsaP521Sha512],
        }
    }

    /// An error where such a key cannot sign with `scheme`.
    pub(super) fn require(self, scheme: SignatureScheme) -> Result<()> {
        if self.schemes().contains(&scheme) {
            return Ok(());
        }
        Err(unusable(format!("a key of the kind {self:?} cannot sign {}", scheme.jose_name())))
    }
}

impl SignatureScheme {
    /// The name in JOSE (RFC 7518, section 3.1).
    pub(crate) fn jose_name(self) -> &'static str {
        match self {
            RsaPssSha256 => "PS256",
            RsaPssSha384 => "PS384",
            RsaPssSha512 => "PS512",
            RsaPkcs1Sha256 => "RS256",
            RsaPkcs1Sha384 => "RS384",
            RsaPkcs1Sha512 => "RS512",
            EcdsaP256Sha256 => "ES256",
            EcdsaP384Sha384 => "ES384",
            EcdsaP521Sha512 => "ES512",
        }
    }

    pub(super) fn hash(self) -> &'static digest::Algorithm {
        match self {
            RsaPssSha256 | RsaPkcs1Sha256 | EcdsaP256Sha256 => &SHA256,
            RsaPssSha384 | RsaPkcs1Sha384 | EcdsaP384Sha384 => &SHA384,
            RsaPssSha512 | RsaPkcs1Sha512 | EcdsaP521Sha512 => &SHA512,
        }
    }

    pub(super) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
            RsaPssSha384 => &RSA_PSS_2048_8192_SHA384,
            RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
            RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
            EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
            EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1,
            EcdsaP521Sha512 => &ECDSA_P521_SHA512_ASN1,
        }
    }
}
