//! The identity endpoint of App Service, on loopback: HTTP around the judge and the library.

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use mtlspop::{Error, ErrorKind, Token, TokenRequest};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::current::Current;
use super::judge::Judge;
use crate::output::visible;
use crate::server::{Limits, Listener, serve};
use crate::times::seconds;

/// What gives tokens to one program and its children.
pub(super) struct Endpoint {
    current: Current,
    judge: Judge,
    verbose: bool,
}

type Answer = Response<Full<Bytes>>;

/// How many tokens are got at once: the library waits for each on a thread.
pub(super) const MOST_AT_ONCE: usize = 16;
const MOST_CONNECTIONS: usize = 128;
const LONGEST_HEAD: usize = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

impl Endpoint {
    pub(super) fn new(current: Current, judge: Judge, verbose: bool) -> Self {
        Self { current, judge, verbose }
    }

    /// Answers for ever.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let limits = Limits { connections: MOST_CONNECTIONS, head: LONGEST_HEAD, patience: PATIENCE };
        let service = service_fn(move |request| self.clone().answer(request));
        serve(Listener::Tcp(listener), limits, service, pending()).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let (head, _) = request.into_parts();
        let resource = match self.judge.resource(&head) {
            Ok(resource) => resource,
            Err((status, message)) => {
                self.say(&format!("refused with {}: {message}", status.as_u16()));
                return Ok(answer(status, &refusal(status, message)));
            }
        };
        let endpoint = self.clone();
        let asked = resource.clone();
        let got = tokio::task::spawn_blocking(move || {
            endpoint.current.app().acquire_token(&TokenRequest::new(&format!("{asked}/.default")))
        });
        Ok(match got.await {
            Ok(Ok(token)) => {
                self.say(&format!("gave a token for {resource}"));
                answer(StatusCode::OK, &issued(&token, &resource, self.judge.client_id()))
            }
            Ok(Err(error)) => {
                self.say(&format!("no token for {resource}: {error} ({})", error.code()));
                failure(&error)
            }
            Err(_) => answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &refusal(StatusCode::INTERNAL_SERVER_ERROR, "the endpoint is going away"),
            ),
        })
    }

    fn say(&self, line: &str) {
        if self.verbose {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(io::stderr(), "mtlspop: exec: {}", visible(line));
        }
    }
}

/// As App Service has it: the time is text.
fn issued(token: &Token, resource: &str, client_id: Option<&str>) -> Value {
    json!({
        "access_token": token.access_token(),
        "client_id": client_id,
        "expires_on": seconds(token.expires_on()).to_string(),
        "resource": resource,
        "token_type": token.token_type().as_str(),
    })
}

fn refusal(status: StatusCode, message: &str) -> Value {
    json!({ "statusCode": status.as_u16(), "message": message })
}

/// What may be tried again has a status for which Azure's libraries do that.
fn failure(error: &Error) -> Answer {
    let status = match error.kind() {
        ErrorKind::Throttled => StatusCode::TOO_MANY_REQUESTS,
        _ if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let message = format!("{} ({})", error.message(), error.code());
    let mut answer = answer(status, &refusal(status, &message));
    if let Some(wait) = error.retry_after() {
        answer.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    answer
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    answer
}
