//! `mtlspop_token`: the token and everything known about it.

use std::ffi::{CString, c_char};

use once_cell::race::OnceBox;

use super::certificate::{CertificateValue, mtlspop_certificate};
use super::guard::guard_or;
use super::handle::{Handle, boxed, value};
use super::places::Places;
use super::strength;
use super::text::{Lent, c_string, milliseconds, required, tls_version};
use crate::app::Token;
use crate::clock::unix_seconds;
use crate::error::Result;
use crate::runtime::Stripe;

/// Token source: the token service issued it for this call.
pub const MTLSPOP_TOKEN_SOURCE_IDENTITY_PROVIDER: i32 = 0;
/// Token source: the cache had it, or another call that was under way got it.
pub const MTLSPOP_TOKEN_SOURCE_CACHE: i32 = 1;

/// Region outcome: no region was wanted.
pub const MTLSPOP_REGION_OUTCOME_NONE: i32 = 0;
/// Region outcome: the region of this host, detected.
pub const MTLSPOP_REGION_OUTCOME_AUTODETECT_SUCCESS: i32 = 4;
/// Region outcome: it could not be detected, and the global endpoint was asked.
pub const MTLSPOP_REGION_OUTCOME_FALLBACK_TO_GLOBAL: i32 = 5;
/// Region outcome: the region that the app was given.
pub const MTLSPOP_REGION_OUTCOME_USER_PROVIDED: i32 = 6;

/// Cache level: no cache, the token service was asked.
pub const MTLSPOP_CACHE_LEVEL_NONE: i32 = 0;
/// Cache level: the memory of this process.
pub const MTLSPOP_CACHE_LEVEL_L1: i32 = 2;
/// Cache level: the store of the token cache.
pub const MTLSPOP_CACHE_LEVEL_L2: i32 = 3;

/// Refresh reason: the network was not asked.
pub const MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE: i32 = 0;
/// Refresh reason: the request bypasses the cache.
pub const MTLSPOP_CACHE_REFRESH_REASON_FORCE_REFRESH_OR_CLAIMS: i32 = 1;
/// Refresh reason: the cache had no token.
pub const MTLSPOP_CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN: i32 = 2;
/// Refresh reason: the cache had one that is over.
pub const MTLSPOP_CACHE_REFRESH_REASON_EXPIRED: i32 = 3;
/// Refresh reason: the token in the cache was still good, but due for replacement: the call fetched the next one,
/// or had the app's thread begin to.
pub const MTLSPOP_CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED: i32 = 4;

/// A token with the certificate it is bound to: a snapshot that later renewals do not change. Owned by
/// who received it; immutable, so any thread may read it. Wiped when freed.
pub struct mtlspop_token {
    _private: [u8; 0],
}

pub(super) struct TokenValue {
    token: Token,
    /// Made when the first of them is asked for: most callers want only the token.
    texts: OnceBox<Texts>,
}

#[derive(Default)]
struct Texts {
    token_type: Lent,
    scopes: Lent,
    tenant_id: Lent,
    token_endpoint: Lent,
    region: Lent,
    region_error: Lent,
    correlation_id: Lent,
    parameters: OnceBox<Vec<CString>>,
}

impl Handle for mtlspop_token {
    type Value = TokenValue;
    const NAME: &'static str = "token";
    const TAG: u64 = 0x6d74_6c73_544f_4b4e;
}

static PLACES: Places<TokenValue> = Places::new();

/// A handle for `token`, for a thread of this stripe.
#[inline(always)]
pub(super) fn lent(stripe: Stripe, token: Token) -> *mut mtlspop_token {
    // In a box sanitizers and valgrind see who uses it when it is freed, or frees it never.
    if cfg!(debug_assertions) { boxed(token.into()) } else { PLACES.lend(stripe, token.into()) }
}

impl TokenValue {
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(Box::default)
    }
}

impl From<Token> for TokenValue {
    fn from(token: Token) -> Self {
        Self { token, texts: OnceBox::new() }
    }
}

/// The token itself. A secret: do not log it.
///
/// @param token  the token
/// @return text, borrowed from token; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_access_token(token: *const mtlspop_token) -> *const c_char {
    unsafe {
        text(token, |value| {
            let (terminated, start) = value.token.terminated();
            terminated[start..].as_ptr().cast()
        })
    }
}

