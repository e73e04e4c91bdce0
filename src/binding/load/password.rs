//! What a password opens: private keys, the parts of PKCS#12 data, and the checksum over them.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use aws_lc_rs::pbkdf2;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use der::Sequence;
use der::asn1::{ObjectIdentifier, OctetStringRef};
use hmac::digest::block_api::BlockSizeUser;
use hmac::digest::{Digest, FixedOutputReset};
use hmac::{Mac, SimpleHmac};
use pkcs8::pkcs5::pbes2::{Kdf, PBES2_OID, Parameters, Pbkdf2Params, Pbkdf2Prf, Salt};
use pkcs8::pkcs5::{self, AlgorithmIdentifierRef};
use pkcs12::kdf::{Pkcs12KeyType, derive_key};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use zeroize::Zeroizing;

use super::ber;

/// What a file may ask of us in all, before anything about it is known to be right. OpenSSL writes 2048 rounds for each of
/// PKCS#12's three parts, Firefox 600 000, which are 3.6 million where two ciphers each need a key and an IV.
/// A fuzzer gets less, to have more tries.
const MAX_ROUNDS: u64 = if cfg!(fuzzing) { 20_000 } else { 5_000_000 };

/// In rounds of PBKDF2, for each of N times r times p.
const COST_OF_SCRYPT: u64 = 4;

const PBMAC1_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");
const PBKDF2_OID: ObjectIdentifier = pkcs5::pbes2::PBKDF2_OID;

/// The key of PBMAC1: RFC 9579 section 9 advises to reject shorter ones, and no hash is longer.
const PBMAC1_KEY_LENGTHS: RangeInclusive<usize> = 20..=64;

/// MacData, RFC 7292 section 4.
#[derive(Sequence)]
pub(super) struct MacData<'a> {
    mac: DigestInfo<'a>,
    salt: &'a OctetStringRef,
    #[asn1(default = "one")]
    iterations: u32,
}

#[derive(Sequence)]
struct DigestInfo<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    digest: &'a OctetStringRef,
}

/// PBMAC1-params, RFC 8018 appendix A.5.
#[derive(Sequence)]
struct Pbmac1Params<'a> {
    key_derivation: AlgorithmIdentifierRef<'a>,
    message_authentication: AlgorithmIdentifierRef<'a>,
}

/// pkcs-12PbeParams, RFC 7292 appendix C.
#[derive(Sequence)]
struct PbeParams<'a> {
    salt: &'a OctetStringRef,
    iterations: u32,
}

/// EncryptedPrivateKeyInfo, RFC 5958 section 3.
#[derive(Sequence)]
pub(super) struct EncryptedKey<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    content: &'a OctetStringRef,
}

/// Why something stays closed.
pub(super) enum Trouble {
    Malformed,
    WrongPassword,
    TooMuchWork,
    LongSalt,
    /// PKCS#12 that takes a key in place of a password.
    NoPasswordMode,
    /// One that is not supported.
    Algorithm(ObjectIdentifier),
}

impl Trouble {
    /// What it is about the encryption that is not supported, if it is that.
    pub(super) fn lack(&self) -> Option<String> {
        match self {
            Self::TooMuchWork => Some("its key derivation asks for too much work".to_owned()),
            Self::LongSalt => Some(format!("its salt is longer than {} bytes", Salt::MAX_LEN)),
            Self::Algorithm(oid) => Some(format!("it uses the algorithm {oid}")),
            Self::Malformed | Self::WrongPassword | Self::NoPasswordMode => None,
        }
    }
}

impl From<der::Error> for Trouble {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

pub(super) struct Password<'a> {
    /// As PKCS #5 takes it.
    text: &'a str,
    /// As PKCS#12's own derivation takes it (RFC 7292 appendix B.1). No password has two forms, *null*, which Windows
    /// and Azure Key Vault use, and *empty*. The one that has opened something comes first.
    forms: Vec<Zeroizing<Vec<u8>>>,
    rounds_left: u64,
}

