//! `--live`: the whole flow against the real services, and a transcript of it that can be sent to somebody.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mtlspop::{App, HttpRequest, ObservedRequest, RequestObserverFn, Token, TokenRequest};
use serde_json::{Value, json};

use super::advice::advice;
use super::report::{Report, Status};
use crate::Result;
use crate::output::write_private;
use crate::times::{in_words, seconds};

/// For the token, and for the call: a service that is busy is asked again meanwhile.
const LIMIT: Duration = Duration::from_secs(60);

/// What was sent and answered, in its order.
#[derive(Clone, Default)]
pub(super) struct Transcript(Arc<Mutex<Vec<Value>>>);

impl Transcript {
    /// Writes down what an app sends.
    pub(super) fn observer(&self) -> Arc<RequestObserverFn> {
        let exchanges = self.0.clone();
        Arc::new(move |request| {
            exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange(request));
        })
    }

    /// Writes all of it to a file for its owner's eyes.
    pub(super) fn write(&self, path: &Path, token: Option<&Token>, report: &Report) -> Result<()> {
        let exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let transcript = json!({
            "program": concat!("mtlspop ", env!("CARGO_PKG_VERSION")),
            "written": seconds(SystemTime::now()),
            "checks": report.json(),
            "token": token.map(names_of),
            "exchanges": exchanges,
        });
        write_private(path, format!("{transcript:#}\n").as_bytes())
    }
}

/// Gets the token and, where there is a URL, calls that with it.
pub(super) fn go(app: &App, request: &TokenRequest, url: Option<&str>, report: &mut Report) -> Option<Token> {
    let token = match app.acquire_token(&request.clone().with_timeout(Some(LIMIT))) {
        Ok(token) => token,
        Err(error) => {
            let detail = format!("{} ({})", error.message(), error.code());
            report.fault("token", detail, advice(&error));
            return None;
        }
    };
    let bound = token.binding_certificate().map_or(String::new(), |certificate| {
        format!(", bound to {} (x5t#S256, {})", certificate.x5t_s256(), token.binding_strength().name())
    });
    let (kind, until) = (token.token_type().as_str(), in_words(seconds(token.expires_on())));
    report.ok("token", format!("{kind}, valid until {until}, issued by {}{bound}", token.token_endpoint()));
    let Some(url) = url else { return Some(token) };
    match app.send_answering_claims(&token, request, &HttpRequest::new("GET", url).with_timeout(LIMIT)) {
        Ok(answer) => {
            let asked = match answer.certificate_requested() {
                Some(true) => ", asked for a certificate",
                _ => "",
            };
            let (status, what) = match answer.status() {
                200..=399 => (Status::Ok, None),
                401 => (
                    Status::Fault,
                    Some(
                        "see that --resource is what this API takes tokens for, and for a bound token that it takes those: docs/RESOURCES.md",
                    ),
                ),
                403 => (Status::Fault, Some("give the identity a role or permission at this API")),
                404 => (Status::Warning, Some("the token was taken; see that the path is right")),
                _ => (Status::Fault, Some("see what the API says of it: mtlspop call shows its answer")),
            };
            let detail = format!("HTTP {}{asked}", answer.status());
            report.add("call", None, status, detail, what.map(str::to_owned));
        }
        Err(error) => report.fault("call", format!("{} ({})", error.message(), error.code()), advice(&error)),
    }
    Some(token)
}

fn exchange(request: &ObservedRequest<'_>) -> Value {
    let mut said = json!({
        "method": request.method,
        "host": request.host,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "form": request.form,
        "correlation_id": request.correlation_id,
        "milliseconds": u64::try_from(request.took.as_millis()).unwrap_or(u64::MAX),
    });
    match &request.outcome {
        Ok(answer) => {
            let ids: serde_json::Map<String, Value> =
                answer.ids.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            said["answer"] = json!({
                "status": answer.status,
                "headers": answer.headers,
                "ids": ids,
                "tls": answer.tls.map(|(version, _)| version.as_str()),
                "certificate_requested": answer.tls.map(|(_, asked)| asked),
            });
        }
        Err(error) => said["error"] = json!({ "code": error.code(), "message": error.message() }),
    }
    said
}

/// What a token is like: nothing of it but the names of what it says.
fn names_of(token: &Token) -> Value {
    let names = |number: usize| -> Option<Vec<String>> {
        let part = token.access_token().split('.').nth(number)?;
        let members: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
        Some(members.as_object()?.keys().cloned().collect())
    };
    json!({
        "type": token.token_type().as_str(),
        "expires_on": seconds(token.expires_on()),
        "refresh_on": token.refresh_on().map(seconds),
        "scopes": token.scopes().collect::<Vec<_>>(),
        "token_endpoint": token.token_endpoint(),
        "region": token.region(),
        "correlation_id": token.correlation_id(),
        "x5t#S256": token.binding_certificate().map(|certificate| certificate.x5t_s256().to_owned()),
        "binding_strength": token.binding_certificate().map(|_| token.binding_strength().name()),
        "header": names(0),
        "claims": names(1),
    })
}
