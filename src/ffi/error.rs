//! `mtlspop_error`: why a call failed, and the guard of the calls that can.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::guard::{from_panic, guard_or};
use super::handle::{Handle, boxed, free, value};
use super::text::{Lent, milliseconds};
use crate::error::{Error, Result};

/// MTLSPOP_OK (0) for success, otherwise one of the MTLSPOP_E_... numbers.
pub type mtlspop_status = i32;

/// The call succeeded.
pub const MTLSPOP_OK: i32 = 0;
/// A parameter, or a combination of settings, is wrong; the message names it.
pub const MTLSPOP_E_INVALID_ARGUMENT: i32 = 101;
/// A handle is NULL, freed, or of another type.
pub const MTLSPOP_E_INVALID_HANDLE: i32 = 102;
/// What was asked cannot be had on this host, with this credential or with this authority.
pub const MTLSPOP_E_NOT_SUPPORTED: i32 = 103;
/// No answer: DNS, connection, proxy or TLS.
pub const MTLSPOP_E_NETWORK: i32 = 201;
/// The time given for the call is over, or a peer took longer than its limit.
pub const MTLSPOP_E_TIMEOUT: i32 = 202;
/// The call was stopped.
pub const MTLSPOP_E_CANCELLED: i32 = 203;
/// The server answered and said no.
pub const MTLSPOP_E_REJECTED: i32 = 301;
/// The server asks for fewer requests; see mtlspop_error_retry_after_seconds().
pub const MTLSPOP_E_THROTTLED: i32 = 302;
/// The server wants more than this client can give (invalid_grant, interaction_required).
pub const MTLSPOP_E_INTERACTION_REQUIRED: i32 = 303;
/// The server answered with something that must not be accepted or cannot be read.
pub const MTLSPOP_E_INVALID_RESPONSE: i32 = 304;
/// A private key or certificate cannot be read or used.
pub const MTLSPOP_E_KEY_UNAVAILABLE: i32 = 401;
/// A callback reported a failure.
pub const MTLSPOP_E_CALLBACK: i32 = 402;
/// A bug in this library; the process lives on.
pub const MTLSPOP_E_INTERNAL: i32 = 901;

/// Why a call failed. Owned by who received it; immutable, so any thread may read it.
pub struct mtlspop_error {
    _private: [u8; 0],
}

pub(super) struct ErrorValue {
    error: Error,
    message: Lent,
    code: Lent,
    sub_error: Lent,
    correlation_id: Lent,
    claims: Lent,
    token_endpoint: Lent,
    region: Lent,
    region_error: Lent,
}

impl Handle for mtlspop_error {
    type Value = ErrorValue;
    const NAME: &'static str = "error";
    const TAG: u64 = 0x6d74_6c73_4552_524f;
}

impl From<Error> for ErrorValue {
    fn from(error: Error) -> Self {
        Self {
            error,
            message: Lent::default(),
            code: Lent::default(),
            sub_error: Lent::default(),
            correlation_id: Lent::default(),
            claims: Lent::default(),
            token_endpoint: Lent::default(),
            region: Lent::default(),
            region_error: Lent::default(),
        }
    }
}

/// Runs `body`; puts its error, or its panic, into `*out_error` unless that is NULL.
///
/// # Safety
/// `out_error` is NULL or points to a place for a pointer.
#[inline(always)]
pub(super) unsafe fn guard(
    out_error: *mut *mut mtlspop_error,
    body: impl FnOnce() -> Result<()>,
) -> mtlspop_status {
    if !out_error.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out_error.write(std::ptr::null_mut()) };
    }
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return MTLSPOP_OK,
        Ok(Err(error)) => error,
        Err(panic) => from_panic(panic.as_ref()),
    };
    // SAFETY: as promised by the caller.
    unsafe { report(error, out_error) }
}

#[cold]
unsafe fn report(error: Error, out_error: *mut *mut mtlspop_error) -> mtlspop_status {
    let status = error.kind() as i32;
    if !out_error.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out_error.write(boxed(error.into())) };
    }
    status
}

/// The status that the failed call returned.
///
/// @param error  the error; for NULL the answer is MTLSPOP_OK
/// @return one of the MTLSPOP_E_... numbers
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_status(error: *const mtlspop_error) -> mtlspop_status {
    guard_or(MTLSPOP_OK, || Ok(unsafe { value(error, "error") }?.error.kind() as i32))
}

