//! Keys in this process's memory: RSA of 2048 to 8192 bits and EC P-256, P-384 and P-521.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Tag, Tagged};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};

use crate::error::{Error, Result};
use crate::key::{KeyAlgorithm, PrivateKey, SignatureScheme, StoredKey, unusable, usual_public_key};
use crate::runtime::{PerProcess, Wait, undisturbed};
use crate::secret::SecretBytes;

/// A private key in memory. It can always be exported.
pub(crate) struct SoftwareKey {
    algorithm: KeyAlgorithm,
    pkcs8: Arc<SecretBytes>,
    public_key: Vec<u8>,
    /// `PerProcess` because the library below keeps a lock in each RSA key, and a fork may happen
    /// while another thread holds it. A child parses `pkcs8` anew.
    signer: PerProcess<Result<Pair>>,
}

/// The parsed key.
enum Pair {
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

const CURVES: [(ObjectIdentifier, KeyAlgorithm); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), KeyAlgorithm::EcP256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), KeyAlgorithm::EcP384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), KeyAlgorithm::EcP521),
];

impl SoftwareKey {
    /// A new RSA key of 2048 bits: what IMDS issues certificates for.
    pub(crate) fn generate_rsa_2048() -> Result<Self> {
        let pair = undisturbed(|| rsa::KeyPair::generate(KeySize::Rsa2048))
            .map_err(|_| unusable("an RSA key could not be generated"))?;
        let der = pair.as_der().map_err(|_| unusable("the new RSA key could not be encoded"))?;
        Self::new(KeyAlgorithm::Rsa, der.as_ref())
    }

    /// A PKCS#8 `PrivateKeyInfo`: "BEGIN PRIVATE KEY" in PEM.
    pub(crate) fn from_pkcs8_der(pkcs8: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::try_from(pkcs8)
            .map_err(|_| unusable("the private key is malformed: it is not PKCS#8"))?;
        match algorithm_of(&info.algorithm)? {
            // Some leave out the NULL, and the library below insists on it.
            KeyAlgorithm::Rsa if info.algorithm.parameters.is_none() => {
                Self::from_pkcs1_der(info.private_key.as_bytes())
            }
            algorithm => Self::new(algorithm, pkcs8),
        }
    }

    /// A PKCS#1 `RSAPrivateKey`: "BEGIN RSA PRIVATE KEY" in PEM.
    pub(crate) fn from_pkcs1_der(pkcs1: &[u8]) -> Result<Self> {
        let pkcs8 = to_pkcs8(RSA_ENCRYPTION, AnyRef::NULL, pkcs1)?;
        Self::new(KeyAlgorithm::Rsa, pkcs8.expose())
    }

    /// A SEC1 `ECPrivateKey`: "BEGIN EC PRIVATE KEY" in PEM. `parameters` is the DER of an
    /// "EC PARAMETERS" block that came with it; most keys name their curve themselves.
    pub(crate) fn from_sec1_der(sec1: &[u8], parameters: Option<&[u8]>) -> Result<Self> {
        if !AnyRef::from_der(sec1).is_ok_and(|value| value.tag() == Tag::Sequence) {
            return Err(unusable("the private key is malformed: it is not SEC1"));
        }
        let given = parameters.map(|der| {
            let curve = ObjectIdentifier::from_der(der).ok();
            curve.and_then(curve_algorithm).ok_or_else(unsupported)
        });
        let given = given.transpose()?;
        let (curve, algorithm) = CURVES
            .into_iter()
            .filter(|(_, algorithm)| given.is_none_or(|given| given == *algorithm))
            .find(|(_, algorithm)| {
                ec_signing(*algorithm).is_some_and(|signing| {
                    undisturbed(|| EcdsaKeyPair::from_private_key_der(signing, sec1)).is_ok()
                })
            })
            .ok_or_else(unsupported)?;
        let pkcs8 = to_pkcs8(EC_PUBLIC_KEY, AnyRef::from(&curve), sec1)?;
        Self::new(algorithm, pkcs8.expose())
    }

    fn new(algorithm: KeyAlgorithm, pkcs8: &[u8]) -> Result<Self> {
        let pkcs8 = Arc::new(SecretBytes::new(pkcs8));
        let source = Arc::clone(&pkcs8);
        let signer = PerProcess::new(move || Pair::parse(algorithm, source.expose()));
        let public_key = match signer.get() {
            Ok(parsed) => parsed.public_key_der()?,
            Err(error) => return Err(error.clone()),
        };
        Ok(Self { algorithm, pkcs8, public_key, signer })
    }
}

impl PrivateKey for SoftwareKey {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn public_key_der(&self) -> &[u8] {
        &self.public_key
    }

    fn sign_within(&self, scheme: SignatureScheme, message: &[u8], _: &Wait) -> Result<Vec<u8>> {
        self.algorithm.require(scheme)?;
        match self.signer.get() {
            Ok(signer) => undisturbed(|| signer.sign(scheme, message)),
            Err(error) => Err(error.clone()),
        }
    }

    fn export_pkcs8_der(&self) -> Result<SecretBytes> {
        Ok(SecretBytes::clone(&self.pkcs8))
    }

