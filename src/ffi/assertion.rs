//! `mtlspop_assertion_op`: the question an assertion callback is asked, and the place for its answer.

use std::ffi::{CString, c_char, c_void};
use std::sync::LazyLock;

use super::callback::{Asked, Callback, Operation, answer, milliseconds, set_error};
use super::certificate::mtlspop_certificate;
use super::guard::guard_or;
use super::handle::{Handle, value};
use super::text::{Lent, c_string, required};
use crate::authority::{AUDIENCES, federated_credential_audience};
use crate::binding::Certificate;
use crate::credential::{AssertionProvider, AssertionRequest, CertificateProvider, SignedAssertion};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Cancel;
use crate::secret::Secret;

/// One question to an assertion callback. Valid during the callback only; never freed by the caller.
pub struct mtlspop_assertion_op {
    _private: [u8; 0],
}

/// Gives a signed assertion, or the app's certificate: reads what it needs from operation, answers with
/// mtlspop_assertion_op_set_assertion() and, to bind the token, mtlspop_assertion_op_set_certificate().
///
/// Called on the thread that asks for a token, inside that call, with no lock held (on the app's
/// background thread only where mtlspop_app_options_set_background_refresh() asked for it). It may call
/// other apps, but not ask this app for a token: for the same one that is an error. No exception may leave it.
///
/// Returns 0 for success; anything else fails the call with MTLSPOP_E_CALLBACK and the text of
/// mtlspop_assertion_op_set_error().
pub type mtlspop_assertion_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, operation: *mut mtlspop_assertion_op) -> i32>;

/// What the callback may read.
pub(super) struct Question {
    client_id: String,
    tenant_id: Option<String>,
    authority: String,
    token_endpoint: String,
    token_type: &'static str,
    claims: Option<String>,
    client_capabilities: String,
    fmi_path: Option<String>,
    correlation_id: String,
    remaining_ms: i64,
    cancel: Cancel,
    texts: [Lent; 9],
}

#[derive(Default)]
pub(super) struct Answer {
    assertion: Option<Secret>,
    certificate: Option<Certificate>,
}

impl Handle for mtlspop_assertion_op {
    type Value = Asked<Question, Answer>;
    const NAME: &'static str = "assertion_op";
    const TAG: u64 = 0x6d74_6c73_4153_4f50;
}

impl Operation for mtlspop_assertion_op {
    type Question = Question;
    type Answer = Answer;
    const CALLBACK: &'static str = "assertion";
    const FAILED: &'static str = "client_assertion_callback_failed";
}

impl AssertionProvider for Callback<mtlspop_assertion_op> {
    fn assertion(&self, request: &AssertionRequest<'_>) -> Result<SignedAssertion> {
        let answer = self.ask(Question::new(request))?;
        let assertion = answer.assertion.ok_or_else(|| {
            no_answer("invalid_client_assertion", "the assertion callback returned 0 but set no assertion")
        })?;
        Ok(SignedAssertion { assertion, certificate: answer.certificate })
    }
}

impl CertificateProvider for Callback<mtlspop_assertion_op> {
    fn certificate(&self, request: &AssertionRequest<'_>) -> Result<Certificate> {
        let answer = self.ask_as("certificate", Question::new(request))?;
        answer.certificate.ok_or_else(|| {
            let message = "the certificate callback returned 0 but set no certificate";
            no_answer("mtls_certificate_not_provided", message)
        })
    }
}

fn no_answer(code: &str, message: &str) -> Error {
    Error::new(ErrorKind::Callback, code, message)
}

impl Question {
    fn new(request: &AssertionRequest<'_>) -> Self {
        Self {
            client_id: request.client_id.to_owned(),
            tenant_id: request.tenant_id.map(str::to_owned),
            authority: request.authority.to_owned(),
            token_endpoint: request.token_endpoint.to_owned(),
            token_type: request.token_type.as_str(),
            claims: request.claims.map(str::to_owned),
            client_capabilities: request.client_capabilities.join(" "),
            fmi_path: request.fmi_path.map(str::to_owned),
            correlation_id: request.correlation_id.to_owned(),
            remaining_ms: milliseconds(request.remaining),
            cancel: request.cancel.clone(),
            texts: Default::default(),
        }
    }
}

/// The app's client id: iss and sub of most assertions.
///
/// @param operation  the question
/// @return text, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_client_id(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 0, |op| Some(&op.client_id)) }
}

/// The tenant the token is asked from.
///
/// @param operation  the question
/// @return text, borrowed from operation; NULL where the authority has none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_tenant_id(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 1, |op| op.tenant_id.as_deref()) }
}

/// The authority, as the app was given it, with a trailing slash.
///
/// @param operation  the question
/// @return text, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_authority(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 2, |op| Some(&op.authority)) }
}

