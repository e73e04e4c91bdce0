//! An answer whose body is still on its connection: read at once, or piece by piece as the caller wants it.

use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::http::{self, HeaderValue};
use ureq::{Body, BodyReader};

use super::exchange::Exchange;
use super::failure::{self, Peer};
use super::message::{Response, TlsDetails};
use super::renegotiation::Renegotiation;
use crate::error::{Error, Result};
use crate::runtime::{Call, Limit};
use crate::secret::WipedBytes;

/// What is set aside for a body at once: all that a token endpoint may send. A server that announces
/// more must first send it.
const FIRST_BUFFER: u64 = 1024 * 1024;

/// The body of an answer. Dropped before its end, it closes the connection; read to the end, it gives it back to
/// the pool.
pub(crate) struct Incoming {
    body: Rest,
    /// Announced and not read yet.
    left: Option<u64>,
    /// Read ahead of who wants the body.
    ahead: WipedBytes,
    attempt: Attempt,
}

/// Whose answer it is.
pub(super) struct Attempt {
    pub(super) call: Call,
    pub(super) peer: Peer,
    pub(super) tls: Option<TlsDetails>,
    pub(super) needs_certificate: bool,
    pub(super) renegotiation: Renegotiation,
    /// The end of the attempt, and what it is called.
    pub(super) until: Instant,
    pub(super) limit: Limit,
}

enum Rest {
    Open(BodyReader<'static>),
    Ended,
    /// A body that broke off stays so: ureq would say next that it has ended.
    Failed(Error),
}

impl Incoming {
    /// Takes status and headers out of `response`.
    pub(super) fn split(response: http::Response<Body>, attempt: Attempt) -> (Response, Self) {
        let (head, body) = response.into_parts();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let (status, tls) = (head.status.as_u16(), attempt.tls);
        let left = body.content_length();
        let body = Rest::Open(body.into_reader());
        (
            Response { status, headers, body: WipedBytes::default(), tls },
            Self { body, left, ahead: WipedBytes::default(), attempt },
        )
    }

    /// Reads the body into `head`, within the time of the attempt. One of more than `max` bytes is an error.
    pub(crate) fn complete(mut self, head: Response, max: usize) -> Result<Response> {
        let started = Instant::now();
        let (until, limit) = (self.attempt.until, self.attempt.limit);
        let announced = self.left.unwrap_or(0);
        if announced > max as u64 {
            return Err(self.attempt.named(failure::too_large(max, &self.attempt.peer)));
        }
        // Long enough from the start, so that no copy of a token is left behind by growing.
        let mut body = WipedBytes::from(Vec::with_capacity(announced.min(FIRST_BUFFER) as usize));
        let beyond = (max as u64).saturating_add(1);
        let ahead = std::mem::take(&mut self.ahead);
        let outcome = self.with_reader(until.saturating_duration_since(started), limit, |reader| {
            ahead.as_slice().chain(reader).take(beyond).read_to_end(&mut body)
        });
        self.attempt.call.spent().add_http(started.elapsed());
        outcome?;
        if body.len() > max {
            return Err(self.attempt.named(failure::too_large(max, &self.attempt.peer)));
        }
        Ok(Response { body, tls: self.attempt.tls, ..head })
    }

    /// Reads to the end, for the sake of the connection, where that is no further than `max` bytes.
    pub(crate) fn discard(mut self, max: u64) {
        let (until, limit) = (self.attempt.until, self.attempt.limit);
        if self.left.is_none_or(|left| left <= max) {
            // What goes wrong here, goes wrong for nobody.
            let _ = self.with_reader(until.saturating_duration_since(Instant::now()), limit, |reader| {
                io::copy(&mut reader.take(max.saturating_add(1)), &mut io::sink())
            });
        }
    }

    /// Reads up to `most` bytes, or to the end, within the time of the attempt, and keeps them for whoever wants the body.
    pub(crate) fn peek(&mut self, most: usize) -> Result<&[u8]> {
        let (until, limit) = (self.attempt.until, self.attempt.limit);
        let mut ahead = std::mem::take(&mut self.ahead);
        let more = most.saturating_sub(ahead.len()) as u64;
        let outcome = match self.body {
            Rest::Ended => Ok(0),
            _ => self.with_reader(until.saturating_duration_since(Instant::now()), limit, |reader| {
                reader.take(more).read_to_end(&mut ahead)
            }),
        };
        self.ahead = ahead;
        outcome.map(|_| self.ahead.as_slice())
    }

    /// Reads what is there, at least one byte, waiting `idle` for it at most. 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8], idle: Duration) -> Result<usize> {
        match &self.body {
            _ if buffer.is_empty() => return Err(Error::argument("there is no room for what is read")),
            _ if !self.ahead.is_empty() => {
                let count = self.ahead.len().min(buffer.len());
                buffer[..count].copy_from_slice(&self.ahead[..count]);
                self.ahead.drain(..count);
                self.left = self.left.map(|left| left.saturating_sub(count as u64));
                return Ok(count);
            }
            Rest::Open(_) => {}
            Rest::Ended => return Ok(0),
            Rest::Failed(error) => return Err(error.clone()),
        }
        let limit = Limit::read(idle);
        let count = self.with_reader(idle, limit, |reader| reader.read(buffer))?;
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        if count > 0 && self.left == Some(0) {
            // Nothing more to wait for: the connection goes back now, also if nobody asks for the end.
            self.with_reader(idle, limit, |reader| reader.read(&mut [0]))?;
            self.body = Rest::Ended;
        }
        if count == 0 {
            self.body = Rest::Ended;
        }
        Ok(count)
    }

    fn with_reader<T>(
        &mut self,
        left: Duration,
        limit: Limit,
        read: impl FnOnce(&mut BodyReader<'static>) -> io::Result<T>,
    ) -> Result<T> {
        let reader = match &mut self.body {
            Rest::Open(reader) => reader,
            Rest::Failed(error) => return Err(error.clone()),
            Rest::Ended => return Err(Error::internal("the body of an answer was read after its end")),
        };
        let attempt = &mut self.attempt;
        let call = &attempt.call;
        let outcome = if call.cancel.is_cancelled() {
            Err(call.cancelled())
        } else {
            let exchange =
                Exchange::enter(call, left, limit, attempt.needs_certificate, attempt.renegotiation);
            exchange.continues(attempt.tls);
            let outcome = read(reader).map_err(|error| failure::body(error.into(), &attempt.peer, limit));
            // The server may have asked for the certificate meanwhile.
            attempt.tls = exchange.tls();
            if call.cancel.is_cancelled() { outcome.map_err(|_| call.cancelled()) } else { outcome }
        };
        outcome.map_err(|error| {
            let error = attempt.named(error);
            call.log.verbose("http", || format!("{}: {error} [{}]", attempt.peer, call.correlation_id));
            self.body = Rest::Failed(error.clone());
            error
        })
    }
}

impl Attempt {
    fn named(&self, error: Error) -> Error {
        error.with_correlation_id(&self.call.correlation_id)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("left", &self.left).finish_non_exhaustive()
    }
}