impl<'a> Password<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let units = text.encode_utf16().count() + 1;
        let mut form = Zeroizing::new(Vec::with_capacity(2 * units));
        form.extend(text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes));
        let mut forms = vec![form];
        if text.is_empty() {
            forms.push(Zeroizing::default());
        }
        Self { text, forms, rounds_left: MAX_ROUNDS }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Is `mac` the checksum of `content` with this password?
    pub(super) fn verify(&mut self, mac: &MacData<'_>, content: &[u8]) -> Result<(), Trouble> {
        let MacData { mac, salt, iterations } = mac;
        if mac.algorithm.oid == PBMAC1_OID {
            return self.verify_pbmac1(mac, content);
        }
        let hash = Hash::with_oid(mac.algorithm.oid)?;
        for index in 0..self.forms.len() {
            let key =
                self.derive(index, hash, Pkcs12KeyType::Mac, salt.as_bytes(), *iterations, hash.length)?;
            if (hash.is_hmac)(&key, content, mac.digest.as_bytes()) {
                self.forms.swap(0, index);
                return Ok(());
            }
        }
        Err(Trouble::WrongPassword)
    }

    /// RFC 9579.
    fn verify_pbmac1(&mut self, mac: &DigestInfo<'_>, content: &[u8]) -> Result<(), Trouble> {
        let parameters = mac.algorithm.parameters.ok_or(Trouble::Malformed)?;
        let parameters: Pbmac1Params<'_> = parameters.decode_as()?;
        if parameters.key_derivation.oid != PBKDF2_OID {
            return Err(Trouble::Algorithm(parameters.key_derivation.oid));
        }
        let pbkdf2 = parameters.key_derivation.parameters.ok_or(Trouble::Malformed)?;
        let pbkdf2 = Pbkdf2Params::try_from(pbkdf2).map_err(not_supported)?;
        let algorithm = match pbkdf2.prf {
            Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
            other => return Err(Trouble::Algorithm(other.oid())),
        };
        let length = pbkdf2.key_length.map(usize::from).filter(|length| PBMAC1_KEY_LENGTHS.contains(length));
        let mut key = Zeroizing::new(vec![0; length.ok_or(Trouble::Malformed)?]);
        let rounds = self.spend(pbkdf2.iteration_count, key.len().div_ceil(32) as u64)?;
        pbkdf2::derive(algorithm, rounds, pbkdf2.salt.as_ref(), self.text.as_bytes(), &mut key);
        let hash = Hash::with_oid(parameters.message_authentication.oid)?;
        let right = (hash.is_hmac)(&key, content, mac.digest.as_bytes());
        right.then_some(()).ok_or(Trouble::WrongPassword)
    }

    /// The key, PKCS#8.
    pub(super) fn decrypt_key(&mut self, key: &EncryptedKey<'_>) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        self.decrypt(key.algorithm, key.content.as_bytes())
    }

    /// What `encrypted` holds, as DER. That it is a sequence, as keys and the parts of PKCS#12 are, tells the right password
    /// from those, one in 256, with which the padding looks right.
    pub(super) fn decrypt(
        &mut self,
        algorithm: AlgorithmIdentifierRef<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let parameters = algorithm.parameters.ok_or(Trouble::Malformed)?;
        if algorithm.oid == PBES2_OID {
            let parameters = Parameters::try_from(parameters).map_err(not_supported)?;
            self.spend_on(&parameters.kdf)?;
            let decrypt = |buffer: &mut [u8]| {
                let plain = parameters.decrypt_in_place(self.text, buffer);
                plain.map(<[u8]>::len)
            };
            return match in_place(encrypted, decrypt) {
                Ok(plain) => plain.ok_or(Trouble::WrongPassword),
                Err(
                    pkcs5::Error::UnsupportedAlgorithm { oid }
                    | pkcs5::Error::AlgorithmParametersInvalid { oid },
                ) => Err(Trouble::Algorithm(oid)),
                Err(_) => Err(Trouble::WrongPassword),
            };
        }
        let cipher = Cipher::with_oid(algorithm.oid)?;
        let PbeParams { salt, iterations } = parameters.decode_as()?;
        let hash = Hash::of::<Sha1>();
        for index in 0..self.forms.len() {
            let mut derive = |id, length| self.derive(index, hash, id, salt.as_bytes(), iterations, length);
            let key = derive(Pkcs12KeyType::EncryptionKey, cipher.key_length)?;
            let iv = derive(Pkcs12KeyType::Iv, 8)?;
            let plain = in_place(encrypted, |buffer| (cipher.decrypt)(&key, &iv, buffer).ok_or(()));
            if let Ok(Some(plain)) = plain {
                self.forms.swap(0, index);
                return Ok(plain);
            }
        }
        Err(Trouble::WrongPassword)
    }

    /// RFC 7292 appendix B.2.
    fn derive(
        &mut self,
        form: usize,
        hash: Hash,
        id: Pkcs12KeyType,
        salt: &[u8],
        iterations: u32,
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let rounds = self.spend(iterations, length.div_ceil(hash.length) as u64)?;
        let rounds = i32::try_from(rounds.get()).map_err(|_| Trouble::TooMuchWork)?;
        Ok(Zeroizing::new((hash.derive)(&self.forms[form], salt, id, rounds, length)))
    }

    fn spend_on(&mut self, kdf: &Kdf) -> Result<(), Trouble> {
        match kdf {
            Kdf::Pbkdf2(pbkdf2) => self.spend(pbkdf2.iteration_count, 1).map(drop),
            Kdf::Scrypt(scrypt) => {
                let rounds = u32::try_from(scrypt.cost_parameter).map_err(|_| Trouble::TooMuchWork)?;
                let times = u64::from(scrypt.block_size) * u64::from(scrypt.parallelization) * COST_OF_SCRYPT;
                self.spend(rounds, times).map(drop)
            }
            other => Err(Trouble::Algorithm(other.oid())),
        }
    }

    /// Takes `rounds`, so many `times`, from what is left. No file has none.
    fn spend(&mut self, rounds: u32, times: u64) -> Result<NonZeroU32, Trouble> {
        let cost = u64::from(rounds).checked_mul(times);
        let left = cost.and_then(|cost| self.rounds_left.checked_sub(cost));
        self.rounds_left = left.ok_or(Trouble::TooMuchWork)?;
        NonZeroU32::new(rounds).ok_or(Trouble::Malformed)
    }
}

