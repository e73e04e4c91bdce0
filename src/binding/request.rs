//! Certificate signing requests (PKCS#10, RFC 2986), signed with the key that the certificate is to be for.

use std::str::FromStr;

use der::asn1::{Any, BitString, ObjectIdentifier, SetOfVec};
use der::pem::{LineEnding, encode_string};
use der::{Decode, Encode};
use x509_cert::attr::Attribute;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Certificate;
use crate::error::{Error, Result};
use crate::key::{KeyAlgorithm, PrivateKey, SignatureScheme};
use crate::runtime::Wait;

/// RSASSA-PSS with SHA-256, MGF1 with SHA-256, 32 bytes of salt; the hashes without NULL.
const PSS_SHA256: &[u8] = &[
    0x30, 0x3d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x30, 0xa0, 0x0d,
    0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0xa1, 0x1a, 0x30, 0x18,
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86,
    0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0xa2, 0x03, 0x02, 0x01, 0x20,
];
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

/// How such a request is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signature {
    /// RSASSA-PSS, as IMDS wants it.
    PssSha256,
    /// As every authority reads it: RSASSA-PKCS1-v1_5 with SHA-256, or ECDSA with the hash of the curve.
    Usual,
}

impl Certificate {
    /// A request for another certificate for the key of this one, PEM: for the same subject, or for `subject` as RFC 4514
    /// writes it (`CN=app,O=Contoso`). The key signs it wherever it lives.
    pub fn certificate_request(&self, subject: Option<&str>) -> Result<String> {
        let name = match subject {
            Some(text) => Name::from_str(text).ok().filter(|name| !name.is_empty()).ok_or_else(|| {
                Error::argument("the subject is no name as RFC 4514 writes it: CN=app,O=Contoso")
            })?,
            None => {
                let (_, parsed) = X509Certificate::from_der(self.der())
                    .map_err(|_| Error::internal("the certificate can no longer be read"))?;
                Name::from_der(parsed.subject().as_raw()).map_err(encoding)?
            }
        };
        let request =
            signed_request(self.key().as_ref(), name, Vec::new(), Signature::Usual, &Wait::default())?;
        encode_string("CERTIFICATE REQUEST", LineEnding::LF, &request)
            .map_err(|_| Error::internal("the certificate request could not be written as PEM"))
    }
}

/// A request with these attributes, signed by `key`: DER.
pub(crate) fn signed_request(
    key: &dyn PrivateKey,
    subject: Name,
    attributes: Vec<Attribute>,
    signature: Signature,
    wait: &Wait,
) -> Result<Vec<u8>> {
    let info = CertReqInfo {
        version: Version::V1,
        subject,
        public_key: SubjectPublicKeyInfoOwned::from_der(key.public_key_der()).map_err(encoding)?,
        attributes: SetOfVec::try_from(attributes).map_err(encoding)?,
    };
    let (scheme, algorithm) = how(signature, key.algorithm())?;
    let signed = info.to_der().map_err(encoding)?;
    let signature = key.sign_within(scheme, &signed, wait)?;
    let signature = BitString::from_bytes(&signature).map_err(encoding)?;
    CertReq { info, algorithm, signature }.to_der().map_err(encoding)
}

fn how(signature: Signature, key: KeyAlgorithm) -> Result<(SignatureScheme, AlgorithmIdentifierOwned)> {
    let plain = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
    Ok(match (signature, key) {
        (Signature::PssSha256, _) => {
            (SignatureScheme::RsaPssSha256, AlgorithmIdentifierOwned::from_der(PSS_SHA256).map_err(encoding)?)
        }
        (Signature::Usual, KeyAlgorithm::Rsa) => {
            let parameters = Some(Any::null());
            (SignatureScheme::RsaPkcs1Sha256, AlgorithmIdentifierOwned { oid: RSA_SHA256, parameters })
        }
        (Signature::Usual, KeyAlgorithm::EcP256) => (SignatureScheme::EcdsaP256Sha256, plain(ECDSA_SHA256)),
        (Signature::Usual, KeyAlgorithm::EcP384) => (SignatureScheme::EcdsaP384Sha384, plain(ECDSA_SHA384)),
        (Signature::Usual, KeyAlgorithm::EcP521) => (SignatureScheme::EcdsaP521Sha512, plain(ECDSA_SHA512)),
    })
}

pub(crate) fn encoding(error: der::Error) -> Error {
    Error::internal(format!("the certificate request could not be encoded: {error}"))
}
