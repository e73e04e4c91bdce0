//! What a service says with a status alone: the body of its own errors, for faults that name nothing but the status.

use serde_json::{Value, json};

use crate::clock;
use crate::exchange::{Request, new_id};
use crate::hosts::Service;

/// The body that `status` has at the service the request is for.
pub(crate) fn body(status: u16, request: &Request<'_>, now: i64) -> Value {
    let (code, message) = words(status);
    match request.connection.service {
        Service::Login | Service::Mtlsauth | Service::Authority | Service::TokenProxy => {
            entra(status, request, now)
        }
        Service::Imds | Service::Arc => json!({
            "error": if status >= 500 { "unknown" } else { code },
            "error_description": message,
        }),
        Service::AppService => {
            json!({ "statusCode": status, "message": message, "correlationId": new_id() })
        }
        Service::ServiceFabric => {
            json!({ "error": { "correlationId": new_id(), "code": code, "message": message } })
        }
        Service::Graph => {
            let inner = json!({ "date": clock::text(now), "request-id": new_id() });
            json!({ "error": { "code": code, "message": message, "innerError": inner } })
        }
        _ => json!({ "error": { "code": code, "message": message } }),
    }
}

/// With one number for all that passes by itself, and one for what does not.
fn entra(status: u16, request: &Request<'_>, now: i64) -> Value {
    let (error, number, text) = match status {
        429 | 503 => ("temporarily_unavailable", 90033, "A transient error has occurred. Please try again."),
        500.. => ("server_error", 90033, "A transient error has occurred. Please try again."),
        401 => ("invalid_client", 7_000_215, "Invalid client secret provided."),
        _ => ("invalid_request", 9_002_313, "Invalid request. Request is malformed or invalid."),
    };
    let (trace_id, timestamp) = (new_id(), clock::text(now).replace('T', " "));
    let correlation_id = request.header("client-request-id").map_or_else(new_id, str::to_owned);
    json!({
        "error": error,
        "error_description": format!(
            "AADSTS{number}: {text} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        ),
        "error_codes": [number],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": format!("https://{}/error?code={number}", request.host),
    })
}

/// A code and a sentence for a status, as the APIs of Azure have them.
fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => ("Unauthorized", "The request is not authorized."),
        403 => ("Forbidden", "The caller has no permission to do this."),
        404 => ("NotFound", "There is nothing of this name."),
        410 => ("Gone", "The service is being updated and will be back soon."),
        412 => ("PreconditionFailed", "A condition of the request is not met."),
        429 => ("TooManyRequests", "There were too many requests. Try again later."),
        503 => ("ServiceUnavailable", "The service is not available. Try again later."),
        504 => ("GatewayTimeout", "The service did not answer in time."),
        500.. => ("InternalServerError", "The service failed."),
        _ => ("BadRequest", "The request is not valid."),
    }
}