/// Of a password, a salt, a use, rounds and a length.
type Derive = fn(&[u8], &[u8], Pkcs12KeyType, i32, usize) -> Vec<u8>;

/// In place, with a key and an IV; how much is left.
type Decrypt = fn(&[u8], &[u8], &mut [u8]) -> Option<usize>;

/// One hash function in its two uses.
#[derive(Clone, Copy)]
struct Hash {
    length: usize,
    derive: Derive,
    /// Whether the third is the HMAC with the first of the second.
    is_hmac: fn(&[u8], &[u8], &[u8]) -> bool,
}

impl Hash {
    fn of<D: Digest + FixedOutputReset + BlockSizeUser>() -> Self {
        let is_hmac = |key: &[u8], content: &[u8], expected: &[u8]| {
            let hmac = <SimpleHmac<D> as KeyInit>::new_from_slice(key);
            hmac.is_ok_and(|hmac| hmac.chain_update(content).verify_slice(expected).is_ok())
        };
        Self { length: <D as Digest>::output_size(), derive: derive_key::<D>, is_hmac }
    }

    /// By the name of the hash, or of HMAC with it.
    fn with_oid(oid: ObjectIdentifier) -> Result<Self, Trouble> {
        const fn named(oid: &str) -> ObjectIdentifier {
            ObjectIdentifier::new_unwrap(oid)
        }
        let table = [
            (named("1.3.14.3.2.26"), named("1.2.840.113549.2.7"), Self::of::<Sha1>()),
            (named("2.16.840.1.101.3.4.2.4"), named("1.2.840.113549.2.8"), Self::of::<Sha224>()),
            (named("2.16.840.1.101.3.4.2.1"), named("1.2.840.113549.2.9"), Self::of::<Sha256>()),
            (named("2.16.840.1.101.3.4.2.2"), named("1.2.840.113549.2.10"), Self::of::<Sha384>()),
            (named("2.16.840.1.101.3.4.2.3"), named("1.2.840.113549.2.11"), Self::of::<Sha512>()),
            (named("2.16.840.1.101.3.4.2.5"), named("1.2.840.113549.2.12"), Self::of::<Sha512_224>()),
            (named("2.16.840.1.101.3.4.2.6"), named("1.2.840.113549.2.13"), Self::of::<Sha512_256>()),
        ];
        let found = table.into_iter().find(|(hash, hmac, _)| oid == *hash || oid == *hmac);
        found.map(|(_, _, hash)| hash).ok_or(Trouble::Algorithm(oid))
    }
}

