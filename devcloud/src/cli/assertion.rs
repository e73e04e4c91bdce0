//! `assertion`: asks a running cloud to mint a federated assertion.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use devcloud::{Assertion, Cloud};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::output::{Failure, print};

#[derive(Debug, Args)]
pub(super) struct AssertionArgs {
    /// Bind it to the first certificate in this file (PEM)
    #[arg(long, value_name = "CERT.PEM")]
    bound_to: Option<PathBuf>,
    /// The subject [default: the one that application B trusts]
    #[arg(long)]
    subject: Option<String>,
    /// The audience [default: api://AzureADTokenExchange]
    #[arg(long)]
    audience: Option<String>,
    /// Seconds it lives; negative for one that has expired
    #[arg(long, value_name = "SECS", default_value_t = 3600, allow_hyphen_values = true)]
    expires_in: i64,
}

pub(super) fn mint(args: &AssertionArgs) -> Result<ExitCode, Failure> {
    let mut assertion = Assertion { expires_in: args.expires_in, ..Assertion::default() };
    if let Some(subject) = &args.subject {
        assertion.subject.clone_from(subject);
    }
    if let Some(audience) = &args.audience {
        assertion.audience.clone_from(audience);
    }
    if let Some(path) = &args.bound_to {
        let certificate =
            CertificateDer::from_pem_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        assertion.bound_to = Some(Cloud::thumbprint(&certificate));
    }
    let control =
        std::env::var("DEVCLOUD_CONTROL").map_err(|_| "DEVCLOUD_CONTROL is not set: is a cloud running?")?;
    let answer = post(&control, "/assertions", &serde_json::to_string(&assertion)?)?;
    let minted = answer["assertion"].as_str().ok_or_else(|| format!("the cloud answered {answer}"))?;
    print(&format!("{minted}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// One request to the control port, which is plain HTTP on loopback: no client library is needed for it.
fn post(control: &str, path: &str, body: &str) -> Result<Value, Failure> {
    let address = control.strip_prefix("http://").ok_or("DEVCLOUD_CONTROL is no http:// URL")?;
    let mut stream = TcpStream::connect(address).map_err(|error| format!("{control}: {error}"))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("the control port's answer has no body")?;
    Ok(serde_json::from_str(body)?)
}
