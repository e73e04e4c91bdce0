//! A client's own assertion: a JWT that it signed with its registered certificate.

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

/// An assertion may not live longer than this, and clocks may differ by `SKEW`.
const MAX_LIFETIME: i64 = 600;
const SKEW: i64 = 300;

/// How an assertion is signed, and how its header names the certificate.
struct Style {
    name: &'static str,
    algorithm: Algorithm,
    member: &'static str,
    digest: &'static aws_lc_rs::digest::Algorithm,
}

const PS256: Style =
    Style { name: "PS256", algorithm: Algorithm::PS256, member: "x5t#S256", digest: &SHA256 };
const RS256: Style =
    Style { name: "RS256", algorithm: Algorithm::RS256, member: "x5t", digest: &SHA1_FOR_LEGACY_USE_ONLY };

impl Style {
    fn thumbprint(&self, certificate: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(digest(self.digest, certificate))
    }
}

pub(crate) fn judge(
    sts: &Sts,
    asked: &TokenRequest<'_>,
    token: &Token,
    binding: Option<&Binding<'_>>,
) -> Result<(), Refusal> {
    // Entra takes the older style too.
    let style = if asked.rs256 || token.header["alg"] == RS256.name { RS256 } else { PS256 };
    if token.header["alg"] != style.name {
        return Err(malformed_assertion(format!(
            "alg must be {}, it is {}",
            style.name, token.header["alg"]
        )));
    }
    let chain = signing_certificates(sts, asked.client, token, &style)?;
    let leaf = &chain[0];
    let certificate = parse(leaf)?;
    if !token.signed_with(style.algorithm, &certificate.public_key().subject_public_key.data) {
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
    style: &Style,
) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let named = token.header[style.member]
        .as_str()
        // MSAL for Python pads it.
        .map(|text| text.trim_end_matches('='))
        .ok_or_else(|| malformed_assertion(format!("{} is missing in the header", style.member)))?;
    if !token.header["x5c"].is_null() {
        let chain = x5c(&token.header["x5c"]).map_err(malformed_assertion)?;
        if style.thumbprint(&chain[0]) != named {
            return Err(malformed_assertion(format!(
                "{} is not the thumbprint of the first certificate of x5c",
                style.member
            )));
        }
        judge_subject_name_and_issuer(sts, &chain, client)?;
        return Ok(chain);
    }
    let registered = &sts.registered;
    if client.client_id() == APP_A_CLIENT_ID && style.thumbprint(registered) == named {
        return Ok(vec![registered.clone()]);
    }
    let text = format!(
        "The certificate with identifier used to sign the client assertion is not registered on application. \
         [Reason - The key was not found., Thumbprint of key used by client: '{named}'].",
    );
    Err(Refusal::new("invalid_client", 700027, text))
}

/// RFC 7515, 4.1.6: an array of base64 (not base64url) certificates, the signing one first. MSAL for Python
/// leaves the line breaks of PEM in them.
fn x5c(header: &Value) -> Result<Vec<CertificateDer<'static>>, String> {
    let texts =
        header.as_array().filter(|texts| !texts.is_empty()).ok_or("x5c must be an array of certificates")?;
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

/// Claims of other names are the client's business. An assertion may come again until it expires: MSAL
/// for Node and Python keep theirs.
fn judge_claims(sts: &Sts, asked: &TokenRequest<'_>, token: &Token) -> Result<(), Refusal> {
    if token.text("sub") != token.text("iss") {
        let text = "Client assertion application identifier doesn't match 'client_id' parameter: iss and sub must both be it.";
        return Err(Refusal::new("invalid_client", 700021, text));
    }
    let is_ours = |audience: &str| {
        audience == asked.endpoint || central(asked.endpoint).is_some_and(|central| audience == central)
    };
    if !token.text("aud").is_some_and(is_ours) {
        let text = format!(
            "Client assertion audience claim does not match Realm issuer: it is {}, it must be {}.",
            token.claims["aud"], asked.endpoint
        );
        return Err(Refusal::new("invalid_client", 700023, text));
    }
    let date = |claim: &str| {
        token.number(claim).ok_or_else(|| {
            malformed_assertion(format!("{claim} must be a number, it is {}", token.claims[claim]))
        })
    };
    let start = if token.claims["nbf"].is_null() { "iat" } else { "nbf" };
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
    if to - from > MAX_LIFETIME + SKEW {
        return Err(malformed_assertion(format!(
            "it lives {} seconds, {MAX_LIFETIME} are allowed",
            to - from
        )));
    }
    token.text("jti").map(|_| ()).ok_or_else(|| malformed_assertion("jti is missing or no string".to_owned()))
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
