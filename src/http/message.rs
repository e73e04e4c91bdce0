//! What is sent and what comes back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, HeaderValue, Uri, header};
use url::Url;

use super::body::{Body, StreamBody};
use super::client;
use super::renegotiation::Renegotiation;
use crate::error::{Error, Result};
use crate::runtime::Call;
use crate::secret::WipedBytes;

pub(crate) use ureq::http::{HeaderName, Method};

/// MSAL's limit for the answers of token and metadata endpoints.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// The time one attempt may take; MSAL's (HttpClient's) default.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(100);
/// A token request has a few less.
const HEADERS: usize = 12;

/// The headers in which services of a host want to see what only its workloads know.
const PROOFS: [&str; 3] = ["Authorization", "secret", "X-IDENTITY-HEADER"];

/// One request, which can be sent as often as its body can. `Debug` shows no query, header value or body.
pub(crate) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    /// Or what is wrong with the first that cannot be sent.
    pub(super) headers: Result<HeaderMap>,
    pub(super) body: Body<'a>,
    pub(super) max_response_bytes: usize,
    pub(super) attempt_timeout: Duration,
    pub(super) repeatable: bool,
    pub(super) needs_certificate: bool,
    pub(super) renegotiation: Renegotiation,
}

/// The answer, whatever its status. `Debug` shows no body and no header value.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In the order in which the names first appeared; the values of one name in their order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: WipedBytes,
    /// `None` over plain http.
    pub(crate) tls: Option<TlsDetails>,
}

/// What is known of the TLS connection of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TlsDetails {
    pub(crate) version: TlsVersion,
    /// Whether the server asked for a client certificate in the handshake; where the connection resumed a
    /// session, in the handshake that one began with.
    pub(crate) certificate_requested: bool,
    /// Whether the server wanted to renegotiate once it had the request, and was declined.
    pub(crate) asked_late: bool,
}

impl TlsDetails {
    /// `error`, which says that a certificate was missing or that of this connection is not known, with the
    /// reason where the server never asked for one.
    pub(crate) fn blamed_for(self, error: Error) -> Error {
        if self.certificate_requested { error } else { error.with_never_asked(self.version.as_str()) }
    }
}

/// The version of TLS that was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl<'a> Request<'a> {
    pub(crate) fn get(url: &'a Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub(crate) fn post(url: &'a Url, body: &'a [u8]) -> Self {
        Self::new(Method::POST, url).body(body)
    }

    pub(crate) fn new(method: Method, url: &'a Url) -> Self {
        Self {
            repeatable: method.is_idempotent(),
            method,
            url,
            headers: Ok(HeaderMap::new()),
            body: Body::None,
            max_response_bytes: MAX_RESPONSE_BYTES,
            attempt_timeout: ATTEMPT_TIMEOUT,
            needs_certificate: false,
            renegotiation: Renegotiation::Never,
        }
    }

    pub(crate) fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Body::Bytes(body);
        self
    }

    pub(crate) fn stream(mut self, body: &'a StreamBody) -> Self {
        self.body = Body::Stream(body);
        self
    }

    /// Adds a header; a bad name or value is reported by the send.
    pub(crate) fn header(self, name: &str, value: impl AsRef<str>) -> Self {
        self.with(|| client::header(name, value.as_ref()))
    }

    /// Adds the header `Authorization`, which shares `value`.
    pub(crate) fn authorization(self, value: Bytes) -> Self {
        self.with(|| client::shared_header(header::AUTHORIZATION, value))
    }

    /// Adds one of ours that is the same in each request: nothing of it is copied.
    pub(crate) fn constant_header(self, name: HeaderName, value: &'static str) -> Self {
        self.with(|| Ok((name, HeaderValue::from_static(value))))
    }

    fn with(mut self, header: impl FnOnce() -> Result<(HeaderName, HeaderValue)>) -> Self {
        if let Ok(headers) = &mut self.headers {
            let added = header().and_then(|(name, value)| {
                let added = headers.try_append(name, value);
                added.map_err(|_| Error::argument("a request cannot have so many headers"))
            });
            if let Err(error) = added {
                self.headers = Err(error);
            }
        }
        self
    }

    /// Says which library asks and for which call, as every request of MSAL to an authority does.
    pub(crate) fn identified(mut self, call: &Call) -> Self {
        if let Ok(headers) = &mut self.headers {
            headers.reserve(HEADERS);
        }
        self.constant_header(header::ACCEPT, "application/json")
            .header("client-request-id", call.correlation_id.as_str())
            .constant_header(const { HeaderName::from_static("return-client-request-id") }, "true")
            .constant_header(const { HeaderName::from_static("x-client-sku") }, "mtlspop")
            .constant_header(const { HeaderName::from_static("x-client-ver") }, env!("CARGO_PKG_VERSION"))
            .constant_header(const { HeaderName::from_static("x-client-os") }, std::env::consts::OS)
    }

    /// Sets a header in the place of those of that name.
    pub(crate) fn replace_header(mut self, name: &str, value: &str) -> Self {
        if let Ok(headers) = &mut self.headers {
            headers.remove(name);
        }
        self.header(name, value)
    }

    /// What of its headers proves who asks.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let headers = self.headers.as_ref().ok();
        let proofs = PROOFS.iter().filter_map(move |name| headers?.get(*name));
        proofs.filter_map(|value| str::from_utf8(value.as_bytes()).ok()?.rsplit(' ').next())
    }

    /// A longer answer is an error. 1 MiB where nothing is said.
    pub(crate) fn max_response_bytes(mut self, limit: usize) -> Self {
        self.max_response_bytes = limit;
        self
    }

    /// The time for one attempt, from the look-up of the name to the last byte. 100 s where nothing is said.
    pub(crate) fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// Whether it does no harm if the server gets it twice, as a request for a token: then it is sent
    /// again when a kept-alive connection turns out to be dead. True for GET, PUT, DELETE and such.
    pub(crate) fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// Whether it means nothing to the server without the certificate of its client. Where the server does
    /// not ask for one in TLS 1.3, it is then sent with TLS 1.2.
    pub(crate) fn needs_certificate(mut self, needs: bool) -> Self {
        self.needs_certificate = needs;
        self
    }

    /// What the server may do that wants to renegotiate TLS. Nothing where nothing is said.
    pub(crate) fn renegotiation(mut self, renegotiation: Renegotiation) -> Self {
        self.renegotiation = renegotiation;
        self
    }
}

impl TlsVersion {
    /// As OpenSSL and .NET's logs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

impl Response {
    /// The first value of `name`, in any spelling.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body, read as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(without_mark(&self.body))
    }
}

/// `text` without the byte order mark that some services put before it.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The URL that a service names, if it can be asked over https.
pub(crate) fn https_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    (url.scheme() == "https" && plain && url.as_str().parse::<Uri>().is_ok()).then_some(url)
}

/// A method by its name, for calls to APIs.
pub(crate) fn method(name: &str) -> Result<Method> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok(method),
        _ => Err(Error::argument(format!("{} is not an HTTP method for a request", name.escape_debug()))),
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
