//! `mtlspop_app_options`: what an app is made from.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use super::addition::addition;
use super::callback::{UserData, mtlspop_destroy};
use super::draft::{Draft, change};
use super::error::mtlspop_error;
use super::guard::guard_or;
use super::handle::{Handle, boxed, free, value};
use super::metric::{mtlspop_metrics_callback, sink};
use super::text::{bytes, c_string, required, timeout};
use super::token::{TokenValue, mtlspop_token};
use super::token_cache::mtlspop_token_cache;
use crate::app::{AppOptions, BackgroundRefreshFn, Token};
use crate::error::{Error, Result};
use crate::log::{LogLevel, Logger};
use crate::managed_identity::ManagedIdentityId;
use crate::metrics::MetricsFn;

/// Log level: a call failed.
pub const MTLSPOP_LOG_ERROR: i32 = 0;
/// Log level: something failed, and the call goes on without it.
pub const MTLSPOP_LOG_WARNING: i32 = 1;
/// Log level: what a person following one call wants to see.
pub const MTLSPOP_LOG_INFO: i32 = 2;
/// Log level: every step.
pub const MTLSPOP_LOG_VERBOSE: i32 = 3;

/// Settings of an app. Use from one thread at a time; free after mtlspop_app_new(), which copies it.
pub struct mtlspop_app_options {
    _private: [u8; 0],
}

/// Receives one log line. Secrets, tokens and personal data are never in it.
///
/// level is one of MTLSPOP_LOG_...; target names the part of the library that speaks; both texts are
/// UTF-8 and valid during the call only. Called on any thread that uses the app, also on its background
/// thread, possibly on several at once. Must not call functions with this app.
pub type mtlspop_log_callback = Option<
    unsafe extern "C" fn(userdata: *mut c_void, level: i32, target: *const c_char, message: *const c_char),
>;

/// Receives the outcome of a background refresh: a token, or else an error; the other one is NULL. Both are yours to
/// free. Called on the background thread of the app, one outcome after the other, with no lock held: it may use the
/// app and free it, and is best quick, since further refreshes wait for it. No exception may leave it.
pub type mtlspop_background_refresh_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, token: *mut mtlspop_token, error: *mut mtlspop_error)>;

impl Handle for mtlspop_app_options {
    type Value = Draft<AppOptions>;
    const NAME: &'static str = "app_options";
    const TAG: u64 = 0x6d74_6c73_4f50_5453;
}

/// Settings for a managed identity of this host: the system-assigned one, unless a setter names
/// another.
///
/// @return settings, yours to free; NULL only when memory is exhausted
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_app_options_new_managed_identity() -> *mut mtlspop_app_options {
    guard_or(std::ptr::null_mut(), || {
        Ok(boxed(Draft::new(AppOptions::managed_identity(ManagedIdentityId::SystemAssigned))))
    })
}

/// Settings for a confidential client (an app registration). It needs an authority and a credential.
///
/// @param client_id  the application (client) id
/// @return settings, yours to free. A bad client_id is reported by mtlspop_app_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_new_confidential_client(
    client_id: *const c_char,
) -> *mut mtlspop_app_options {
    guard_or(std::ptr::null_mut(), || {
        Ok(boxed(match unsafe { required(client_id, "client_id") } {
            Ok(client_id) => Draft::new(AppOptions::confidential_client(client_id)),
            Err(error) => Draft::failed(
                AppOptions::confidential_client(""),
                "mtlspop_app_options_new_confidential_client",
                &error,
            ),
        }))
    })
}

/// Sets who issues tokens: "https://login.microsoftonline.com/<tenant id>", or the authority of an AD FS,
/// dSTS, B2C or CIAM. Of the authority setters, the last one counts.
///
/// @param options    settings for a confidential client
/// @param authority  an https URL; with a tenant, except for AD FS ("https://<host>/adfs"). The URL of one of its
///                   endpoints will do, too; whatever else follows is an error of mtlspop_app_new()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_authority(
    options: *mut mtlspop_app_options,
    authority: *const c_char,
) {
    let parse = || unsafe { required(authority, "authority") };
    unsafe { change(options, "mtlspop_app_options_set_authority", parse, AppOptions::with_authority) }
}

