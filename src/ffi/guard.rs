//! What every export is wrapped in: no panic leaves, and an error becomes a status and an object.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::mtlspop_error;
use super::handle::boxed;
use crate::error::{Error, Result};

/// MTLSPOP_OK (0) for success, otherwise one of the MTLSPOP_E_... numbers.
pub type mtlspop_status = i32;

/// Runs `body`; puts its error, or its panic, into `*out_error` unless that is NULL.
///
/// # Safety
/// `out_error` is NULL or points to a place for a pointer.
pub(super) unsafe fn guard(
    out_error: *mut *mut mtlspop_error,
    body: impl FnOnce() -> Result<()>,
) -> mtlspop_status {
    if !out_error.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out_error.write(std::ptr::null_mut()) };
    }
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(from_panic(panic.as_ref())));
    let Err(error) = result else { return 0 };
    let status = error.kind() as i32;
    if !out_error.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out_error.write(boxed(error.into())) };
    }
    status
}

/// Runs `body`; gives `fallback` for an error or a panic. For exports that have no way to report one.
pub(super) fn guard_or<T>(fallback: T, body: impl FnOnce() -> Result<T>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(_)) => fallback,
        Err(panic) => {
            drop(from_panic(panic.as_ref()));
            fallback
        }
    }
}

/// What a panic said, as an error of this library.
pub(super) fn from_panic(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Error::internal(format!("a bug in mtlspop, please report it: {text}"))
}
