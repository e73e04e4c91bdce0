//! What the proxy has done, in Prometheus' text format: numbers, and names of upstreams.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use mtlspop::Metric;

use crate::server::{Callers, Refusal};

/// Requests that are over, and what their tokens took.
#[derive(Default)]
pub(super) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By upstream, empty for what was refused before there was one, and status.
    requests: BTreeMap<(String, u16), u64>,
    upstreams: BTreeMap<String, Upstream>,
    /// By where they came from, with MSAL's names.
    tokens: BTreeMap<String, u64>,
    /// By code.
    token_failures: BTreeMap<String, u64>,
    token_requests: Histogram,
}

#[derive(Default)]
struct Upstream {
    received: u64,
    sent: u64,
    took: Histogram,
}

#[derive(Default)]
struct Histogram {
    /// Of each bound those that took no longer.
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

/// A service may choose its codes: more of them than a scraper wants are counted together.
const CODES: usize = 100;
const OTHER: &str = "other";

/// In seconds; Prometheus' own defaults.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Metrics {
    pub(super) fn note(&self, upstream: Option<&str>, status: u16, received: u64, sent: u64, took: Duration) {
        let mut counts = self.counts();
        let name = upstream.unwrap_or_default().to_owned();
        *counts.requests.entry((name.clone(), status)).or_default() += 1;
        if upstream.is_none() {
            return;
        }
        let upstream = counts.upstreams.entry(name).or_default();
        upstream.received += received;
        upstream.sent += sent;
        upstream.took.note(took);
    }

    /// Takes a measurement of the library.
    pub(super) fn measure(&self, metric: &Metric<'_>) {
        let tag = |wanted| {
            let found = metric.tags.iter().find(|(name, _)| *name == wanted);
            found.map_or_else(String::new, |(_, value)| label(value))
        };
        match metric.name {
            "MsalSuccess" => *self.counts().tokens.entry(tag("TokenSource")).or_default() += 1,
            "MsalFailure" => self.counts().note_failure(tag("ErrorCode")),
            // The second where MSAL_ENABLE_EXTENDED_TOKEN_METRICS is set.
            "MsalDurationInHttp.1A" | "MsalDurationInHttpV2.1A" => {
                let took = Duration::from_millis(metric.value.try_into().unwrap_or_default());
                self.counts().token_requests.note(took);
            }
            _ => {}
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With those that are on their way, and wait for that.
    fn text(&self, on_their_way: usize, waiting: usize) -> String {
        let counts = self.counts();
        let mut text = Text(String::new());
        text.family("requests_total", "counter", "Requests that are over, by upstream and status.");
        for ((upstream, status), count) in &counts.requests {
            text.value("requests_total", &format!("upstream=\"{upstream}\",code=\"{status}\""), count);
        }
        text.family("requests_in_flight", "gauge", "Requests that are on their way.");
        text.value("requests_in_flight", "", on_their_way);
        text.family("requests_queued", "gauge", "Requests that wait for a thread.");
        text.value("requests_queued", "", waiting);
        type Count = fn(&Upstream) -> u64;
        let bodies: [(&str, &str, Count); 2] = [
            ("request_body_bytes_total", "Bytes of bodies of requests.", |upstream| upstream.received),
            ("response_body_bytes_total", "Bytes of bodies of answers.", |upstream| upstream.sent),
        ];
        for (name, help, count) in bodies {
            text.family(name, "counter", help);
            for (upstream, counts) in &counts.upstreams {
                text.value(name, &format!("upstream=\"{upstream}\""), count(counts));
            }
        }
        let name = "request_duration_seconds";
        text.family(name, "histogram", "Time from the head of a request to the end of its answer.");
        for (upstream, counts) in &counts.upstreams {
            text.histogram(name, &format!("upstream=\"{upstream}\""), &counts.took);
        }
        text.family("tokens_total", "counter", "Tokens that were had, by where they came from.");
        for (source, count) in &counts.tokens {
            text.value("tokens_total", &format!("source=\"{source}\""), count);
        }
        text.family("token_failures_total", "counter", "Tokens that could not be had, by code.");
        for (code, count) in &counts.token_failures {
            text.value("token_failures_total", &format!("code=\"{code}\""), count);
        }
        let name = "token_request_duration_seconds";
        text.family(name, "histogram", "Time that the requests for a token took.");
        text.histogram(name, "", &counts.token_requests);
        text.0
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

impl Counts {
    fn note_failure(&mut self, code: String) {
        let known = self.token_failures.contains_key(&code) || self.token_failures.len() < CODES;
        *self.token_failures.entry(if known { code } else { OTHER.to_owned() }).or_default() += 1;
    }
}

impl Histogram {
    fn note(&mut self, took: Duration) {
        self.count += 1;
        self.sum += took;
        for (bound, within) in BOUNDS.iter().zip(&mut self.within) {
            *within += u64::from(took.as_secs_f64() <= *bound);
        }
    }
}

/// Writing to a String cannot fail.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP mtlspop_proxy_{name} {help}\n# TYPE mtlspop_proxy_{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "mtlspop_proxy_{name}{labels} {value}");
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, within) in bounds.zip(histogram.within.iter().chain([&histogram.count])) {
            self.value(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), within);
        }
        self.value(&format!("{name}_sum"), labels, histogram.sum.as_secs_f64());
        self.value(&format!("{name}_count"), labels, histogram.count);
    }
}

/// Codes may be a service's own words.
fn label(text: &str) -> String {
    text.chars()
        .filter(|character| character.is_ascii_alphanumeric() || "_-. ".contains(*character))
        .take(64)
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Do codes that a service makes up without end take neither memory nor the numbers of those that were known?
    #[test]
    fn codes_without_end() {
        let mut counts = Counts::default();
        counts.note_failure("timeout".to_owned());
        (0..1000).for_each(|number| counts.note_failure(format!("made_up_{number}")));
        counts.note_failure("timeout".to_owned());
        assert_eq!(counts.token_failures.len(), CODES + 1);
        assert_eq!((counts.token_failures["timeout"], counts.token_failures[OTHER]), (2, 901));
    }
}