/// Sets an OpenID provider as the one who issues tokens, as MSAL's WithOidcAuthority does. It is asked
/// for its token endpoint when the first token is wanted. An answer that names another issuer is the
/// error authority_validation_failed, one without a usable token endpoint oidc_failure.
///
/// @param options    settings for a confidential client
/// @param authority  an https URL, used as given, with its path and query
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_oidc_authority(
    options: *mut mtlspop_app_options,
    authority: *const c_char,
) {
    let parse = || unsafe { required(authority, "authority") };
    unsafe {
        change(options, "mtlspop_app_options_set_oidc_authority", parse, AppOptions::with_oidc_authority)
    }
}

/// Sets whether hosts that the library does not know are asked about before they are used, as MSAL's
/// WithInstanceDiscovery does. On by default: Entra is asked about hosts of Entra, and its no is the
/// error invalid_instance; an AD FS host about itself, and its no is authority_validation_failed. With
/// it off such hosts are used as given. Known hosts are never asked about.
///
/// @param options  settings for a confidential client
/// @param on       1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_instance_discovery(
    options: *mut mtlspop_app_options,
    on: i32,
) {
    let setter = "mtlspop_app_options_set_instance_discovery";
    unsafe { change(options, setter, || Ok(on != 0), AppOptions::with_instance_discovery) }
}

/// Sets the Azure region whose token service is asked, as MSAL's WithAzureRegion does. Without one the
/// global endpoint is asked; authorities of other kinds have no regions.
///
/// "TryAutoDetect" means the region of this host: from the environment variable REGION_NAME, else from
/// the instance metadata service, which has 2 seconds; where neither tells, the global endpoint is asked.
/// An app that sets none has the one that the environment variable MSAL_FORCE_REGION names, or
/// "TryAutoDetect" in it; one that sets "DisableMsalForceRegion" has none whatever that says. A region that
/// is set here wins. With MSAL_DISABLE_REGION no region is used at all.
///
/// @param options  settings for a confidential client
/// @param region   "eastus", "East US" (which means the same), "TryAutoDetect" or "DisableMsalForceRegion";
///                 what is not made of letters and digits is an error of mtlspop_app_new(), a name that Azure
///                 was not known to have a warning in the log
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_azure_region(
    options: *mut mtlspop_app_options,
    region: *const c_char,
) {
    let parse = || unsafe { required(region, "region") };
    unsafe { change(options, "mtlspop_app_options_set_azure_region", parse, AppOptions::with_azure_region) }
}

/// Says what the app can handle, as MSAL's WithClientCapabilities does: "cp1" means that it answers the
/// claims challenges of APIs. Sent as xms_cc; tokens got with other capabilities are other tokens.
///
/// @param options       settings
/// @param capabilities  one or more, separated by spaces; "" for none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_client_capabilities(
    options: *mut mtlspop_app_options,
    capabilities: *const c_char,
) {
    let parse = || unsafe { required(capabilities, "capabilities") };
    let apply = |options: AppOptions, capabilities: &str| {
        options.with_client_capabilities(&capabilities.split_whitespace().collect::<Vec<_>>())
    };
    unsafe { change(options, "mtlspop_app_options_set_client_capabilities", parse, apply) }
}

/// Adds a query parameter to each token request, as MSAL's WithExtraQueryParameters does; see
/// mtlspop_token_request_set_extra_query_parameter(). A managed identity's go to the host's service, too,
/// but for the two calls of IMDSv2, and always are in the cache key.
///
/// @param options       settings
/// @param name          the name; an earlier value of it is replaced
/// @param value         the value; percent-encoded by the library
/// @param in_cache_key  1 if requests that differ in it must not share tokens, else 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_extra_query_parameter(
    options: *mut mtlspop_app_options,
    name: *const c_char,
    value: *const c_char,
    in_cache_key: i32,
) {
    let parse = || unsafe { addition(name, value, |it, name, value| it.set_query(name, value, false)) };
    let apply = |options: AppOptions, (name, value): (&str, &str)| {
        options.with_extra_query_parameter(name, value, in_cache_key != 0)
    };
    unsafe { change(options, "mtlspop_app_options_set_extra_query_parameter", parse, apply) }
}

