//! `mtlspop_token_request`: what is asked for.

use std::ffi::c_char;

use uuid::Uuid;

use super::addition::addition;
use super::cancel::mtlspop_cancel;
use super::draft::{Draft, change};
use super::guard::guard_or;
use super::handle::{Handle, boxed, free, value};
use super::strength::strength;
use super::text::{optional, required, timeout};
use crate::app::{Parameters, TokenRequest};
use crate::error::Error;

/// A request for a token. Reuse it: a reused request finds a cached token faster. Threads may share
/// it, but none may change or free it while a call uses it, nor may a callback of that call.
pub struct mtlspop_token_request {
    _private: [u8; 0],
}

impl Handle for mtlspop_token_request {
    type Value = Draft<TokenRequest>;
    const NAME: &'static str = "token_request";
    const TAG: u64 = 0x6d74_6c73_5452_4551;
}

/// Makes a request for a Bearer token.
///
/// @param scopes_or_resource  for a confidential client one or more scopes separated by spaces, for
///                            example "https://graph.microsoft.com/.default"; for a managed identity
///                            the resource, "https://graph.microsoft.com/"
/// @return the request, yours to free. A bad value is reported by mtlspop_app_acquire_token().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_new(
    scopes_or_resource: *const c_char,
) -> *mut mtlspop_token_request {
    guard_or(std::ptr::null_mut(), || {
        Ok(boxed(match unsafe { required(scopes_or_resource, "scopes_or_resource") } {
            Ok(text) => Draft::new(TokenRequest::new(text)),
            Err(error) => Draft::failed(TokenRequest::new(""), "mtlspop_token_request_new", &error),
        }))
    })
}

/// Asks for a token that is bound to a certificate (token type mtls_pop), as MSAL's
/// WithMtlsProofOfPossession() does. Never answered with a Bearer token.
///
/// @param request  the request
/// @param on       1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_mtls_proof_of_possession(
    request: *mut mtlspop_token_request,
    on: i32,
) {
    let setter = "mtlspop_token_request_set_mtls_proof_of_possession";
    unsafe { change(request, setter, || Ok(on != 0), TokenRequest::with_mtls_proof_of_possession) }
}

/// Asks for a Bearer token over mTLS, as MSAL's WithRequestOverMtls() does: for managed identities, with the
/// certificate from IMDSv2 that a bound token would be asked for with. The token is bound to nothing and comes without
/// a certificate. It is never one of IMDSv1, and kept apart from those. A minimum strength and attestation count as for
/// a bound token, with which this excludes itself.
///
/// For a confidential client it is an error: see mtlspop_app_options_set_send_certificate_over_mtls().
///
/// @param request  the request
/// @param on       1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_request_over_mtls(
    request: *mut mtlspop_token_request,
    on: i32,
) {
    let setter = "mtlspop_token_request_set_request_over_mtls";
    unsafe { change(request, setter, || Ok(on != 0), TokenRequest::with_request_over_mtls) }
}

/// Sets how well the key of a bound token must be kept at least: a floor, for managed identities. A host
/// that does not reach it is the error min_strength_not_met, before a certificate is asked for. For that
/// mtlspop_app_managed_identity_capabilities() is consulted, but not where the cache has a token.
///
/// More than MTLSPOP_STRENGTH_SOFTWARE takes an app with mtlspop_app_options_set_tpm(), MTLSPOP_STRENGTH_ATTESTED
/// attestation of its keys besides.
///
/// @param request       the request
/// @param min_strength  one of MTLSPOP_STRENGTH_...; MTLSPOP_STRENGTH_NONE, the default, is no floor
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_min_strength(
    request: *mut mtlspop_token_request,
    min_strength: i32,
) {
    let setter = "mtlspop_token_request_set_min_strength";
    unsafe { change(request, setter, || strength(min_strength), TokenRequest::with_min_strength) }
}

/// Fetches a new token even where a cached one is still good. The binding certificate is kept.
///
/// @param request  the request
/// @param on       1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_force_refresh(
    request: *mut mtlspop_token_request,
    on: i32,
) {
    let setter = "mtlspop_token_request_set_force_refresh";
    unsafe { change(request, setter, || Ok(on != 0), TokenRequest::with_force_refresh) }
}

/// Passes on a claims challenge, as an API or mtlspop_error_claims() gave it. No cached token is served.
///
/// @param request  the request
/// @param claims   a JSON object; NULL or "" for none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_claims(
    request: *mut mtlspop_token_request,
    claims: *const c_char,
) {
    let parse = || unsafe { optional(claims, "claims") };
    let apply = |request: TokenRequest, claims: Option<&str>| request.with_claims(claims.unwrap_or_default());
    unsafe { change(request, "mtlspop_token_request_set_claims", parse, apply) }
}

