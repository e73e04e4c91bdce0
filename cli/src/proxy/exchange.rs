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
    pub(super) token: TokenRequest,
    pub(super) stop: StopOnDrop,
    pub(super) entry: Entry,
    pub(super) answer: oneshot::Sender<Result<Answer, Failed>>,
    pub(super) runtime: Handle,
}

/// Of an answer, that is read at once.
const PIECE: usize = 16 * 1024;

impl Exchange {
    /// Answers with the head, and goes on until the body has passed.
    pub(super) fn run(self, app: &App) {
        let Self { request, token, stop, mut entry, answer, runtime } = self;
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
        let (sender, body) = streamed(runtime, stop);
        let mut response = Response::new(Either::Right(body));
        *response.status_mut() = StatusCode::from_u16(head.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = headers::of_response(head.headers());
        if answer.send(Ok(response)).is_err() {
            return;
        }
        entry.status = head.status();
        let mut buffer = vec![0; PIECE];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => {
                    sender.end();
                    return;
                }
                Ok(count) if sender.send(&buffer[..count]) => entry.sent += count as u64,
                Ok(_) => {
                    entry.error = Some("client_gone".to_owned());
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

fn open(app: &App, token_request: &TokenRequest, request: &HttpRequest) -> Result<HttpStream, Failed> {
    let token = app.acquire_token(token_request)?;
    Ok(app.send_streaming_answering_claims(&token, token_request, request)?)
}
