//! Where C++ calls back into Rust: the stream under a session, and its party. No panic goes back.

#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{c_char, c_int, c_long, c_void};
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::slice;

use super::{Party, Refused};
use super::{error, sys};

/// What libssl is given to find its way back.
pub(super) struct Link {
    caller: NonNull<dyn Caller>,
    pub(super) outcome: Outcome,
}

/// What happened on this side during a call of libssl.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) stream: Option<io::Error>,
    pub(super) party: Option<io::Error>,
    pub(super) panic: Option<Box<dyn Any + Send>>,
    /// The stream came to its end.
    pub(super) ended: bool,
    /// Bytes went one way or the other.
    pub(super) moved: bool,
}

/// A stream and its party, of whatever types they are.
pub(super) struct Ends<S, P> {
    pub(super) stream: S,
    pub(super) party: P,
}

pub(super) trait Caller {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn flush(&mut self) -> io::Result<()>;
    fn party(&mut self) -> &mut dyn Party;
}

impl<S: Read + Write + 'static, P: Party> Caller for Ends<S, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    fn party(&mut self) -> &mut dyn Party {
        &mut self.party
    }
}

impl Link {
    pub(super) fn new<S: Read + Write + 'static, P: Party>(ends: NonNull<Ends<S, P>>) -> Self {
        Self { caller: ends, outcome: Outcome::default() }
    }

    /// Has the caller do something. A panic is kept for who called libssl.
    fn call<T>(&mut self, call: impl FnOnce(&mut dyn Caller) -> T) -> Option<T> {
        // SAFETY: the session owns the caller, keeps it alive and does not touch it while libssl runs.
        let caller = unsafe { self.caller.as_mut() };
        match catch_unwind(AssertUnwindSafe(|| call(caller))) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.outcome.panic = Some(panic);
                None
            }
        }
    }

    /// Has the stream do something. None where it failed.
    fn io<T>(&mut self, mut io: impl FnMut(&mut dyn Caller) -> io::Result<T>) -> Option<T> {
        loop {
            match self.call(&mut io)? {
                Ok(done) => return Some(done),
                Err(error) if error.kind() == ErrorKind::Interrupted && error.raw_os_error().is_some() => {}
                Err(error) => {
                    self.outcome.stream = Some(error);
                    return None;
                }
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let amount = self.io(|caller| caller.read(buffer))?.min(buffer.len());
        self.outcome.moved = true;
        self.outcome.ended |= amount == 0;
        Some(amount)
    }

    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        let amount = self.io(|caller| caller.write(bytes))?.min(bytes.len());
        self.outcome.moved = true;
        Some(amount)
    }
}

pub(super) static KEY: sys::SSL_PRIVATE_KEY_METHOD =
    sys::SSL_PRIVATE_KEY_METHOD { sign, decrypt: None, complete };

/// # Safety
/// `bio` is one of a session, whose data is a [`Link`].
pub(super) unsafe extern "C" fn read(bio: *mut sys::BIO, buffer: *mut c_char, length: c_int) -> c_int {
    let Ok(length) = usize::try_from(length) else { return -1 };
    // SAFETY: libssl gives `length` bytes to write to, which are written before they are lent.
    unsafe {
        sys::BIO_clear_retry_flags(bio);
        let link = &mut *sys::BIO_get_data(bio).cast::<Link>();
        ptr::write_bytes(buffer, 0, length);
        match link.read(slice::from_raw_parts_mut(buffer.cast(), length)) {
            Some(amount) => c_int::try_from(amount).unwrap_or(-1),
            None => {
                // A session that can go on is not harmed by who does not let it.
                sys::BIO_set_retry_read(bio);
                -1
            }
        }
    }
}

/// # Safety
/// As for [`read`].
pub(super) unsafe extern "C" fn write(bio: *mut sys::BIO, bytes: *const c_char, length: c_int) -> c_int {
    let Ok(length) = usize::try_from(length) else { return -1 };
    // SAFETY: libssl gives `length` bytes.
    unsafe {
        sys::BIO_clear_retry_flags(bio);
        let link = &mut *sys::BIO_get_data(bio).cast::<Link>();
        match link.write(slice::from_raw_parts(bytes.cast(), length)) {
            Some(amount) => c_int::try_from(amount).unwrap_or(-1),
            None => {
                sys::BIO_set_retry_write(bio);
                -1
            }
        }
    }
}

