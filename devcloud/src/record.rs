//! What was received: the request log and the counters; and what is open now.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::hosts::Service;

/// The log keeps this many requests; older ones are forgotten.
const CAPACITY: usize = 10_000;

/// One request that reached the cloud, and how it was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceivedRequest {
    /// Order of arrival, from 1.
    pub seq: u64,
    /// The service it was for.
    pub service: Service,
    /// The operation it was counted as, if it is one that is counted.
    pub operation: Option<String>,
    /// The id of the tenant that it is about, where path or token tell.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The client, where form, query or token tell.
    #[serde(default)]
    pub client_id: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Host, without the port.
    pub host: String,
    /// Path, without the query.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// Header fields by lower-cased name; repeated fields are joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// Body, as text.
    pub body: String,
    /// `x5t#S256` of the client certificate of the TLS connection.
    #[serde(rename = "client_certificate")]
    pub client_certificate: Option<String>,
    /// Which connection it came on; two requests on one connection have the same number.
    pub connection: u64,
    /// `TLSv1_2` or `TLSv1_3`; nothing for plain HTTP.
    pub tls_version: Option<String>,
    /// `Full` or `Resumed` (or rustls' other names), `Renegotiated` where the client was asked for its certificate after
    /// that; nothing for plain HTTP.
    pub handshake: Option<String>,
    /// The status answered; nothing if the connection was cut instead, or is still to be answered.
    pub status: Option<u16>,
}

/// The tenant that a request is about, by its id, and the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) tenant: Option<String>,
    pub(crate) client_id: Option<String>,
}

impl ReceivedRequest {
    /// A member of the form in the body, decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        pair(self.body.as_bytes(), name)
    }

    /// A parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        pair(self.query.as_bytes(), name)
    }

    /// A header field by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The connections that are open now and have a client certificate, counted by its `x5t#S256`.
#[derive(Debug, Default)]
pub(crate) struct Open {
    connections: Mutex<BTreeMap<String, u64>>,
}

/// One of them, for as long as it is held.
pub(crate) struct OpenConnection<'a> {
    open: &'a Open,
    certificate: String,
}

impl Open {
    pub(crate) fn enter(&self, certificate: String) -> OpenConnection<'_> {
        *self.lock().entry(certificate.clone()).or_default() += 1;
        OpenConnection { open: self, certificate }
    }

    pub(crate) fn with(&self, certificate: &str) -> u64 {
        self.lock().get(certificate).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.open.lock().get_mut(&self.certificate) {
            *count -= 1;
        }
    }
}

/// The log and the counters, behind one lock.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_seq: u64,
    requests: VecDeque<ReceivedRequest>,
    counters: BTreeMap<String, u64>,
}

impl Log {
    /// Adds a request, counts its operation, and returns its `seq`.
    pub(crate) fn add(&self, mut request: ReceivedRequest) -> u64 {
        let mut state = self.lock();
        state.last_seq += 1;
        request.seq = state.last_seq;
        if let Some(operation) = &request.operation {
            *state.counters.entry(operation.clone()).or_default() += 1;
        }
        if state.requests.len() == CAPACITY {
            state.requests.pop_front();
        }
        state.requests.push_back(request);
        state.last_seq
    }

    /// Fills in how the request was answered.
    pub(crate) fn answered(&self, seq: u64, status: u16) {
        let mut state = self.lock();
        if let Some(request) = state.requests.iter_mut().rev().find(|request| request.seq == seq) {
            request.status = Some(status);
        }
    }

    pub(crate) fn count(&self, name: &str) {
        *self.lock().counters.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        self.lock().counters.clone()
    }

    pub(crate) fn clear(&self) {
        *self.lock() = State::default();
    }

    /// A panic elsewhere leaves the log whole: every change is complete when its lock is released.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pair(text: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(text).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
