//! `mtlspop_app`: one identity with its caches and connections.

use std::sync::Arc;

use super::app_options::mtlspop_app_options;
use super::draft::Draft;
use super::error::{guard, mtlspop_error, mtlspop_status};
use super::guard::guard_or;
use super::handle::{Handle, Out, boxed, free, value};
use super::http::{ResponseValue, mtlspop_http_request, mtlspop_http_response};
use super::stream::mtlspop_http_stream;
use super::token::{lent, mtlspop_token};
use super::token_cache::mtlspop_token_cache;
use super::token_request::mtlspop_token_request;
use crate::app::App;
use crate::runtime::{Stripe, Striped};

/// One identity with its settings, caches and connections. Make it once and share it: any number of
/// threads may use it at the same time.
pub struct mtlspop_app {
    _private: [u8; 0],
}

impl Handle for mtlspop_app {
    /// Each call holds the app, so that it may be freed meanwhile, without writing where other threads do.
    type Value = Striped<App>;
    const NAME: &'static str = "app";
    const TAG: u64 = 0x6d74_6c73_5f41_5050;
}

/// Makes an app. Checks the settings; sends nothing. A callback for the secret of a binding store is called
/// here.
///
/// Fails with MTLSPOP_E_INVALID_ARGUMENT for the first bad value of a setter and for settings that are
/// missing or contradict each other, MTLSPOP_E_NOT_SUPPORTED for an authority this version cannot use and an
/// identity that this host's source of managed identity cannot serve, MTLSPOP_E_CALLBACK where the callback
/// for the secret failed.
///
/// @param options    the settings; copied, so they may be freed
/// @param out_app    receives the app, yours to free
/// @param out_error  receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_new(
    options: *const mtlspop_app_options,
    out_app: *mut *mut mtlspop_app,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_app, "out_app")?;
            let options = value(options, "options")?.settings()?;
            out.set(Striped::new(Arc::new(App::new(options.clone())?)));
            Ok(())
        })
    }
}

/// Gives a token: from the cache where it has a good one, else from the token service. Blocks.
///
/// Threads that ask for the same token at the same time cause one request; each keeps its own timeout.
/// A request for mtls_pop is never answered with a Bearer token. Callbacks of the app are called on
/// this thread, inside this call.
///
/// Fails with MTLSPOP_E_INVALID_ARGUMENT for a bad request or one that does not fit the credential,
/// MTLSPOP_E_NOT_SUPPORTED where the host or authority cannot give such a token, MTLSPOP_E_NETWORK,
/// MTLSPOP_E_TIMEOUT, MTLSPOP_E_REJECTED, MTLSPOP_E_THROTTLED, MTLSPOP_E_INTERACTION_REQUIRED and
/// MTLSPOP_E_INVALID_RESPONSE as they say, MTLSPOP_E_KEY_UNAVAILABLE where the private key cannot
/// sign, MTLSPOP_E_CALLBACK where a callback failed, MTLSPOP_E_CANCELLED where the request's flag was
/// raised, MTLSPOP_E_INVALID_HANDLE for a handle that is none, MTLSPOP_E_INTERNAL for a bug of ours.
///
/// @param app        the app
/// @param request    what is asked for; reuse it, that makes cached answers faster
/// @param out_token  receives the token, yours to free
/// @param out_error  receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_acquire_token(
    app: *const mtlspop_app,
    request: *const mtlspop_token_request,
    out_token: *mut *mut mtlspop_token,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_token, "out_token")?;
            let stripe = Stripe::of_this_thread();
            let app = value(app, "app")?.hold_in(stripe);
            let request = value(request, "request")?.settings()?;
            out.give(lent(stripe, app.acquire_token_in(stripe, request)?));
            Ok(())
        })
    }
}

/// Gives the token that mtlspop_app_acquire_token() would give at once, from the memory of the process, and NULL where
/// that would have to wait. Never blocks and sends nothing: for event loops, which have mtlspop_app_acquire_token()
/// called on a thread that may wait when *out_token is NULL.
///
/// It is NULL where memory holds no good token, also while another thread fetches it, where the request bypasses
/// the cache (claims, a forced refresh), and where the token is due for early refresh and the app has no thread for
/// that: see mtlspop_app_options_set_background_refresh(). With such a thread the token is given, and replaced in the
/// background. A store behind the cache is not asked. Of the app's callbacks, those for the log and for metrics are
/// called; a token given is measured and counted as a hit, NULL not at all.
///
/// Fails with MTLSPOP_E_INVALID_ARGUMENT, MTLSPOP_E_NOT_SUPPORTED, MTLSPOP_E_CANCELLED, MTLSPOP_E_INVALID_HANDLE and
/// MTLSPOP_E_INTERNAL as mtlspop_app_acquire_token() does.
///
/// @param app        the app
/// @param request    what is asked for; its timeout does not matter
/// @param out_token  receives the token, yours to free, or NULL
/// @param out_error  receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK, with a token or without; or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_cached_token(
    app: *const mtlspop_app,
    request: *const mtlspop_token_request,
    out_token: *mut *mut mtlspop_token,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_token, "out_token")?;
            let stripe = Stripe::of_this_thread();
            let app = value(app, "app")?.hold_in(stripe);
            let request = value(request, "request")?.settings()?;
            if let Some(token) = app.cached_token(request)? {
                out.give(lent(stripe, token));
            }
            Ok(())
        })
    }
}

