//! The encryption of stores: AES-256-GCM with a nonce of its own for each time, and a text that it also vouches for.

use aws_lc_rs::aead::{AES_256_GCM, Aad, MAX_TAG_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::runtime::undisturbed;

/// A nonce, and what it was encrypted with.
pub(crate) type Sealed = (Vec<u8>, Zeroizing<Vec<u8>>);

/// Encrypts `plain`. What it is for is in `vouched`: elsewhere it cannot be opened.
pub(crate) fn seal(key: &[u8; 32], vouched: &str, plain: &[u8]) -> Option<Sealed> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    // With room for the tag, so that no copy is left behind by growing.
    let mut content = Zeroizing::new(Vec::with_capacity(plain.len() + MAX_TAG_LEN));
    content.extend_from_slice(plain);
    let vouched = Aad::from(vouched.as_bytes());
    let nonce = undisturbed(|| key.seal_in_place_append_tag(vouched, &mut *content)).ok()?;
    Some((nonce.as_ref().to_vec(), content))
}

/// What [`seal`] was given; `None` where it was another key or text, or was changed.
pub(crate) fn open(
    key: &[u8; 32],
    vouched: &str,
    nonce: &[u8],
    mut content: Zeroizing<Vec<u8>>,
) -> Option<Zeroizing<Vec<u8>>> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let length = key.open_in_place(nonce, Aad::from(vouched.as_bytes()), &mut content).ok()?.len();
    content.truncate(length);
    Some(content)
}
