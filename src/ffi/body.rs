//! `mtlspop_body_op`: what a body callback is asked for, and the bodies of requests that are read while they are sent.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::os::fd::BorrowedFd;

use super::callback::{Asked, Callback, Operation, UserData, answer, mtlspop_destroy, set_error};
use super::guard::guard_or;
use super::handle::{Handle, value};
use super::http::{change, mtlspop_http_request};
use super::text::{no_length, optional};
use crate::error::{Error, Result};
use crate::http::{BodyReader, StreamBody, descriptor_body};
use crate::resource::HttpRequest;

/// What a body callback is asked for: the next bytes of the body.
pub const MTLSPOP_BODY_READ: i32 = 0;
/// What a body callback is asked for: to go back to the first byte.
pub const MTLSPOP_BODY_REWIND: i32 = 1;

/// One question to a body callback. Valid during the callback only; never freed by the caller.
pub struct mtlspop_body_op {
    _private: [u8; 0],
}

/// Gives the body of a request while it is sent. Asked to read, it puts the next bytes into
/// mtlspop_body_op_buffer() and says how many with mtlspop_body_op_set_length(); that it says none means
/// the end. Asked to rewind, it begins again with the first byte.
///
/// Called on the thread that sends the request, inside that call, with no lock held; a timeout or
/// mtlspop_cancel_raise() ends the call when the callback returns. It must not send, change or free this request. No
/// exception may leave it.
///
/// Returns 0 for success; anything else fails the call with MTLSPOP_E_CALLBACK and the text of
/// mtlspop_body_op_set_error(), and closes the connection.
pub type mtlspop_body_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, operation: *mut mtlspop_body_op) -> i32>;

/// A place for bytes, valid while the callback runs.
pub(super) struct Question {
    kind: i32,
    buffer: *mut u8,
    capacity: usize,
}

impl Handle for mtlspop_body_op {
    type Value = Asked<Question, usize>;
    const NAME: &'static str = "body_op";
    const TAG: u64 = 0x6d74_6c73_424f_4459;
}

impl Operation for mtlspop_body_op {
    type Question = Question;
    type Answer = usize;
    const CALLBACK: &'static str = "body";
    const FAILED: &'static str = "body_callback_failed";
}

/// A callback as the core reads it.
struct Reader {
    callback: Callback<mtlspop_body_op>,
    can_rewind: bool,
}

impl BodyReader for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let (kind, capacity) = (MTLSPOP_BODY_READ, buffer.len());
        self.callback.ask(Question { kind, buffer: buffer.as_mut_ptr(), capacity })
    }

    fn can_rewind(&self) -> bool {
        self.can_rewind
    }

    fn rewind(&mut self) -> Result<()> {
        let kind = MTLSPOP_BODY_REWIND;
        self.callback.ask(Question { kind, buffer: std::ptr::null_mut(), capacity: 0 }).map(drop)
    }
}

/// Sets a body that a callback gives while it is sent, in place of one set before. It need not fit into memory.
///
/// With a length it is sent with Content-Length, and a callback that gives fewer or more bytes fails the call with
/// MTLSPOP_E_INVALID_ARGUMENT before the last of them is sent: after length bytes it is asked once more. Without one
/// it is sent in chunks, which not every service takes.
///
/// Where the callback can rewind, the request can be sent any number of times, and again within a call: with another
/// token after a 401, and over another connection where the one at hand was dead. Where it cannot, it can be sent
/// once, and these happen only as long as nothing was read; sending it again is MTLSPOP_E_INVALID_ARGUMENT. It is sent
/// by one call at a time.
///
/// @param request       the request
/// @param content_type  value of the Content-Type header; NULL or "" for none
/// @param length        the number of bytes, -1 where it is not known
/// @param can_rewind    1 where callback can do MTLSPOP_BODY_REWIND, 0 where not
/// @param callback      gives the body
/// @param userdata      passed to callback
/// @param destroy       releases userdata, exactly once, when the request is freed or gets another body, also when
///                      this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_body_callback(
    request: *mut mtlspop_http_request,
    content_type: *const c_char,
    length: i64,
    can_rewind: i32,
    callback: mtlspop_body_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let content_type = unsafe { content(content_type) }?;
        let can_rewind = match can_rewind {
            0 | 1 => can_rewind == 1,
            other => return Err(Error::argument(format!("can_rewind is {other}, expected 0 or 1"))),
        };
        let reader = Reader { callback: Callback::new(callback, userdata)?, can_rewind };
        Ok((content_type, StreamBody::new(reader, known(length)?)))
    };
    unsafe { change(request, "mtlspop_http_request_set_body_callback", parse, set) }
}

