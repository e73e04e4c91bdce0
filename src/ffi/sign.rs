//! `mtlspop_sign_op`: what a sign callback is asked for, and the place for its signature.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::callback::{Asked, Callback, Operation, UserData, answer, mtlspop_destroy, set_error};
use super::certificate::mtlspop_certificate;
use super::error::{guard, mtlspop_error, mtlspop_status};
use super::guard::guard_or;
use super::handle::{Handle, Out, value};
use super::text::{Lent, bytes, lend, no_length};
use crate::binding::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{SignRequest, Signer};

/// One signature that is asked for. Valid during the callback only; never freed by the caller.
pub struct mtlspop_sign_op {
    _private: [u8; 0],
}

/// Signs with a private key that lives elsewhere: in an HSM, a key vault, behind PKCS#11. Reads what it
/// needs from operation, answers with mtlspop_sign_op_set_signature().
///
/// Called on the thread whose call needs a signature: for a TLS handshake with the certificate, and for a
/// client assertion. On several threads at once where they share the certificate, and with no lock held
/// (on an app's background thread only where mtlspop_app_options_set_background_refresh() asked for it).
/// It may call other apps, but none that uses this certificate. No exception may leave it.
///
/// Returns 0 for success; anything else fails the call with MTLSPOP_E_CALLBACK and the text of
/// mtlspop_sign_op_set_error().
pub type mtlspop_sign_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, operation: *mut mtlspop_sign_op) -> i32>;

/// What the callback may read.
pub(super) struct Question {
    algorithm: String,
    algorithm_text: Lent,
    message: Vec<u8>,
    digest: Vec<u8>,
}

impl Handle for mtlspop_sign_op {
    type Value = Asked<Question, Option<Vec<u8>>>;
    const NAME: &'static str = "sign_op";
    const TAG: u64 = 0x6d74_6c73_5349_474e;
}

impl Operation for mtlspop_sign_op {
    type Question = Question;
    type Answer = Option<Vec<u8>>;
    const CALLBACK: &'static str = "sign";
    const FAILED: &'static str = "sign_callback_failed";
}

impl Signer for Callback<mtlspop_sign_op> {
    fn sign(&self, request: &SignRequest<'_>) -> Result<Vec<u8>> {
        let question = Question {
            algorithm: request.algorithm.to_owned(),
            algorithm_text: Lent::default(),
            message: request.message.to_vec(),
            digest: request.digest.to_vec(),
        };
        self.ask(question)?.ok_or_else(|| {
            let message = "the sign callback returned 0 but set no signature";
            Error::new(ErrorKind::Callback, mtlspop_sign_op::FAILED, message)
        })
    }
}

/// Makes a certificate whose private key lives elsewhere: whenever a TLS handshake or a client assertion
/// needs a signature, callback is asked for it. It can be used for whatever a certificate with a key of
/// its own can; only its key cannot be exported.
///
/// Fails with MTLSPOP_E_KEY_UNAVAILABLE where there is no certificate in data or its key is neither RSA of
/// 2048 to 8192 bits nor EC on P-256, P-384 or P-521; with MTLSPOP_E_INVALID_ARGUMENT for NULL, and for a
/// private key in data, which can only be a mistake.
///
/// @param data             PEM, the certificate first and its issuers after it, or one certificate in DER;
///                         copied
/// @param length           length of data in bytes
/// @param callback         signs
/// @param userdata         passed to callback
/// @param destroy          releases userdata, exactly once: when nothing uses the certificate any more (its
///                         handles, apps, tokens), or at once if this call fails; may be NULL
/// @param out_certificate  receives the certificate, yours to free
/// @param out_error        receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_new_with_signer(
    data: *const u8,
    length: usize,
    callback: mtlspop_sign_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
    out_certificate: *mut *mut mtlspop_certificate,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    let userdata = UserData::new(userdata, destroy);
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_certificate, "out_certificate")?;
            let signer = Callback::new(callback, userdata)?;
            if data.is_null() {
                return Err(Error::argument("data is NULL"));
            }
            let chain = bytes(data, length, "data")?;
            out.set(Certificate::with_signer(chain, Arc::new(signer))?.into());
            Ok(())
        })
    }
}

/// How to sign, by its name in JOSE (RFC 7518): PS256, PS384 or PS512 (RSA-PSS, the salt as long as the
/// hash); RS256, RS384 or RS512 (RSA with PKCS#1 v1.5 padding); ES256, ES384 or ES512 (ECDSA). The number
/// is that of the hash, SHA-256, SHA-384 or SHA-512.
///
/// TLS 1.3 has only PSS for RSA keys. A callback that fails for PS256 is asked again with RS256 where a
/// client assertion is wanted.
///
/// @param operation  the question
/// @return text, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_sign_op_algorithm(operation: *const mtlspop_sign_op) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let question = &unsafe { value(operation, "operation") }?.question;
        Ok(question.algorithm_text.get(|| Some(&question.algorithm)))
    })
}

/// The message to sign, for keys that hash it themselves.
///
/// @param operation   the question
/// @param out_length  receives the number of bytes; may be NULL
/// @return the bytes, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_sign_op_message(
    operation: *const mtlspop_sign_op,
    out_length: *mut usize,
) -> *const u8 {
    unsafe { part(operation, out_length, |question| &question.message) }
}

/// The hash of the message, for keys that sign a hash.
///
/// @param operation   the question
/// @param out_length  receives the number of bytes: 32, 48 or 64; may be NULL
/// @return the bytes, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_sign_op_digest(
    operation: *const mtlspop_sign_op,
    out_length: *mut usize,
) -> *const u8 {
    unsafe { part(operation, out_length, |question| &question.digest) }
}

/// Answers with the signature. It is verified with the public key of the certificate; one that does not
/// verify fails the call with MTLSPOP_E_KEY_UNAVAILABLE.
///
/// @param operation  the question
/// @param signature  for RSA as long as the key; for ECDSA in DER (X9.62), not r and s side by side; copied
/// @param length     the number of its bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_sign_op_set_signature(
    operation: *mut mtlspop_sign_op,
    signature: *const u8,
    length: usize,
) {
    let parse = || match signature.is_null() {
        true => Err(Error::argument("signature is NULL")),
        false => unsafe { bytes(signature, length, "signature") },
    };
    unsafe {
        answer(operation, "mtlspop_sign_op_set_signature", parse, |answer, signature| {
            *answer = Some(signature.to_vec());
        });
    }
}

/// Says why the callback failed; the text becomes part of the call's error message.
///
/// @param operation  the question
/// @param message    one line for a person, without secrets; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_sign_op_set_error(operation: *mut mtlspop_sign_op, message: *const c_char) {
    unsafe { set_error(operation, "mtlspop_sign_op_set_error", message) }
}

unsafe fn part(
    operation: *const mtlspop_sign_op,
    out_length: *mut usize,
    get: impl FnOnce(&Question) -> &[u8],
) -> *const u8 {
    guard_or(std::ptr::null(), || {
        unsafe { no_length(out_length) };
        let question = &unsafe { value(operation, "operation") }?.question;
        Ok(unsafe { lend(get(question), out_length) })
    })
}
