//! `mtlspop_http_stream`: an answer whose body is read piece by piece.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::error::{guard, mtlspop_error, mtlspop_status};
use super::guard::guard_or;
use super::handle::{Handle, boxed, free, value};
use super::http::mtlspop_http_response;
use super::text::no_length;
use crate::error::{Error, Result};
use crate::resource::{HttpResponse, HttpStream};

/// What an API answered, its body still to be read. Owned by who received it; one thread at a time may read it. It
/// lives on when the app is freed. A forked child cannot read the stream of its parent.
pub struct mtlspop_http_stream {
    _private: [u8; 0],
}

/// Status and headers are for anybody, the body for one thread.
pub(super) struct StreamValue {
    response: Arc<HttpResponse>,
    body: Mutex<HttpStream>,
}

impl From<HttpStream> for StreamValue {
    fn from(stream: HttpStream) -> Self {
        Self { response: stream.response().clone(), body: Mutex::new(stream) }
    }
}

impl Handle for mtlspop_http_stream {
    type Value = StreamValue;
    const NAME: &'static str = "http_stream";
    const TAG: u64 = 0x6d74_6c73_4853_5452;
}

/// Status and headers of the answer, its TLS and the claims of a 401: a response whose body is empty.
///
/// @param stream  the stream
/// @return the response, yours to free, also after the stream; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_stream_response(
    stream: *const mtlspop_http_stream,
) -> *mut mtlspop_http_response {
    guard_or(std::ptr::null_mut(), || Ok(boxed(unsafe { value(stream, "stream") }?.response.clone().into())))
}

/// Reads the next bytes of the body: at least one, as soon as there are any. What is not read stays with the server.
/// Blocks no longer than mtlspop_http_request_set_read_timeout_ms() says, and until the flag of the request is
/// raised.
///
/// Fails with MTLSPOP_E_NETWORK where the connection broke off before the body was complete, MTLSPOP_E_TIMEOUT,
/// MTLSPOP_E_CANCELLED, MTLSPOP_E_INVALID_RESPONSE for what is not HTTP; once it has failed, it fails again.
/// MTLSPOP_E_INVALID_ARGUMENT where capacity is 0, where another thread is reading, and in a forked child.
/// MTLSPOP_E_INVALID_HANDLE and MTLSPOP_E_INTERNAL as for mtlspop_app_acquire_token().
///
/// @param stream      the stream
/// @param buffer      receives the bytes
/// @param capacity    how many fit, more than 0
/// @param out_length  receives their number; 0 is the end of the body, complete
/// @param out_error   receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_stream_read(
    stream: *mut mtlspop_http_stream,
    buffer: *mut u8,
    capacity: usize,
    out_length: *mut usize,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            no_length(out_length);
            let stream = value(stream.cast_const(), "stream")?;
            if buffer.is_null() {
                return Err(Error::argument("buffer is NULL"));
            }
            if out_length.is_null() {
                return Err(Error::argument("out_length is NULL"));
            }
            if capacity == 0 {
                return Err(Error::argument("capacity is 0"));
            }
            // SAFETY: not NULL, and a place for so many bytes as the caller promises. They are written, never read.
            let buffer = std::slice::from_raw_parts_mut(buffer, capacity.min(isize::MAX as usize));
            out_length.write(lock(&stream.body)?.read(buffer)?);
            Ok(())
        })
    }
}

/// Frees a stream. One whose body was not read to its end closes its connection; otherwise that was kept for the next
/// request.
///
/// @param stream  the stream; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_stream_free(stream: *mut mtlspop_http_stream) {
    guard_or((), || {
        unsafe { free(stream) };
        Ok(())
    });
}

fn lock(stream: &Mutex<HttpStream>) -> Result<MutexGuard<'_, HttpStream>> {
    match stream.try_lock() {
        Ok(stream) => Ok(stream),
        Err(TryLockError::Poisoned(stream)) => Ok(stream.into_inner()),
        Err(TryLockError::WouldBlock) => {
            Err(Error::argument("another thread is reading this stream: one at a time may use it"))
        }
    }
}
