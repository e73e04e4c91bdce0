//! Calling an API, and answering once where it wants another token: with other claims, or just a fresh one.

use super::core::Identity;
use super::{App, Token, TokenRequest};
use crate::error::{Error, Result};
use crate::key::KEY_LOST;
use crate::resource::{self, HttpRequest, HttpResponse, HttpStream};
use crate::runtime::Call;

impl App {
    /// Sends `request` to an API with `token`: over mTLS with the certificate it is bound to, where
    /// it is bound. Any HTTP status is a response; what a 401 asks for is in [`HttpResponse::claims`].
    pub fn send(&self, token: &Token, request: &HttpRequest) -> Result<HttpResponse> {
        self.send_streaming(token, request)?.complete(request.max_response_bytes())
    }

    /// As [`send`](Self::send); but the response is there with its headers, and its body is read from it. The
    /// timeout of `request` is that until the headers; its cancellation ends reads, too.
    pub fn send_streaming(&self, token: &Token, request: &HttpRequest) -> Result<HttpStream> {
        self.send_once(token, request, &self.call_to_api(token, request))
    }

    /// As [`send`](Self::send); but where the API answers 401, `token_request` is asked for another token, and
    /// `request` is sent once more, with that one. It is kept: the next [`acquire_token`](Self::acquire_token)
    /// gives it.
    ///
    /// With a claims challenge the token is acquired with these claims; that no such token can be had is an
    /// error. Without one, `token` may have been revoked: one that is not it is taken from the cache, or fetched,
    /// once for all threads. Where there is none, where the API refuses the new one, too, and where it never
    /// asked for the certificate that `token` is bound to, the 401 is the response; after a new token was refused,
    /// by the API or by who issues it, none is fetched for this API and `token_request` for a minute.
    ///
    /// `token_request` is what `token` was acquired with. Timeout and cancellation of `request` are those
    /// of the whole call. A second 401 is a response, and so is the first where the body of `request` cannot be
    /// sent again.
    pub fn send_answering_claims(
        &self,
        token: &Token,
        token_request: &TokenRequest,
        request: &HttpRequest,
    ) -> Result<HttpResponse> {
        let stream = self.send_streaming_answering_claims(token, token_request, request)?;
        stream.complete(request.max_response_bytes())
    }

    /// As [`send_answering_claims`](Self::send_answering_claims), with a response as of
    /// [`send_streaming`](Self::send_streaming).
    pub fn send_streaming_answering_claims(
        &self,
        token: &Token,
        token_request: &TokenRequest,
        request: &HttpRequest,
    ) -> Result<HttpStream> {
        let (ours, theirs) = (token.token_type(), token_request.token_type());
        if ours != theirs {
            return Err(Error::argument(format!(
                "the request for another token is for {}, but the token is {}",
                theirs.as_str(),
                ours.as_str()
            )));
        }
        let call = self.call_to_api(token, request);
        let mut stream = self.send_once(token, request, &call)?;
        if stream.response().status() != 401 || resource::is_not_validated(request, &mut stream) {
            return Ok(stream);
        }
        let response = stream.response().clone();
        if !request.can_be_sent() {
            call.log.info("resource", || {
                "the API answered 401, but the body of the request cannot be sent again".to_owned()
            });
            return Ok(stream);
        }
        let Some(claims) = response.claims() else {
            return self.answer_rejection(token, token_request, request, stream, &call);
        };
        call.log.info("resource", || "the API asks for other claims: getting a new token".to_owned());
        let token_request = another(token_request, &call)
            .with_claims(claims)
            // With a hash, a token of before the challenge might be served; forced, Service Fabric is not told
            // which one was rejected.
            .with_access_token_hash_to_refresh("");
        let token = self.acquire_token(&token_request).map_err(|error| {
            error.context("the API answered 401 and asks for other claims, but there is no such token")
        })?;
        stream.discard();
        self.send_once(&token, request, &call)
    }

    /// Sends `request` again with a token that is not the rejected one, where there is reason to hope.
    fn answer_rejection(
        &self,
        rejected: &Token,
        token_request: &TokenRequest,
        request: &HttpRequest,
        stream: HttpStream,
        call: &Call,
    ) -> Result<HttpStream> {
        if rejected.binding_certificate().is_some()
            && stream.response().certificate_requested() == Some(false)
        {
            return Ok(stream);
        }
        let core = &self.core;
        let key = core.key(token_request)?;
        let (caches, pair) = (core.caches.get(), (request.origin()?, key));
        if caches.rejected.is_paused(&pair, core.clock.monotonic()) {
            call.log.info("resource", || {
                "the API rejected the token, and less than a minute ago there was no better one".to_owned()
            });
            return Ok(stream);
        }
        call.log.info("resource", || "the API rejected the token: getting another".to_owned());
        let hash = rejected.sha256();
        let token_request = another(token_request, call).with_access_token_hash_to_refresh(&hash);
        let token = match self.acquire_token(&token_request) {
            Ok(token) => token,
            Err(_) if call.cancel.is_cancelled() => return Err(call.cancelled()),
            Err(error) => {
                call.log.warn("resource", || format!("there is no other token: {}", error.code()));
                // Who says no says it to the next call, too; what was in the way may be gone by then.
                if error.http_status().is_some() && !error.is_retryable() {
                    caches.rejected.note(pair, core.clock.monotonic());
                }
                return Ok(stream);
            }
        };
        // Some sources have a cache that nobody can refresh.
        let same = token.access_token() == rejected.access_token();
        let stream = match same {
            true => stream,
            false => {
                stream.discard();
                self.send_once(&token, request, call)?
            }
        };
        let response = stream.response();
        if response.status() == 401 && response.claims().is_none() {
            call.log.warn("resource", || {
                "the API rejects fresh tokens, too: none is fetched for a minute".to_owned()
            });
            caches.rejected.note(pair, core.clock.monotonic());
        }
        Ok(stream)
    }

    fn call_to_api(&self, token: &Token, request: &HttpRequest) -> Call {
        Call::new(
            self.core.clock.clone(),
            request.cancel(),
            self.core.log.clone(),
            token.correlation_id().to_owned(),
            Some(request.timeout()),
        )
    }

    /// With one token. What a vault could not validate is sent again before anybody looks for reasons.
    fn send_once(&self, token: &Token, request: &HttpRequest, call: &Call) -> Result<HttpStream> {
        let certificate = token.binding_certificate();
        let authorization = token.authorization_bytes();
        let send = || resource::open(&self.core.pool, authorization.clone(), certificate, request, call);
        let sent = match certificate {
            Some(_) => resource::repeat_not_validated(request, call, send),
            None => send(),
        };
        sent.inspect_err(|error| {
            // Nobody can use its tokens any more; the next call gets another key.
            if let Some(certificate) = certificate.filter(|_| error.code() == KEY_LOST) {
                let caches = self.core.caches.get();
                if let Identity::ManagedIdentity(identity) = &self.core.identity {
                    identity.bindings(caches).forget(certificate);
                }
                caches.tokens.remove_bound_to(certificate.x5t_s256());
            }
        })
    }
}

/// `request` for another token, within the time and under the flag of `call`.
fn another(request: &TokenRequest, call: &Call) -> TokenRequest {
    request.clone().with_force_refresh(false).with_timeout(call.remaining()).with_cancel(call.cancel.clone())
}
