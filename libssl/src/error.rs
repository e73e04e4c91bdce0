//! How a session fails, and what libssl says about it.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::{fmt, io};

use super::sys;

/// What came in the way. But for [`Error::RenegotiationRequested`] and a stream that would block, the session is over.
#[derive(Debug)]
pub enum Error {
    /// The server wants to renegotiate before it goes on. [`super::Session::renegotiate`] does; who does not want that
    /// hangs up.
    RenegotiationRequested,
    /// The stream's own error, as it was; `UnexpectedEof` where it ended without a close notify.
    Stream(io::Error),
    /// The party's own error, as it was.
    Party(io::Error),
    /// The server ended the connection with the alert of this number (RFC 5246, section 7.2).
    Alert(u8),
    /// The server does not keep to the protocol, or wants what is not on offer: libssl's name for it.
    Tls(String),
}

impl Error {
    /// The oldest error in libssl's queue of this thread, which is then empty.
    pub(super) fn queued() -> Self {
        // SAFETY: both work on a queue that belongs to the thread.
        let error = unsafe {
            let error = sys::ERR_get_error();
            sys::ERR_clear_error();
            error
        };
        let reason = sys::error_reason(error);
        if sys::error_library(error) == sys::ERR_LIB_SSL
            && let Some(Ok(alert)) = reason.checked_sub(sys::SSL_AD_REASON_OFFSET).map(u8::try_from)
        {
            return Self::Alert(alert);
        }
        // SAFETY: it returns NULL or a string in static memory.
        let text = unsafe {
            let text = sys::ERR_reason_error_string(error);
            (!text.is_null()).then(|| CStr::from_ptr(text))
        };
        Self::Tls(
            text.map_or_else(|| format!("error {error:#010x}"), |text| text.to_string_lossy().into_owned()),
        )
    }
}

/// Empties the queue: what others left there would be taken for an error of the next call.
pub(super) fn clear_queue() {
    // SAFETY: the queue belongs to the thread.
    unsafe { sys::ERR_clear_error() }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RenegotiationRequested => f.write_str("the server asks to renegotiate"),
            Self::Stream(error) | Self::Party(error) => error.fmt(f),
            Self::Alert(number) => write!(f, "the server sent the alert {number}"),
            Self::Tls(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stream(error) | Self::Party(error) => Some(error),
            _ => None,
        }
    }
}
