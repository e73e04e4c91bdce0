//! Requests as an observer sees them: what was sent where, and what came of it, by names alone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::header::CONTENT_TYPE;

use super::body::Body;
use super::message::{Request, Response, TlsVersion};
use crate::error::{Error, Result};

/// Is told of each request of an app when its answer begins, or there is none. Called on any thread.
pub type RequestObserverFn = dyn Fn(&ObservedRequest<'_>) + Send + Sync;

/// One attempt to send one request. Of headers, query and form it has the names only.
#[derive(Debug)]
#[non_exhaustive]
pub struct ObservedRequest<'a> {
    /// As HTTP writes it.
    pub method: &'a str,
    /// With its port, where that is not the usual one.
    pub host: String,
    /// Without the query.
    pub path: &'a str,
    /// The names of the query's parameters.
    pub query: Vec<String>,
    /// The names of the headers.
    pub headers: Vec<&'a str>,
    /// The names in the body, where that is a form.
    pub form: Vec<String>,
    /// What the service calls this request by.
    pub correlation_id: &'a str,
    /// To the headers of the answer.
    pub took: Duration,
    /// What came of it.
    pub outcome: Result<ObservedAnswer<'a>, &'a Error>,
}

/// The head of an answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct ObservedAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The names of the headers.
    pub headers: Vec<&'a str>,
    /// Those that say when, where and under which id it was answered, whole.
    pub ids: Vec<(&'a str, &'a str)>,
    /// The version of TLS, and whether the server asked for a client certificate.
    pub tls: Option<(TlsVersion, bool)>,
}

/// The headers whose values are for those who look for a fault.
const IDS: [&str; 8] = [
    "client-request-id",
    "content-type",
    "date",
    "retry-after",
    "server",
    "x-ms-correlation-request-id",
    "x-ms-ests-server",
    "x-ms-request-id",
];
/// A longer value is none of these.
const LONGEST: usize = 200;

/// Whom to tell, if anybody.
#[derive(Clone, Default)]
pub(crate) struct Observer(pub(crate) Option<Arc<RequestObserverFn>>);

impl Observer {
    /// Tells of `request`, where somebody wants to know.
    pub(super) fn tell(
        &self,
        request: &Request<'_>,
        outcome: Result<&Response, &Error>,
        correlation_id: &str,
        took: Duration,
    ) {
        if let Some(sink) = &self.0 {
            sink(&observed(request, outcome, correlation_id, took));
        }
    }
}

fn observed<'a>(
    request: &'a Request<'_>,
    outcome: Result<&'a Response, &'a Error>,
    correlation_id: &'a str,
    took: Duration,
) -> ObservedRequest<'a> {
    let url = request.url;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let names = request.headers.as_ref().map(|headers| headers.keys().map(|name| name.as_str()).collect());
    ObservedRequest {
        method: request.method.as_str(),
        host: format!("{}{port}", url.host_str().unwrap_or_default()),
        path: url.path(),
        query: names_in(url.query().unwrap_or_default().as_bytes()),
        headers: names.unwrap_or_default(),
        form: form(request),
        correlation_id,
        took,
        outcome: outcome.map(|response| answer(request, response)),
    }
}

fn answer<'a>(request: &Request<'_>, response: &'a Response) -> ObservedAnswer<'a> {
    // A server that repeats what proves us has it repeated to nobody.
    let may_be_told =
        |value: &str| value.len() <= LONGEST && !request.secrets().any(|secret| value.contains(secret));
    let fields = || response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ObservedAnswer {
        status: response.status,
        headers: fields().map(|(name, _)| name).collect(),
        ids: fields().filter(|(name, value)| IDS.contains(name) && may_be_told(value)).collect(),
        tls: response.tls.map(|tls| (tls.version, tls.certificate_requested)),
    }
}

fn form(request: &Request<'_>) -> Vec<String> {
    let is_form = request.headers.as_ref().is_ok_and(|headers| {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        kind.starts_with("application/x-www-form-urlencoded")
    });
    match &request.body {
        Body::Bytes(bytes) if is_form => names_in(bytes),
        _ => Vec::new(),
    }
}

/// What stands before the signs of equality: of the values not even a copy is made.
fn names_in(pairs: &[u8]) -> Vec<String> {
    let names = pairs.split(|byte| *byte == b'&').filter_map(|pair| pair.split(|byte| *byte == b'=').next());
    names.filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}