/// Sets a body that is read from a file descriptor while it is sent, in place of one set before: a file from the
/// position that it has now, or a pipe, a socket, a terminal. The descriptor is duplicated, so yours may be closed
/// after this call; its position is not changed where it has one.
///
/// A file can be sent any number of times, as with a callback that can rewind; anything else once, as with one that
/// cannot. Waits for a pipe end with the timeout of the call and with mtlspop_cancel_raise().
///
/// @param request       the request
/// @param content_type  value of the Content-Type header; NULL or "" for none
/// @param fd            open for reading
/// @param length        how many bytes are sent, with fewer the call fails; -1 for a file up to its present end, with
///                      Content-Length, and for anything else until its end, in chunks
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_body_fd(
    request: *mut mtlspop_http_request,
    content_type: *const c_char,
    fd: i32,
    length: i64,
) {
    let parse = || {
        let content_type = unsafe { content(content_type) }?;
        if fd < 0 {
            return Err(Error::argument(format!("fd is {fd}, which is no file descriptor")));
        }
        // SAFETY: only to be duplicated now; one that is not open is an error of that.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok((content_type, descriptor_body(fd, known(length)?)?))
    };
    unsafe { change(request, "mtlspop_http_request_set_body_fd", parse, set) }
}

/// What the callback is asked for.
///
/// @param operation  the question
/// @return MTLSPOP_BODY_READ or MTLSPOP_BODY_REWIND; -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_body_op_kind(operation: *const mtlspop_body_op) -> i32 {
    guard_or(-1, || Ok(unsafe { value(operation, "operation") }?.question.kind))
}

/// The place for the next bytes of the body.
///
/// @param operation     the question
/// @param out_capacity  receives how many bytes fit, at least 1 when asked to read; may be NULL
/// @return the place, valid until the callback returns; NULL when asked to rewind, and for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_body_op_buffer(
    operation: *mut mtlspop_body_op,
    out_capacity: *mut usize,
) -> *mut u8 {
    guard_or(std::ptr::null_mut(), || {
        unsafe { no_length(out_capacity) };
        let question = &unsafe { value(operation.cast_const(), "operation") }?.question;
        if !out_capacity.is_null() {
            unsafe { out_capacity.write(question.capacity) };
        }
        Ok(question.buffer)
    })
}

/// Says how many bytes were put into the buffer. More than it holds fails the call.
///
/// @param operation  the question
/// @param length     the number; 0 for the end of the body
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_body_op_set_length(operation: *mut mtlspop_body_op, length: usize) {
    let capacity = Cell::new(0);
    guard_or((), || {
        capacity.set(unsafe { value(operation.cast_const(), "operation") }?.question.capacity);
        Ok(())
    });
    let parse = || match capacity.get() {
        capacity if length > capacity => {
            Err(Error::argument(format!("length is {length}, but there is room for {capacity} bytes")))
        }
        _ => Ok(length),
    };
    unsafe { answer(operation, "mtlspop_body_op_set_length", parse, |answer, length| *answer = length) }
}

/// Says why the callback failed; the text becomes part of the call's error message.
///
/// @param operation  the question
/// @param message    one line for a person, without secrets; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_body_op_set_error(operation: *mut mtlspop_body_op, message: *const c_char) {
    unsafe { set_error(operation, "mtlspop_body_op_set_error", message) }
}

unsafe fn content<'a>(content_type: *const c_char) -> Result<&'a str> {
    // SAFETY: as promised by the caller.
    let content_type = unsafe { optional(content_type, "content_type") }?.unwrap_or_default();
    HttpRequest::check_header("Content-Type", content_type)?;
    Ok(content_type)
}

fn known(length: i64) -> Result<Option<u64>> {
    match length {
        -1 => Ok(None),
        length => u64::try_from(length)
            .map(Some)
            .map_err(|_| Error::argument(format!("length is {length}, expected -1 or more"))),
    }
}

fn set(request: HttpRequest, (content_type, body): (&str, StreamBody)) -> HttpRequest {
    request.with_body_stream(content_type, body)
}
