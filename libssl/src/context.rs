//! What sessions have in common: what is offered, and the client certificate.

#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::{fmt, io};

use super::{border, error, sys};

/// As rustls offers them for TLS 1.2, in its order.
const CIPHERS: &std::ffi::CStr =
    c"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:\
    ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305";

/// X25519, P-256, P-384, and P-521: the key of a certificate may be on no other curve than these (RFC 8422, section 5.1.1).
const GROUPS: [u16; 4] = [29, 23, 24, 25];

/// What servers may sign with: ECDSA, Ed25519, RSASSA-PSS and PKCS#1, with SHA-256 and better.
const SERVERS_SCHEMES: [u16; 10] =
    [0x0503, 0x0403, 0x0603, 0x0807, 0x0806, 0x0805, 0x0804, 0x0601, 0x0501, 0x0401];

/// What the sessions of one client share. A clone is the same one.
#[derive(Clone)]
pub struct Context(Arc<Shared>);

/// The certificate that a client shows where a server asks for one.
pub struct ClientCertificate<'a> {
    /// DER, its own first.
    pub chain: &'a [&'a [u8]],
    /// What its key signs with, best first: numbers of the TLS registry (RFC 8446, section 4.2.3).
    pub schemes: &'a [u16],
}

struct Shared {
    context: NonNull<sys::SSL_CTX>,
    /// How libssl reads and writes.
    stream: NonNull<sys::BIO_METHOD>,
}

// SAFETY: both are finished when they get here, and libssl counts its references to them with atomics.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Context {
    /// A client that shows `certificate` where it is asked, or none.
    pub fn new(certificate: Option<ClientCertificate<'_>>) -> io::Result<Self> {
        error::clear_queue();
        // SAFETY: NULL is the only thing that can be wrong with what they return.
        let shared = unsafe {
            let context =
                NonNull::new(sys::SSL_CTX_new(sys::TLS_with_buffers_method())).ok_or_else(failed)?;
            let Some(stream) = NonNull::new(sys::BIO_meth_new(sys::BIO_TYPE_SOURCE_SINK, c"stream".as_ptr()))
            else {
                sys::SSL_CTX_free(context.as_ptr());
                return Err(failed());
            };
            Shared { context, stream }
        };
        let (context, stream) = (shared.context.as_ptr(), shared.stream.as_ptr());
        // SAFETY: both are alive, and nobody else has them yet; the callbacks are what libssl says they are to be.
        let done = unsafe {
            sys::SSL_CTX_set_custom_verify(context, sys::SSL_VERIFY_PEER, border::verify);
            sys::SSL_CTX_set_cert_cb(context, border::certificate_requested, ptr::null_mut());
            sys::SSL_CTX_set_session_cache_mode(context, sys::SSL_SESS_CACHE_OFF);
            sys::SSL_CTX_set_options(context, sys::SSL_OP_NO_TICKET);
            let modes = sys::SSL_MODE_ENABLE_PARTIAL_WRITE | sys::SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
            sys::SSL_CTX_set_mode(context, modes);
            sys::SSL_CTX_enable_ocsp_stapling(context);
            [
                sys::SSL_CTX_set_min_proto_version(context, sys::TLS1_2_VERSION),
                sys::SSL_CTX_set_max_proto_version(context, sys::TLS1_2_VERSION),
                sys::SSL_CTX_set_read_ahead(context, 1),
                sys::SSL_CTX_set_strict_cipher_list(context, CIPHERS.as_ptr()),
                sys::SSL_CTX_set1_group_ids(context, GROUPS.as_ptr(), GROUPS.len()),
                sys::SSL_CTX_set_verify_algorithm_prefs(
                    context,
                    SERVERS_SCHEMES.as_ptr(),
                    SERVERS_SCHEMES.len(),
                ),
                sys::BIO_meth_set_read(stream, border::read),
                sys::BIO_meth_set_write(stream, border::write),
                sys::BIO_meth_set_ctrl(stream, border::ctrl),
            ]
        };
        if done != [1; 9] {
            return Err(failed());
        }
        if let Some(certificate) = certificate {
            shared.present(&certificate)?;
        }
        Ok(Self(Arc::new(shared)))
    }

    pub(super) fn ssl(&self) -> *mut sys::SSL_CTX {
        self.0.context.as_ptr()
    }

    pub(super) fn stream(&self) -> *const sys::BIO_METHOD {
        self.0.stream.as_ptr()
    }
}

impl Shared {
    fn present(&self, certificate: &ClientCertificate<'_>) -> io::Result<()> {
        let context = self.context.as_ptr();
        // SAFETY: libssl copies the bytes, and takes references of its own to the copies.
        unsafe {
            let chain = certificate.chain.iter();
            let chain: Vec<_> =
                chain.map(|der| sys::CRYPTO_BUFFER_new(der.as_ptr(), der.len(), ptr::null_mut())).collect();
            let shown = sys::SSL_CTX_set_chain_and_key(
                context,
                chain.as_ptr(),
                chain.len(),
                ptr::null_mut(),
                &border::KEY,
            );
            for certificate in chain {
                sys::CRYPTO_BUFFER_free(certificate);
            }
            let schemes = certificate.schemes;
            if shown != 1
                || sys::SSL_CTX_set_signing_algorithm_prefs(context, schemes.as_ptr(), schemes.len()) != 1
            {
                return Err(failed());
            }
        }
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: no session is left, as each has a clone of the context.
        unsafe {
            sys::SSL_CTX_free(self.context.as_ptr());
            sys::BIO_meth_free(self.stream.as_ptr());
        }
    }
}

fn failed() -> io::Error {
    io::Error::other(error::Error::queued())
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
