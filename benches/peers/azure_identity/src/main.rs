//! Prints what a token costs by azure_identity, cached and cold: rows of a name, a value and its unit, in devcloud's environment.

use std::env::var;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use azure_core::credentials::{Secret, SecretBytes, TokenCredential};
use azure_identity::{ClientCertificateCredential, ClientSecretCredential};
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::stack::Stack;
use openssl::x509::X509;

const SCOPES: &[&str] = &["https://graph.microsoft.com/.default"];

fn main() -> Result<(), Box<dyn Error>> {
    // SAFETY: there is no other thread yet. SN/I certificates are found by their chain.
    unsafe { std::env::set_var("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("cached Bearer token {:.1} ns", runtime.block_on(hit())?);
    println!("cold Bearer token, certificate {:.3} ms", runtime.block_on(cold())?);
    Ok(())
}

/// The median of 9 rounds, in nanoseconds.
async fn hit() -> Result<f64, Box<dyn Error>> {
    let secret = Secret::new(var("AZURE_CLIENT_SECRET")?);
    let credential = ClientSecretCredential::new(&var("AZURE_TENANT_ID")?, var("AZURE_CLIENT_ID")?, secret, None)?;
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

/// The median of 21 tokens, each of a new credential, in milliseconds.
async fn cold() -> Result<f64, Box<dyn Error>> {
    let pem = std::fs::read(var("AZURE_CLIENT_CERTIFICATE_PATH")?)?;
    let mut certificates = X509::stack_from_pem(&pem)?;
    let leaf = certificates.remove(0);
    let mut chain = Stack::new()?;
    certificates.into_iter().try_for_each(|certificate| chain.push(certificate))?;
    let key = PKey::private_key_from_pem(&pem)?;
    let pfx = Pkcs12::builder().pkey(&key).cert(&leaf).ca(chain).build2("")?.to_der()?;
    let mut took = Vec::new();
    for _ in 0..22 {
        let started = Instant::now();
        let credential: Arc<ClientCertificateCredential> = ClientCertificateCredential::new(
            var("AZURE_TENANT_ID")?,
            var("AZURE_CLIENT_ID")?,
            SecretBytes::new(pfx.clone()),
            None,
        )?;
        credential.get_token(SCOPES, None).await?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    // The first one opens the connection that the process keeps.
    took.remove(0);
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}
