//! What the proxy answers by itself, in the form that the APIs behind it have for errors.

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use mtlspop::{Error, ErrorKind};
use serde_json::json;

use super::body::{self, Streamed};
use crate::server::Refusal;

/// Its own, or an upstream's.
pub(super) type Answer = Response<Either<Full<Bytes>, Streamed>>;

/// Why there is no answer of an upstream.
pub(super) struct Failed {
    pub(super) status: StatusCode,
    pub(super) code: String,
    message: String,
    retry_after: Option<u64>,
}

impl Failed {
    /// There is no room for it now.
    pub(super) fn busy() -> Self {
        let refusal =
            (StatusCode::SERVICE_UNAVAILABLE, "more requests are on their way than this proxy takes");
        Self { retry_after: Some(1), ..refusal.into() }
    }

    pub(super) fn answer(&self) -> Answer {
        let body = json!({ "error": { "code": self.code, "message": self.message } }).to_string();
        let mut answer = Response::new(Either::Left(Full::new(Bytes::from(body))));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

impl From<Refusal> for Failed {
    fn from((status, message): Refusal) -> Self {
        let code = match status {
            StatusCode::SERVICE_UNAVAILABLE => "proxy_busy",
            StatusCode::PAYLOAD_TOO_LARGE => body::TOO_LONG,
            _ => "proxy_refused",
        };
        Self { status, code: code.to_owned(), message: message.to_owned(), retry_after: None }
    }
}

impl From<Error> for Failed {
    /// With a status by which clients know whether to try again.
    fn from(error: Error) -> Self {
        let status = match (error.code(), error.kind()) {
            (body::TOO_LONG, _) => StatusCode::PAYLOAD_TOO_LARGE,
            (body::BROKEN, _) => StatusCode::BAD_REQUEST,
            (body::TOO_SLOW, _) => StatusCode::REQUEST_TIMEOUT,
            (_, ErrorKind::InvalidArgument) => StatusCode::BAD_REQUEST,
            (_, ErrorKind::Throttled) => StatusCode::SERVICE_UNAVAILABLE,
            (_, ErrorKind::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self {
            status,
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            retry_after: error.retry_after().map(|wait| wait.as_secs().max(1)),
        }
    }
}
