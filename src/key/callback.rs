//! Keys that live elsewhere (an HSM, a key vault, behind PKCS#11): the caller's callback signs with them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ParsedPublicKey, UnparsedPublicKey};
use pkcs8::SubjectPublicKeyInfoRef;

use super::software::{algorithm_of, rejected};
use crate::error::{Error, Result};
use crate::key::{KeyAlgorithm, PrivateKey, SignatureScheme, StoredKey, unusable, usual_public_key};
use crate::runtime::Wait;
use crate::secret::SecretBytes;

/// Signs with a private key that this library never sees. It is called on the thread of the caller,
/// inside the call, with no lock held; on several threads at once where several need a signature.
pub trait Signer: Send + Sync {
    /// The signature of the message, in the form that TLS wants: RSA as it is, with a PSS salt as long
    /// as the hash; ECDSA in DER (X9.62), not `r` and `s` side by side. It is verified before it is used.
    fn sign(&self, request: &SignRequest<'_>) -> Result<Vec<u8>>;
}

/// What is to be signed.
#[derive(Debug)]
#[non_exhaustive]
pub struct SignRequest<'a> {
    /// How, by its name in RFC 7518: `PS256`, `PS384`, `PS512`, `RS256`, `RS384`, `RS512`, `ES256`,
    /// `ES384` or `ES512`. TLS 1.3 knows no RSA signatures but PSS.
    pub algorithm: &'a str,
    /// The message itself, for signers that hash.
    pub message: &'a [u8],
    /// Its hash, for signers that want it ready: SHA-256, SHA-384 or SHA-512, as the algorithm says.
    pub digest: &'a [u8],
}

/// A private key of which only the public half is here.
pub(crate) struct CallbackKey {
    algorithm: KeyAlgorithm,
    public_key: Vec<u8>,
    signer: Arc<dyn Signer>,
}

impl CallbackKey {
    /// `public_key` is the SubjectPublicKeyInfo of a certificate, DER.
    pub(crate) fn new(public_key: &[u8], signer: Arc<dyn Signer>) -> Result<Self> {
        let public_key = &*usual_public_key(public_key);
        let info = SubjectPublicKeyInfoRef::try_from(public_key)
            .map_err(|_| unusable("the public key of the certificate is malformed"))?;
        let algorithm = algorithm_of(&info.algorithm)?;
        match algorithm {
            // The one that looks at the length of the key.
            KeyAlgorithm::Rsa => PublicEncryptingKey::from_der(public_key).map(drop),
            ec => ParsedPublicKey::new(ec.schemes()[0].verification(), public_key).map(drop),
        }
        .map_err(rejected)?;
        Ok(Self { algorithm, public_key: public_key.to_vec(), signer })
    }