/// Sets whether the app replaces tokens early, and renews the binding certificates of a managed identity, on
/// a thread of its own. On by default, except for apps whose credential is a callback or has a signer, that
/// have a key signer or an attestation callback, or whose token cache has a store: they would then be called
/// on that thread, as log and metrics callbacks are in any case. With it off, one caller past the refresh time
/// does it, and gets the old token or certificate if that fails.
///
/// @param options  settings
/// @param on       1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_background_refresh(
    options: *mut mtlspop_app_options,
    on: i32,
) {
    let setter = "mtlspop_app_options_set_background_refresh";
    unsafe { change(options, setter, || Ok(on != 0), AppOptions::with_background_refresh) }
}

/// Sets who is told how each background refresh of a token ended, as MSAL's OnBackgroundTokenRefreshCompleted does:
/// with the new token, which the cache has by then, with what it took; or with why there is none, and the old one
/// goes on being served. Nothing else tells that without a log. What a caller waits for is not reported, nor is the
/// renewal of a binding certificate, nor a refresh that ended with mtlspop_app_free().
///
/// mtlspop_app_new() fails with MTLSPOP_E_INVALID_ARGUMENT where the app refreshes nothing in the background: see
/// mtlspop_app_options_set_background_refresh(), which has to switch that on where there are other callbacks.
///
/// @param options   settings
/// @param callback  receives the outcomes
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_background_refresh_callback(
    options: *mut mtlspop_app_options,
    callback: mtlspop_background_refresh_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let callback = callback.ok_or_else(|| Error::argument("callback is NULL"))?;
        let told = move |outcome: Result<Token>| {
            let (token, error) = match outcome {
                Ok(token) => (boxed(TokenValue::from(token)), std::ptr::null_mut()),
                Err(error) => (std::ptr::null_mut(), boxed(error.into())),
            };
            // SAFETY: the caller gave the function to be called with this pointer and an outcome that is its own.
            unsafe { callback(userdata.pointer(), token, error) };
        };
        Ok::<Arc<BackgroundRefreshFn>, Error>(Arc::new(told))
    };
    let setter = "mtlspop_app_options_set_background_refresh_callback";
    unsafe { change(options, setter, parse, AppOptions::with_background_refresh_callback) }
}

/// Gives the app a token cache, to share tokens with the other apps that are given it, or for its limits and
/// its store. Without it the app has one of its own.
///
/// @param options  settings for a confidential client
/// @param cache    the cache; it may be freed afterwards
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_token_cache(
    options: *mut mtlspop_app_options,
    cache: *const mtlspop_token_cache,
) {
    let parse = || Ok(unsafe { value(cache, "cache") }?.settings()?.clone());
    unsafe { change(options, "mtlspop_app_options_set_token_cache", parse, AppOptions::with_token_cache) }
}

/// Limits how long a connection may take to come about: name look-up, TCP, proxy and TLS together. 10
/// seconds without this setting; what vouches for managed identities never gets more than 2. How long a call
/// may take in all is set with mtlspop_token_request_set_timeout_ms().
///
/// @param options       settings
/// @param milliseconds  more than 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_connect_timeout_ms(
    options: *mut mtlspop_app_options,
    milliseconds: i64,
) {
    let parse = || timeout(milliseconds)?.ok_or_else(|| Error::argument("milliseconds is 0"));
    let setter = "mtlspop_app_options_set_connect_timeout_ms";
    unsafe { change(options, setter, parse, AppOptions::with_connect_timeout) }
}

/// Sets the HTTP proxy for https requests. Without this setting the environment counts as for curl: the first of
/// https_proxy, HTTPS_PROXY, all_proxy and ALL_PROXY that is not empty; where that one cannot be used, the requests
/// that would go through it fail. no_proxy, or else NO_PROXY, counts always. What vouches for managed identities on
/// this host is never asked through a proxy.
///
/// @param options  settings
/// @param proxy    "http://[user:password@]host:port", or "none"; in user and password, other signs than letters
///                 and digits are percent-encoded
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_proxy(
    options: *mut mtlspop_app_options,
    proxy: *const c_char,
) {
    let parse = || unsafe { required(proxy, "proxy") };
    unsafe { change(options, "mtlspop_app_options_set_proxy", parse, AppOptions::with_proxy) }
}