/// Calls an API over https with a token, over mTLS with the certificate it is bound to where it is
/// bound. Blocks.
///
/// Connections are kept alive and reused, separately for each certificate. Any HTTP status is a
/// response, not an error. Redirects are returned, not followed. The Authorization header is set from
/// the token. A 401 is answered with another token if mtlspop_http_request_set_token_request() says how: the
/// errors of mtlspop_app_acquire_token() are then possible too. A 401 by which Key Vault says that it could not validate
/// a bound token is sent again first, up to three times within seven seconds. The response is complete, in memory;
/// mtlspop_app_send_streaming() gives one to be read.
///
/// Fails with MTLSPOP_E_INVALID_ARGUMENT for a bad request, MTLSPOP_E_NETWORK, MTLSPOP_E_TIMEOUT,
/// MTLSPOP_E_INVALID_RESPONSE for an answer that is too long or not HTTP, MTLSPOP_E_KEY_UNAVAILABLE
/// where the certificate has expired or its key cannot sign, MTLSPOP_E_CALLBACK where a callback failed,
/// MTLSPOP_E_CANCELLED,
/// MTLSPOP_E_INVALID_HANDLE and MTLSPOP_E_INTERNAL as for mtlspop_app_acquire_token().
///
/// @param app           the app whose proxy, roots and connections are used
/// @param token         a token, of this or another app
/// @param request       what to send
/// @param out_response  receives the response, yours to free
/// @param out_error     receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_send(
    app: *const mtlspop_app,
    token: *const mtlspop_token,
    request: *const mtlspop_http_request,
    out_response: *mut *mut mtlspop_http_response,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_response, "out_response")?;
            let app = value(app, "app")?.hold();
            let token = value(token, "token")?;
            let request = value(request, "request")?.settings()?;
            let response = match &request.token_request {
                Some(again) => app.send_answering_claims(token.token(), again, &request.request)?,
                None => app.send(token.token(), &request.request)?,
            };
            out.set(ResponseValue::from(response));
            Ok(())
        })
    }
}

/// Calls an API as mtlspop_app_send() does, and gives the response when its headers are there: the body is read from
/// it, of any length. Blocks until the headers are there.
///
/// The timeout of the request is that until the headers; each read has one of its own. The flag of the request stops
/// reads, too. mtlspop_http_request_set_max_response_bytes() does not apply. Fails as mtlspop_app_send() does.
///
/// @param app         the app whose proxy, roots and connections are used
/// @param token       a token, of this or another app
/// @param request     what to send
/// @param out_stream  receives the response, its body to be read; yours to free
/// @param out_error   receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_send_streaming(
    app: *const mtlspop_app,
    token: *const mtlspop_token,
    request: *const mtlspop_http_request,
    out_stream: *mut *mut mtlspop_http_stream,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_stream, "out_stream")?;
            let app = value(app, "app")?.hold();
            let token = value(token, "token")?;
            let request = value(request, "request")?.settings()?;
            let stream = match &request.token_request {
                Some(again) => app.send_streaming_answering_claims(token.token(), again, &request.request)?,
                None => app.send_streaming(token.token(), &request.request)?,
            };
            out.set(stream.into());
            Ok(())
        })
    }
}

/// The cache of the app's tokens, for its statistics or for another app: its own, the one it was given, or,
/// for a managed identity without a key signer, the one of the process.
///
/// @param app  the app
/// @return the cache, yours to free; NULL for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_token_cache(app: *const mtlspop_app) -> *mut mtlspop_token_cache {
    guard_or(std::ptr::null_mut(), || {
        Ok(boxed(Draft::new(unsafe { value(app, "app") }?.hold().token_cache())))
    })
}

/// Frees an app and its connections. Tokens, certificates and streams received from it stay valid.
///
/// Background work is stopped, and waited for: a second at most, which it exceeds only inside a
/// callback that takes longer. Called on a background thread, and in a forked child, it waits for
/// nothing. Where calls are under way on other threads it returns at once, and the last of them does
/// the rest, including destroy() of the app's callbacks; new calls must not start. A thread that is only
/// about to call is not seen here: who frees an app that others use must know that they are in their
/// calls, or call no more.
///
/// @param app  the app; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_free(app: *mut mtlspop_app) {
    guard_or((), || {
        if let Ok(app) = unsafe { value(app, "app") } {
            app.hold().stop_background();
        }
        unsafe { free(app) };
        Ok(())
    });
}