/// How the token must be presented.
///
/// @param token  the token
/// @return "Bearer" or "mtls_pop", borrowed from token; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_type(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| value.texts().token_type.get(|| Some(value.token.token_type().as_str()))) }
}

/// The value of the Authorization header: type, space, token. A secret: do not log it.
///
/// @param token  the token
/// @return text, borrowed from token; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_authorization(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| value.token.terminated().0.as_ptr().cast()) }
}

/// When the token ends; a bound token of a managed identity no later than its certificate.
///
/// @param token  the token
/// @return seconds since 1970-01-01T00:00:00Z, 0 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_expires_on(token: *const mtlspop_token) -> i64 {
    guard_or(0, || Ok(unix_seconds(unsafe { value(token, "token") }?.token.expires_on())))
}

/// When the library will fetch the next token although this one still lives.
///
/// @param token  the token
/// @return seconds since 1970-01-01T00:00:00Z, 0 where the service asked for no early refresh
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_refresh_on(token: *const mtlspop_token) -> i64 {
    guard_or(0, || Ok(unsafe { value(token, "token") }?.token.refresh_on().map_or(0, unix_seconds)))
}

/// What was granted, or what was asked where the service did not say.
///
/// @param token  the token
/// @return scopes separated by spaces, borrowed from token; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_scopes(token: *const mtlspop_token) -> *const c_char {
    unsafe {
        text(token, |value| {
            value.texts().scopes.get_owned(|| Some(value.token.scopes().collect::<Vec<_>>().join(" ")))
        })
    }
}

/// The tenant that the token was issued in.
///
/// @param token  the token
/// @return text, borrowed from token; NULL where it is not known (Bearer tokens of managed identities)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_tenant_id(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| value.texts().tenant_id.get(|| value.token.tenant_id())) }
}

/// Where this call had the token from.
///
/// @param token  the token
/// @return one of MTLSPOP_TOKEN_SOURCE_..., -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_source(token: *const mtlspop_token) -> i32 {
    guard_or(-1, || Ok(unsafe { value(token, "token") }?.token.source() as i32))
}

/// The URL of the endpoint that issued the token, in this call or in an earlier one.
///
/// @param token  the token
/// @return text, borrowed from token; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_endpoint(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| value.texts().token_endpoint.get(|| Some(value.token.token_endpoint()))) }
}

/// The version of TLS that the token was issued over, in this call or in an earlier one.
///
/// @param token  the token
/// @return "TLSv1.3" or "TLSv1.2", static text; NULL for plain http, and where a store had the token
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_tls_version(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| tls_version(value.token.tls_version())) }
}

/// Whether the endpoint that issued the token asked for a client certificate in the TLS handshake; where the
/// connection resumed a TLS session, in the handshake that one began with.
///
/// @param token  the token
/// @return 1 or 0; -1 where it is not known (as for mtlspop_token_tls_version()), or for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_certificate_requested(token: *const mtlspop_token) -> i32 {
    unsafe { number(token, -1, |token| token.certificate_requested().map_or(-1, i32::from)) }
}

/// The Azure region whose endpoint issued the token.
///
/// @param token  the token
/// @return "eastus", borrowed from token; NULL where no region was set or found (managed identities have none)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_region(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| value.texts().region.get(|| value.token.region())) }
}

/// How the endpoint that issued the token came by its region.
///
/// @param token  the token
/// @return one of MTLSPOP_REGION_OUTCOME_..., -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_region_outcome(token: *const mtlspop_token) -> i32 {
    unsafe { number(token, -1, |token| token.region_outcome() as i32) }
}

/// Why the region could not be detected, where the outcome is MTLSPOP_REGION_OUTCOME_FALLBACK_TO_GLOBAL.
///
/// @param token  the token
/// @return one line, borrowed from token; NULL where there was no such failure
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_region_error(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| value.texts().region_error.get(|| value.token.region_error())) }
}

/// The id of this call, also where the cache answered.
///
/// @param token  the token
/// @return a UUID, borrowed from token; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_correlation_id(token: *const mtlspop_token) -> *const c_char {
    unsafe { text(token, |value| value.texts().correlation_id.get(|| Some(value.token.correlation_id()))) }
}

