//! Callbacks whose `userdata` says what they do: the same kind of calls, on the question that they are asked.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::error::{mtlspop_error, mtlspop_error_free};
use super::super::metric::mtlspop_metric;
use super::super::sign::{
    mtlspop_sign_op, mtlspop_sign_op_algorithm, mtlspop_sign_op_message, mtlspop_sign_op_set_signature,
};
use super::super::token::{mtlspop_token, mtlspop_token_access_token, mtlspop_token_free};
use super::super::token_cache::mtlspop_store_op;
use super::arguments::{Argument, Pooled};
use super::machine::{Live, Machine, text};
use super::world;

/// What is behind a `userdata`.
struct Record {
    alive: u64,
    bytes: Vec<u8>,
    calls: AtomicUsize,
    live: Live,
}

const ALIVE: u64 = 0x600d_600d_600d_600d;
/// A body that never ends is no finding.
const MOST_CALLS: usize = 100;

impl Argument for *mut c_void {
    fn take(machine: &mut Machine<'_>) -> Self {
        let length = machine.byte();
        if length == 255 {
            return std::ptr::null_mut();
        }
        let bytes = machine.bytes(length.into()).to_vec();
        let live = machine.live.clone();
        live.0.fetch_add(1, Ordering::SeqCst);
        Box::into_raw(Box::new(Record { alive: ALIVE, bytes, calls: AtomicUsize::new(0), live })).cast()
    }
}

type Destroy = Option<unsafe extern "C" fn(*mut c_void)>;
type Ask<T> = Option<unsafe extern "C" fn(*mut c_void, *mut T) -> i32>;
type Measure = Option<unsafe extern "C" fn(*mut c_void, *const mtlspop_metric)>;
type Refreshed = Option<unsafe extern "C" fn(*mut c_void, *mut mtlspop_token, *mut mtlspop_error)>;
type Log = Option<unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char)>;

impl Argument for Destroy {
    fn take(_: &mut Machine<'_>) -> Self {
        Some(destroy)
    }
}

impl<T: Pooled> Argument for Ask<T> {
    fn take(machine: &mut Machine<'_>) -> Self {
        (machine.byte() != 255).then_some(asked::<T>)
    }
}

impl Argument for Measure {
    fn take(machine: &mut Machine<'_>) -> Self {
        (machine.byte() != 255).then_some(measured)
    }
}

impl Argument for Refreshed {
    fn take(machine: &mut Machine<'_>) -> Self {
        (machine.byte() != 255).then_some(refreshed)
    }
}

impl Argument for Log {
    fn take(machine: &mut Machine<'_>) -> Self {
        (machine.byte() != 255).then_some(logged)
    }
}

// Each of them gets a userdata that lives, or NULL, and what it is asked lives as long as the call.
mod functions {
    use super::*;

    pub(super) unsafe extern "C" fn destroy(userdata: *mut c_void) {
        if !userdata.is_null() {
            // SAFETY: made by `take`, and given back once, or this is the bug that is looked for.
            let mut record = unsafe { Box::from_raw(userdata.cast::<Record>()) };
            assert_eq!(record.alive, ALIVE, "destroyed twice");
            record.alive = 0;
            record.live.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    pub(super) unsafe extern "C" fn asked<T: Pooled>(userdata: *mut c_void, operation: *mut T) -> i32 {
        // SAFETY: as above.
        let Some(record) = (unsafe { record(userdata) }) else { return 1 };
        if T::KIND == mtlspop_sign_op::KIND && record.bytes.first().is_none_or(|byte| byte % 2 == 0) {
            // SAFETY: it is of this type.
            unsafe { sign(operation.cast()) };
            return 0;
        }
        let may_ask = T::KIND != mtlspop_store_op::KIND;
        let mut machine = Machine::new(record.bytes.get(1..).unwrap_or_default(), &record.live, may_ask);
        machine.keep(T::KIND, operation.cast());
        machine.run();
        machine.drop_kind(T::KIND);
        machine.free_all();
        i32::from(record.bytes.first() == Some(&255))
    }

    pub(super) unsafe extern "C" fn measured(userdata: *mut c_void, metric: *const mtlspop_metric) {
        // SAFETY: as above.
        let Some(record) = (unsafe { record(userdata) }) else { return };
        let mut machine = Machine::new(&record.bytes, &record.live, false);
        machine.keep(mtlspop_metric::KIND, metric.cast_mut().cast());
        machine.run();
        machine.drop_kind(mtlspop_metric::KIND);
        machine.free_all();
    }

    pub(super) unsafe extern "C" fn refreshed(
        _: *mut c_void,
        token: *mut mtlspop_token,
        error: *mut mtlspop_error,
    ) {
        assert!(token.is_null() != error.is_null());
        // SAFETY: they are ours.
        unsafe {
            let _ = text(mtlspop_token_access_token(token));
            mtlspop_token_free(token);
            mtlspop_error_free(error);
        }
    }

    pub(super) unsafe extern "C" fn logged(
        userdata: *mut c_void,
        level: i32,
        target: *const c_char,
        message: *const c_char,
    ) {
        // SAFETY: as above; both texts are lent.
        unsafe { record(userdata) };
        let (target, message) =
            unsafe { (text(target).unwrap_or_default(), text(message).unwrap_or_default()) };
        assert!(
            (0..4).contains(&level) && !target.is_empty() && !message.contains('\n'),
            "{target}: {message}"
        );
    }
}

use functions::{asked, destroy, logged, measured, refreshed};

/// What `userdata` is, unless it was asked often enough.
unsafe fn record<'a>(userdata: *mut c_void) -> Option<&'a Record> {
    // SAFETY: as promised by the caller.
    let record = unsafe { userdata.cast::<Record>().as_ref() }?;
    assert_eq!(record.alive, ALIVE, "used after it was destroyed");
    (record.calls.fetch_add(1, Ordering::SeqCst) < MOST_CALLS).then_some(record)
}

/// As the owner of the key would.
unsafe fn sign(operation: *mut mtlspop_sign_op) {
    let mut length = 0;
    // SAFETY: as promised by the caller; what is lent lives as long as the operation.
    unsafe {
        let algorithm = text(mtlspop_sign_op_algorithm(operation)).unwrap_or_default();
        let message = mtlspop_sign_op_message(operation, &raw mut length);
        let message = std::slice::from_raw_parts(message, length);
        if let Ok(signature) = world::CERTIFICATE.sign(algorithm, message) {
            mtlspop_sign_op_set_signature(operation, signature.as_ptr(), signature.len());
        }
    }
}