/// A cipher of PKCS#12's own, which encrypts keys in PEM as well, RFC 7292 appendix C: those in blocks, not RC4.
struct Cipher {
    key_length: usize,
    decrypt: Decrypt,
}

impl Cipher {
    fn with_oid(oid: ObjectIdentifier) -> Result<Self, Trouble> {
        fn cbc<C: KeyInit + BlockCipherDecrypt>(key: &[u8], iv: &[u8], buffer: &mut [u8]) -> Option<usize> {
            let cipher = cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?;
            cipher.decrypt_padded::<Pkcs7>(buffer).ok().map(<[u8]>::len)
        }
        Ok(match oid {
            pkcs12::PKCS_12_PBE_WITH_SHAAND3_KEY_TRIPLE_DES_CBC => {
                Self { key_length: 24, decrypt: cbc::<des::TdesEde3> }
            }
            pkcs12::PKCS_12_PBE_WITH_SHAAND2_KEY_TRIPLE_DES_CBC => {
                Self { key_length: 16, decrypt: cbc::<des::TdesEde2> }
            }
            pkcs12::PKCS_12_PBE_WITH_SHAAND128_BIT_RC2_CBC => {
                Self { key_length: 16, decrypt: cbc::<rc2::Rc2> }
            }
            pkcs12::PKCS_12_PBEWITH_SHAAND40_BIT_RC2_CBC => Self { key_length: 5, decrypt: cbc::<rc2::Rc2> },
            other => return Err(Trouble::Algorithm(other)),
        })
    }
}

/// `encrypted` after `decrypt`, which works in place and says how much is left, as DER; `None` if that is no sequence.
fn in_place<E>(
    encrypted: &[u8],
    decrypt: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<Option<Zeroizing<Vec<u8>>>, E> {
    let mut buffer = Zeroizing::new(encrypted.to_vec());
    let length = decrypt(&mut buffer)?;
    let plain = buffer.get(..length).and_then(ber::to_der);
    Ok(plain.filter(|der| der.first() == Some(&ber::SEQUENCE)))
}

fn not_supported(error: der::Error) -> Trouble {
    match error.kind() {
        der::ErrorKind::Length { tag: der::Tag::OctetString } => Trouble::LongSalt,
        der::ErrorKind::OidUnknown { oid } => Trouble::Algorithm(oid),
        _ => Trouble::Malformed,
    }
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does what each part of a file asks for come out of one purse, so that many parts are no way to more?
    #[test]
    fn work_is_limited_in_all() {
        let mut password = Password::new("");
        let half = u32::try_from(MAX_ROUNDS / 2).unwrap();
        assert!(password.spend(half, 1).is_ok() && password.spend(half / 4, 4).is_ok());
        assert!(matches!(password.spend(1, 1), Err(Trouble::TooMuchWork)));
        assert!(matches!(Password::new("").spend(u32::MAX, u64::MAX), Err(Trouble::TooMuchWork)));
        assert!(matches!(Password::new("").spend(0, 1), Err(Trouble::Malformed)));
    }

    /// Is scrypt counted, which takes memory as well: OpenSSL's 16 MiB read, a gigabyte refused?
    #[test]
    fn scrypt_is_limited() {
        let spend = |log_n, block_size| {
            let scrypt = pkcs5::scrypt::Params::new(log_n, block_size, 1).unwrap();
            let kdf = pkcs5::pbes2::ScryptParams::from_params_and_salt(scrypt, b"salt").unwrap();
            Password::new("").spend_on(&kdf.into())
        };
        assert!(spend(14, 8).is_ok());
        assert!(matches!(spend(20, 8), Err(Trouble::TooMuchWork)));
    }
}
