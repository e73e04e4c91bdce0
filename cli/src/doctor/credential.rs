//! What an app proves itself with: whether it can be read, belongs together, and is of use today.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mtlspop::{Certificate, CertificateSummary, Credential};
use serde_json::Value;

use super::report::Report;
use crate::credential::credential;
use crate::layers::{Kind, Layer, Layers};
use crate::secrets::read;
use crate::times::{in_words, seconds};

/// A certificate that ends sooner is worth a word.
const SOON: i64 = 30 * 24 * 3600;

/// The credential, where it is one.
pub(super) fn examine(
    kind: Kind,
    places: &[Layer],
    layers: &Layers,
    report: &mut Report,
) -> Option<Credential> {
    let found = match credential(kind, places, layers) {
        Ok(found) => found?,
        Err(failure) => {
            let (name, advice) = match kind {
                Kind::Certificate => (
                    "certificate",
                    "see that file, key and password belong together, and that this user may read them: mtlspop certificate show tries it",
                ),
                Kind::Secret => (
                    "secret",
                    "see that the file is there, holds the secret alone, and that this user may read it",
                ),
                _ => ("federated-token", "see that the file is there and that this user may read it"),
            };
            report.fault(name, failure.message(), advice);
            return None;
        }
    };
    match &found {
        Credential::Certificate { certificate, .. } => {
            let sends_chain = layers.any(|layer| layer.settings.send_certificate_chain);
            self::certificate(certificate, sends_chain, report);
        }
        Credential::FederatedTokenFile(Some(path)) => match read(path) {
            Ok(token) => federated_token(&token, report),
            Err(failure) => {
                report.fault(
                    "federated-token",
                    failure.message(),
                    "see that the file is there and that this user may read it; in Kubernetes, that the pod has the label \
                     azure.workload.identity/use and its service account",
                );
                return None;
            }
        },
        _ => report.ok("secret", "it can be read; whether it is right, only a token shows"),
    }
    Some(found)
}

fn certificate(certificate: &Certificate, sends_chain: bool, report: &mut Report) {
    report.ok(
        "certificate",
        format!(
            "{}, x5t#S256 {}; the private key belongs to it",
            certificate.subject(),
            certificate.x5t_s256()
        ),
    );
    let now = seconds(SystemTime::now());
    let (from, until) = (seconds(certificate.not_before()), seconds(certificate.not_after()));
    let detail = format!("valid from {} until {}", in_words(from), in_words(until));
    let renew = "have its issuer renew it, and put the new one in its place";
    match () {
        () if now < from => {
            report.fault(
                "certificate-dates",
                detail,
                "compare the clock of this host with the right time; else wait",
            );
        }
        () if now > until => report.fault("certificate-dates", detail, renew),
        () if until - now < SOON => report.warning("certificate-dates", detail, renew),
        () => report.ok("certificate-dates", detail),
    }
    chain(&certificate.chain_summary(), sends_chain, report);
    let algorithms = ["PS256", "ES256", "ES384", "ES512"];
    let signed = algorithms.map(|algorithm| certificate.sign(algorithm, b"mtlspop doctor"));
    let strength = certificate.strength().name();
    match signed {
        signed if signed.iter().any(Result::is_ok) => {
            report.ok("private-key", format!("it signs; strength {strength}"));
        }
        [Err(error), ..] => report.fault(
            "private-key",
            error.message(),
            "see that the TPM or device that holds it can be used by this user",
        ),
        _ => {}
    }
}

/// The chain as it is sent.
fn chain(chain: &[CertificateSummary], is_sent: bool, report: &mut Report) {
    let names: Vec<&str> = chain.iter().map(|one| one.subject.as_str()).collect();
    let Some(last) = chain.last() else { return };
    let shown = format!("{} in the file: {}", chain.len(), names.join(" < "));
    if chain.len() > 1 || last.subject == last.issuer {
        return report.ok("certificate-chain", shown);
    }
    let detail = format!("{shown}; its issuer, {}, is not there", last.issuer);
    let advice = "put the certificates of the issuers behind it in its file: services that trust subject name and issuer need them, and so do \
                  TLS servers; only an app that is registered with this very certificate does without";
    match is_sent {
        true => report.fault("certificate-chain", detail, advice),
        false => report.warning("certificate-chain", detail, advice),
    }
}

/// What it says of itself. Nothing of it is repeated but its end.
fn federated_token(token: &[u8], report: &mut Report) {
    let claims = std::str::from_utf8(token).ok().and_then(|token| token.trim().split('.').nth(1));
    let claims = claims.and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    let ends = claims.as_ref().and_then(|claims| claims["exp"].as_i64());
    match (claims, ends) {
        (None, _) => report.fault(
            "federated-token",
            "what the file holds is no JWT",
            "give the file that Kubernetes, or whoever issues the token, writes",
        ),
        (Some(_), Some(ends)) if ends <= seconds(SystemTime::now()) => report.fault(
            "federated-token",
            format!("it has expired: {}", in_words(ends)),
            "see that whoever writes the file still does, and compare the clocks",
        ),
        (Some(_), Some(ends)) => report.ok("federated-token", format!("valid until {}", in_words(ends))),
        (Some(_), None) => report.ok("federated-token", "it can be read, and names no end"),
    }
}
