//! How well the key of a bound token is kept: the numbers of C.

use crate::error::{Error, Result};
use crate::key::MtlsBindingStrength;

/// Strength of a binding: there is no key, and no bound token.
pub const MTLSPOP_STRENGTH_NONE: i32 = 0;
/// Strength of a binding: the key is in the memory of the process, or a signer has it, of which no more can be
/// seen from here.
pub const MTLSPOP_STRENGTH_SOFTWARE: i32 = 1;
/// Strength of a binding: the key is in a TPM, which it cannot leave.
pub const MTLSPOP_STRENGTH_HARDWARE: i32 = 2;
/// Strength of a binding: the key is in a TPM, and its attestation was accepted.
pub const MTLSPOP_STRENGTH_ATTESTED: i32 = 3;

/// The number of a strength.
pub(super) fn number(strength: MtlsBindingStrength) -> i32 {
    match strength {
        MtlsBindingStrength::None => MTLSPOP_STRENGTH_NONE,
        MtlsBindingStrength::Software => MTLSPOP_STRENGTH_SOFTWARE,
        MtlsBindingStrength::Hardware => MTLSPOP_STRENGTH_HARDWARE,
        MtlsBindingStrength::Attested => MTLSPOP_STRENGTH_ATTESTED,
    }
}

/// A strength by its number.
pub(super) fn strength(number: i32) -> Result<MtlsBindingStrength> {
    match number {
        MTLSPOP_STRENGTH_NONE => Ok(MtlsBindingStrength::None),
        MTLSPOP_STRENGTH_SOFTWARE => Ok(MtlsBindingStrength::Software),
        MTLSPOP_STRENGTH_HARDWARE => Ok(MtlsBindingStrength::Hardware),
        MTLSPOP_STRENGTH_ATTESTED => Ok(MtlsBindingStrength::Attested),
        _ => Err(Error::argument(format!("strength is {number}, which is none of MTLSPOP_STRENGTH_..."))),
    }
}