/// One line for a person: what happened and, where known, what to do about it. Never holds a secret.
///
/// @param error  the error
/// @return UTF-8, borrowed from error; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_message(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.message.get(|| Some(value.error.message())))
    })
}

/// MSAL's error code string, for example "invalid_client" or "token_type_mismatch".
///
/// @param error  the error
/// @return UTF-8, borrowed from error; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_code(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.code.get(|| Some(value.error.code())))
    })
}

/// The HTTP status of the answer that caused the error.
///
/// @param error  the error
/// @return the status, 0 where no answer caused it
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_http_status(error: *const mtlspop_error) -> i32 {
    guard_or(0, || Ok(unsafe { value(error, "error") }?.error.http_status().map_or(0, i32::from)))
}

/// How many AADSTS codes the answer held.
///
/// @param error  the error
/// @return their number, 0 for none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_aadsts_count(error: *const mtlspop_error) -> usize {
    guard_or(0, || Ok(unsafe { value(error, "error") }?.error.aadsts_codes().len()))
}

/// One AADSTS code, in the server's order: 700016 for AADSTS700016.
///
/// @param error  the error
/// @param index  from 0 to mtlspop_error_aadsts_count() - 1
/// @return the number, 0 where index is out of range
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_aadsts_code(error: *const mtlspop_error, index: usize) -> i32 {
    guard_or(0, || {
        let codes = unsafe { value(error, "error") }?.error.aadsts_codes();
        Ok(codes.get(index).and_then(|code| i32::try_from(*code).ok()).unwrap_or(0))
    })
}

/// OAuth's suberror of the answer.
///
/// @param error  the error
/// @return UTF-8, borrowed from error; NULL where there is none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_sub_error(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.sub_error.get(|| value.error.sub_error()))
    })
}

/// The correlation id of the call, to quote to Microsoft support.
///
/// @param error  the error
/// @return a UUID, borrowed from error; NULL where the call had none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_correlation_id(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.correlation_id.get(|| value.error.correlation_id()))
    })
}

/// The claims challenge of the answer, to be given to mtlspop_token_request_set_claims().
///
/// @param error  the error
/// @return JSON, borrowed from error; NULL where there is none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_claims(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.claims.get(|| value.error.claims()))
    })
}

/// How long to wait before another try: what the server asks for, or the rest of a pause of the library.
///
/// @param error  the error
/// @return seconds, -1 where that is not known
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_retry_after_seconds(error: *const mtlspop_error) -> i64 {
    guard_or(-1, || {
        let wait = unsafe { value(error, "error") }?.error.retry_after();
        Ok(wait.map_or(-1, |wait| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX)))
    })
}

/// Whether the same call may succeed later without any change.
///
/// @param error  the error
/// @return 1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_is_retryable(error: *const mtlspop_error) -> i32 {
    guard_or(0, || Ok(i32::from(unsafe { value(error, "error") }?.error.is_retryable())))
}

/// The URL of the token endpoint that was asked, or was about to be.
///
/// @param error  the error
/// @return UTF-8, borrowed from error; NULL where the call asked for no token, or failed before it was known
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_token_endpoint(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.token_endpoint.get(|| value.error.token_endpoint()))
    })
}

/// The Azure region of the token endpoint that was asked, or was about to be.
///
/// @param error  the error
/// @return "eastus", borrowed from error; NULL where there is none, or it was not known yet
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_region(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.region.get(|| value.error.region()))
    })
}

/// How the token endpoint that was asked, or was about to be, came by its region.
///
/// @param error  the error
/// @return one of MTLSPOP_REGION_OUTCOME_..., -1 where it was not known yet (managed identities have no region)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_region_outcome(error: *const mtlspop_error) -> i32 {
    guard_or(-1, || {
        Ok(unsafe { value(error, "error") }?.error.region_outcome().map_or(-1, |outcome| outcome as i32))
    })
}

/// Why the region could not be detected, where the outcome is MTLSPOP_REGION_OUTCOME_FALLBACK_TO_GLOBAL.
///
/// @param error  the error
/// @return one line, borrowed from error; NULL where there was no such failure
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_region_error(error: *const mtlspop_error) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(error, "error") }?;
        Ok(value.region_error.get(|| value.error.region_error()))
    })
}

/// What the call for a token took until it failed.
///
/// @param error  the error
/// @return milliseconds, 0 where nothing was looked for yet
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_duration_total_ms(error: *const mtlspop_error) -> i64 {
    guard_or(0, || Ok(milliseconds(unsafe { value(error, "error") }?.error.duration_total())))
}

