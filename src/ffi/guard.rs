//! What every export is wrapped in: no panic leaves. Those that can fail use `guard()` of `error`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

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
