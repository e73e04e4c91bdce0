//! What is called of AWS-LC's libssl and libcrypto, as its headers declare it. tests/bindings.c holds the same against them.

#![allow(unsafe_code, non_camel_case_types, clippy::upper_case_acronyms)]

use std::ffi::{c_char, c_int, c_long, c_void};

macro_rules! opaque {
    ($($name:ident)*) => { $(#[repr(C)] pub(crate) struct $name { _private: [u8; 0] })* };
}

opaque! { BIO BIO_METHOD CRYPTO_BUFFER CRYPTO_BUFFER_POOL EVP_PKEY OPENSSL_STACK SSL SSL_CTX SSL_METHOD }

/// Declares functions whose names have a prefix in the libraries.
macro_rules! functions {
    ($prefix:literal: $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        unsafe extern "C" {
            $(
                #[link_name = concat!(env!($prefix), stringify!($name))]
                pub(crate) fn $name($($argument: $type),*) $(-> $result)?;
            )*
        }
    };
}

pub(crate) type Read = unsafe extern "C" fn(*mut BIO, *mut c_char, c_int) -> c_int;
pub(crate) type Write = unsafe extern "C" fn(*mut BIO, *const c_char, c_int) -> c_int;
pub(crate) type Ctrl = unsafe extern "C" fn(*mut BIO, c_int, c_long, *mut c_void) -> c_long;
pub(crate) type Verify = unsafe extern "C" fn(*mut SSL, *mut u8) -> c_int;
pub(crate) type ChooseCertificate = unsafe extern "C" fn(*mut SSL, *mut c_void) -> c_int;
pub(crate) type Sign =
    unsafe extern "C" fn(*mut SSL, *mut u8, *mut usize, usize, u16, *const u8, usize) -> c_int;
pub(crate) type Decrypt =
    unsafe extern "C" fn(*mut SSL, *mut u8, *mut usize, usize, *const u8, usize) -> c_int;
pub(crate) type Complete = unsafe extern "C" fn(*mut SSL, *mut u8, *mut usize, usize) -> c_int;

#[repr(C)]
pub(crate) struct SSL_PRIVATE_KEY_METHOD {
    pub(crate) sign: Sign,
    pub(crate) decrypt: Option<Decrypt>,
    pub(crate) complete: Complete,
}

functions! { "MTLSPOP_LIBSSL_PREFIX":
    fn TLS_with_buffers_method() -> *const SSL_METHOD;
    fn SSL_CTX_new(method: *const SSL_METHOD) -> *mut SSL_CTX;
    fn SSL_CTX_free(context: *mut SSL_CTX);
    fn SSL_CTX_set_min_proto_version(context: *mut SSL_CTX, version: u16) -> c_int;
    fn SSL_CTX_set_max_proto_version(context: *mut SSL_CTX, version: u16) -> c_int;
    fn SSL_CTX_set_strict_cipher_list(context: *mut SSL_CTX, names: *const c_char) -> c_int;
    fn SSL_CTX_set1_group_ids(context: *mut SSL_CTX, groups: *const u16, count: usize) -> c_int;
    fn SSL_CTX_set_verify_algorithm_prefs(context: *mut SSL_CTX, schemes: *const u16, count: usize) -> c_int;
    fn SSL_CTX_set_signing_algorithm_prefs(context: *mut SSL_CTX, schemes: *const u16, count: usize) -> c_int;
    fn SSL_CTX_set_chain_and_key(
        context: *mut SSL_CTX,
        chain: *const *mut CRYPTO_BUFFER,
        count: usize,
        key: *mut EVP_PKEY,
        method: *const SSL_PRIVATE_KEY_METHOD
    ) -> c_int;
    fn SSL_CTX_set_custom_verify(context: *mut SSL_CTX, mode: c_int, verify: Verify);
    fn SSL_CTX_set_cert_cb(context: *mut SSL_CTX, choose: ChooseCertificate, argument: *mut c_void);
    fn SSL_CTX_set_session_cache_mode(context: *mut SSL_CTX, mode: c_int) -> c_int;
    fn SSL_CTX_set_options(context: *mut SSL_CTX, options: u32) -> u32;
    fn SSL_CTX_set_mode(context: *mut SSL_CTX, modes: u32) -> u32;
    fn SSL_CTX_set_read_ahead(context: *mut SSL_CTX, yes: c_int) -> c_int;
    fn SSL_CTX_enable_ocsp_stapling(context: *mut SSL_CTX);
    fn SSL_new(context: *mut SSL_CTX) -> *mut SSL;
    fn SSL_free(ssl: *mut SSL);
    fn SSL_set_bio(ssl: *mut SSL, read: *mut BIO, write: *mut BIO);
    fn SSL_set_ex_data(ssl: *mut SSL, index: c_int, data: *mut c_void) -> c_int;
    fn SSL_get_ex_data(ssl: *const SSL, index: c_int) -> *mut c_void;
    fn SSL_set_tlsext_host_name(ssl: *mut SSL, name: *const c_char) -> c_int;
    fn SSL_set_renegotiate_mode(ssl: *mut SSL, mode: c_int);
    fn SSL_set_connect_state(ssl: *mut SSL);
    fn SSL_do_handshake(ssl: *mut SSL) -> c_int;
    fn SSL_renegotiate(ssl: *mut SSL) -> c_int;
    fn SSL_total_renegotiations(ssl: *const SSL) -> c_int;
    fn SSL_get_secure_renegotiation_support(ssl: *const SSL) -> c_int;
    fn SSL_get_extms_support(ssl: *const SSL) -> c_int;
    fn SSL_read(ssl: *mut SSL, buffer: *mut c_void, length: c_int) -> c_int;
    fn SSL_peek(ssl: *mut SSL, buffer: *mut c_void, length: c_int) -> c_int;
    fn SSL_write(ssl: *mut SSL, bytes: *const c_void, length: c_int) -> c_int;
    fn SSL_shutdown(ssl: *mut SSL) -> c_int;
    fn SSL_get_error(ssl: *const SSL, result: c_int) -> c_int;
    fn SSL_get0_peer_certificates(ssl: *const SSL) -> *const OPENSSL_STACK;
    fn SSL_get0_ocsp_response(ssl: *const SSL, out: *mut *const u8, length: *mut usize);
}

functions! { "MTLSPOP_LIBCRYPTO_PREFIX":
    fn BIO_meth_new(kind: c_int, name: *const c_char) -> *mut BIO_METHOD;
    fn BIO_meth_free(method: *mut BIO_METHOD);
    fn BIO_meth_set_read(method: *mut BIO_METHOD, read: Read) -> c_int;
    fn BIO_meth_set_write(method: *mut BIO_METHOD, write: Write) -> c_int;
    fn BIO_meth_set_ctrl(method: *mut BIO_METHOD, ctrl: Ctrl) -> c_int;
    fn BIO_new(method: *const BIO_METHOD) -> *mut BIO;
    fn BIO_set_data(bio: *mut BIO, data: *mut c_void);
    fn BIO_get_data(bio: *mut BIO) -> *mut c_void;
    fn BIO_set_init(bio: *mut BIO, yes: c_int);
    fn BIO_set_retry_read(bio: *mut BIO);
    fn BIO_set_retry_write(bio: *mut BIO);
    fn BIO_clear_retry_flags(bio: *mut BIO);
    fn CRYPTO_BUFFER_new(bytes: *const u8, length: usize, pool: *mut CRYPTO_BUFFER_POOL) -> *mut CRYPTO_BUFFER;
    fn CRYPTO_BUFFER_free(buffer: *mut CRYPTO_BUFFER);
    fn CRYPTO_BUFFER_data(buffer: *const CRYPTO_BUFFER) -> *const u8;
    fn CRYPTO_BUFFER_len(buffer: *const CRYPTO_BUFFER) -> usize;
    fn OPENSSL_sk_num(stack: *const OPENSSL_STACK) -> usize;
    fn OPENSSL_sk_value(stack: *const OPENSSL_STACK, index: usize) -> *mut c_void;
    fn ERR_clear_error();
    fn ERR_get_error() -> u32;
    fn ERR_reason_error_string(error: u32) -> *const c_char;
}

pub(crate) const TLS1_2_VERSION: u16 = 0x0303;
pub(crate) const SSL_VERIFY_PEER: c_int = 1;
pub(crate) const SSL_SESS_CACHE_OFF: c_int = 0;
pub(crate) const SSL_OP_NO_TICKET: u32 = 0x4000;
pub(crate) const SSL_MODE_ENABLE_PARTIAL_WRITE: u32 = 1;
pub(crate) const SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER: u32 = 2;
/// Of `ssl_renegotiate_mode_t`.
pub(crate) const RENEGOTIATE_EXPLICIT: c_int = 4;
/// Of `ssl_verify_result_t`.
pub(crate) const VERIFY_OK: c_int = 0;
pub(crate) const VERIFY_INVALID: c_int = 1;
/// Of `ssl_private_key_result_t`.
pub(crate) const PRIVATE_KEY_SUCCESS: c_int = 0;
pub(crate) const PRIVATE_KEY_FAILURE: c_int = 2;
pub(crate) const SSL_ERROR_WANT_READ: c_int = 2;
pub(crate) const SSL_ERROR_WANT_WRITE: c_int = 3;
pub(crate) const SSL_ERROR_ZERO_RETURN: c_int = 6;
pub(crate) const SSL_ERROR_WANT_RENEGOTIATE: c_int = 19;
pub(crate) const SSL_AD_REASON_OFFSET: u32 = 1000;
pub(crate) const SSL_AD_INTERNAL_ERROR: u8 = 80;
pub(crate) const ERR_LIB_SSL: u32 = 16;
pub(crate) const BIO_TYPE_SOURCE_SINK: c_int = 0x400;
pub(crate) const BIO_CTRL_FLUSH: c_int = 11;

/// The library of an error, as `ERR_GET_LIB` has it.
pub(crate) fn error_library(error: u32) -> u32 {
    error >> 24 & 0xff
}

/// The reason of an error, as `ERR_GET_REASON` has it.
pub(crate) fn error_reason(error: u32) -> u32 {
    error & 0xfff
}