/// Which cache the token came from.
///
/// @param token  the token
/// @return one of MTLSPOP_CACHE_LEVEL_..., -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_level(token: *const mtlspop_token) -> i32 {
    unsafe { number(token, -1, |token| token.metadata().cache_level as i32) }
}

/// Why the network was asked for the token, or why not.
///
/// @param token  the token
/// @return one of MTLSPOP_CACHE_REFRESH_REASON_..., -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_refresh_reason(token: *const mtlspop_token) -> i32 {
    unsafe { number(token, -1, |token| token.metadata().cache_refresh_reason as i32) }
}

/// What the call took in all. Not measured where the cache in memory had the token.
///
/// @param token  the token
/// @return milliseconds, 0 for a token from memory or an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_duration_total_ms(token: *const mtlspop_token) -> i64 {
    unsafe { number(token, 0, |token| milliseconds(token.metadata().duration_total)) }
}

/// What of the call's time was spent in HTTP.
///
/// @param token  the token
/// @return milliseconds, 0 for a token from memory or an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_duration_in_http_ms(token: *const mtlspop_token) -> i64 {
    unsafe { number(token, 0, |token| milliseconds(token.metadata().duration_in_http)) }
}

/// What of the call's time was spent in the store of the token cache.
///
/// @param token  the token
/// @return milliseconds, 0 where no store was asked, or for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_duration_in_cache_ms(token: *const mtlspop_token) -> i64 {
    unsafe { number(token, 0, |token| milliseconds(token.metadata().duration_in_cache)) }
}

/// What else the service said when it issued the token: a member of its answer, or of client_info, that is
/// none of OAuth's.
///
/// @param token  the token
/// @param name   the member's name
/// @return the value, JSON where it is no text, borrowed from token; NULL where the answer had no such member
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_response_parameter(
    token: *const mtlspop_token,
    name: *const c_char,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let (value, name) = unsafe { (value(token, "token")?, required(name, "name")?) };
        let Some(index) = value.token.response_parameter_index(name) else { return Ok(std::ptr::null()) };
        let texts = value
            .texts()
            .parameters
            .get_or_init(|| Box::new(value.token.response_parameters().map(c_string).collect()));
        Ok(texts.get(index).map_or(std::ptr::null(), |text| text.as_ptr()))
    })
}

/// The certificate the token is bound to, with its private key.
///
/// @param token  the token
/// @return the certificate, yours to free; NULL for a Bearer token
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_binding_certificate(
    token: *const mtlspop_token,
) -> *mut mtlspop_certificate {
    guard_or(std::ptr::null_mut(), || {
        let certificate = unsafe { value(token, "token") }?.token.binding_certificate();
        Ok(certificate.map_or(std::ptr::null_mut(), |c| boxed(CertificateValue::from(c.clone()))))
    })
}

/// How well the key that the token is bound to is kept: what this process knows, whatever a service says. A key
/// that a caller's signer has is MTLSPOP_STRENGTH_SOFTWARE, since no more can be seen from here; one in a TPM is
/// MTLSPOP_STRENGTH_HARDWARE if it was made there and cannot leave it; MTLSPOP_STRENGTH_ATTESTED is for a managed
/// identity's certificate that was issued for an attestation of such a key.
///
/// @param token  the token
/// @return one of MTLSPOP_STRENGTH_..., MTLSPOP_STRENGTH_NONE for a Bearer token; -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_binding_strength(token: *const mtlspop_token) -> i32 {
    unsafe { number(token, -1, |token| strength::number(token.binding_strength())) }
}

/// Frees a token and everything borrowed from it, and wipes it. Certificates received from it stay
/// valid.
///
/// @param token  the token; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_free(token: *mut mtlspop_token) {
    guard_or((), || {
        unsafe { PLACES.free(token) };
        Ok(())
    });
}

unsafe fn number<T>(token: *const mtlspop_token, invalid: T, get: impl FnOnce(&Token) -> T) -> T {
    guard_or(invalid, || Ok(get(&unsafe { value(token, "token") }?.token)))
}

unsafe fn text(token: *const mtlspop_token, get: impl FnOnce(&TokenValue) -> *const c_char) -> *const c_char {
    let body = || -> Result<_> { Ok(get(unsafe { value(token, "token") }?)) };
    guard_or(std::ptr::null(), body)
}
