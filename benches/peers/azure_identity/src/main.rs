//! Prints what a token costs by azure_identity, cached and cold: rows of a name, a value and its unit, in devcloud's environment.

use std::env::var;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use azure_core::credentials::{Secret, TokenCredential};
use azure_identity::ClientSecretCredential;

const SCOPES: &[&str] = &["https://graph.microsoft.com/.default"];

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("cached Bearer token {:.1} ns", runtime.block_on(hit())?);
    println!("cold Bearer token, secret {:.3} ms", runtime.block_on(cold())?);
    Ok(())
}

/// The median of 9 rounds, in nanoseconds.
async fn hit() -> Result<f64, Box<dyn Error>> {
    let credential = credential()?;
    let first = credential.get_token(SCOPES, None).await?;
    let mut rounds = Vec::new();
    for _ in 0..9 {
        let (started, mut calls) = (Instant::now(), 0_u32);
        while started.elapsed() < Duration::from_millis(50) {
            for _ in 0..1000 {
                drop(credential.get_token(SCOPES, None).await?);
            }
            calls += 1000;
        }
        rounds.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    // Another token would say that the network was measured.
    if credential.get_token(SCOPES, None).await?.token.secret() != first.token.secret() {
        return Err("the cache did not answer: there is nothing to measure".into());
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[rounds.len() / 2])
}

/// The median of 21 tokens, each of a new credential, in milliseconds. By secret: devcloud refuses the assertions of its
/// certificate credential, whose x5t is in base64 and not in base64url (RFC 7515, section 4.1.7).
async fn cold() -> Result<f64, Box<dyn Error>> {
    let mut took = Vec::new();
    for _ in 0..22 {
        let started = Instant::now();
        credential()?.get_token(SCOPES, None).await?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    // The first one opens the connection that the process keeps.
    took.remove(0);
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

fn credential() -> Result<Arc<ClientSecretCredential>, Box<dyn Error>> {
    let secret = Secret::new(var("AZURE_CLIENT_SECRET")?);
    Ok(ClientSecretCredential::new(&var("AZURE_TENANT_ID")?, var("AZURE_CLIENT_ID")?, secret, None)?)
}
