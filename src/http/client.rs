//! One client: a pool of connections that all present the same certificate, or none.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ureq::SendBody;
use ureq::config::Config;
use ureq::http::uri::PathAndQuery;
use ureq::http::{self, HeaderName, HeaderValue, Method, StatusCode, Uri};
use url::Position;

use super::USER_AGENT;
use super::body::{Body, Outgoing};
use super::connector::Connector;
use super::exchange::{Entered, Exchange, FOREVER};
use super::failure::{self, Peer, Presented};
use super::incoming::{Attempt, Incoming};
use super::message::{Request, Response};
use super::observed::Observer;
use super::older::Older;
use crate::error::{Error, Result, TransportFailure};
use crate::runtime::{Call, Limit};

/// What a line of a request may have, as long as a TLS record: ureq writes each in one piece.
const LONGEST_LINE: usize = 16 * 1024;
/// Idle connections kept for one host, and so how many dead ones a request may have to go through.
const MAX_IDLE_PER_HOST: usize = 8;
/// Idle connections kept for all hosts of one client.
const MAX_IDLE: usize = 32;
/// How long a server has to say that it wants a large body, before it gets it anyway. libcurl's number.
const AWAIT_CONTINUE: Duration = Duration::from_secs(1);

/// Headers that frame the message or belong to the connection are not the caller's to set.
const OURS: [HeaderName; 9] = [
    http::header::HOST,
    http::header::CONTENT_LENGTH,
    http::header::TRANSFER_ENCODING,
    http::header::CONNECTION,
    http::header::UPGRADE,
    http::header::TE,
    http::header::TRAILER,
    http::header::EXPECT,
    http::header::PROXY_AUTHORIZATION,
];

/// Sends requests and keeps the connections alive for the next ones. To be asked for anew from the
/// [`Pool`](super::Pool) for each call: after a `fork` it is another one.
pub(crate) struct Client {
    agent: ureq::Agent,
    presented: Option<Arc<Presented>>,
    observer: Observer,
}

/// Whether a client speaks plain HTTP, as only endpoints of the own machine do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Schemes {
    HttpsOnly,
    HttpAndHttps,
}

impl Client {
    pub(super) fn new(
        connector: Connector,
        schemes: Schemes,
        connect_timeout: Duration,
        observer: Observer,
    ) -> Self {
        let presented = connector.presented.clone();
        let config = Config::builder()
            .https_only(schemes == Schemes::HttpsOnly)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding("")
            .timeout_connect(Some(connect_timeout))
            .timeout_await_100(Some(AWAIT_CONTINUE))
            .max_idle_connections(MAX_IDLE)
            .max_idle_connections_per_host(MAX_IDLE_PER_HOST)
            // The head of an answer has to fit into it.
            .input_buffer_size(64 * 1024)
            .output_buffer_size(LONGEST_LINE)
            .build();
        Self { agent: connector.into_agent(config), presented, observer }
    }

    /// Whether it has a certificate for servers that ask for one.
    pub(crate) fn has_certificate(&self) -> bool {
        self.presented.is_some()
    }

    /// Sends `request` and reads the whole answer. Every status is an answer, redirects included.
    ///
    /// Fails as soon as the call is cancelled, and when its time, or the request's, is over.
    pub(crate) fn send(&self, request: &Request<'_>, call: &Call) -> Result<Response> {
        let (head, body) = self.open(request, call)?;
        body.complete(head, request.max_response_bytes)
    }

    /// Sends `request` and gives the answer as soon as its headers are there: without its body, and that to be read.
    pub(crate) fn open(&self, request: &Request<'_>, call: &Call) -> Result<(Response, Incoming)> {
        call.check()?;
        let started = call.clock.monotonic();
        let peer = Peer::Server {
            host: request.url.host_str().unwrap_or_default().to_owned(),
            presented: self.presented.clone(),
        };
        let outcome = self.send_on_live_connection(request, call, &peer);
        let took = call.clock.monotonic().saturating_duration_since(started);
        call.spent().add_http(took);
        call.log.verbose("http", || {
            let took = took.as_millis();
            let result = match &outcome {
                Ok((head, _)) => head.status.to_string(),
                Err(error) => error.to_string(),
            };
            format!("{} {peer}: {result} ({took} ms) [{}]", request.method, call.correlation_id)
        });
        let told = outcome.as_ref().map(|(head, _)| head);
        self.observer.tell(request, told, &call.correlation_id, took);
        outcome.map_err(|error| error.with_correlation_id(&call.correlation_id))
    }

