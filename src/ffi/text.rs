//! Text, bytes and durations across the boundary: in by copy and checked, out by pointer into the handle.

use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use once_cell::race::OnceBox;

use crate::error::{Error, Result};
use crate::http::TlsVersion;

/// Text of the caller, NUL-terminated UTF-8; `parameter` is its name in the header.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that outlives `'a`.
pub(super) unsafe fn required<'a>(text: *const c_char, parameter: &str) -> Result<&'a str> {
    // SAFETY: as promised by the caller.
    unsafe { optional(text, parameter) }?.ok_or_else(|| Error::argument(format!("{parameter} is NULL")))
}

/// Like [`required`], where NULL means that there is none.
///
/// # Safety
/// As for [`required`].
pub(super) unsafe fn optional<'a>(text: *const c_char, parameter: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and NUL-terminated as promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Error::argument(format!("{parameter} is not valid UTF-8")))
}

/// Bytes of the caller. NULL is an error, unless `length` is 0.
///
/// # Safety
/// `data` is NULL or points to `length` readable bytes that outlive `'a`.
pub(super) unsafe fn bytes<'a>(data: *const u8, length: usize, parameter: &str) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::argument(format!("{parameter} is NULL but its length is {length}")));
    }
    if isize::try_from(length).is_err() {
        return Err(Error::argument(format!("the length of {parameter} is not possible")));
    }
    // SAFETY: not NULL, of a possible length, and readable as promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(data, length) })
}

/// Lends `bytes` to C and writes their number to `out_length`, unless that is NULL.
///
/// # Safety
/// `out_length` is NULL or points to a place for a number.
pub(super) unsafe fn lend(bytes: &[u8], out_length: *mut usize) -> *const u8 {
    if !out_length.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out_length.write(bytes.len()) };
    }
    bytes.as_ptr()
}

/// Writes 0 to `out_length`, unless that is NULL, for the case that there is nothing to lend.
///
/// # Safety
/// As for [`lend`].
pub(super) unsafe fn no_length(out_length: *mut usize) {
    if !out_length.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { out_length.write(0) };
    }
}

/// Text that a handle lends to C, made when it is first asked for. Not for secrets: they bring their
/// own NUL, see [`crate::Secret`]. Without a lock: a forked child inherits handles, and would inherit that as another
/// thread had it.
#[derive(Default)]
pub(super) struct Lent(OnceBox<Option<CString>>);

impl Lent {
    /// The text as C wants it; NULL where `make` gives none.
    pub(super) fn get<'a>(&self, make: impl FnOnce() -> Option<&'a str>) -> *const c_char {
        let text = self.0.get_or_init(|| Box::new(make().map(c_string)));
        text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
    }

    /// Like [`Lent::get`], for text that is made on the spot.
    pub(super) fn get_owned(&self, make: impl FnOnce() -> Option<String>) -> *const c_char {
        let text = self.0.get_or_init(|| Box::new(make().map(|text| c_string(&text))));
        text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
    }
}

/// The name of a version for C, static; NULL where there is none.
pub(super) fn tls_version(version: Option<TlsVersion>) -> *const c_char {
    match version {
        None => std::ptr::null(),
        Some(TlsVersion::Tls12) => c"TLSv1.2".as_ptr(),
        Some(TlsVersion::Tls13) => c"TLSv1.3".as_ptr(),
    }
}

/// Milliseconds of a caller; `None` for 0.
pub(super) fn timeout(milliseconds: i64) -> Result<Option<Duration>> {
    match u64::try_from(milliseconds) {
        Ok(0) => Ok(None),
        Ok(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
        Err(_) => Err(Error::argument(format!("milliseconds is {milliseconds}, which is negative"))),
    }
}

/// A duration as C gets it.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Text of ours for C. A NUL inside, which no text of ours has, would end it.
pub(super) fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A child that is forked while another thread makes the text: does it get it, too?
    #[test]
    fn a_forked_child_waits_for_nobody() {
        let lent = &Lent::default();
        let (making, is_making) = mpsc::channel();
        let (forked, has_forked) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                let _ = lent.get_owned(|| {
                    making.send(()).unwrap();
                    has_forked.recv().unwrap();
                    Some("text".to_owned())
                });
            });
            is_making.recv().unwrap();
            // SAFETY: the child makes a text, for which the C library has memory in it, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: these need nothing that another thread may have had.
                unsafe {
                    libc::alarm(10);
                    libc::_exit(i32::from(lent.get(|| Some("text")).is_null()));
                }
            }
            forked.send(()).unwrap();
            let mut status = -1;
            // SAFETY: `status` is a place for what it writes.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        });
    }
}
