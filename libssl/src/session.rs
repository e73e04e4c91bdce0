//! A connection that speaks TLS 1.2 and can renegotiate.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::{fmt, mem};

use super::border::{Ends, Link};
use super::{Context, Error, Party, error, sys};

/// A client's connection over `S`, judged and signed for by `P`.
///
/// It waits as long as the stream does: where a call of the stream fails, the call of the session does, with the same error.
/// A stream that "would block" leaves the session as it was. Dropping it closes nothing but the stream; [`Session::close`]
/// says goodbye first.
pub struct Session<S, P> {
    ssl: NonNull<sys::SSL>,
    link: NonNull<Link>,
    ends: NonNull<Ends<S, P>>,
    _context: Context,
}

// SAFETY: nothing in it is bound to a thread, and what it shares with others, the context, is made for that.
unsafe impl<S: Send, P: Send> Send for Session<S, P> {}
// SAFETY: who has it shared can only look.
unsafe impl<S: Sync, P: Sync> Sync for Session<S, P> {}

impl<S: Read + Write + 'static, P: Party> Session<S, P> {
    /// Speaks the first handshake with `server_name`, a host name or an IP address, to its end.
    pub fn connect(context: &Context, server_name: &str, stream: S, party: P) -> Result<Self, Error> {
        error::clear_queue();
        let mut session = Self::new(context, stream, party)?;
        session.name(server_name)?;
        session.handshake()?;
        Ok(session)
    }

    fn new(context: &Context, stream: S, party: P) -> Result<Self, Error> {
        // SAFETY: NULL is the only thing that can be wrong with what they return; the link and the ends live as long as
        // the session, and with it `ssl`, which takes the BIO over.
        unsafe {
            let ssl = NonNull::new(sys::SSL_new(context.ssl())).ok_or_else(Error::queued)?;
            let Some(bio) = NonNull::new(sys::BIO_new(context.stream())) else {
                sys::SSL_free(ssl.as_ptr());
                return Err(Error::queued());
            };
            let ends = NonNull::from(Box::leak(Box::new(Ends { stream, party })));
            let link = NonNull::from(Box::leak(Box::new(Link::new(ends))));
            sys::BIO_set_data(bio.as_ptr(), link.as_ptr().cast());
            sys::BIO_set_init(bio.as_ptr(), 1);
            sys::SSL_set_bio(ssl.as_ptr(), bio.as_ptr(), bio.as_ptr());
            let session = Self { ssl, link, ends, _context: context.clone() };
            if sys::SSL_set_ex_data(ssl.as_ptr(), 0, link.as_ptr().cast()) != 1 {
                return Err(Error::queued());
            }
            sys::SSL_set_renegotiate_mode(ssl.as_ptr(), sys::RENEGOTIATE_EXPLICIT);
            sys::SSL_set_connect_state(ssl.as_ptr());
            Ok(session)
        }
    }

    /// Tells the server which of its names is meant, where that is a name (RFC 6066, section 3).
    fn name(&mut self, server_name: &str) -> Result<(), Error> {
        if server_name.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let name = server_name.strip_suffix('.').unwrap_or(server_name);
        let name = CString::new(name).map_err(|_| Error::Tls("the host name is not valid".into()))?;
        // SAFETY: libssl copies the name.
        match unsafe { sys::SSL_set_tlsext_host_name(self.ssl.as_ptr(), name.as_ptr()) } {
            1 => Ok(()),
            _ => Err(Error::queued()),
        }
    }

    /// Does what the server asked for with [`Error::RenegotiationRequested`]: a new handshake on the same connection. All
    /// that was written must have gone out. It fails where the server does not know RFC 5746, or shows another certificate.
    pub fn renegotiate(&mut self) -> Result<(), Error> {
        // libssl would: anybody could have spoken first, and had the rest of it taken for his (CVE-2009-3555).
        if !self.secure_renegotiation() {
            return Err(Error::Tls("UNSAFE_LEGACY_RENEGOTIATION".into()));
        }
        error::clear_queue();
        // SAFETY: the session's own.
        if unsafe { sys::SSL_renegotiate(self.ssl.as_ptr()) } != 1 {
            return Err(Error::queued());
        }
        self.handshake()
    }

    /// Reads what has arrived, or waits for it. Nothing means that the server closed the connection in due form.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (start, length) = (buffer.as_mut_ptr(), int(buffer.len()));
        // SAFETY: that many bytes are there to be written to.
        self.drive(|ssl| unsafe { sys::SSL_read(ssl, start.cast(), length) })
    }

    /// Writes some of `bytes`, at most a record.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let (start, length) = (bytes.as_ptr(), int(bytes.len()));
        // SAFETY: that many bytes are there.
        match self.drive(|ssl| unsafe { sys::SSL_write(ssl, start.cast(), length) })? {
            0 => Err(Error::Stream(ErrorKind::WriteZero.into())),
            written => Ok(written),
        }
    }

    /// Writes all of `bytes`.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            bytes = &bytes[self.write(bytes)?..];
        }
        Ok(())
    }

    /// Whether nothing has come that would keep an idle connection from being used again. The stream must not wait now, but
    /// say that it would block. It does not know by itself: libssl reads ahead.
    pub fn is_quiet(&mut self) -> bool {
        matches!(self.peek(), Err(Error::Stream(error)) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Why the server hung up, where it said so before: asked after a write that failed. It may wait, as reads do.
    pub fn last_words(&mut self) -> Option<Error> {
        match self.peek() {
            Err(error @ Error::Alert(_)) => Some(error),
            _ => None,
        }
    }

    /// Tells the server that nothing more comes.
    pub fn close(&mut self) -> Result<(), Error> {
        // SAFETY: the session's own.
        let done = self.drive(|ssl| match unsafe { sys::SSL_shutdown(ssl) } {
            // It is said, and the server has not said so yet.
            0 => 1,
            other => other,
        });
        done.map(drop)
    }

    fn peek(&mut self) -> Result<usize, Error> {
        let mut byte = 0u8;
        let place = (&raw mut byte).cast();
        // SAFETY: there is room for one.
        self.drive(|ssl| unsafe { sys::SSL_peek(ssl, place, 1) })
    }

    fn handshake(&mut self) -> Result<(), Error> {
        // SAFETY: the session's own.
        match self.drive(|ssl| unsafe { sys::SSL_do_handshake(ssl) })? {
            0 => Err(Error::Stream(ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }

    /// Calls libssl until it is through or something is in the way.
    fn drive(&mut self, mut call: impl FnMut(*mut sys::SSL) -> c_int) -> Result<usize, Error> {
        loop {
            error::clear_queue();
            let result = call(self.ssl.as_ptr());
            let outcome = mem::take(&mut self.link().outcome);
            if let Some(panic) = outcome.panic {
                resume_unwind(panic);
            }
            if let Ok(done @ 1..) = usize::try_from(result) {
                return Ok(done);
            }
            if let Some(error) = outcome.party {
                return Err(Error::Party(error));
            }
            // SAFETY: the session's own, right after the call.
            match unsafe { sys::SSL_get_error(self.ssl.as_ptr(), result) } {
                sys::SSL_ERROR_ZERO_RETURN => return Ok(0),
                sys::SSL_ERROR_WANT_RENEGOTIATE => return Err(Error::RenegotiationRequested),
                sys::SSL_ERROR_WANT_READ | sys::SSL_ERROR_WANT_WRITE => match outcome.stream {
                    Some(error) => return Err(Error::Stream(error)),
                    None if outcome.moved => {}
                    None => return Err(Error::Tls("libssl waits for nothing".into())),
                },
                _ => {
                    let eof = outcome.ended.then(|| ErrorKind::UnexpectedEof.into());
                    let stream = outcome.stream.or(eof);
                    return Err(match (Error::queued(), stream) {
                        (alert @ Error::Alert(_), _) | (alert, None) => alert,
                        (_, Some(error)) => Error::Stream(error),
                    });
                }
            }
        }
    }

    fn link(&mut self) -> &mut Link {
        // SAFETY: the session owns it, and libssl does not run.
        unsafe { self.link.as_mut() }
    }
}

impl<S, P> Session<S, P> {
    /// How often it was renegotiated, counting those that failed.
    pub fn renegotiations(&self) -> usize {
        // SAFETY: the session's own.
        usize::try_from(unsafe { sys::SSL_total_renegotiations(self.ssl.as_ptr()) }).unwrap_or(0)
    }

    /// Whether the server binds a renegotiation to what came before it (RFC 5746).
    pub fn secure_renegotiation(&self) -> bool {
        // SAFETY: the session's own.
        unsafe { sys::SSL_get_secure_renegotiation_support(self.ssl.as_ptr()) == 1 }
    }

    /// Whether the keys are bound to the whole handshake (RFC 7627).
    pub fn extended_master_secret(&self) -> bool {
        // SAFETY: the session's own.
        unsafe { sys::SSL_get_extms_support(self.ssl.as_ptr()) == 1 }
    }

    pub fn stream(&self) -> &S {
        // SAFETY: the session owns the ends, and libssl does not run.
        unsafe { &self.ends.as_ref().stream }
    }

    pub fn stream_mut(&mut self) -> &mut S {
        // SAFETY: as above.
        unsafe { &mut self.ends.as_mut().stream }
    }

    pub fn party(&self) -> &P {
        // SAFETY: as above.
        unsafe { &self.ends.as_ref().party }
    }

    pub fn party_mut(&mut self) -> &mut P {
        // SAFETY: as above.
        unsafe { &mut self.ends.as_mut().party }
    }
}

impl<S, P> Drop for Session<S, P> {
    fn drop(&mut self) {
        // SAFETY: nobody else has them, and libssl, which calls neither here, is the first to go.
        unsafe {
            sys::SSL_free(self.ssl.as_ptr());
            drop(Box::from_raw(self.link.as_ptr()));
            drop(Box::from_raw(self.ends.as_ptr()));
        }
    }
}

fn int(length: usize) -> c_int {
    c_int::try_from(length).unwrap_or(c_int::MAX)
}

impl<S, P> fmt::Debug for Session<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("renegotiations", &self.renegotiations()).finish_non_exhaustive()
    }
}
