//! What every callback has in common: the caller's pointer, and its release exactly once.

use std::ffi::c_void;

/// Releases `userdata`. Called exactly once, when the library will not use it any more, also when
/// the call it was given to failed.
pub type mtlspop_destroy = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// The caller's pointer; dropping it calls `destroy`.
pub(super) struct UserData {
    pointer: *mut c_void,
    destroy: mtlspop_destroy,
}

// SAFETY: the header tells callers that callbacks, and with them the pointer, may be used on any
// thread that uses the app, and `destroy` on the one that uses it last.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(pointer: *mut c_void, destroy: mtlspop_destroy) -> Self {
        Self { pointer, destroy }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the caller promised that `destroy` may be called with this pointer, once.
            unsafe { destroy(self.pointer) };
        }
    }
}
