//! What an API answered, with a body that is read piece by piece.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::client::HttpResponse;
use crate::error::{Error, Result};
use crate::http::Incoming;
use crate::runtime::OwnProcess;

/// A 401 that is answered with another token is read to its end up to here, for its connection.
const WORTH_READING: u64 = 64 * 1024;

/// What an API answered, whatever the status: the headers are there, the body is read as it comes. What is not read
/// stays with the server. Dropped before the end of the body, it closes the connection.
///
/// It lives on when the app is dropped. A process that was forked cannot read the stream of its parent.
pub struct HttpStream {
    response: Arc<HttpResponse>,
    body: OwnProcess<Incoming>,
    read_timeout: Duration,
}

impl HttpStream {
    pub(super) fn new(response: HttpResponse, body: Incoming, read_timeout: Duration) -> Self {
        Self { response: Arc::new(response), body: OwnProcess::new(body), read_timeout }
    }

    /// Status, headers and all else but the body.
    pub fn response(&self) -> &Arc<HttpResponse> {
        &self.response
    }

    /// Puts the next bytes of the body into `buffer` and gives their number, as soon as there are any; 0 is the end.
    ///
    /// A body that breaks off is an error, and stays one.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.body.get_mut().ok_or_else(of_the_parent)?.read(buffer, self.read_timeout)
    }

    /// As much of the beginning of the body as there is, and no more than this, in the time that the call has left. It is
    /// still to be read.
    pub(super) fn peek(&mut self, most: usize) -> Result<&[u8]> {
        self.body.get_mut().ok_or_else(of_the_parent)?.peek(most)
    }

    /// The body as well, in the time that the call has left.
    pub(crate) fn complete(self, max_bytes: usize) -> Result<HttpResponse> {
        let body = self.body.into_inner().ok_or_else(of_the_parent)?;
        let response =
            Arc::into_inner(self.response).ok_or_else(|| Error::internal("a response is in use"))?;
        let (head, claims) = response.into_parts();
        Ok(HttpResponse::new(body.complete(head, max_bytes)?, claims))
    }

    /// Nobody wants the body; but if it is short, the connection is kept for the next request.
    pub(crate) fn discard(self) {
        if let Some(body) = self.body.into_inner() {
            body.discard(WORTH_READING);
        }
    }
}

fn of_the_parent() -> Error {
    Error::argument("this stream belongs to the process that was forked: send the request in this one")
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStream").field("status", &self.response.status()).finish_non_exhaustive()
    }
}
