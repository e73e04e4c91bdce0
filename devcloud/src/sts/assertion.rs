//! A client's own assertion: a JWT that it signed with its registered certificate.

use std::slice;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::asked::{Sts, TokenRequest};
use super::binding::{Binding, judge_subject_name_and_issuer, parse};
use super::refusal::{Refusal, malformed, malformed_assertion};
use crate::clock;
use crate::directory::{APP_A_CLIENT_ID, Client};
use crate::jwt::Token;
use crate::pki::thumbprint;

/// Clocks may differ by this. How long an assertion lives is the client's business: Entra's page on certificate
/// credentials says that it does not restrict `exp`.
const SKEW: i64 = 300;

/// How the header names the certificate.
struct Thumbprint {
    member: &'static str,
    digest: &'static aws_lc_rs::digest::Algorithm,
}

const SHA_256: Thumbprint = Thumbprint { member: "x5t#S256", digest: &SHA256 };
const SHA_1: Thumbprint = Thumbprint { member: "x5t", digest: &SHA1_FOR_LEGACY_USE_ONLY };

impl Thumbprint {
    fn of(&self, certificate: &[u8]) -> Vec<u8> {
        digest(self.digest, certificate).as_ref().to_vec()
    }
}

pub(crate) fn judge(
    sts: &Sts,
    asked: &TokenRequest<'_>,
    token: &Token,
    binding: Option<&Binding<'_>>,
) -> Result<(), Refusal> {
    // ADFS and dSTS know the older style only (MSAL signs with RS256 for them); Entra takes both, in any combination.
    let algorithm = match token.algorithm() {
        "RS256" => Algorithm::RS256,
        "PS256" if !asked.rs256 => Algorithm::PS256,
        other => return Err(malformed_assertion(format!("alg must not be {other}"))),
    };
    let sha_1 = asked.rs256 || token.header[SHA_256.member].is_null();
    let named_by = if sha_1 { SHA_1 } else { SHA_256 };
    let chain = signing_certificates(sts, asked.client, token, &named_by)?;
    let leaf = &chain[0];
    let certificate = parse(leaf)?;
    if !token.signed_with(algorithm, &certificate.public_key().subject_public_key.data) {
        return Err(not_verified("The key used to sign does not match the certificate", leaf));
    }
    if let Some(binding) = binding
        && binding.thumbprint != thumbprint(leaf)
    {
        return Err(malformed(
            "The client assertion is signed with another certificate than that of the TLS connection.",
        ));
    }
    judge_claims(sts, asked, token)
}

/// The certificate that the header names, with the chain it gives: trusted for this client.
fn signing_certificates(
    sts: &Sts,
    client: Client,
    token: &Token,
    named_by: &Thumbprint,
) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let text = token.header[named_by.member]
        .as_str()
        .ok_or_else(|| malformed_assertion(format!("{} is missing in the header", named_by.member)))?;
    let named = base64_of_any_kind(text)
        .ok_or_else(|| malformed_assertion(format!("{} is not base64url", named_by.member)))?;
    if !token.header["x5c"].is_null() {
        let chain = x5c(&token.header["x5c"]).map_err(malformed_assertion)?;
        if named_by.of(&chain[0]) != named {
            return Err(malformed_assertion(format!(
                "{} is not the thumbprint of the first certificate of x5c",
                named_by.member
            )));
        }
        judge_subject_name_and_issuer(sts, &chain, client)?;
        return Ok(chain);
    }
    let registered = &sts.registered;
    if client.client_id() == APP_A_CLIENT_ID && named_by.of(registered) == named {
        return Ok(vec![registered.clone()]);
    }
    let text = format!(
        "The certificate with identifier used to sign the client assertion is not registered on application. \
         [Reason - The key was not found., Thumbprint of key used by client: '{text}'].",
    );
    Err(Refusal::new("invalid_client", 700027, text))
}