/// # Safety
/// As for [`read`].
pub(super) unsafe extern "C" fn ctrl(
    bio: *mut sys::BIO,
    command: c_int,
    _: c_long,
    _: *mut c_void,
) -> c_long {
    if command != sys::BIO_CTRL_FLUSH {
        return 0;
    }
    // SAFETY: the data of the BIO is the link.
    unsafe {
        sys::BIO_clear_retry_flags(bio);
        let link = &mut *sys::BIO_get_data(bio).cast::<Link>();
        if link.io(|caller| caller.flush()).is_some() {
            return 1;
        }
        sys::BIO_set_retry_write(bio);
        -1
    }
}

/// # Safety
/// `ssl` is that of a session, which is in a handshake.
pub(super) unsafe extern "C" fn verify(ssl: *mut sys::SSL, alert: *mut u8) -> c_int {
    // SAFETY: libssl keeps what it says about the peer while this runs; `alert` is a place for one.
    unsafe {
        let link = link(ssl);
        let chain: Vec<&[u8]> = certificates(sys::SSL_get0_peer_certificates(ssl));
        let (mut ocsp, mut length) = (ptr::null(), 0);
        sys::SSL_get0_ocsp_response(ssl, &mut ocsp, &mut length);
        let ocsp = if ocsp.is_null() { &[][..] } else { slice::from_raw_parts(ocsp, length) };
        *alert = sys::SSL_AD_INTERNAL_ERROR;
        if chain.is_empty() {
            return sys::VERIFY_INVALID;
        }
        let verdict = link.call(|caller| caller.party().verify(&chain, ocsp));
        // What libcrypto could not do for the party is no error of the session's.
        error::clear_queue();
        match verdict {
            Some(Ok(())) => sys::VERIFY_OK,
            Some(Err(Refused { alert: number, error })) => {
                *alert = number;
                link.outcome.party = Some(error);
                sys::VERIFY_INVALID
            }
            None => sys::VERIFY_INVALID,
        }
    }
}

/// # Safety
/// As for [`verify`].
pub(super) unsafe extern "C" fn certificate_requested(ssl: *mut sys::SSL, _: *mut c_void) -> c_int {
    // SAFETY: the session's link.
    let asked = unsafe { link(ssl) }.call(|caller| caller.party().certificate_requested());
    c_int::from(asked.is_some())
}

/// # Safety
/// As for [`verify`]; there are `capacity` bytes for the signature, and `length` of the message.
unsafe extern "C" fn sign(
    ssl: *mut sys::SSL,
    signature: *mut u8,
    signature_length: *mut usize,
    capacity: usize,
    scheme: u16,
    message: *const u8,
    length: usize,
) -> c_int {
    // SAFETY: libssl gives what is said above.
    unsafe {
        let link = link(ssl);
        let message = slice::from_raw_parts(message, length);
        let signed = link.call(|caller| caller.party().sign(scheme, message));
        error::clear_queue();
        match signed {
            Some(Ok(bytes)) if bytes.len() <= capacity => {
                ptr::copy_nonoverlapping(bytes.as_ptr(), signature, bytes.len());
                *signature_length = bytes.len();
                return sys::PRIVATE_KEY_SUCCESS;
            }
            Some(Ok(bytes)) => {
                let text = format!("a signature of {} bytes, where {capacity} are the most", bytes.len());
                link.outcome.party = Some(io::Error::other(text));
            }
            Some(Err(error)) => link.outcome.party = Some(error),
            None => {}
        }
        sys::PRIVATE_KEY_FAILURE
    }
}

/// For keys that answer later, which ours do not.
unsafe extern "C" fn complete(_: *mut sys::SSL, _: *mut u8, _: *mut usize, _: usize) -> c_int {
    sys::PRIVATE_KEY_FAILURE
}

/// # Safety
/// `ssl` is that of a session, and nobody else uses its link now.
unsafe fn link<'a>(ssl: *mut sys::SSL) -> &'a mut Link {
    // SAFETY: the session put it there.
    unsafe { &mut *sys::SSL_get_ex_data(ssl, 0).cast::<Link>() }
}

/// # Safety
/// `chain` is NULL or holds certificates, which outlive `'a`.
unsafe fn certificates<'a>(chain: *const sys::OPENSSL_STACK) -> Vec<&'a [u8]> {
    if chain.is_null() {
        return Vec::new();
    }
    // SAFETY: as above.
    unsafe {
        let each = (0..sys::OPENSSL_sk_num(chain)).map(|index| {
            let certificate = sys::OPENSSL_sk_value(chain, index).cast::<sys::CRYPTO_BUFFER>();
            slice::from_raw_parts(sys::CRYPTO_BUFFER_data(certificate), sys::CRYPTO_BUFFER_len(certificate))
        });
        each.collect()
    }
}
