//! Calling an API, and answering once where it wants other claims in the token.

use super::{App, Identity, Token, TokenRequest};
use crate::error::{Error, Result};
use crate::key::KEY_LOST;
use crate::resource::{self, HttpRequest, HttpResponse};
use crate::runtime::Call;

impl App {
    /// Sends `request` to an API with `token`: over mTLS with the certificate it is bound to, where
    /// it is bound. Any HTTP status is a response; what a 401 asks for is in [`HttpResponse::claims`].
    pub fn send(&self, token: &Token, request: &HttpRequest) -> Result<HttpResponse> {
        self.send_once(token, request, &self.call_to_api(token, request))
    }

    /// As [`send`](Self::send); but where the API answers 401 with a claims challenge, `token_request` is
    /// asked again with these claims, and `request` is sent once more, with the new token. It is kept: the
    /// next [`acquire_token`](Self::acquire_token) gives it.
    ///
    /// `token_request` is what `token` was acquired with. Timeout and cancellation of `request` are those
    /// of the whole call. That no such token can be had is an error; a second challenge is a response.
    pub fn send_answering_claims(
        &self,
        token: &Token,
        token_request: &TokenRequest,
        request: &HttpRequest,
    ) -> Result<HttpResponse> {
        let (ours, theirs) = (token.token_type(), token_request.token_type());
        if ours != theirs {
            return Err(Error::argument(format!(
                "the request for another token is for {}, but the token is {}",
                theirs.as_str(),
                ours.as_str()
            )));
        }
        let call = self.call_to_api(token, request);
        let response = self.send_once(token, request, &call)?;
        let Some(claims) = response.claims() else { return Ok(response) };
        call.log.info("resource", || "the API asks for other claims: getting a new token".to_owned());
        let token_request = token_request
            .clone()
            .with_claims(claims)
            // With a hash, a token of before the challenge might be served; forced, Service Fabric is not told
            // which one was rejected.
            .with_access_token_hash_to_refresh("")
            .with_force_refresh(false)
            .with_timeout(call.remaining())
            .with_cancel(call.cancel.clone());
        let token = self.acquire_token(&token_request).map_err(|error| {
            error.context("the API answered 401 and asks for other claims, but there is no such token")
        })?;
        self.send_once(&token, request, &call)
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

    fn send_once(&self, token: &Token, request: &HttpRequest, call: &Call) -> Result<HttpResponse> {
        let certificate = token.binding_certificate();
        let sent = resource::send(&self.core.pool, token.authorization(), certificate, request, call);
        sent.inspect_err(|error| {
            // Nobody can use its tokens any more; the next call gets another key.
            if let Some(certificate) = certificate.filter(|_| error.code() == KEY_LOST) {
                let caches = self.core.caches.get();
                if let Identity::ManagedIdentity(identity) = &self.core.identity {
                    identity.bindings(&caches).forget(certificate);
                }
                caches.tokens.remove_bound_to(certificate.x5t_s256());
            }
        })
    }
}
