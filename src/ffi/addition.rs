//! What callers add to requests: the name and the value of a parameter or a header.

use std::ffi::c_char;

use super::text::required;
use crate::app::Parameters;
use crate::error::Result;

/// Name and value, checked by themselves: what is wrong with them is the setter's.
///
/// # Safety
/// As for [`required`].
pub(super) unsafe fn addition<'a>(
    name: *const c_char,
    value: *const c_char,
    add: impl FnOnce(&mut Parameters, &str, &str),
) -> Result<(&'a str, &'a str)> {
    // SAFETY: as promised by the caller.
    let (name, value) = unsafe { (required(name, "name")?, required(value, "value")?) };
    let mut parameters = Parameters::default();
    add(&mut parameters, name, value);
    parameters.check().map(|()| (name, value))
}
