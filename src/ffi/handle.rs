//! Handles: a tagged box behind an opaque C type, so that most misuse is an error instead of a crash.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// A C type that stands for a boxed Rust value.
pub(super) trait Handle: Sized {
    /// What the box holds.
    type Value;
    /// The C name without the prefix, for messages.
    const NAME: &'static str;
    /// Marks a live box of this type; different for every type.
    const TAG: u64;
}

/// What C has the address of.
#[repr(C)]
pub(super) struct Slot<T> {
    pub(super) tag: AtomicU64,
    pub(super) value: T,
}

/// What is marked with this has been freed, or is being made: nobody may look into it.
pub(super) const FREED: u64 = 0xDEAD_F4EE_DEAD_F4EE;
/// The same, where another handle may come.
pub(super) const VACANT: u64 = FREED ^ 1;

/// Boxes `value` for C. The caller owns it until it gives it to [`free`].
#[inline(always)]
pub(super) fn boxed<H: Handle>(value: H::Value) -> *mut H {
    Box::into_raw(Box::new(Slot { tag: AtomicU64::new(H::TAG), value })).cast()
}

/// The value behind `handle`; `parameter` is its name in the header.
///
/// # Safety
/// `handle` is NULL or came from this library and outlives `'a`. A freed one is reported on a best
/// effort basis, as long as its memory has not been given out again.
#[inline(always)]
pub(super) unsafe fn value<'a, H: Handle>(handle: *const H, parameter: &str) -> Result<&'a H::Value> {
    // SAFETY: as promised by the caller.
    unsafe { check::<H>(handle, parameter).map(|slot| &(*slot).value) }
}

/// Like [`value`], for setters. The caller promises that nobody else uses the handle now.
///
/// # Safety
/// As for [`value`], and no other reference to the value exists.
pub(super) unsafe fn value_mut<'a, H: Handle>(handle: *mut H, parameter: &str) -> Result<&'a mut H::Value> {
    // SAFETY: as promised by the caller.
    unsafe { check::<H>(handle, parameter).map(|slot| &mut (*slot).value) }
}

/// Frees `handle`. NULL is fine. A handle of another type or one already freed is left alone; in
/// debug builds that aborts with a message, because it is a bug of the caller.
///
/// # Safety
/// As for [`value`], and nobody uses the handle any more.
#[inline(always)]
pub(super) unsafe fn free<H: Handle>(handle: *mut H) {
    // SAFETY: as promised by the caller. The tag says that `boxed` made it, and from now on nobody else will free it.
    unsafe {
        if end(handle) {
            drop(Box::from_raw(handle.cast::<Slot<H::Value>>()));
        }
    }
}

/// Marks `handle` as freed. Whether it was a live one: then it is the caller's who did this, and nobody else's.
///
/// # Safety
/// As for [`free`].
#[inline(always)]
pub(super) unsafe fn end<H: Handle>(handle: *mut H) -> bool {
    if handle.is_null() {
        return false;
    }
    // SAFETY: as promised by the caller; the exchange lets one of two racing frees through.
    let live = unsafe {
        check::<H>(handle, "handle").is_ok_and(|slot| {
            (*slot).tag.compare_exchange(H::TAG, FREED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    };
    if !live && cfg!(debug_assertions) {
        misuse(H::NAME);
    }
    live
}

/// An output parameter that is NULL until it is set.
pub(super) struct Out<T>(*mut *mut T);

impl<T: Handle> Out<T> {
    /// Clears `*out`; an error where there is no place to put the result.
    ///
    /// # Safety
    /// `out` is NULL or points to a place for a pointer.
    #[inline(always)]
    pub(super) unsafe fn new(out: *mut *mut T, parameter: &str) -> Result<Self> {
        if out.is_null() {
            return Err(Error::argument(format!("{parameter} is NULL")));
        }
        // SAFETY: as promised by the caller.
        unsafe { out.write(std::ptr::null_mut()) };
        Ok(Self(out))
    }

    /// Hands `value` to the caller.
    #[inline(always)]
    pub(super) fn set(self, value: T::Value) {
        self.give(boxed(value));
    }

    /// Hands `handle` to the caller.
    #[inline(always)]
    pub(super) fn give(self, handle: *mut T) {
        // SAFETY: `new` saw that there is a place.
        unsafe { self.0.write(handle) };
    }
}

#[inline(always)]
unsafe fn check<H: Handle>(handle: *const H, parameter: &str) -> Result<*mut Slot<H::Value>> {
    let slot = handle.cast::<Slot<H::Value>>().cast_mut();
    if slot.is_null() || !slot.is_aligned() {
        return Err(invalid(slot.is_null(), None, H::NAME, parameter));
    }
    // SAFETY: aligned, and the caller promises that it points to a box of this library. The tag comes
    // first in boxes of every type, so this reads a tag whatever the type is.
    let tag = unsafe { (*slot).tag.load(Ordering::Acquire) };
    if tag == H::TAG { Ok(slot) } else { Err(invalid(false, Some(tag), H::NAME, parameter)) }
}

/// Why a handle is none: it is NULL or has another tag, or there is no tag that could be read.
#[cold]
fn invalid(is_null: bool, tag: Option<u64>, name: &str, parameter: &str) -> Error {
    let message = match tag {
        _ if is_null => format!("{parameter} is NULL, expected a mtlspop_{name}"),
        None => format!("{parameter} is not a mtlspop_{name}"),
        Some(FREED | VACANT) => format!("{parameter} has already been freed"),
        Some(_) => format!("{parameter} is not a live mtlspop_{name}: it is of another type, or was freed"),
    };
    Error::new(ErrorKind::InvalidHandle, "invalid_handle", message)
}

#[allow(clippy::print_stderr)]
fn misuse(name: &str) -> ! {
    eprintln!("mtlspop_{name}_free: this is not a live mtlspop_{name} (freed twice, or another type)");
    std::process::abort();
}