/// RFC 7515, 4.1.6: an array of base64 (not base64url) certificates, the signing one first. MSAL for Python
/// leaves the line breaks of PEM in them; MSAL.NET sends one certificate as a string.
fn x5c(header: &Value) -> Result<Vec<CertificateDer<'static>>, String> {
    let texts = match header {
        Value::String(_) => slice::from_ref(header),
        Value::Array(texts) if !texts.is_empty() => texts,
        _ => return Err("x5c must be an array of certificates".to_owned()),
    };
    texts
        .iter()
        .map(|text| {
            let text = text.as_str().ok_or("x5c must consist of strings")?;
            let der = STANDARD
                .decode(text.replace('\n', ""))
                .map_err(|error| format!("x5c is not base64: {error}"))?;
            Ok(CertificateDer::from(der))
        })
        .collect()
}

/// RFC 7515, 4.1.7 and 4.1.8 say base64url. MSAL for Python pads it, and `azure_identity` for Rust writes plain base64.
fn base64_of_any_kind(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Claims of other names are the client's business, and so is `jti`. An assertion may come again until it expires: MSAL
/// for Node and Python keep theirs.
fn judge_claims(sts: &Sts, asked: &TokenRequest<'_>, token: &Token) -> Result<(), Refusal> {
    if token.text("sub") != token.text("iss") {
        let text = "Client assertion application identifier doesn't match 'client_id' parameter: iss and sub must both be it.";
        return Err(Refusal::new("invalid_client", 700021, text));
    }
    judge_audience(asked, token)?;
    let start = if token.claims["nbf"].is_null() { "iat" } else { "nbf" };
    let date = |claim: &str| {
        token.date(claim).ok_or_else(|| {
            malformed_assertion(format!("{claim} must be a number, it is {}", token.claims[claim]))
        })
    };
    let (from, to, now) = (date(start)?, date("exp")?, sts.clock.now());
    if now + SKEW < from || now - SKEW > to {
        let text = format!(
            "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry \
             time of assertion {}.",
            clock::text(now),
            clock::text(from),
            clock::text(to)
        );
        return Err(Refusal::new("invalid_client", 700024, text));
    }
    Ok(())
}

/// The audience is the token endpoint that is asked, or the issuer, as pages of Entra's have shown it. What these say of
/// the token endpoint of v1 is nothing; many a recipe has it as `aud` for that of v2, so it is taken.
fn judge_audience(asked: &TokenRequest<'_>, token: &Token) -> Result<(), Refusal> {
    let audience = &token.claims["aud"];
    if audience.is_array() {
        return Err(malformed_assertion("aud must be a string, it is an array".to_owned()));
    }
    let mut ours = vec![asked.endpoint.to_owned()];
    ours.extend(central(asked.endpoint));
    for endpoint in ours.clone() {
        ours.extend(endpoint.strip_suffix("/oauth2/v2.0/token").map(|base| format!("{base}/oauth2/token")));
    }
    ours.push(asked.tenant.issuer());
    let named = audience.as_str().unwrap_or_default();
    if ours.iter().any(|our| our == named.trim_end_matches('/')) {
        return Ok(());
    }
    let text = format!(
        "Client assertion audience claim does not match Realm issuer: it is {audience}, it must be {}.",
        asked.endpoint
    );
    Err(Refusal::new("invalid_client", 700023, text))
}

/// The endpoint without its region: MSAL for Python names that one wherever it asks.
fn central(endpoint: &str) -> Option<String> {
    let (_, path) = endpoint.split_once(".login.microsoft.com/")?;
    Some(format!("https://login.microsoftonline.com/{path}"))
}

fn not_verified(reason: &str, leaf: &CertificateDer<'_>) -> Refusal {
    let text = format!(
        "The client assertion failed signature validation. [Reason - {reason}., Thumbprint of key used by client: '{}'].",
        thumbprint(leaf)
    );
    Refusal::new("invalid_client", 700027, text)
}
