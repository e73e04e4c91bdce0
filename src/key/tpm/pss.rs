//! EMSA-PSS (RFC 8017, section 9.1.1), for TPMs that choose another salt than TLS wants: the block is made here,
//! and the TPM does the bare RSA operation.

use aws_lc_rs::digest::{self, Context};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::error::Result;
use crate::key::unusable;
use crate::runtime::undisturbed;

/// The block to sign, as long as the modulus, whose length must be a multiple of eight bits. The salt is as long
/// as the hash.
pub(super) fn encode(
    hash: &'static digest::Algorithm,
    digest: &[u8],
    modulus_length: usize,
) -> Result<Vec<u8>> {
    let mut salt = vec![0; hash.output_len()];
    undisturbed(|| SystemRandom::new().fill(&mut salt))
        .map_err(|_| unusable("there are no random numbers"))?;
    let length = modulus_length.checked_sub(hash.output_len() + 1).filter(|length| *length > salt.len());
    let length = length.ok_or_else(|| unusable("the key is too short for this signature"))?;
    let h = hashed(hash, &[&[0; 8], digest, &salt]);
    let mut block = vec![0; length - salt.len() - 1];
    block.push(1);
    block.extend_from_slice(&salt);
    let mask = (0_u32..).flat_map(|counter| hashed(hash, &[&h, &counter.to_be_bytes()]));
    block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    // One bit fewer than the modulus has.
    block[0] &= 0x7f;
    block.extend_from_slice(&h);
    block.push(0xbc);
    Ok(block)
}

fn hashed(hash: &'static digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(hash);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}
