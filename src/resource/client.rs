//! One request to an API over https, on connections that belong to the token's certificate.

use std::fmt;
use std::os::fd::AsFd;
use std::time::Duration;

use bytes::Bytes;
use once_cell::race::OnceBox;
use url::Url;

use super::stream::HttpStream;
use super::{challenge, key_vault};
use crate::binding::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{
    BodyReader, Pool, Renegotiation, Request, Response, StreamBody, TlsVersion, check_header,
    descriptor_body, method,
};
use crate::runtime::{Call, Cancel};

/// A request to an API.
#[derive(Clone)]
pub struct HttpRequest {
    method: String,
    url: String,
    /// That, read when it is first sent.
    parsed: OnceBox<Url>,
    headers: Vec<(String, String)>,
    body: Body,
    timeout: Duration,
    read_timeout: Duration,
    max_response_bytes: usize,
    allow_renegotiation: Option<bool>,
    cancel: Option<Cancel>,
}

#[derive(Clone)]
enum Body {
    None,
    Bytes(Vec<u8>),
    Stream(StreamBody),
}

/// What an API answered, whatever the status.
pub struct HttpResponse {
    response: Response,
    claims: Option<String>,
}

/// As MSAL's and .NET's HTTP clients have it.
const TIMEOUT: Duration = Duration::from_secs(100);
const MAX_RESPONSE: usize = 64 * 1024 * 1024;

impl HttpRequest {
    /// `method` as HTTP writes it (`GET`), `url` with `https://`.
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            parsed: OnceBox::new(),
            headers: Vec::new(),
            body: Body::None,
            timeout: TIMEOUT,
            read_timeout: TIMEOUT,
            max_response_bytes: MAX_RESPONSE,
            allow_renegotiation: None,
            cancel: None,
        }
    }

    /// Adds a header. `Authorization` is the token's and cannot be set. `x-ms-tokenboundauth` goes out with bound tokens only,
    /// and with those for Key Vault and Managed HSM by itself.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Refuses a header that [`with_header`](Self::with_header) should not have been given.
    pub(crate) fn check_header(name: &str, value: &str) -> Result<()> {
        check_header(name, value)?;
        match name.eq_ignore_ascii_case("authorization") {
            true => Err(Error::argument(format!("the header {name} comes from the token and cannot be set"))),
            false => Ok(()),
        }
    }

    /// Sets the body, and its `Content-Type` unless `content_type` is empty.
    pub fn with_body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.with(content_type, Body::Bytes(body.into()))
    }

    /// The same for a body that is read while it is sent: of `length` bytes, or, without one, in chunks. It can be
    /// sent again where the reader can be rewound, and by one call at a time. Clones of the request share it.
    pub fn with_body_reader(
        self,
        content_type: &str,
        reader: impl BodyReader + 'static,
        length: Option<u64>,
    ) -> Self {
        self.with_body_stream(content_type, StreamBody::new(reader, length))
    }

    /// The same from a file, from where it stands now, or a pipe. Without a `length` it is sent to its end.
    pub fn with_body_fd(self, content_type: &str, fd: impl AsFd, length: Option<u64>) -> Result<Self> {
        Ok(self.with_body_stream(content_type, descriptor_body(fd.as_fd(), length)?))
    }

    pub(crate) fn with_body_stream(self, content_type: &str, body: StreamBody) -> Self {
        self.with(content_type, Body::Stream(body))
    }

    fn with(mut self, content_type: &str, body: Body) -> Self {
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        if !content_type.is_empty() {
            self.headers.push(("Content-Type".to_owned(), content_type.to_owned()));
        }
        self.body = body;
        self
    }

    /// How long the call may take, all of it; 100 seconds by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long [`HttpStream::read`] may wait for the next bytes; 100 seconds by default.
    pub fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// A longer answer is an error, where it is not read as a stream; 64 MiB by default.
    pub fn with_max_response_bytes(mut self, bytes: usize) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// Whether the server may ask for the certificate of a bound token in a TLS renegotiation, after it has read the
    /// request: the request then goes out in TLS 1.2. Where nothing is said that is so for Key Vault, Managed HSM and
    /// the hosts of [`AppOptions::with_renegotiating_host`](crate::AppOptions::with_renegotiating_host).
    pub fn with_allow_renegotiation(mut self, allow: bool) -> Self {
        self.allow_renegotiation = Some(allow);
        self
    }

    /// Lets another thread stop the call.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Scheme, host and port of the API.
    pub(crate) fn origin(&self) -> Result<String> {
        Ok(self.parsed()?.origin().ascii_serialization())
    }

    fn parsed(&self) -> Result<&Url> {
        self.parsed.get_or_try_init(|| check_url(&self.url).map(Box::new))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn max_response_bytes(&self) -> usize {
        self.max_response_bytes
    }

    /// Whether it can be sent now, or once more: not where its body was taken and cannot be rewound.
    pub(crate) fn can_be_sent(&self) -> bool {
        match &self.body {
            Body::None | Body::Bytes(_) => true,
            Body::Stream(body) => body.can_be_sent(),
        }
    }

    /// Whether it tells a vault that its token is bound.
    pub(crate) fn announces_bound_token(&self) -> bool {
        let host = self.parsed().ok().and_then(Url::host_str).unwrap_or_default();
        key_vault::announces(host, &self.headers)
    }

    /// The caller's flag, or one for this call alone.
    pub(crate) fn cancel(&self) -> Cancel {
        self.cancel.clone().unwrap_or_default()
    }
}