/// Names a token that an API has rejected, as MSAL's WithAccessTokenSha256ToRefresh does: that one is not
/// served from the cache, any other is, also with claims. Not together with a forced refresh.
///
/// @param request  the request
/// @param sha256   the SHA-256 of the token in hexadecimal; "" for none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_access_token_hash_to_refresh(
    request: *mut mtlspop_token_request,
    sha256: *const c_char,
) {
    let parse = || unsafe { required(sha256, "sha256") };
    let setter = "mtlspop_token_request_set_access_token_hash_to_refresh";
    unsafe { change(request, setter, parse, TokenRequest::with_access_token_hash_to_refresh) }
}

/// Sets the id under which the call can be found in the service's logs. Without one each call makes
/// its own.
///
/// @param request         the request
/// @param correlation_id  a UUID
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_correlation_id(
    request: *mut mtlspop_token_request,
    correlation_id: *const c_char,
) {
    let parse = || {
        let id = unsafe { required(correlation_id, "correlation_id") }?;
        Uuid::try_parse(id).map_err(|_| Error::argument("correlation_id is not a UUID"))
    };
    let setter = "mtlspop_token_request_set_correlation_id";
    unsafe { change(request, setter, parse, TokenRequest::with_correlation_id) }
}

/// Asks another tenant than the one in the app's authority, as MSAL's WithTenantId does.
///
/// @param request  the request
/// @param tenant_id  the tenant's id or domain name
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_tenant_id(
    request: *mut mtlspop_token_request,
    tenant_id: *const c_char,
) {
    let parse = || unsafe { required(tenant_id, "tenant_id") };
    let setter = "mtlspop_token_request_set_tenant_id";
    unsafe { change(request, setter, parse, TokenRequest::with_tenant_id) }
}

/// Asks another authority of the same kind and cloud than the app's. With a region only on the app's own host.
///
/// @param request  the request
/// @param authority  an https URL with a tenant
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_authority(
    request: *mut mtlspop_token_request,
    authority: *const c_char,
) {
    let parse = || unsafe { required(authority, "authority") };
    let setter = "mtlspop_token_request_set_authority";
    unsafe { change(request, setter, parse, TokenRequest::with_authority) }
}

/// Sets whether an assertion that is signed for this request carries the certificate chain, whatever the
/// credential's own setting is.
///
/// @param request  the request
/// @param on  1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_send_x5c(request: *mut mtlspop_token_request, on: i32) {
    let parse = || Ok(on != 0);
    let setter = "mtlspop_token_request_set_send_x5c";
    unsafe { change(request, setter, parse, TokenRequest::with_send_x5c) }
}

/// Asks for a token of a federated managed identity, as MSAL's WithFmiPath does (parameter fmi_path).
///
/// @param request  the request
/// @param path  the path
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_fmi_path(
    request: *mut mtlspop_token_request,
    path: *const c_char,
) {
    let parse = || unsafe { required(path, "path") };
    let setter = "mtlspop_token_request_set_fmi_path";
    unsafe { change(request, setter, parse, TokenRequest::with_fmi_path) }
}

/// Tells the assertion callback which FMI path its assertion should be for, as MSAL's
/// WithFmiPathForClientAssertion does; see mtlspop_assertion_op_fmi_path(). Tokens got with other paths are
/// other tokens.
///
/// @param request  the request
/// @param path  the path
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_client_assertion_fmi_path(
    request: *mut mtlspop_token_request,
    path: *const c_char,
) {
    let parse = || unsafe { required(path, "path") };
    let setter = "mtlspop_token_request_set_client_assertion_fmi_path";
    unsafe { change(request, setter, parse, TokenRequest::with_client_assertion_fmi_path) }
}

/// Adds claims that the client itself wants in the token, as MSAL's WithClaimsFromClient does. Unlike a
/// challenge they do not bypass the cache: tokens got with other claims are other tokens.
///
/// @param request  the request
/// @param claims  a JSON object; "" for none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_claims_from_client(
    request: *mut mtlspop_token_request,
    claims: *const c_char,
) {
    let parse = || unsafe { required(claims, "claims") };
    let setter = "mtlspop_token_request_set_claims_from_client";
    unsafe { change(request, setter, parse, TokenRequest::with_claims_from_client) }
}