    /// SHA-256 of the public key, hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        digest(&SHA256, &self.public_key).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl PrivateKey for CallbackKey {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn public_key_der(&self) -> &[u8] {
        &self.public_key
    }

    fn sign_within(&self, scheme: SignatureScheme, message: &[u8], _: &Wait) -> Result<Vec<u8>> {
        self.algorithm.require(scheme)?;
        let digest = digest(scheme.hash(), message);
        let request = SignRequest { algorithm: scheme.jose_name(), message, digest: digest.as_ref() };
        let signature = self.signer.sign(&request)?;
        // Parsed anew each time: a parsed key has a lock inside, which a fork could leave locked.
        UnparsedPublicKey::new(scheme.verification(), &self.public_key)
            .verify(message, &signature)
            .map_err(|_| does_not_verify(scheme))?;
        Ok(signature)
    }

    fn calls_back(&self) -> bool {
        true
    }

    fn export_pkcs8_der(&self) -> Result<SecretBytes> {
        Err(unusable("the private key cannot be exported: it is not here, a signer of the caller holds it"))
    }

    fn is_exportable(&self) -> bool {
        false
    }

    fn to_stored(&self) -> Result<StoredKey> {
        Ok(StoredKey::Elsewhere)
    }
}

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Names the mistakes that people make: another key, and the wrong one of two usual forms.
fn does_not_verify(scheme: SignatureScheme) -> Error {
    let name = scheme.jose_name();
    let form = match &name[..2] {
        "PS" => format!("the PSS salt must be as long as the hash, {} bytes", scheme.hash().output_len()),
        "RS" => "PKCS#1 v1.5 pads a DigestInfo, not the bare hash".to_owned(),
        _ => "ECDSA signatures must be DER (X9.62), not r and s side by side".to_owned(),
    };
    unusable(format!(
        "the {name} signature of the signer does not verify with the public key of the certificate: is it \
         made with the key of this certificate? And {form}"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair,
    };

    use super::*;
    use crate::error::ErrorKind;
    use crate::key::SoftwareKey;

    /// A signer made of a function.
    struct Function<F>(F);

    impl<F: Fn(&SignRequest<'_>) -> Result<Vec<u8>> + Send + Sync> Signer for Function<F> {
        fn sign(&self, request: &SignRequest<'_>) -> Result<Vec<u8>> {
            (self.0)(request)
        }
    }

    fn key(
        public_key: &[u8],
        sign: impl Fn(&SignRequest<'_>) -> Result<Vec<u8>> + Send + Sync + 'static,
    ) -> CallbackKey {
        CallbackKey::new(public_key, Arc::new(Function(sign))).unwrap()
    }

    fn scheme_named(name: &str, key: &SoftwareKey) -> SignatureScheme {
        *key.schemes().iter().find(|scheme| scheme.jose_name() == name).unwrap()
    }

    /// One key of each kind.
    fn keys() -> Vec<Arc<SoftwareKey>> {
        let random = SystemRandom::new();
        let curves = [
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &ECDSA_P384_SHA384_ASN1_SIGNING,
            &ECDSA_P521_SHA512_ASN1_SIGNING,
        ];
        let ec = curves.map(|curve| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
            SoftwareKey::from_pkcs8_der(pkcs8.as_ref()).unwrap()
        });
        [SoftwareKey::generate_rsa_2048().unwrap()].into_iter().chain(ec).map(Arc::new).collect()
    }

    /// Is the signer told algorithm, message and its hash, for each kind of key and each of its schemes?
    #[test]
    fn every_scheme_is_asked_for_by_name() {
        let mut named = Vec::new();
        for inner in keys() {
            let elsewhere = inner.clone();
            let key = key(inner.public_key_der(), move |request| {
                let scheme = scheme_named(request.algorithm, &elsewhere);
                assert_eq!(request.digest, digest(scheme.hash(), request.message).as_ref());
                elsewhere.sign(scheme, request.message)
            });
            assert_eq!((key.algorithm(), key.schemes()), (inner.algorithm(), inner.schemes()));
            for scheme in key.schemes() {
                key.sign(*scheme, b"message").unwrap();
                named.push(scheme.jose_name());
            }
        }
        let all = ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
        assert_eq!(named, all);
    }

    /// Is a signature of another kind, key or message refused, with the likely cause of its algorithm?
    #[test]
    fn wrong_signatures_are_refused_in_words() {
        use SignatureScheme::*;
        for inner in keys() {
            for (wanted, given, cause) in [
                (RsaPssSha256, RsaPkcs1Sha256, "salt must be as long as the hash, 32 bytes"),
                (RsaPssSha512, RsaPkcs1Sha512, "salt must be as long as the hash, 64 bytes"),
                (RsaPkcs1Sha256, RsaPssSha256, "DigestInfo"),
                (EcdsaP256Sha256, EcdsaP256Sha256, "X9.62"),
                (EcdsaP384Sha384, EcdsaP384Sha384, "X9.62"),
                (EcdsaP521Sha512, EcdsaP521Sha512, "X9.62"),
            ] {
                if !inner.schemes().contains(&wanted) {
                    continue;
                }
                let elsewhere = inner.clone();
                let key = key(inner.public_key_der(), move |_| elsewhere.sign(given, b"another message"));
                let error = key.sign(wanted, b"message").unwrap_err();
                assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "cryptographic_error"));
                for part in [wanted.jose_name(), "does not verify", cause] {
                    assert!(error.message().contains(part), "{error}");
                }
            }
        }
    }

    /// Does the signer's own error come out as it is, and is it not even asked for what its kind of key
    /// cannot do?
    #[test]
    fn errors_of_the_signer_come_out() {
        let inner = SoftwareKey::generate_rsa_2048().unwrap();
        let closed = || Error::new(ErrorKind::Callback, "closed", "the vault is closed");
        let key = key(inner.public_key_der(), move |_| Err(closed()));
        assert_eq!(key.sign(SignatureScheme::RsaPssSha256, b"").unwrap_err().code(), "closed");
        let error = key.sign(SignatureScheme::EcdsaP256Sha256, b"").unwrap_err();
        assert_eq!(error.code(), "cryptographic_error");
    }

    /// Does the key stay where it is, and say so?
    #[test]
    fn it_is_not_exported() {
        let inner = SoftwareKey::generate_rsa_2048().unwrap();
        let key = key(inner.public_key_der(), |_| Ok(Vec::new()));
        assert!(!key.is_exportable() && key.calls_back() && !inner.calls_back());
        let error = key.export_pkcs8_der().unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "cryptographic_error"));
        assert!(error.message().contains("signer"), "{error}");
        assert_eq!(format!("{key:?}"), "CallbackKey { algorithm: Rsa, .. }");
    }
}