impl HttpResponse {
    pub(super) fn new(response: Response, claims: Option<String>) -> Self {
        Self { response, claims }
    }

    pub(super) fn into_parts(self) -> (Response, Option<String>) {
        (self.response, self.claims)
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// The first value of the header `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.header(name)
    }

    /// All headers in the order they came; a name may come more than once.
    pub fn headers(&self) -> &[(String, String)] {
        &self.response.headers
    }

    /// The body, complete; empty where it is read from an [`HttpStream`].
    pub fn body(&self) -> &[u8] {
        &self.response.body
    }

    /// The version of TLS that it came over.
    pub fn tls_version(&self) -> Option<TlsVersion> {
        self.response.tls.map(|tls| tls.version)
    }

    /// Whether the server asked for a client certificate in the TLS handshake; where the connection resumed
    /// a TLS session, in the handshake that one began with. If not, a bound token came without its
    /// certificate, which is why it was refused.
    pub fn certificate_requested(&self) -> Option<bool> {
        self.response.tls.map(|tls| tls.certificate_requested)
    }

    /// Whether the server asked for a client certificate in a TLS renegotiation, after it had read the request,
    /// which was not allowed: a bound token then came without its certificate. See
    /// [`HttpRequest::with_allow_renegotiation`].
    pub fn renegotiation_declined(&self) -> bool {
        self.response.tls.is_some_and(|tls| tls.asked_late)
    }

    /// The claims, JSON, that a 401 asks a token to have: for
    /// [`TokenRequest::with_claims`](crate::TokenRequest::with_claims). `None` without such a challenge.
    pub fn claims(&self) -> Option<&str> {
        self.claims.as_deref()
    }
}

/// Sends `request` with `authorization`, over the connections of `certificate` where there is one, and gives the
/// answer when its headers are there. Redirects are returned, never followed: neither token nor certificate goes
/// where the caller did not send them.
pub(crate) fn open(
    pool: &Pool,
    authorization: Bytes,
    certificate: Option<&Certificate>,
    request: &HttpRequest,
    call: &Call,
) -> Result<HttpStream> {
    call.check()?;
    let url = request.parsed()?;
    request.headers.iter().try_for_each(|(name, value)| HttpRequest::check_header(name, value))?;
    if let Some(certificate) = certificate
        && certificate.not_after() <= call.clock.now()
    {
        return Err(Error::new(
            ErrorKind::KeyUnavailable,
            "binding_certificate_expired",
            "the certificate that the token is bound to has expired: acquire a new token",
        ));
    }
    let client = match certificate {
        Some(certificate) => pool.for_certificate(certificate)?,
        None => pool.plain()?,
    };
    let host = url.host_str().unwrap_or_default();
    let allowed = || pool.may_renegotiate(host);
    let renegotiation = match certificate {
        None => Renegotiation::Never,
        Some(_) if request.allow_renegotiation.unwrap_or_else(allowed) => {
            Renegotiation::check_available(host)?;
            Renegotiation::with_token(&authorization)
        }
        Some(_) => Renegotiation::NotAllowed,
    };
    let mut wire = Request::new(method(&request.method)?, url)
        .attempt_timeout(request.timeout)
        .needs_certificate(certificate.is_some())
        .renegotiation(renegotiation)
        .authorization(authorization);
    for (name, value) in &request.headers {
        if certificate.is_some() || !key_vault::is_for_bound_tokens(name) {
            wire = wire.header(name, value);
        }
    }
    if let Some((name, value)) = certificate.and_then(|_| key_vault::announcement(host, &request.headers)) {
        wire = wire.header(name, value);
    }
    wire = match &request.body {
        Body::None => wire,
        Body::Bytes(bytes) => wire.body(bytes),
        Body::Stream(body) => wire.stream(body),
    };
    call.log.info("resource", || format!("{} {}", request.method, url.host_str().unwrap_or_default()));
    let (response, body) = client.open(&wire, call)?;
    call.log.info("resource", || format!("answered {}", response.status));
    if let Some(tls) = response.tls.filter(|tls| certificate.is_some() && !tls.certificate_requested)
        && matches!(response.status, 401 | 403)
    {
        call.log.warn("resource", || match tls.asked_late {
            true => format!(
                "the server asks for the certificate in a TLS renegotiation, {}",
                renegotiation.advice()
            ),
            false => "the server never asked for the certificate that the token is bound to".to_owned(),
        });
    }
    let claims = challenge::claims(&response, &call.log);
    Ok(HttpStream::new(HttpResponse { response, claims }, body, request.read_timeout))
}

fn check_url(text: &str) -> Result<Url> {
    let url =
        Url::parse(text).map_err(|e| Error::argument(format!("the URL of the request is not valid: {e}")))?;
    if url.scheme() != "https" {
        return Err(Error::argument("tokens are sent over https only: the URL must start with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::argument("the URL must not hold a user name or password"));
    }
    Ok(url)
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse").field("status", &self.status()).finish_non_exhaustive()
    }
}
