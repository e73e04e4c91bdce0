//! `mtlspop_http_request` and `mtlspop_http_response`: calling an API.

use std::ffi::c_char;
use std::sync::Arc;

use super::cancel::mtlspop_cancel;
use super::draft::{self, Draft};
use super::guard::guard_or;
use super::handle::{Handle, boxed, free, value};
use super::text::{Lent, bytes, lend, no_length, optional, required, timeout, tls_version};
use super::token_request::mtlspop_token_request;
use crate::app::TokenRequest;
use crate::error::{Error, Result};
use crate::resource::{HttpRequest, HttpResponse};

/// A request to an API. Use from one thread at a time while changing it; it may be sent any number of
/// times, unless it has a body that cannot.
pub struct mtlspop_http_request {
    _private: [u8; 0],
}

/// What an API answered. Owned by who received it; immutable, so any thread may read it.
pub struct mtlspop_http_response {
    _private: [u8; 0],
}

/// A request, and how to get a token with other claims.
#[derive(Clone)]
pub(super) struct RequestValue {
    pub(super) request: HttpRequest,
    pub(super) token_request: Option<TokenRequest>,
}

pub(super) struct ResponseValue {
    response: Arc<HttpResponse>,
    claims: Lent,
    /// Name and value of each header.
    headers: Vec<(Lent, Lent)>,
}

impl Handle for mtlspop_http_request {
    type Value = Draft<RequestValue>;
    const NAME: &'static str = "http_request";
    const TAG: u64 = 0x6d74_6c73_4852_4551;
}

impl Handle for mtlspop_http_response {
    type Value = ResponseValue;
    const NAME: &'static str = "http_response";
    const TAG: u64 = 0x6d74_6c73_4852_4553;
}

impl From<HttpRequest> for RequestValue {
    fn from(request: HttpRequest) -> Self {
        Self { request, token_request: None }
    }
}

impl From<HttpResponse> for ResponseValue {
    fn from(response: HttpResponse) -> Self {
        Arc::new(response).into()
    }
}

impl From<Arc<HttpResponse>> for ResponseValue {
    fn from(response: Arc<HttpResponse>) -> Self {
        let headers = response.headers().iter().map(|_| <(Lent, Lent)>::default()).collect();
        Self { response, claims: Lent::default(), headers }
    }
}

/// Makes a request without headers and body.
///
/// @param method  "GET", "POST", ...
/// @param url     starts with "https://"
/// @return the request, yours to free. Bad values are reported by mtlspop_app_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_new(
    method: *const c_char,
    url: *const c_char,
) -> *mut mtlspop_http_request {
    guard_or(std::ptr::null_mut(), || {
        let parsed = unsafe { required(method, "method").and_then(|m| Ok((m, required(url, "url")?))) };
        Ok(boxed(match parsed {
            Ok((method, url)) => Draft::new(HttpRequest::new(method, url).into()),
            Err(error) => Draft::failed(HttpRequest::new("", "").into(), "mtlspop_http_request_new", &error),
        }))
    })
}

/// Adds a header. Authorization, Host and the headers that frame the body are the library's to set.
///
/// x-ms-tokenboundauth, by which Key Vault and Managed HSM learn that a token is bound, need not be added: such a token
/// goes to them with "true", unless another value is added here. With a Bearer token it is never sent.
///
/// @param request  the request
/// @param name     the header's name
/// @param value    its value
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_add_header(
    request: *mut mtlspop_http_request,
    name: *const c_char,
    value: *const c_char,
) {
    let parse = || {
        let (name, value) = unsafe { (required(name, "name")?, required(value, "value")?) };
        HttpRequest::check_header(name, value).map(|()| (name, value))
    };
    let apply = |request: HttpRequest, (name, value): (&str, &str)| request.with_header(name, value);
    unsafe { change(request, "mtlspop_http_request_add_header", parse, apply) }
}

/// Sets the body, in place of one set before. For one of more than 1 MiB the server is asked first whether it wants it
/// (Expect: 100-continue); it is sent after a second without a word.
///
/// @param request       the request
/// @param content_type  value of the Content-Type header; NULL or "" for none
/// @param data          the body; copied
/// @param length        its length in bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_body(
    request: *mut mtlspop_http_request,
    content_type: *const c_char,
    data: *const u8,
    length: usize,
) {
    let parse = || {
        let content_type = unsafe { optional(content_type, "content_type") }?.unwrap_or_default();
        HttpRequest::check_header("Content-Type", content_type)?;
        Ok((content_type, unsafe { bytes(data, length, "data") }?))
    };
    let apply =
        |request: HttpRequest, (content_type, data): (&str, &[u8])| request.with_body(content_type, data);
    unsafe { change(request, "mtlspop_http_request_set_body", parse, apply) }
}