    /// A server may close an idle connection in the moment in which we send on it. That is nobody's
    /// failure, so the request goes out again, on another connection.
    fn send_on_live_connection(
        &self,
        request: &Request<'_>,
        call: &Call,
        peer: &Peer,
    ) -> Result<(Response, Incoming)> {
        let (left, limit) = call.bounded_by(Limit::request(request.attempt_timeout));
        // It is one attempt, however many connections it takes.
        let now = Instant::now();
        let until = now.checked_add(left).unwrap_or(now + FOREVER);
        let mut body = body(request).hold()?;
        let mut asks = body.is_worth_asking();
        let mut dead = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (needs_certificate, renegotiation) = (request.needs_certificate, request.renegotiation);
            let exchange = Exchange::enter(call, left, limit, needs_certificate, renegotiation);
            if !asks && body.is_at_hand() {
                exchange.have_head_wait();
            }
            let outcome = self.attempt(request, body.start()?, asks);
            self.report(request, &exchange, call, peer);
            if call.cancel.is_cancelled() {
                return Err(call.cancelled());
            }
            let error = match outcome {
                // A server that does not know what it was asked for (RFC 9110, section 15.5.18).
                Ok(response)
                    if asks && response.status() == StatusCode::EXPECTATION_FAILED && body.is_ready() =>
                {
                    asks = false;
                    continue;
                }
                Ok(response) => {
                    let (call, peer, tls) = (call.clone(), peer.clone(), exchange.tls());
                    let attempt = Attempt { call, peer, tls, needs_certificate, renegotiation, until, limit };
                    return Ok(Incoming::split(response, attempt));
                }
                Err(error) => failure::ureq(error, peer, limit),
            };
            let stale = exchange.was_stale() && is_reset(&error);
            if !stale || !request.repeatable || !body.is_ready() || dead == MAX_IDLE_PER_HOST {
                return Err(match exchange.tls().filter(|_| self.needs_certificate(request)) {
                    Some(_) if exchange.was_asked_late() => {
                        error.with_asked_late(request.renegotiation.advice())
                    }
                    Some(tls) if is_hung_up(&error) => tls.blamed_for(error),
                    _ => error,
                });
            }
            dead += 1;
        }
    }

    fn needs_certificate(&self, request: &Request<'_>) -> bool {
        request.needs_certificate && self.presented.is_some()
    }

    /// A server that wants nothing of our certificate, though the request means nothing without it, is
    /// worth a line for each connection.
    fn report(&self, request: &Request<'_>, exchange: &Entered, call: &Call, peer: &Peer) {
        let id = &call.correlation_id;
        match exchange.older() {
            Some(Older::Only) => call.log.info("http", || {
                format!("the {peer} did not ask for our certificate in TLS 1.3: for an hour it is spoken to in TLS 1.2 [{id}]")
            }),
            Some(Older::Never) => call.log.info("http", || {
                format!("the {peer} did not ask for our certificate in TLS 1.3, and refuses TLS 1.2 [{id}]")
            }),
            None => {}
        }
        if exchange.was_asked_late() {
            call.log.warn("http", || {
                format!("the {peer} wants to renegotiate TLS after the request, which is declined [{id}]")
            });
        }
        if let Some(tls) = exchange.tls().filter(|_| exchange.has_opened() && self.needs_certificate(request))
        {
            let (version, asked) = (tls.version.as_str(), tls.certificate_requested);
            if asked {
                call.log.verbose("http", || {
                    format!("the {peer} has asked for our certificate ({version}) [{id}]")
                });
            } else {
                call.log.warn("http", || {
                    format!("the {peer} never asked for our certificate ({version}) [{id}]")
                });
            }
        }
    }

    /// `asks` for the server's word before the body goes out.
    fn attempt(
        &self,
        request: &Request<'_>,
        body: Option<Outgoing<'_>>,
        asks: bool,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut head = head(request).map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let Some(mut body) = body else { return self.agent.run(head) };
        // Without a length ureq sends chunks.
        if let Some(length) = body.length() {
            head.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        }
        if asks {
            head.headers_mut().insert(http::header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        self.agent.run(head.map(|()| SendBody::from_reader(&mut body)))
    }

    /// Closes every idle connection, and those in use after their request. Later requests fail.
    pub(super) fn close(&self) {
        self.agent.clone().shutdown();
    }
}

fn is_reset(error: &Error) -> bool {
    error.transport() == Some(TransportFailure::Reset)
}

/// Whether the server has ended the connection, with a word or without.
fn is_hung_up(error: &Error) -> bool {
    matches!(error.transport(), Some(TransportFailure::Reset | TransportFailure::ServerTls))
}

/// Refuses a header that cannot be sent, or is not the caller's to set.
pub(crate) fn check_header(name: &str, value: &str) -> Result<()> {
    header(name, value).map(drop)
}

/// Methods that are made for a body get one, if empty: some servers insist on a `Content-Length`.
fn body<'a>(request: &Request<'a>) -> Body<'a> {
    match request.body {
        Body::None if matches!(request.method, Method::POST | Method::PUT | Method::PATCH) => {
            Body::Bytes(&[])
        }
        body => body,
    }
}

