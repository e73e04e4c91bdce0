//! Public keys in one encoding: two that differ only in how they are written become equal.

use std::borrow::Cow;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::ParsedPublicKey;
use pkcs8::SubjectPublicKeyInfoRef;

use super::software::algorithm_of;
use crate::key::KeyAlgorithm;

/// The first byte of a point that is written with both coordinates (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The SubjectPublicKeyInfo `spki` as this library writes it: rsaEncryption with its NULL parameters (RFC 3279,
/// section 2.3.1), points of curves uncompressed. What is no key that it knows stays what it is.
pub(crate) fn usual_public_key(spki: &[u8]) -> Cow<'_, [u8]> {
    rewritten(spki).map_or(Cow::Borrowed(spki), Cow::Owned)
}

fn rewritten(spki: &[u8]) -> Option<Vec<u8>> {
    let info = SubjectPublicKeyInfoRef::try_from(spki).ok()?;
    let key = info.subject_public_key.as_bytes()?;
    let algorithm = algorithm_of(&info.algorithm).ok()?;
    let is_usual = match algorithm {
        KeyAlgorithm::Rsa => info.algorithm.parameters.is_some(),
        _ => key.first() == Some(&UNCOMPRESSED),
    };
    if is_usual {
        return None;
    }
    let parsed = ParsedPublicKey::new(algorithm.schemes()[0].verification(), key).ok()?;
    Some(parsed.as_der().ok()?.as_ref().to_vec())
}