/// Adds claims to the assertion that the app's certificate signs, as MSAL's
/// WithExtraClientAssertionClaims does. aud, iss, sub, nbf, exp, iat and jti cannot be set.
///
/// @param request  the request
/// @param claims  a JSON object; "" for none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_extra_client_assertion_claims(
    request: *mut mtlspop_token_request,
    claims: *const c_char,
) {
    let parse = || unsafe { required(claims, "claims") };
    let setter = "mtlspop_token_request_set_extra_client_assertion_claims";
    unsafe { change(request, setter, parse, TokenRequest::with_extra_client_assertion_claims) }
}

/// Adds a query parameter for the token endpoint. caller-sdk-id, caller-sdk-ver and ManagedCert are not
/// sent as such but in the telemetry header, as MSAL does.
///
/// @param request  the request
/// @param name  the name; an earlier value of it, also the app's, is replaced
/// @param value  the value; percent-encoded by the library
/// @param in_cache_key  1 if requests that differ in it must not share tokens, else 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_extra_query_parameter(
    request: *mut mtlspop_token_request,
    name: *const c_char,
    value: *const c_char,
    in_cache_key: i32,
) {
    let parse = || unsafe { addition(name, value, |it, name, value| it.set_query(name, value, false)) };
    let apply = |request: TokenRequest, (name, value): (&str, &str)| {
        request.with_extra_query_parameter(name, value, in_cache_key != 0)
    };
    let setter = "mtlspop_token_request_set_extra_query_parameter";
    unsafe { change(request, setter, parse, apply) }
}

/// Adds a form field for the token endpoint. Tokens got with other values are other tokens. Fields that the
/// library sets cannot be set.
///
/// @param request  the request
/// @param name  the name; an earlier value of it is replaced
/// @param value  the value
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_extra_body_parameter(
    request: *mut mtlspop_token_request,
    name: *const c_char,
    value: *const c_char,
) {
    let parse = || unsafe { addition(name, value, Parameters::set_body) };
    let apply =
        |request: TokenRequest, (name, value): (&str, &str)| request.with_extra_body_parameter(name, value);
    let setter = "mtlspop_token_request_set_extra_body_parameter";
    unsafe { change(request, setter, parse, apply) }
}

/// Adds a header for the token endpoint, or replaces one of the library's. Content-Type, Accept,
/// client-request-id, return-client-request-id and the headers that frame the body cannot be set.
///
/// @param request  the request
/// @param name  the name; an earlier value of it is replaced
/// @param value  the value
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_extra_http_header(
    request: *mut mtlspop_token_request,
    name: *const c_char,
    value: *const c_char,
) {
    let parse = || unsafe { addition(name, value, Parameters::set_header) };
    let apply =
        |request: TokenRequest, (name, value): (&str, &str)| request.with_extra_http_header(name, value);
    let setter = "mtlspop_token_request_set_extra_http_header";
    unsafe { change(request, setter, parse, apply) }
}

/// Keeps cached tokens apart by a value of the caller's, as MSAL's WithCachePartitionKey does. Nothing of
/// it is sent.
///
/// @param request  the request
/// @param name  the name of the key; an earlier value of it is replaced
/// @param value  the value
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_cache_partition_key(
    request: *mut mtlspop_token_request,
    name: *const c_char,
    value: *const c_char,
) {
    let parse = || unsafe { Ok((required(name, "name")?, required(value, "value")?)) };
    let apply =
        |request: TokenRequest, (name, value): (&str, &str)| request.with_cache_partition_key(name, value);
    let setter = "mtlspop_token_request_set_cache_partition_key";
    unsafe { change(request, setter, parse, apply) }
}

/// Limits how long a call may take, all of it: waiting for other threads, retries, every request.
///
/// @param request       the request
/// @param milliseconds  more than 0; 0 for no limit but those of the single steps
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_timeout_ms(
    request: *mut mtlspop_token_request,
    milliseconds: i64,
) {
    let setter = "mtlspop_token_request_set_timeout_ms";
    unsafe { change(request, setter, || timeout(milliseconds), TokenRequest::with_timeout) }
}

/// Lets another thread stop the calls made with the request.
///
/// @param request  the request
/// @param cancel   the flag; it may be shared by requests, and freed when nobody will raise it any more
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_set_cancel(
    request: *mut mtlspop_token_request,
    cancel: *const mtlspop_cancel,
) {
    let parse = || Ok(unsafe { value(cancel, "cancel") }?.clone());
    unsafe { change(request, "mtlspop_token_request_set_cancel", parse, TokenRequest::with_cancel) }
}

/// Frees a request. Tokens received with it are not affected.
///
/// @param request  the request; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_request_free(request: *mut mtlspop_token_request) {
    guard_or((), || {
        unsafe { free(request) };
        Ok(())
    });
}
