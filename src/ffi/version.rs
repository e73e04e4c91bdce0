//! Versions: which library was loaded, and which ABI it speaks.

use std::ffi::c_char;

/// The ABI this header describes: major * 65536 + minor. A program works with a library whose
/// mtlspop_abi_version() has the same major and at least this minor number.
pub const MTLSPOP_ABI_VERSION: i32 = 5;

/// The version of the library that was loaded, for example "0.1.0".
///
/// @return static text
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The ABI of the library that was loaded; compare it with MTLSPOP_ABI_VERSION.
///
/// @return major * 65536 + minor
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_abi_version() -> i32 {
    MTLSPOP_ABI_VERSION
}
