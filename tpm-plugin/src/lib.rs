//! The TPM plugin of mtlspop: keys in a TPM 2.0, by way of tpm2-tss.
//!
//! A library of its own, so that the main one loads on hosts without tpm2-tss. It exports one function; what
//! crosses is JSON, and no panic.

mod attest;
mod descriptors;
mod device;
mod failure;
#[allow(dead_code, reason = "some of it is for the other side")]
#[path = "../../src/key/tpm/interface.rs"]
mod interface;
mod keys;

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use zeroize::Zeroizing;

use device::Device;
use failure::other;
use interface::{Answer, Entry, Plugin, Response};

static TABLE: Plugin = Plugin { version, open, call, rest, close };

const _: Entry = mtlspop_tpm_plugin;

/// What this plugin can do. Both sides know the type; nobody else may.
#[allow(private_interfaces)]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_tpm_plugin() -> *const Plugin {
    &TABLE
}

#[allow(unsafe_code)]
unsafe extern "C" fn version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

#[allow(unsafe_code)]
unsafe extern "C" fn open(tcti: *const u8, length: usize) -> *mut c_void {
    // SAFETY: the library lends `length` bytes.
    let tcti = unsafe { std::slice::from_raw_parts(tcti, length) };
    let made = catch_unwind(|| Device::new(&String::from_utf8_lossy(tcti)));
    made.map_or(std::ptr::null_mut(), |device| Box::into_raw(Box::new(device)).cast())
}

#[allow(unsafe_code)]
unsafe extern "C" fn call(
    device: *mut c_void,
    json: *const u8,
    length: usize,
    answer: Answer,
    userdata: *mut c_void,
) {
    let work = || {
        // SAFETY: `device` is one that `open` made and that no other thread uses now; the library lends
        // `length` bytes.
        let (device, json) =
            unsafe { (&mut *device.cast::<Device>(), std::slice::from_raw_parts(json, length)) };
        let request = serde_json::from_slice(json).map_err(|_| other("the request is not understood"))?;
        device.answer(request)
    };
    let response: Response = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        // SAFETY: as above.
        unsafe { rest(device) };
        Err(other("the plugin panicked"))
    });
    let json = Zeroizing::new(serde_json::to_vec(&response).unwrap_or_default());
    // SAFETY: the library gave the function to be called with this pointer and bytes.
    unsafe { answer(userdata, json.as_ptr(), json.len()) };
}

#[allow(unsafe_code)]
unsafe extern "C" fn rest(device: *mut c_void) {
    // SAFETY: as in `call`.
    let device = unsafe { &mut *device.cast::<Device>() };
    let _ = catch_unwind(AssertUnwindSafe(|| device.rest()));
}

#[allow(unsafe_code)]
unsafe extern "C" fn close(device: *mut c_void) {
    // SAFETY: made by `open`, and the library does not use it again.
    let device = unsafe { Box::from_raw(device.cast::<Device>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(device)));
}