/// The URL the assertion will be sent to: the mTLS endpoint where a bound token is asked for. For a
/// Bearer token it is the endpoint without mTLS, which only holds if no certificate is set.
///
/// @param operation  the question
/// @return text, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_token_endpoint(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 3, |op| Some(&op.token_endpoint)) }
}

/// The type of token that is asked for. For "mtls_pop" a certificate must be set too.
///
/// @param operation  the question
/// @return "Bearer" or "mtls_pop", borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_token_type(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 4, |op| Some(op.token_type)) }
}

/// The claims challenge of the request.
///
/// @param operation  the question
/// @return JSON, borrowed from operation; NULL where there is none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_claims(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 5, |op| op.claims.as_deref()) }
}

/// What the app can handle; see mtlspop_app_options_set_client_capabilities().
///
/// @param operation  the question
/// @return capabilities separated by spaces, borrowed from operation; NULL where there are none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_client_capabilities(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 7, |op| Some(op.client_capabilities.as_str()).filter(|text| !text.is_empty())) }
}

/// The FMI path that the assertion should be for; see
/// mtlspop_token_request_set_client_assertion_fmi_path().
///
/// @param operation  the question
/// @return text, borrowed from operation; NULL where the request names none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_fmi_path(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 8, |op| op.fmi_path.as_deref()) }
}

/// The correlation id of the call.
///
/// @param operation  the question
/// @return a UUID, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_correlation_id(
    operation: *const mtlspop_assertion_op,
) -> *const c_char {
    unsafe { text(operation, 6, |op| Some(&op.correlation_id)) }
}

/// The time the call had left when the callback was called; it does not count down.
///
/// @param operation  the question
/// @return milliseconds, -1 where the call has no limit
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_remaining_ms(operation: *const mtlspop_assertion_op) -> i64 {
    guard_or(-1, || Ok(unsafe { value(operation, "operation") }?.question.remaining_ms))
}

/// Whether the call has been stopped meanwhile, so that the answer is no longer wanted.
///
/// @param operation  the question
/// @return 1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_is_cancelled(operation: *const mtlspop_assertion_op) -> i32 {
    guard_or(0, || Ok(i32::from(unsafe { value(operation, "operation") }?.question.cancel.is_cancelled())))
}

/// Answers with an assertion.
///
/// @param operation  the question
/// @param assertion  a compact JWT; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_set_assertion(
    operation: *mut mtlspop_assertion_op,
    assertion: *const c_char,
) {
    let parse = || unsafe { required(assertion, "assertion") };
    unsafe {
        answer(operation, "mtlspop_assertion_op_set_assertion", parse, |answer, assertion| {
            answer.assertion = Some(Secret::new(assertion));
        });
    }
}

/// Answers with the certificate that the assertion is bound to: it is presented in TLS, the assertion is
/// sent as jwt-pop, and an mtls_pop token will be bound to it.
///
/// @param operation    the question
/// @param certificate  a certificate with its private key; it may be freed afterwards
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_set_certificate(
    operation: *mut mtlspop_assertion_op,
    certificate: *const mtlspop_certificate,
) {
    let parse = || Ok(unsafe { value(certificate, "certificate") }?.certificate().clone());
    unsafe {
        answer(operation, "mtlspop_assertion_op_set_certificate", parse, |answer, certificate| {
            answer.certificate = Some(certificate);
        });
    }
}

/// Says why the callback failed; the text becomes part of the call's error message.
///
/// @param operation  the question
/// @param message    one line for a person, without secrets; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_assertion_op_set_error(
    operation: *mut mtlspop_assertion_op,
    message: *const c_char,
) {
    unsafe { set_error(operation, "mtlspop_assertion_op_set_error", message) }
}

/// The audience of federated credentials in a cloud: what an assertion has as aud, and the app registration as the
/// credential's audience. It differs by cloud, and a wrong one is found out only when the assertion is used
/// (AADSTS700212, AADSTS70022204). A token for it is asked of Entra with the scope "<audience>/.default".
///
/// @param authority  an authority, as mtlspop_assertion_op_authority() gives it, or its host: "login.microsoftonline.us"
/// @return "api://AzureADTokenExchangeUSGov", static text; NULL where the cloud is not known, or has none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_federated_credential_audience(authority: *const c_char) -> *const c_char {
    static TEXTS: LazyLock<[CString; AUDIENCES.len()]> = LazyLock::new(|| AUDIENCES.map(c_string));
    guard_or(std::ptr::null(), || {
        let audience = federated_credential_audience(unsafe { required(authority, "authority") }?);
        let text = audience.and_then(|audience| AUDIENCES.iter().position(|known| *known == audience));
        Ok(text.map_or(std::ptr::null(), |index| TEXTS[index].as_ptr()))
    })
}

unsafe fn text(
    operation: *const mtlspop_assertion_op,
    slot: usize,
    get: impl FnOnce(&Question) -> Option<&str>,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let op = &unsafe { value(operation, "operation") }?.question;
        Ok(op.texts[slot].get(|| get(op)))
    })
}
