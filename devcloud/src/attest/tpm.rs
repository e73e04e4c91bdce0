//! The TPM protocol: a challenge, and then a report for who answers it with evidence of a TPM.
//!
//! Microsoft documents it as "Trusted Platform Module (TPM) and VBS enclave attestation protocol". Here are
//! the init message and version 2 of the request message, of the type `basic`, with a key that TPM2_Certify
//! binds to the TPM.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::evidence::{Resident, judge_certificate, judge_certification, judge_quote};
use super::message::{Attestation, Data, Payload};
use super::statement::Attest;
use crate::directory::TPM_ATTESTATION;
use crate::exchange::Request;
use crate::jwt::Token;
use crate::rsa_key::{RsaKey, base64url};

const API_VERSION: &str = "2022-08-01";

/// Whether the path is that of the protocol.
pub(super) fn is_for(request: &Request<'_>) -> bool {
    request.path.eq_ignore_ascii_case("/attest/tpm")
}

/// What a message is counted as, and faults name it. One that cannot be read is as good as the first.
pub(super) fn operation(request: &Request<'_>) -> &'static str {
    match payload(request) {
        Ok(payload) if payload.get("request").is_some() => "attest_request",
        _ => "attest_init",
    }
}

/// The answer to a message: `{"data"}`, base64url of JSON as in the message itself.
pub(super) fn answer(attest: &Attest, request: &Request<'_>) -> Result<Value, String> {
    match request.query().get("api-version") {
        Some(API_VERSION) => {}
        Some(other) => return Err(format!("api-version must be {API_VERSION}, it is {other}")),
        None => return Err(format!("api-version is missing: it must be {API_VERSION}")),
    }
    let payload = payload(request)?;
    let said = match (&payload["type"], &payload["request"]) {
        (Value::String(kind), Value::Null) if kind == "aikcert" => challenge(attest)?,
        (Value::Null, Value::String(jws)) => json!({ "report": report(attest, jws)? }),
        _ => return Err(r#"payload must be {"type":"aikcert"} or {"request":"<JWS>"}"#.to_owned()),
    };
    let data = json!({ "payload": said }).to_string();
    Ok(json!({ "data": URL_SAFE_NO_PAD.encode(data) }))
}

fn payload(request: &Request<'_>) -> Result<Value, String> {
    let body = request.json()?;
    let data = base64url(body["data"].as_str().ok_or("data is missing or no string")?, "data")?;
    let mut data: Value =
        serde_json::from_slice(&data).map_err(|error| format!("data is not JSON: {error}"))?;
    match data["payload"].take() {
        payload @ Value::Object(_) => Ok(payload),
        _ => Err("payload is missing from data, or no object".to_owned()),
    }
}

fn challenge(attest: &Attest) -> Result<Value, String> {
    let made = attest.challenges.make(attest.clock.now());
    let (challenge, context) = made.map_err(|_| "no random numbers for a challenge".to_owned())?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Ok(json!({ "challenge": encode(&challenge), "service_context": encode(&context) }))
}

fn report(attest: &Attest, jws: &str) -> Result<String, String> {
    let jws = Token::parse(jws).map_err(|error| format!("request is no JWS: {error}"))?;
    judge_header(&jws.header)?;
    let Payload { att_type, att_data } = serde_json::from_value(jws.claims.clone())
        .map_err(|error| format!("the payload of the JWS: {error}"))?;
    if att_type != "basic" {
        return Err(format!("att_type must be basic, it is {att_type}"));
    }
    att_data.judge_extent()?;

    let now = attest.clock.now();
    let context = attest.challenges.read(&base64url(&att_data.service_context, "service_context")?, now)?;
    if base64url(&att_data.challenge, "challenge")? != context.challenge {
        return Err("challenge is not that of service_context".to_owned());
    }
    let key = RsaKey::from_jwk(&att_data.request_key.jwk, "request_key.jwk")?;
    if !jws.signed_by(Algorithm::PS256, &key.decoding()) {
        return Err("the signature of the JWS is not that of request_key (PS256)".to_owned());
    }
    let attestation = &att_data.tpm_att_data.current_attestation;
    let attestation_key = RsaKey::from_jwk(&attestation.aik_pub, "aik_pub")?;
    let certified = judge_attestation_key(attest, attestation, &attestation_key, now)?;
    let Some(certify) = &att_data.request_key.info.tpm_certify else {
        return Err(
            "request_key.info.tpm_certify is missing: nothing else binds a key to its TPM here".to_owned()
        );
    };
    let resident = judge_certification(certify, &key, &attestation_key, &context.challenge)?;
    judge_quote(attestation, &attestation_key, &context.challenge)?;
    // Only good evidence uses a challenge up: nobody else can spoil it.
    attest.challenges.redeem(&context, now)?;
    attest.sign(claims(&att_data, &key, &resident, certified))
}

/// No `kid`: it is `request_key` that signs.
fn judge_header(header: &Value) -> Result<(), String> {
    for (name, wanted) in [("alg", "PS256"), ("typ", "attReqV2")] {
        if header[name] != wanted {
            return Err(format!("the header of the JWS: {name} must be {wanted}, it is {}", header[name]));
        }
    }
    let more = header
        .as_object()
        .and_then(|header| header.keys().find(|name| !["alg", "typ"].contains(&name.as_str())));
    match more {
        None => Ok(()),
        Some(name) => Err(format!("the header of the JWS must have alg and typ only, it has {name}")),
    }
}

/// Whether the TPM CA vouches for the attestation key. Without its certificate that is open, or refused.
fn judge_attestation_key(
    attest: &Attest,
    attestation: &Attestation,
    key: &RsaKey,
    now: i64,
) -> Result<bool, String> {
    match attestation.aik_cert.as_deref().filter(|certificate| !certificate.is_empty()) {
        Some(certificate) => {
            judge_certificate(&base64url(certificate, "aik_cert")?, key, &attest.pki, now).map(|()| true)
        }
        None if attest.require_aik_certificate => {
            Err("aik_cert is missing: this service takes no attestation key without its certificate"
                .to_owned())
        }
        None => Ok(false),
    }
}

fn claims(data: &Data, key: &RsaKey, resident: &Resident, certified: bool) -> Value {
    let mut key = key.jwk();
    key["info"] = json!({
        "tpm_certify": { "name_alg": resident.name_algorithm, "obj_attr": resident.attributes },
    });
    json!({
        // What the relying party uses as its nonce.
        "nonce": data.rp_data,
        "rp_data": data.rp_data,
        "x-ms-attestation-type": TPM_ATTESTATION,
        "x-ms-devcloud-aik": if certified { "certified" } else { "unknown" },
        "x-ms-runtime": { "keys": [key] },
    })
}