    fn is_exportable(&self) -> bool {
        true
    }

    fn to_stored(&self) -> Result<StoredKey> {
        self.export_pkcs8_der().map(StoredKey::Software)
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Pair {
    /// AWS-LC's FIPS module has each key sign something first.
    fn parse(algorithm: KeyAlgorithm, pkcs8: &[u8]) -> Result<Self> {
        let parsed = undisturbed(|| match ec_signing(algorithm) {
            Some(signing) => EcdsaKeyPair::from_pkcs8(signing, pkcs8).map(Self::Ec),
            None => rsa::KeyPair::from_pkcs8(pkcs8).map(Self::Rsa),
        });
        parsed.map_err(rejected)
    }

    fn public_key_der(&self) -> Result<Vec<u8>> {
        let der = match self {
            Self::Rsa(pair) => pair.public_key().as_der(),
            Self::Ec(pair) => pair.public_key().as_der(),
        };
        let der = der.map_err(|_| unusable("the public key could not be encoded"))?;
        // One that was read with a compressed point is written with one.
        Ok(usual_public_key(der.as_ref()).into_owned())
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        let signed = match (self, rsa_encoding(scheme)) {
            (Self::Rsa(pair), Some(encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).map(|()| signature)
            }
            (Self::Ec(pair), None) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec())
            }
            _ => return Err(Error::internal("signature scheme and key differ in kind")),
        };
        signed.map_err(|_| unusable("signing with the private key failed"))
    }
}

fn rsa_encoding(scheme: SignatureScheme) -> Option<&'static dyn RsaEncoding> {
    Some(match scheme {
        SignatureScheme::RsaPssSha256 => &RSA_PSS_SHA256,
        SignatureScheme::RsaPssSha384 => &RSA_PSS_SHA384,
        SignatureScheme::RsaPssSha512 => &RSA_PSS_SHA512,
        SignatureScheme::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
        SignatureScheme::EcdsaP256Sha256
        | SignatureScheme::EcdsaP384Sha384
        | SignatureScheme::EcdsaP521Sha512 => return None,
    })
}

fn ec_signing(algorithm: KeyAlgorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        KeyAlgorithm::Rsa => None,
        KeyAlgorithm::EcP256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyAlgorithm::EcP384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyAlgorithm::EcP521 => Some(&ECDSA_P521_SHA512_ASN1_SIGNING),
    }
}

pub(super) fn algorithm_of(identifier: &AlgorithmIdentifierRef<'_>) -> Result<KeyAlgorithm> {
    match identifier.oid {
        RSA_ENCRYPTION => Ok(KeyAlgorithm::Rsa),
        RSA_PSS => Err(unusable(
            "RSA keys restricted to PSS (id-RSASSA-PSS) are not supported, use an rsaEncryption key",
        )),
        EC_PUBLIC_KEY => identifier.parameters_oid().ok().and_then(curve_algorithm).ok_or_else(unsupported),
        _ => Err(unsupported()),
    }
}

fn curve_algorithm(curve: ObjectIdentifier) -> Option<KeyAlgorithm> {
    CURVES.iter().find(|(oid, _)| *oid == curve).map(|(_, algorithm)| *algorithm)
}