/// Limits how long the call may take, all of it; 100 seconds by default. With mtlspop_app_send_streaming() the call
/// ends with the headers of the response.
///
/// @param request       the request
/// @param milliseconds  more than 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_timeout_ms(
    request: *mut mtlspop_http_request,
    milliseconds: i64,
) {
    let parse = || timeout(milliseconds)?.ok_or_else(|| Error::argument("milliseconds is 0"));
    unsafe { change(request, "mtlspop_http_request_set_timeout_ms", parse, HttpRequest::with_timeout) }
}

/// Limits how long each mtlspop_http_stream_read() may wait for the next bytes; 100 seconds by default.
///
/// @param request       the request
/// @param milliseconds  more than 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_read_timeout_ms(
    request: *mut mtlspop_http_request,
    milliseconds: i64,
) {
    let parse = || timeout(milliseconds)?.ok_or_else(|| Error::argument("milliseconds is 0"));
    let setter = "mtlspop_http_request_set_read_timeout_ms";
    unsafe { change(request, setter, parse, HttpRequest::with_read_timeout) }
}

/// Limits the length of the response body; a longer one is an error. 64 MiB by default. Streams have no such limit.
///
/// @param request  the request
/// @param bytes    the limit in bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_max_response_bytes(
    request: *mut mtlspop_http_request,
    bytes: usize,
) {
    let setter = "mtlspop_http_request_set_max_response_bytes";
    unsafe { change(request, setter, || Ok(bytes), HttpRequest::with_max_response_bytes) }
}

/// Sets whether the server may ask for the certificate of a bound token in a TLS renegotiation, after it has read the
/// request, as .NET's AllowRenegotiation. It then goes out in TLS 1.2. Where nothing is set that is so for Key Vault,
/// Managed HSM and the hosts of mtlspop_app_options_add_renegotiating_host(). A request with a Bearer token never
/// shows a certificate.
///
/// The certificate is shown to a server that stays the same, at most twice on one connection, and for one token; what
/// a renegotiation has to have besides is in docs/adr/018.
///
/// @param request  the request
/// @param allow    1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_allow_renegotiation(
    request: *mut mtlspop_http_request,
    allow: i32,
) {
    let setter = "mtlspop_http_request_set_allow_renegotiation";
    unsafe { change(request, setter, || Ok(allow != 0), HttpRequest::with_allow_renegotiation) }
}

/// Answers a 401 with another token: mtlspop_app_send() acquires one and sends once more. The new token is
/// kept: the next mtlspop_app_acquire_token() gives it.
///
/// Where the API asks for claims, the token is acquired with them; that no such token can be had is the error
/// of mtlspop_app_send(). Where it asks for none, the token may have been revoked: one that is not it is taken
/// from the cache, or fetched, once for all threads. The 401 is the response where there is none, where the API
/// never asked for the certificate that the token is bound to, and where a new token is refused, too: then, and
/// where the token endpoint itself says no, none is fetched for this API and token request for a minute. Timeout
/// and flag of this request are those of the whole call. A second 401 is a response, and so is the first where the
/// body of this request was read and cannot be rewound.
///
/// @param request        the request
/// @param token_request  what the token is acquired with; copied, claims in it are replaced by those of a
///                       challenge. NULL: a 401 is a response, as without this call
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_token_request(
    request: *mut mtlspop_http_request,
    token_request: *const mtlspop_token_request,
) {
    let parse = || match token_request.is_null() {
        true => Ok(None),
        false => unsafe { value(token_request, "token_request") }?.settings().cloned().map(Some),
    };
    let apply = |value: RequestValue, token_request| RequestValue { token_request, ..value };
    unsafe { draft::change(request, "mtlspop_http_request_set_token_request", parse, apply) }
}

/// Lets another thread stop the call, and the reads of a stream that it gives.
///
/// @param request  the request
/// @param cancel   the flag; it may be shared by requests, and freed when nobody will raise it any more
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_set_cancel(
    request: *mut mtlspop_http_request,
    cancel: *const mtlspop_cancel,
) {
    let parse = || Ok(unsafe { value(cancel, "cancel") }?.clone());
    unsafe { change(request, "mtlspop_http_request_set_cancel", parse, HttpRequest::with_cancel) }
}

/// Frees a request. Responses received for it are not affected.
///
/// @param request  the request; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_request_free(request: *mut mtlspop_http_request) {
    guard_or((), || {
        unsafe { free(request) };
        Ok(())
    });
}

/// The HTTP status.
///
/// @param response  the response
/// @return the status, 0 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_status(response: *const mtlspop_http_response) -> i32 {
    guard_or(0, || Ok(i32::from(unsafe { value(response, "response") }?.response.status())))
}

