//! `mtlspop_cancel`: stopping calls from another thread.

use super::guard::guard_or;
use super::handle::{Handle, boxed, free, value};
use crate::runtime::Cancel;

/// A flag that stops calls from another thread. Set it on requests before they are used; any thread
/// may raise it.
pub struct mtlspop_cancel {
    _private: [u8; 0],
}

impl Handle for mtlspop_cancel {
    type Value = Cancel;
    const NAME: &'static str = "cancel";
    const TAG: u64 = 0x6d74_6c73_4341_4e43;
}

/// Makes a flag that is not raised.
///
/// @return the flag, yours to free
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_cancel_new() -> *mut mtlspop_cancel {
    guard_or(std::ptr::null_mut(), || Ok(boxed(Cancel::new())))
}

/// Raises the flag, for good: calls that use it fail with MTLSPOP_E_CANCELLED, those under way at once,
/// whether they wait for a server, for another thread or between two attempts. Not a call that is inside
/// a callback; that one ends when the callback returns.
///
/// @param cancel  the flag
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_cancel_raise(cancel: *const mtlspop_cancel) {
    guard_or((), || {
        unsafe { value(cancel, "cancel") }?.cancel();
        Ok(())
    });
}

/// Frees a flag. Requests that it was set on keep using it, but nobody can raise it any more.
///
/// @param cancel  the flag; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_cancel_free(cancel: *mut mtlspop_cancel) {
    guard_or((), || {
        unsafe { free(cancel) };
        Ok(())
    });
}
