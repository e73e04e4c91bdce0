//! What the response codes of TPM and tpm2-tss mean to a program.

use tss_esapi::Error;
use tss_esapi::constants::response_code::{Tss2ResponseCode, Tss2ResponseCodeKind};

use crate::interface::{Cause, Failure};

/// Bits 16 to 23 of a code say who speaks (TSS 2.0 overview, section 3.1): 0 is the TPM, 11 and 12 the
/// resource managers, which pass the TPM's own codes on and have a few of their own.
const TPM: u32 = 0;
const RESOURCE_MANAGERS: std::ops::RangeInclusive<u32> = 11..=12;

pub(crate) fn other(message: &str) -> Failure {
    Failure { cause: Cause::Other, message: message.to_owned() }
}

pub(crate) fn unsupported(message: &str) -> Failure {
    Failure { cause: Cause::Unsupported, message: message.to_owned() }
}

/// What went wrong while `doing` something.
pub(crate) fn failed(doing: &'static str) -> impl Fn(Error) -> Failure {
    move |error| Failure { cause: cause(error), message: format!("{doing}: {}", said(error)) }
}

/// The same, where the authorisation value that was used is a hierarchy's.
pub(crate) fn failed_in_hierarchy(doing: &'static str) -> impl Fn(Error) -> Failure {
    move |error| {
        let failure = failed(doing)(error);
        match failure.cause {
            Cause::AuthWrong => Failure { cause: Cause::HierarchyAuthWrong, ..failure },
            _ => failure,
        }
    }
}

/// The kind of an error of the TPM itself.
pub(crate) fn kind(error: Error) -> Option<Tss2ResponseCodeKind> {
    match error {
        Error::Tss2Error(code) if layer(code) == TPM || RESOURCE_MANAGERS.contains(&layer(code)) => {
            code.kind()
        }
        _ => None,
    }
}

fn cause(error: Error) -> Cause {
    use Tss2ResponseCodeKind::*;
    let Error::Tss2Error(code) = error else { return Cause::Other };
    match kind(error) {
        Some(Retry | Yielded | Testing | NvRate | NvUnavailable | Canceled) => Cause::Busy,
        Some(ObjectMemory | SessionMemory | Memory | ObjectHandles | SessionHandles) => Cause::Busy,
        Some(ReferenceH0 | ReferenceH1 | ReferenceS0 | ReferenceS1 | Handle) => Cause::Reset,
        Some(Lockout) => Cause::LockedOut,
        Some(AuthFail | BadAuth | AuthMissing | AuthUnavailable) => Cause::AuthWrong,
        Some(Integrity) => Cause::KeyLost,
        Some(Scheme | Key | KeySize | Hash | Attributes | Value | Type | CommandCode | Asymmetric) => {
            Cause::Unsupported
        }
        Some(Initialize | Failure | Reboot) => Cause::Unreachable,
        Some(_) => Cause::Other,
        // tpm2-tss speaks for itself only where it cannot reach the TPM, or was used wrongly.
        None if layer(code) != TPM => Cause::Unreachable,
        None => Cause::Other,
    }
}

fn said(error: Error) -> String {
    match error {
        Error::Tss2Error(code) if kind(error).is_some() => format!("{code} (TPM code {:#x})", raw(code)),
        Error::Tss2Error(code) => format!("tpm2-tss code {:#x}", raw(code)),
        Error::WrapperError(error) => error.to_string(),
    }
}

fn layer(code: Tss2ResponseCode) -> u32 {
    raw(code) >> 16 & 0xff
}

/// The code as a number, which its type shows only as text.
fn raw(code: Tss2ResponseCode) -> u32 {
    let text = match code {
        Tss2ResponseCode::Success => return 0,
        Tss2ResponseCode::FormatZero(code) => code.to_string(),
        Tss2ResponseCode::FormatOne(code) => code.to_string(),
    };
    text.rsplit("0x").next().and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Are codes told apart by who speaks: a number of the TPM means something else in tpm2-tss?
    #[test]
    fn causes() {
        for (code, expected) in [
            (0x922, Cause::Busy),
            (0x921, Cause::LockedOut),
            (0x98e, Cause::AuthWrong),
            (0x9a2, Cause::AuthWrong),
            (0x1df, Cause::KeyLost),
            (0x2d2, Cause::Unsupported),
            (0x902, Cause::Busy),
            (0x910, Cause::Reset),
            (0x18b, Cause::Reset),
            (0x100, Cause::Unreachable),
            // TSS2_TCTI_RC_IO_ERROR, alone and through ESYS; the TPM's own code passed on by a resource manager.
            (0xa_000a, Cause::Unreachable),
            (0x7_000a, Cause::Unreachable),
            (0xb_0922, Cause::Busy),
        ] {
            assert_eq!(cause(Error::Tss2Error(Tss2ResponseCode::from(code))), expected, "{code:#x}");
        }
    }
}