/// The first value of a header, whatever the case of its name.
///
/// @param response  the response
/// @param name      the header's name
/// @return text, borrowed from response; NULL where there is no such header
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_header(
    response: *const mtlspop_http_response,
    name: *const c_char,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(response, "response") }?;
        let name = unsafe { required(name, "name") }?;
        let headers = value.response.headers();
        let index = headers.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        Ok(index.map_or(std::ptr::null(), |i| value.headers[i].1.get(|| Some(&headers[i].1))))
    })
}

/// How many headers there are. A name that came twice counts twice.
///
/// @param response  the response
/// @return their number
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_header_count(response: *const mtlspop_http_response) -> usize {
    guard_or(0, || Ok(unsafe { value(response, "response") }?.headers.len()))
}

/// The name of one header, in the order they came.
///
/// @param response  the response
/// @param index     from 0 to mtlspop_http_response_header_count() - 1
/// @return text, borrowed from response; NULL where index is out of range
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_header_name(
    response: *const mtlspop_http_response,
    index: usize,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(response, "response") }?;
        let header = value.response.headers().get(index);
        Ok(header.map_or(std::ptr::null(), |(name, _)| value.headers[index].0.get(|| Some(name))))
    })
}

/// The value of one header, in the order they came.
///
/// @param response  the response
/// @param index     from 0 to mtlspop_http_response_header_count() - 1
/// @return text, borrowed from response; NULL where index is out of range
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_header_value(
    response: *const mtlspop_http_response,
    index: usize,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(response, "response") }?;
        let header = value.response.headers().get(index);
        Ok(header.map_or(std::ptr::null(), |(_, text)| value.headers[index].1.get(|| Some(text))))
    })
}

/// The body, complete; of no bytes where it is read from a stream. Not NUL-terminated.
///
/// @param response    the response
/// @param out_length  receives its length in bytes; may be NULL
/// @return the bytes, borrowed from response; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_body(
    response: *const mtlspop_http_response,
    out_length: *mut usize,
) -> *const u8 {
    guard_or(std::ptr::null(), || {
        unsafe { no_length(out_length) };
        let value = unsafe { value(response, "response") }?;
        Ok(unsafe { lend(value.response.body(), out_length) })
    })
}

/// The version of TLS that the response came over.
///
/// @param response  the response
/// @return "TLSv1.3" or "TLSv1.2", static text; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_tls_version(
    response: *const mtlspop_http_response,
) -> *const c_char {
    let body = || Ok(tls_version(unsafe { value(response, "response") }?.response.tls_version()));
    guard_or(std::ptr::null(), body)
}

/// Whether the server asked for a client certificate in the TLS handshake; where the connection resumed a TLS
/// session, in the handshake that one began with. If it did not, a bound token came without its certificate:
/// that is why it was refused, and another token will not help.
///
/// @param response  the response
/// @return 1 or 0; -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_certificate_requested(
    response: *const mtlspop_http_response,
) -> i32 {
    guard_or(-1, || {
        let value = unsafe { value(response, "response") }?;
        Ok(value.response.certificate_requested().map_or(-1, i32::from))
    })
}

/// Whether the server asked for a client certificate in a TLS renegotiation, after it had read the request, and was
/// declined: a bound token then came without its certificate. mtlspop_http_request_set_allow_renegotiation() and
/// mtlspop_app_options_add_renegotiating_host() allow it.
///
/// @param response  the response
/// @return 1 or 0; -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_renegotiation_declined(
    response: *const mtlspop_http_response,
) -> i32 {
    let body = || Ok(i32::from(unsafe { value(response, "response") }?.response.renegotiation_declined()));
    guard_or(-1, body)
}

/// The claims that a 401 asks a token to have, from its WWW-Authenticate headers: JSON, for
/// mtlspop_token_request_set_claims().
///
/// @param response  the response
/// @return text, borrowed from response; NULL where there is no such challenge
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_claims(
    response: *const mtlspop_http_response,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(response, "response") }?;
        Ok(value.claims.get(|| value.response.claims()))
    })
}

/// Frees a response and everything borrowed from it.
///
/// @param response  the response; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_http_response_free(response: *mut mtlspop_http_response) {
    guard_or((), || {
        unsafe { free(response) };
        Ok(())
    });
}

/// The body of the setters of the request itself.
///
/// # Safety
/// As for [`draft::change`].
pub(super) unsafe fn change<A>(
    request: *mut mtlspop_http_request,
    setter: &str,
    parse: impl FnOnce() -> Result<A>,
    apply: impl FnOnce(HttpRequest, A) -> HttpRequest,
) {
    let apply = |value: RequestValue, argument| RequestValue {
        request: apply(value.request, argument),
        token_request: value.token_request,
    };
    // SAFETY: as promised by the caller.
    unsafe { draft::change(request, setter, parse, apply) }
}
