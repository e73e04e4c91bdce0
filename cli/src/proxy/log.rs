//! What is known of a request when it is over: counted, and for the access log a line of JSON on stderr, without query, headers and
//! bodies.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::http::request::Parts;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::metrics::Metrics;

/// What is known of a request; written when it is over, in whatever way.
pub(super) struct Entry {
    wanted: bool,
    metrics: Arc<Metrics>,
    started: Instant,
    time: Timestamp,
    method: String,
    path: String,
    pub(super) upstream: Option<String>,
    pub(super) status: u16,
    /// Of the body of the request.
    pub(super) received: Arc<AtomicU64>,
    /// Of the body of the answer.
    pub(super) sent: u64,
    pub(super) queued: Option<Duration>,
    pub(super) error: Option<String>,
}

/// The client went before there was an answer: nginx's number.
const CLIENT_GONE: u16 = 499;

impl Entry {
    pub(super) fn new(wanted: bool, metrics: Arc<Metrics>, head: &Parts) -> Self {
        Self {
            wanted,
            metrics,
            started: Instant::now(),
            time: Timestamp::now(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            upstream: None,
            status: CLIENT_GONE,
            received: Arc::default(),
            sent: 0,
            queued: None,
            error: None,
        }
    }

    pub(super) fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    fn line(&self) -> Value {
        json!({
            "time": self.time.to_string(),
            "method": self.method,
            "path": self.path,
            "upstream": self.upstream,
            "status": self.status,
            "bytes_received": self.received.load(Ordering::Relaxed),
            "bytes_sent": self.sent,
            "queued_ms": self.queued.map(milliseconds),
            "duration_ms": milliseconds(self.since_start()),
            "error": self.error,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let received = self.received.load(Ordering::Relaxed);
        self.metrics.note(self.upstream.as_deref(), self.status, received, self.sent, self.since_start());
        if self.wanted {
            // In one write, so that lines of two threads do not mix. Nobody is left to be told when stderr is gone.
            let _ = io::stderr().lock().write_all(format!("{}\n", self.line()).as_bytes());
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