/// Adds a host that may ask for the certificate of a bound token in a TLS renegotiation, after it has read a request:
/// mtlspop_app_send() then speaks TLS 1.2 with it. To be called once for each host. Key Vault and Managed HSM of every
/// cloud need not be named.
///
/// @param options  settings
/// @param host     its name without "https://" and port, "vault.contoso.com", or "*.contoso.com" for all below a name;
///                 what is no host name is an error of mtlspop_app_new()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_add_renegotiating_host(
    options: *mut mtlspop_app_options,
    host: *const c_char,
) {
    let setter = "mtlspop_app_options_add_renegotiating_host";
    let parse = || unsafe { required(host, "host") };
    unsafe { change(options, setter, parse, AppOptions::with_renegotiating_host) }
}

/// Sets the root certificates to trust, instead of SSL_CERT_FILE, SSL_CERT_DIR and the platform's. A certificate
/// among them that cannot be used is an error of the first https request, which names its line.
///
/// @param options  settings
/// @param path     a PEM file; read when the first https request is made
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_trusted_roots_file(
    options: *mut mtlspop_app_options,
    path: *const c_char,
) {
    let parse = || unsafe { required(path, "path") };
    let setter = "mtlspop_app_options_set_trusted_roots_file";
    unsafe {
        change(options, setter, parse, |options: AppOptions, path| options.with_trusted_roots_file(path))
    }
}

/// Sets the root certificates to trust, from memory.
///
/// @param options  settings
/// @param pem      one or more certificates in PEM form; copied
/// @param length   their length in bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_trusted_roots_pem(
    options: *mut mtlspop_app_options,
    pem: *const u8,
    length: usize,
) {
    let parse = || unsafe { bytes(pem, length, "pem") };
    let setter = "mtlspop_app_options_set_trusted_roots_pem";
    unsafe { change(options, setter, parse, |options: AppOptions, pem| options.with_trusted_roots_pem(pem)) }
}

/// Sets where log lines go; nowhere by default.
///
/// @param options   settings
/// @param level     the least important level wanted, one of MTLSPOP_LOG_...
/// @param callback  receives the lines
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_log(
    options: *mut mtlspop_app_options,
    level: i32,
    callback: mtlspop_log_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let callback = callback.ok_or_else(|| Error::argument("callback is NULL"))?;
        let level = log_level(level)?;
        let sink = move |level: LogLevel, target: &str, message: &str| {
            let (target, message) = (c_string(target), c_string(message));
            call_log(callback, &userdata, level, &target, &message);
        };
        Ok(Logger::new(level, Arc::new(sink)))
    };
    unsafe { change(options, "mtlspop_app_options_set_log", parse, AppOptions::with_logger) }
}

/// Sets where measurements go, under MSAL's OpenTelemetry names; nowhere by default.
///
/// @param options   settings
/// @param callback  receives the measurements
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_metrics(
    options: *mut mtlspop_app_options,
    callback: mtlspop_metrics_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let callback = callback.ok_or_else(|| Error::argument("callback is NULL"))?;
        Ok::<Arc<MetricsFn>, Error>(Arc::new(sink(callback, userdata)))
    };
    unsafe { change(options, "mtlspop_app_options_set_metrics", parse, AppOptions::with_metrics) }
}

/// Frees settings. Apps made from them are not affected.
///
/// @param options  the settings; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_free(options: *mut mtlspop_app_options) {
    guard_or((), || {
        unsafe { free(options) };
        Ok(())
    });
}

fn call_log(
    callback: unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char),
    userdata: &UserData,
    level: LogLevel,
    target: &CStr,
    message: &CStr,
) {
    // SAFETY: the caller gave the function to be called with this pointer and texts, on any thread.
    unsafe { callback(userdata.pointer(), level as i32, target.as_ptr(), message.as_ptr()) };
}

fn log_level(level: i32) -> Result<LogLevel> {
    match level {
        MTLSPOP_LOG_ERROR => Ok(LogLevel::Error),
        MTLSPOP_LOG_WARNING => Ok(LogLevel::Warning),
        MTLSPOP_LOG_INFO => Ok(LogLevel::Info),
        MTLSPOP_LOG_VERBOSE => Ok(LogLevel::Verbose),
        _ => Err(Error::argument(format!("level {level} is not one of MTLSPOP_LOG_..."))),
    }
}
