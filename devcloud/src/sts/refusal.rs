//! How Entra says no: an OAuth error with an AADSTS number.

use serde_json::json;
use uuid::Uuid;

use crate::clock;
use crate::exchange::{Answer, Request, new_id};

/// A refusal of the token endpoint.
#[derive(Debug)]
pub(crate) struct Refusal {
    error: &'static str,
    code: u32,
    text: String,
}

impl Refusal {
    pub(crate) fn new(error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Refusal { error, code, text: text.into() }
    }

    pub(crate) fn answer(&self, request: &Request<'_>, now: i64) -> Answer {
        let trace_id = new_id();
        let sent = request.header("client-request-id").and_then(|id| Uuid::parse_str(id).ok());
        let correlation_id = sent.unwrap_or_else(Uuid::new_v4).to_string();
        let timestamp = clock::text(now).replace('T', " ");
        let description = format!(
            "AADSTS{}: {} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}",
            self.code, self.text
        );
        let status = match self.error {
            "invalid_client" => 401,
            "server_error" => 500,
            _ => 400,
        };
        Answer::json(
            status,
            &json!({
                "error": self.error,
                "error_description": description,
                "error_codes": [self.code],
                "timestamp": timestamp,
                "trace_id": trace_id,
                "correlation_id": correlation_id,
                "error_uri": format!("https://{}/error?code={}", request.host, self.code),
            }),
        )
    }
}

/// A request that makes no sense; Entra has one number for all of them, the text is ours.
pub(crate) fn malformed(text: impl Into<String>) -> Refusal {
    Refusal::new(
        "invalid_request",
        9002313,
        format!("Invalid request. Request is malformed or invalid. {}", text.into()),
    )
}

pub(crate) fn malformed_assertion(text: String) -> Refusal {
    Refusal::new("invalid_request", 50027, format!("JWT token is invalid or malformed: {text}."))
}