/// What of the call's time was spent in HTTP.
///
/// @param error  the error
/// @return milliseconds, 0 where nobody was asked
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_duration_in_http_ms(error: *const mtlspop_error) -> i64 {
    guard_or(0, || Ok(milliseconds(unsafe { value(error, "error") }?.error.duration_in_http())))
}

/// What of the call's time was spent in the store of the token cache.
///
/// @param error  the error
/// @return milliseconds, 0 where no store was asked
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_duration_in_cache_ms(error: *const mtlspop_error) -> i64 {
    guard_or(0, || Ok(milliseconds(unsafe { value(error, "error") }?.error.duration_in_cache())))
}

/// The name of a status, for logs: "MTLSPOP_E_NETWORK" for 201.
///
/// @param status  what a function returned
/// @return static text; "MTLSPOP_E_UNKNOWN" for a number this library does not have
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_status_name(status: mtlspop_status) -> *const c_char {
    guard_or(std::ptr::null(), || Ok(name_of(status).as_ptr()))
}

/// Frees an error and everything borrowed from it.
///
/// @param error  the error; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_error_free(error: *mut mtlspop_error) {
    guard_or((), || {
        unsafe { free(error) };
        Ok(())
    });
}

fn name_of(status: mtlspop_status) -> &'static CStr {
    match status {
        MTLSPOP_OK => c"MTLSPOP_OK",
        MTLSPOP_E_INVALID_ARGUMENT => c"MTLSPOP_E_INVALID_ARGUMENT",
        MTLSPOP_E_INVALID_HANDLE => c"MTLSPOP_E_INVALID_HANDLE",
        MTLSPOP_E_NOT_SUPPORTED => c"MTLSPOP_E_NOT_SUPPORTED",
        MTLSPOP_E_NETWORK => c"MTLSPOP_E_NETWORK",
        MTLSPOP_E_TIMEOUT => c"MTLSPOP_E_TIMEOUT",
        MTLSPOP_E_CANCELLED => c"MTLSPOP_E_CANCELLED",
        MTLSPOP_E_REJECTED => c"MTLSPOP_E_REJECTED",
        MTLSPOP_E_THROTTLED => c"MTLSPOP_E_THROTTLED",
        MTLSPOP_E_INTERACTION_REQUIRED => c"MTLSPOP_E_INTERACTION_REQUIRED",
        MTLSPOP_E_INVALID_RESPONSE => c"MTLSPOP_E_INVALID_RESPONSE",
        MTLSPOP_E_KEY_UNAVAILABLE => c"MTLSPOP_E_KEY_UNAVAILABLE",
        MTLSPOP_E_CALLBACK => c"MTLSPOP_E_CALLBACK",
        MTLSPOP_E_INTERNAL => c"MTLSPOP_E_INTERNAL",
        _ => c"MTLSPOP_E_UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Do the numbers of the header equal those of the code?
    #[test]
    fn numbers_are_one() {
        let rows = [
            (ErrorKind::InvalidArgument, MTLSPOP_E_INVALID_ARGUMENT),
            (ErrorKind::InvalidHandle, MTLSPOP_E_INVALID_HANDLE),
            (ErrorKind::NotSupported, MTLSPOP_E_NOT_SUPPORTED),
            (ErrorKind::Network, MTLSPOP_E_NETWORK),
            (ErrorKind::Timeout, MTLSPOP_E_TIMEOUT),
            (ErrorKind::Cancelled, MTLSPOP_E_CANCELLED),
            (ErrorKind::Rejected, MTLSPOP_E_REJECTED),
            (ErrorKind::Throttled, MTLSPOP_E_THROTTLED),
            (ErrorKind::InteractionRequired, MTLSPOP_E_INTERACTION_REQUIRED),
            (ErrorKind::InvalidResponse, MTLSPOP_E_INVALID_RESPONSE),
            (ErrorKind::KeyUnavailable, MTLSPOP_E_KEY_UNAVAILABLE),
            (ErrorKind::Callback, MTLSPOP_E_CALLBACK),
            (ErrorKind::Internal, MTLSPOP_E_INTERNAL),
        ];
        for (kind, number) in rows {
            assert_eq!(kind as i32, number);
            assert_ne!(name_of(number), c"MTLSPOP_E_UNKNOWN");
        }
    }
}