/// Puts a key of an older format into PKCS#8, without leaving copies behind.
fn to_pkcs8(oid: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Result<SecretBytes> {
    let algorithm = AlgorithmIdentifierRef { oid, parameters: Some(parameters) };
    OctetStringRef::new(key)
        .and_then(|key| PrivateKeyInfoRef::new(algorithm, key).to_der())
        .map(SecretBytes::new)
        .map_err(|_| unusable("the private key is too large"))
}

pub(super) fn rejected(reason: KeyRejected) -> Error {
    match reason.description_() {
        "TooSmall" => unusable("the RSA key is too short, use at least 2048 bits"),
        "TooLarge" => unusable("the RSA key is too long, use at most 8192 bits"),
        _ => unusable("the key is malformed or inconsistent"),
    }
}

fn unsupported() -> Error {
    unusable("this key type is not supported, use RSA or EC P-256/P-384/P-521")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use aws_lc_rs::signature::ParsedPublicKey;

    use super::*;
    use crate::error::ErrorKind;
    use crate::runtime::times_entered;

    /// Runs `openssl` with `input`; its output.
    fn openssl(command_line: &str, input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(command_line.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {command_line}");
        output.stdout
    }

    /// A new key as PKCS#8. (Asked for DER, `genpkey` would write an older format.)
    fn generate(kind: &str) -> Vec<u8> {
        let pem = openssl(&format!("genpkey {kind}"), b"");
        openssl("pkcs8 -topk8 -nocrypt -outform DER", &pem)
    }

    /// Is a key read where no process forks? In a FIPS build that draws random numbers.
    #[test]
    fn no_fork_while_a_key_is_read() {
        let ec = generate("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
        let rsa = generate("-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
        let sec1 = openssl("ec -inform DER -outform DER", &ec);
        let entered = |read: &dyn Fn() -> Result<SoftwareKey>| {
            let before = times_entered();
            read().unwrap();
            times_entered() - before
        };
        assert_eq!(entered(&|| SoftwareKey::from_pkcs8_der(&ec)), 1);
        assert_eq!(entered(&|| SoftwareKey::from_pkcs8_der(&rsa)), 1);
        assert_eq!(entered(&|| SoftwareKey::from_sec1_der(&sec1, None)), 2, "its curve is found by trying");
    }

    /// Signs with every scheme of `key` and verifies with the public key that OpenSSL sees in it.
    #[track_caller]
    fn assert_signs(key: &SoftwareKey, public_key: &[u8]) {
        assert_eq!(key.public_key_der(), public_key);
        let exported = key.export_pkcs8_der().unwrap();
        assert_eq!(openssl("pkey -inform DER -pubout -outform DER", exported.expose()), public_key);
        for scheme in key.schemes() {
            let signature = key.sign(*scheme, b"message").unwrap();
            let public_key = ParsedPublicKey::new(scheme.verification(), public_key).unwrap();
            public_key.verify_sig(b"message", &signature).unwrap();
        }
    }

    /// Does an RSA key work, whichever of its formats it comes in?
    #[test]
    fn rsa_formats_sign() {
        for bits in [2048, 3072] {
            let pkcs8 = generate(&format!("-algorithm RSA -pkeyopt rsa_keygen_bits:{bits}"));
            let public_key = openssl("pkey -inform DER -pubout -outform DER", &pkcs8);
            let pkcs1 = openssl("rsa -inform DER -traditional -outform DER", &pkcs8);
            assert_signs(&SoftwareKey::from_pkcs8_der(&pkcs8).unwrap(), &public_key);
            assert_signs(&SoftwareKey::from_pkcs1_der(&pkcs1).unwrap(), &public_key);
        }
    }

    /// Does an EC key work, whichever of its formats it comes in, also without its public key and
    /// without the name of its curve inside?
    #[test]
    fn ec_formats_sign() {
        for curve in ["P-256", "P-384", "P-521"] {
            let pkcs8 = generate(&format!("-algorithm EC -pkeyopt ec_paramgen_curve:{curve}"));
            let public_key = openssl("pkey -inform DER -pubout -outform DER", &pkcs8);
            let parameters = openssl(&format!("ecparam -name {curve} -outform DER"), b"");
            let sec1 = openssl("ec -inform DER -outform DER", &pkcs8);
            let bare_sec1 = openssl("ec -inform DER -no_public -outform DER", &pkcs8);
            let bare_pkcs8 = openssl("pkcs8 -topk8 -nocrypt -inform DER -outform DER", &bare_sec1);
            // What stands inside PKCS#8 does not name the curve.
            let nameless = PrivateKeyInfoRef::try_from(pkcs8.as_slice()).unwrap();
            let nameless = nameless.private_key.as_bytes();
            for key in [
                SoftwareKey::from_pkcs8_der(&pkcs8),
                SoftwareKey::from_pkcs8_der(&bare_pkcs8),
                SoftwareKey::from_sec1_der(&sec1, None),
                SoftwareKey::from_sec1_der(&bare_sec1, None),
                SoftwareKey::from_sec1_der(&sec1, Some(&parameters)),
                SoftwareKey::from_sec1_der(nameless, None),
                SoftwareKey::from_sec1_der(nameless, Some(&parameters)),
            ] {
                assert_signs(&key.unwrap(), &public_key);
            }
        }
    }

    /// Is a new key one of RSA 2048, and another one each time?
    #[test]
    fn generated_keys_sign() {
        let (one, two) =
            (SoftwareKey::generate_rsa_2048().unwrap(), SoftwareKey::generate_rsa_2048().unwrap());
        assert_ne!(one.public_key_der(), two.public_key_der());
        assert_eq!(one.public_key_der().len(), 294, "SPKI of 2048 bits");
        assert_signs(&one, &one.public_key);
    }

    /// Is a scheme of another kind of key refused instead of replaced?
    #[test]
    fn foreign_scheme_is_refused() {
        let key = SoftwareKey::generate_rsa_2048().unwrap();
        let error = key.sign(SignatureScheme::EcdsaP256Sha256, b"message").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    }

    /// Is data that is no key an error in every format?
    #[test]
    fn malformed_keys_are_refused() {
        for malformed in [&b""[..], b"\x30\x00", b"\x30\x03\x02\x01\x00", &[0xff; 64]] {
            for result in [
                SoftwareKey::from_pkcs8_der(malformed),
                SoftwareKey::from_pkcs1_der(malformed),
                SoftwareKey::from_sec1_der(malformed, None),
                SoftwareKey::from_sec1_der(malformed, Some(malformed)),
            ] {
                assert_eq!(result.unwrap_err().code(), "cryptographic_error");
            }
        }
    }

    /// Does `Debug` keep the key to itself?
    #[test]
    fn debug_shows_the_algorithm_only() {
        let key = SoftwareKey::generate_rsa_2048().unwrap();
        assert_eq!(format!("{key:?}"), "SoftwareKey { algorithm: Rsa, .. }");
    }
}