fn head(request: &Request<'_>) -> Result<http::Request<()>> {
    if !request.url.username().is_empty() || request.url.password().is_some() {
        return Err(Error::argument("a URL must not hold a user name or password"));
    }
    let sent = &request.url[..Position::AfterQuery];
    // What is longer than that is no URI for the one who reads it here.
    if sent.len() > usize::from(u16::MAX) - 1 {
        return Err(too_long("the URL"));
    }
    let uri: Uri = sent.parse().map_err(|_| Error::argument("the URL cannot be used for a request"))?;
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    if request.method.as_str().len() + target.len() + "  HTTP/1.1\r\n".len() > LONGEST_LINE {
        return Err(too_long("the URL"));
    }
    let mut head = http::Request::new(());
    *head.method_mut() = request.method.clone();
    *head.uri_mut() = uri;
    *head.headers_mut() = request.headers.clone()?;
    Ok(head)
}

/// What no line of a request may be: servers take less.
fn too_long(what: &str) -> Error {
    Error::argument(format!("{what} of the request is longer than {} KiB", LONGEST_LINE / 1024))
}

/// A header as it is sent. What is checked and copied here is not for each attempt.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let shown = name.escape_debug();
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Error::argument(format!("{shown} is not the name of an HTTP header")))?;
    if OURS.contains(&key) {
        return Err(Error::argument(format!("the header {shown} is set by the library; leave it out")));
    }
    let value = header_value(&key, shown, Bytes::copy_from_slice(value.as_bytes()))?;
    Ok((key, value))
}

/// The same without a copy of the value.
pub(super) fn shared_header(name: HeaderName, value: Bytes) -> Result<(HeaderName, HeaderValue)> {
    let value = header_value(&name, &name, value)?;
    Ok((name, value))
}

/// The value of the header `name`; `shown` is the name as it was given.
fn header_value(name: &HeaderName, shown: impl fmt::Display, value: Bytes) -> Result<HeaderValue> {
    // The last one is written with the empty line behind it.
    if name.as_str().len() + value.len() + ": \r\n\r\n".len() > LONGEST_LINE {
        return Err(too_long(&format!("the header {}", name.as_str().chars().take(40).collect::<String>())));
    }
    let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| {
        Error::argument(format!("the value of the header {shown} holds a line break or control character"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}
