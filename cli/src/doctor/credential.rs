//! What an app proves itself with: whether it can be read, belongs together, and is of use today.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mtlspop::{Certificate, CertificateSummary, Credential, federated_credential_audience};
use serde_json::Value;
use uuid::Uuid;

use super::report::Report;
use crate::credential::credential;
use crate::identity::AUTHORITY_HOST;
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
            Ok(token) => federated_token(&token, layers, report),
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
        // The portal shows both side by side.
        Credential::Secret(secret) if Uuid::parse_str(secret.expose()).is_ok() => report.warning(
            "secret",
            "it looks like the id of a secret, not like its value",
            "take the value of the secret, which the portal shows once, when it is made",
        ),
        _ => report.ok("secret", "it can be read; whether it is right, only a token shows (--live)"),
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

/// What it says of itself: who issued it for whom, and until when. Entra compares the first three with the federated credential of the app.
fn federated_token(token: &[u8], layers: &Layers, report: &mut Report) {
    let claims = std::str::from_utf8(token).ok().and_then(|token| token.trim().split('.').nth(1));
    let claims = claims.and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    let Some(claims) = claims else {
        return report.fault(
            "federated-token",
            "what the file holds is no JWT",
            "give the file that Kubernetes, or whoever issues the token, writes",
        );
    };
    let text = |name: &str| claims[name].as_str().unwrap_or("none").to_owned();
    let audiences: Vec<&str> = match &claims["aud"] {
        Value::Array(audiences) => audiences.iter().filter_map(Value::as_str).collect(),
        audience => audience.as_str().into_iter().collect(),
    };
    let ends = claims["exp"].as_i64();
    let detail = format!(
        "issuer {}, subject {}, audience {}, {}",
        text("iss"),
        text("sub"),
        audiences.join(" "),
        ends.map_or("without an end".to_owned(), |ends| format!("valid until {}", in_words(ends)))
    );
    let host = layers.first(|layer| layer.settings.authority_host.clone());
    let wanted = federated_credential_audience(host.as_deref().unwrap_or(AUTHORITY_HOST));
    match wanted {
        _ if ends.is_some_and(|ends| ends <= seconds(SystemTime::now())) => report.fault(
            "federated-token",
            format!("it has expired: {detail}"),
            "see that whoever writes the file still does, and compare the clocks",
        ),
        Some(wanted) if !audiences.contains(&wanted) => report.fault(
            "federated-token",
            format!("it is for another audience: {detail}"),
            format!("have it issued for {wanted}, which the token service of this cloud wants"),
        ),
        _ => report.ok("federated-token", detail),
    }
}
