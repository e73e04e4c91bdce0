//! What the proxy has done, in Prometheus' text format: numbers, and names of upstreams.

use std::collections::BTreeMap;
use std::fmt::{Arguments, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use crate::server::{Callers, Refusal};

/// Requests that are over.
#[derive(Default)]
pub(super) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By upstream, empty for what was refused before there was one, and status.
    requests: BTreeMap<(String, u16), u64>,
    upstreams: BTreeMap<String, Upstream>,
}

#[derive(Default)]
struct Upstream {
    received: u64,
    sent: u64,
    /// Of each bound those that took no longer.
    within: [u64; BOUNDS.len()],
    requests: u64,
    took: Duration,
}

/// In seconds; Prometheus' own defaults.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Metrics {
    pub(super) fn note(&self, upstream: Option<&str>, status: u16, received: u64, sent: u64, took: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = upstream.unwrap_or_default().to_owned();
        *counts.requests.entry((name.clone(), status)).or_default() += 1;
        if upstream.is_none() {
            return;
        }
        let upstream = counts.upstreams.entry(name).or_default();
        upstream.received += received;
        upstream.sent += sent;
        upstream.requests += 1;
        upstream.took += took;
        for (bound, within) in BOUNDS.iter().zip(&mut upstream.within) {
            *within += u64::from(took.as_secs_f64() <= *bound);
        }
    }

    /// With those that are on their way, and wait for that.
    fn text(&self, on_their_way: usize, waiting: usize) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut line = |line: Arguments<'_>| {
            let _ = writeln!(text, "{line}");
        };
        line(format_args!(
            "# HELP mtlspop_proxy_requests_total Requests that are over, by upstream and status."
        ));
        line(format_args!("# TYPE mtlspop_proxy_requests_total counter"));
        for ((upstream, status), count) in &counts.requests {
            line(format_args!(
                "mtlspop_proxy_requests_total{{upstream=\"{upstream}\",code=\"{status}\"}} {count}"
            ));
        }
        line(format_args!("# HELP mtlspop_proxy_requests_in_flight Requests that are on their way."));
        line(format_args!("# TYPE mtlspop_proxy_requests_in_flight gauge"));
        line(format_args!("mtlspop_proxy_requests_in_flight {on_their_way}"));
        line(format_args!("# HELP mtlspop_proxy_requests_queued Requests that wait for a thread."));
        line(format_args!("# TYPE mtlspop_proxy_requests_queued gauge"));
        line(format_args!("mtlspop_proxy_requests_queued {waiting}"));
        type Count = fn(&Upstream) -> u64;
        let bodies: [(&str, &str, Count); 2] = [
            ("request", "Bytes of bodies of requests.", |upstream| upstream.received),
            ("response", "Bytes of bodies of answers.", |upstream| upstream.sent),
        ];
        for (which, help, count) in bodies {
            line(format_args!("# HELP mtlspop_proxy_{which}_body_bytes_total {help}"));
            line(format_args!("# TYPE mtlspop_proxy_{which}_body_bytes_total counter"));
            for (name, upstream) in &counts.upstreams {
                let count = count(upstream);
                line(format_args!("mtlspop_proxy_{which}_body_bytes_total{{upstream=\"{name}\"}} {count}"));
            }
        }
        const TOOK: &str = "mtlspop_proxy_request_duration_seconds";
        line(format_args!("# HELP {TOOK} Time from the head of a request to the end of its answer."));
        line(format_args!("# TYPE {TOOK} histogram"));
        for (name, upstream) in &counts.upstreams {
            for (bound, within) in BOUNDS.iter().zip(&upstream.within) {
                line(format_args!("{TOOK}_bucket{{upstream=\"{name}\",le=\"{bound}\"}} {within}"));
            }
            line(format_args!("{TOOK}_bucket{{upstream=\"{name}\",le=\"+Inf\"}} {}", upstream.requests));
            line(format_args!("{TOOK}_sum{{upstream=\"{name}\"}} {}", upstream.took.as_secs_f64()));
            line(format_args!("{TOOK}_count{{upstream=\"{name}\"}} {}", upstream.requests));
        }
        text
    }

    /// What a scraper is answered.
    pub(super) fn answer(
        &self,
        callers: &Callers,
        head: &Parts,
        on_their_way: usize,
        waiting: usize,
    ) -> Response<Full<Bytes>> {
        let (status, body) = match check(callers, head) {
            Ok(()) => (StatusCode::OK, self.text(on_their_way, waiting)),
            Err((status, message)) => (status, format!("{message}\n")),
        };
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        *answer.status_mut() = status;
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, format);
        answer
    }
}

fn check(callers: &Callers, head: &Parts) -> Result<(), Refusal> {
    callers.check(head)?;
    if head.uri.path() != "/metrics" {
        return Err((StatusCode::NOT_FOUND, "there is nothing but /metrics"));
    }
    if head.method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "metrics are asked for with GET"));
    }
    Ok(())
}
