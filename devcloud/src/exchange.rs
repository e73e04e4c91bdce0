//! One request and one answer, as every service sees them: read in full, nothing asynchronous.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fault::Fault;
use crate::hosts::Service;
use crate::renegotiation;
use crate::stream::Stream;

/// The connection a request came on.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) service: Service,
    /// The host name that TLS was made for; empty for plain HTTP.
    pub(crate) host: String,
    /// What the client presented, leaf first; empty for none.
    pub(crate) client_certificates: Vec<CertificateDer<'static>>,
    pub(crate) tls_version: Option<String>,
    pub(crate) handshake: Option<String>,
    /// The socket beneath, to have it reset.
    pub(crate) socket: Arc<OwnedFd>,
    /// How to ask for a certificate that was not asked for in the handshake.
    pub(crate) renegotiation: Option<renegotiation::Stream>,
}

/// A request, read to its end.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) body: &'a [u8],
    pub(crate) fault: Option<&'a Fault>,
}

/// Name and value pairs of a form or a query, decoded, in the order sent.
#[derive(Debug)]
pub(crate) struct Pairs(Vec<(String, String)>);

/// What to send back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delay: Duration,
    /// How long sending the body takes.
    pub(crate) over: Duration,
    pub(crate) stream: Stream,
}

impl Request<'_> {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Whether the body is a form by its type, whatever parameters that has.
    pub(crate) fn is_form(&self) -> bool {
        let content_type = self.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    pub(crate) fn form(&self) -> Pairs {
        Pairs::parse(self.body)
    }

    pub(crate) fn query(&self) -> Pairs {
        Pairs::parse(self.query.as_bytes())
    }

    /// The parts of the path between its slashes.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    pub(crate) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(self.body).map_err(|error| format!("the body is not JSON: {error}"))
    }

    /// The certificate the client presented in TLS.
    pub(crate) fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.client_certificates.first()
    }
}

impl Pairs {
    fn parse(text: &[u8]) -> Self {
        Pairs(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value of this name, unless it is blank.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value.as_str()).filter(|value| !value.trim().is_empty())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// A name that appears more than once.
    pub(crate) fn repeated(&self) -> Option<&str> {
        let mut pairs = self.0.iter().enumerate();
        pairs
            .find(|(at, (name, _))| self.0[..*at].iter().any(|(other, _)| other == name))
            .map(|(_, (name, _))| name.as_str())
    }
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Answer::text(status, body.to_string()).header("content-type", "application/json; charset=utf-8")
    }

    pub(crate) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (headers, stream) = (Vec::new(), Stream::None);
        Answer { status, headers, body: body.into(), delay: Duration::ZERO, over: Duration::ZERO, stream }
    }

    /// The same with a body that streams, one way or the other.
    pub(crate) fn streaming(self, stream: Stream) -> Self {
        Answer { stream, ..self }
    }

    /// For a path that the service does not have.
    pub(crate) fn not_found(request: &Request<'_>) -> Self {
        let message = format!("devcloud has no {} {} on {}", request.method, request.path, request.host);
        Answer::json(404, &json!({ "error": "not_found", "error_description": message }))
    }

    /// Sets a header field, in the place of one that has the name.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A new random id, as text.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// Standard base64, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
