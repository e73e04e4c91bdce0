//! `mtlspop_attestation_op`: the key that an attestation callback is to have attested, and the place for its answer.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::buffer::{BufferValue, mtlspop_buffer};
use super::callback::{Asked, Callback, Operation, answer, milliseconds, set_error};
use super::error::{guard, mtlspop_error, mtlspop_status};
use super::guard::guard_or;
use super::handle::{Handle, Out, value};
use super::text::{Lent, bytes, lend, no_length, required};
use crate::attestation::{AttestationProvider, AttestationRequest, no_token};
use crate::error::Result;
use crate::key::PrivateKey;
use crate::runtime::{Cancel, Wait};
use crate::secret::Secret;

/// One key that is to be attested. Valid during the callback only; never freed by the caller.
pub struct mtlspop_attestation_op {
    _private: [u8; 0],
}

/// Has a key attested: takes the key's public half and signatures with it to an attestation service, and
/// answers with the service's token and mtlspop_attestation_op_set_token().
///
/// Called on the thread that asks for a token, inside that call, with no lock held (on the app's
/// background thread only where mtlspop_app_options_set_background_refresh() asked for it), and only when a
/// certificate is to be issued; threads and, with a binding store, processes that need the same certificate
/// wait for it, each as long as its own time allows. It may call other apps, but not ask one with
/// attestation for a bound token of the same identity: that is an error. No exception may leave it.
///
/// Returns 0 for success; anything else fails the call with MTLSPOP_E_CALLBACK, the code attestation_failed
/// and the text of mtlspop_attestation_op_set_error(). No certificate for a key that is not attested is
/// asked for in its place.
pub type mtlspop_attestation_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, operation: *mut mtlspop_attestation_op) -> i32>;

/// What the callback may read.
pub(super) struct Question {
    endpoint: String,
    client_id: String,
    correlation_id: String,
    remaining_ms: i64,
    cancel: Cancel,
    wait: Wait,
    key: Arc<dyn PrivateKey>,
    texts: [Lent; 3],
}

impl Handle for mtlspop_attestation_op {
    type Value = Asked<Question, Option<Secret>>;
    const NAME: &'static str = "attestation_op";
    const TAG: u64 = 0x6d74_6c73_4154_5445;
}

impl Operation for mtlspop_attestation_op {
    type Question = Question;
    type Answer = Option<Secret>;
    const CALLBACK: &'static str = "attestation";
    const FAILED: &'static str = "attestation_failed";
}

impl AttestationProvider for Callback<mtlspop_attestation_op> {
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Secret> {
        let question = Question {
            endpoint: request.endpoint.to_owned(),
            client_id: request.client_id.to_owned(),
            correlation_id: request.correlation_id.to_owned(),
            remaining_ms: milliseconds(request.remaining),
            cancel: request.cancel.clone(),
            wait: Wait::new(request.cancel, request.remaining),
            key: request.key.clone(),
            texts: Default::default(),
        };
        self.ask(question)?.ok_or_else(|| no_token("the attestation callback returned 0 but set no token"))
    }
}

/// The attestation service that the host names.
///
/// @param operation  the question
/// @return an https URL, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_endpoint(
    operation: *const mtlspop_attestation_op,
) -> *const c_char {
    unsafe { text(operation, 0, |op| &op.endpoint) }
}

/// The client id of the managed identity, whatever name the app was given for it.
///
/// @param operation  the question
/// @return text, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_client_id(
    operation: *const mtlspop_attestation_op,
) -> *const c_char {
    unsafe { text(operation, 1, |op| &op.client_id) }
}

/// The public key: a SubjectPublicKeyInfo in DER.
///
/// @param operation   the question
/// @param out_length  receives the number of bytes; may be NULL
/// @return the bytes, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_public_key(
    operation: *const mtlspop_attestation_op,
    out_length: *mut usize,
) -> *const u8 {
    guard_or(std::ptr::null(), || {
        unsafe { no_length(out_length) };
        let key = &unsafe { value(operation, "operation") }?.question.key;
        Ok(unsafe { lend(key.public_key_der(), out_length) })
    })
}

/// Signs with the key, which itself is not handed out: proof to the service that it is here.
///
/// @param operation      the question
/// @param algorithm      how, by its name in JOSE (RFC 7518); the key is RSA, so PS256, PS384, PS512, RS256,
///                       RS384 or RS512
/// @param message        what to sign; it is hashed as the algorithm says
/// @param length         the number of its bytes
/// @param out_signature  receives the signature, yours to free
/// @param out_error      receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_sign(
    operation: *const mtlspop_attestation_op,
    algorithm: *const c_char,
    message: *const u8,
    length: usize,
    out_signature: *mut *mut mtlspop_buffer,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_signature, "out_signature")?;
            let question = &value(operation, "operation")?.question;
            let algorithm = required(algorithm, "algorithm")?;
            let message = bytes(message, length, "message")?;
            let signature = question.key.sign_as(algorithm, message, &question.wait)?;
            out.set(BufferValue::new(&signature));
            Ok(())
        })
    }
}

/// The correlation id of the call.
///
/// @param operation  the question
/// @return a UUID, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_correlation_id(
    operation: *const mtlspop_attestation_op,
) -> *const c_char {
    unsafe { text(operation, 2, |op| &op.correlation_id) }
}

/// The time the call had left when the callback was called; it does not count down.
///
/// @param operation  the question
/// @return milliseconds, -1 where the call has no limit
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_remaining_ms(
    operation: *const mtlspop_attestation_op,
) -> i64 {
    guard_or(-1, || Ok(unsafe { value(operation, "operation") }?.question.remaining_ms))
}

/// Whether the call has been stopped meanwhile, so that the answer is no longer wanted.
///
/// @param operation  the question
/// @return 1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_is_cancelled(
    operation: *const mtlspop_attestation_op,
) -> i32 {
    guard_or(0, || Ok(i32::from(unsafe { value(operation, "operation") }?.question.cancel.is_cancelled())))
}

/// Answers with the service's token. It is kept for the same key and service until 5 minutes before its
/// exp, and not looked at otherwise: the host verifies it.
///
/// @param operation  the question
/// @param token      a compact JWT; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_set_token(
    operation: *mut mtlspop_attestation_op,
    token: *const c_char,
) {
    let parse = || unsafe { required(token, "token") };
    unsafe {
        answer(operation, "mtlspop_attestation_op_set_token", parse, |answer, token| {
            *answer = Some(Secret::new(token));
        });
    }
}

/// Says why the callback failed; the text becomes part of the call's error message.
///
/// @param operation  the question
/// @param message    one line for a person, without secrets; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_attestation_op_set_error(
    operation: *mut mtlspop_attestation_op,
    message: *const c_char,
) {
    unsafe { set_error(operation, "mtlspop_attestation_op_set_error", message) }
}

unsafe fn text(
    operation: *const mtlspop_attestation_op,
    slot: usize,
    get: impl FnOnce(&Question) -> &str,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let op = &unsafe { value(operation, "operation") }?.question;
        Ok(op.texts[slot].get(|| Some(get(op))))
    })
}
