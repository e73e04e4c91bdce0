//! One request to an upstream, on a thread that waits for it.

use http_body_util::Either;
use hyper::{Response, StatusCode};
use mtlspop::{App, HttpRequest, HttpStream, TokenRequest};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::answer::{Answer, Failed};
use super::body::{StopOnDrop, streamed};
use super::headers;
use super::log::Entry;

/// What the thread has.
pub(super) struct Exchange {
    pub(super) request: HttpRequest,
    /// An answer to HEAD tells the length of a body that does not come.
    pub(super) is_head: bool,
    pub(super) token: TokenRequest,
    pub(super) stop: StopOnDrop,
    pub(super) entry: Entry,
    pub(super) answer: oneshot::Sender<Result<Answer, Failed>>,
    pub(super) runtime: Handle,
}

/// Of an answer, that is read at once.
const PIECE: usize = 16 * 1024;
/// In the log.
const CLIENT_GONE: &str = "client_gone";

impl Exchange {
    /// Answers with the head, and goes on until the body has passed.
    pub(super) fn run(self, app: &App) {
        let Self { request, is_head, token, stop, mut entry, answer, runtime } = self;
        if answer.is_closed() {
            return;
        }
        let opened = open(app, &token, &request);
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(failed) => {
                if !answer.is_closed() {
                    entry.status = failed.status.as_u16();
                    entry.error = Some(failed.code.clone());
                }
                drop(entry);
                // A client that has gone needs none.
                let _ = answer.send(Err(failed));
                return;
            }
        };
        let head = stream.response().clone();
        let mut left = match head.status() {
            _ if is_head => Some(0),
            204 | 304 => Some(0),
            _ => head.header("content-length").and_then(|length| length.parse().ok()),
        };
        let (sender, body) = streamed(runtime, stop);
        let mut response = Response::new(Either::Right(body));
        *response.status_mut() = StatusCode::from_u16(head.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = headers::of_response(head.headers());
        entry.status = head.status();
        let mut buffer = vec![0; PIECE];
        if left == Some(0) {
            let read = next(&mut stream, &mut buffer, &mut left);
            entry.error = read.err().map(|error| error.code().to_owned());
            drop(entry);
            sender.end();
            let _ = answer.send(Ok(response));
            return;
        }
        if answer.send(Ok(response)).is_err() {
            entry.error = Some(CLIENT_GONE.to_owned());
            return;
        }
        loop {
            match next(&mut stream, &mut buffer, &mut left) {
                Ok((count, true)) => {
                    entry.sent += count as u64;
                    // It is noted before the client knows that it is over.
                    drop(entry);
                    if count == 0 || sender.send(&buffer[..count]) {
                        sender.end();
                    }
                    return;
                }
                Ok((count, false)) if sender.send(&buffer[..count]) => entry.sent += count as u64,
                Ok(_) => {
                    entry.error = Some(CLIENT_GONE.to_owned());
                    return;
                }
                Err(error) => {
                    entry.error = Some(error.code().to_owned());
                    return;
                }
            }
        }
    }
}

/// The next bytes, and whether they are the last. hyper drops a body when it has as much as was announced, and that stops the call:
/// before, the stream is brought to its end, so that its connection is kept.
fn next(
    stream: &mut HttpStream,
    buffer: &mut [u8],
    left: &mut Option<u64>,
) -> mtlspop::Result<(usize, bool)> {
    let count = stream.read(buffer)?;
    *left = left.map(|left| left.saturating_sub(count as u64));
    let is_last = count == 0 || (*left == Some(0) && stream.read(&mut [0])? == 0);
    Ok((count, is_last))
}

fn open(app: &App, token_request: &TokenRequest, request: &HttpRequest) -> Result<HttpStream, Failed> {
    let token = app.acquire_token(token_request)?;
    Ok(app.send_streaming_answering_claims(&token, token_request, request)?)
}
