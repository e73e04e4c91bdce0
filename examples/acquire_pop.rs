//! acquire_pop: a token bound to a certificate for the host's managed identity, and Graph called with both.
//!
//! The first argument names a user-assigned identity by its client id, `API_URL` what to call.

use std::error::Error;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mtlspop::{App, AppOptions, HttpRequest, ManagedIdentityId, TokenRequest, TokenSource};

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn main() -> Result<ExitCode, Box<dyn Error>> {
    let id = match std::env::args().nth(1) {
        Some(client_id) => ManagedIdentityId::ClientId(client_id),
        None => ManagedIdentityId::SystemAssigned,
    };
    let url = std::env::var("API_URL")
        .unwrap_or_else(|_| "https://mtlstb.graph.microsoft.com/v1.0/applications".to_owned());

    let app = App::new(AppOptions::managed_identity(id))?;
    let request = TokenRequest::new("https://graph.microsoft.com/").with_mtls_proof_of_possession(true);
    let token = app.acquire_token(&request)?;
    // Where the API rejects the token, another one is sent, once.
    let response = app.send_answering_claims(&token, &request, &HttpRequest::new("GET", &url))?;

    let source = match token.source() {
        TokenSource::IdentityProvider => "identity_provider",
        TokenSource::Cache => "cache",
    };
    println!(
        "flow=acquire_pop_rust type={} x5t#S256={} cnf={} source={source} status={}",
        token.token_type().as_str(),
        token.binding_certificate().map_or("-", |certificate| certificate.x5t_s256()),
        cnf(token.access_token()).as_deref().unwrap_or("-"),
        response.status(),
    );
    if (200..300).contains(&response.status()) {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("acquire_pop: the API answered {}", response.status());
    Ok(ExitCode::FAILURE)
}

/// The thumbprint in the token. For demonstration only: a client must treat a token as opaque.
fn cnf(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    Some(claims.get("cnf")?.get("x5t#S256")?.as_str()?.to_owned())
}
