//! What every callback has in common: the caller's pointer, its release exactly once, and the operation
//! through which a question is asked and answered.

use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::guard::guard_or;
use super::handle::{Handle, boxed, free, value};
use super::text::required;
use crate::error::{Error, ErrorKind, Result};

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

/// A handle that carries a question to a callback, and the answer back.
pub(super) trait Operation: Handle<Value = Asked<Self::Question, Self::Answer>> {
    type Question;
    type Answer: Default;
    /// What the callback is called in messages.
    const CALLBACK: &'static str;
    /// The code string of its failure.
    const FAILED: &'static str;
}

/// What is behind the handle of an operation.
pub(super) struct Asked<Q, A> {
    pub(super) question: Q,
    reply: RefCell<Reply<A>>,
}

#[derive(Default)]
struct Reply<A> {
    answer: A,
    error: Option<String>,
    misuse: Option<Error>,
}

/// A C callback that is asked with operations of type `H`.
pub(super) struct Callback<H> {
    function: unsafe extern "C" fn(*mut c_void, *mut H) -> i32,
    userdata: UserData,
}

impl<H: Operation> Callback<H> {
    /// Fails where there is no function; `userdata` is released then.
    pub(super) fn new(
        function: Option<unsafe extern "C" fn(*mut c_void, *mut H) -> i32>,
        userdata: UserData,
    ) -> Result<Self> {
        let function = function.ok_or_else(|| Error::argument("callback is NULL"))?;
        Ok(Self { function, userdata })
    }

    /// Asks, and gives what the callback answered if it reported success.
    pub(super) fn ask(&self, question: H::Question) -> Result<H::Answer> {
        self.ask_as(H::CALLBACK, question)
    }

    /// The same where the callback goes by another name.
    pub(super) fn ask_as(&self, name: &str, question: H::Question) -> Result<H::Answer> {
        let operation = Lend(boxed::<H>(Asked { question, reply: RefCell::default() }));
        // SAFETY: the caller gave the function to be called with this pointer and an operation.
        let status = unsafe { (self.function)(self.userdata.pointer(), operation.0) };
        // SAFETY: the operation lives until the end of this function.
        let reply = unsafe { value(operation.0, "operation") }?.reply.take();
        if let Some(misuse) = reply.misuse {
            return Err(misuse);
        }
        if status != 0 {
            let text = reply.error.unwrap_or_else(|| format!("it returned {status} and set no error text"));
            let message = format!("the {name} callback failed: {text}");
            return Err(Error::new(ErrorKind::Callback, H::FAILED, message));
        }
        Ok(reply.answer)
    }
}

/// The time a call has left as callbacks are told it: -1 where it has no limit.
pub(super) fn milliseconds(remaining: Option<Duration>) -> i64 {
    remaining.map_or(-1, |left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
}

/// Frees what was lent to a callback when that is over, however it ended.
pub(super) struct Lend<H: Handle>(pub(super) *mut H);

impl<H: Handle> Drop for Lend<H> {
    fn drop(&mut self) {
        // SAFETY: made by `boxed` and lent to the callback for the call only.
        let _ = catch_unwind(AssertUnwindSafe(|| unsafe { free(self.0) }));
    }
}

/// The body of the answering setters: a bad value fails the call when the callback returns.
///
/// # Safety
/// As for [`value`].
pub(super) unsafe fn answer<H: Operation, T>(
    operation: *mut H,
    setter: &str,
    parse: impl FnOnce() -> Result<T>,
    apply: impl FnOnce(&mut H::Answer, T),
) {
    // SAFETY: as promised by the caller.
    unsafe { reply(operation, setter, parse, |reply, given| apply(&mut reply.answer, given)) };
}

/// The body of the setters that say why a callback failed.
///
/// # Safety
/// As for [`value`] and [`required`].
pub(super) unsafe fn set_error<H: Operation>(operation: *mut H, setter: &str, message: *const c_char) {
    // SAFETY: as promised by the caller.
    let parse = || unsafe { required(message, "message") };
    // SAFETY: as promised by the caller.
    unsafe { reply(operation, setter, parse, |reply, text| reply.error = Some(text.to_owned())) };
}

unsafe fn reply<H: Operation, T>(
    operation: *mut H,
    setter: &str,
    parse: impl FnOnce() -> Result<T>,
    apply: impl FnOnce(&mut Reply<H::Answer>, T),
) {
    guard_or((), || {
        // SAFETY: as promised by the caller.
        let mut reply = unsafe { value(operation.cast_const(), "operation") }?.reply.borrow_mut();
        match parse() {
            Ok(given) => apply(&mut reply, given),
            Err(error) => {
                reply.misuse.get_or_insert_with(|| error.context(setter));
            }
        }
        Ok(())
    });
}
