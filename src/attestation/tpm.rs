//! Attestation of keys in a TPM: the protocol of Microsoft Azure Attestation for its type TPM, as far as that is
//! documented ("Request message v2" of its TPM attestation protocol; docs/adr/012 has the rest).

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::env::is_shortage;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Policy, Pool, Refusal, Request, Response, add_query, retry_after, send_with_retry};
use crate::key::{Evidence, PrivateKey, SignatureScheme, TpmKey};
use crate::runtime::Call;
use crate::secret::Secret;
use crate::token::is_token;

/// Both ways, in `data`: base64url of JSON.
#[derive(Serialize, Deserialize)]
struct Envelope {
    data: String,
}

#[derive(Serialize, Deserialize)]
struct Message<P> {
    payload: P,
}

#[derive(Serialize)]
struct Init {
    r#type: &'static str,
}

#[derive(Deserialize)]
struct Challenge {
    challenge: String,
    service_context: String,
}

#[derive(Serialize)]
struct SignedRequest {
    request: String,
}

#[derive(Deserialize)]
struct Report {
    report: String,
}

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Attestation<'a> {
    att_type: &'static str,
    att_data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    rp_id: &'a str,
    rp_data: String,
    challenge: &'a str,
    tpm_att_data: TpmData,
    request_key: RequestKey,
    other_keys: [(); 0],
    custom_claims: [(); 0],
    service_context: &'a str,
}

#[derive(Serialize)]
struct TpmData {
    current_attestation: Current,
}

#[derive(Serialize)]
struct Current {
    logs: Vec<Log>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aik_cert: Option<String>,
    aik_pub: Jwk,
    pcrs: [Bank; 1],
    quote: String,
    signature: String,
}

#[derive(Serialize)]
struct Log {
    r#type: &'static str,
    log: String,
}

#[derive(Serialize)]
struct Bank {
    algorithm: u16,
    values: Vec<Pcr>,
}

#[derive(Serialize)]
struct Pcr {
    index: u8,
    digest: String,
}

#[derive(Serialize)]
struct RequestKey {
    jwk: Jwk,
    info: Info,
}

#[derive(Serialize)]
struct Info {
    tpm_certify: Certified,
}

#[derive(Serialize)]
struct Certified {
    public: String,
    certification: String,
    signature: String,
}

#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    n: String,
    e: String,
}

const PATH: &str = "attest/Tpm";
const API_VERSION: (&str, &str) = ("api-version", "2022-08-01");
/// TPM_ALG_SHA256.
const SHA256_BANK: u16 = 0x000b;
/// Where Linux shows what the firmware measured, to root.
const BOOT_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";
const LARGEST_ANSWER: usize = 256 * 1024;
/// What a TPM takes as qualifying data (TPM2B_DATA, with SHA-512 as its largest hash).
const LONGEST_CHALLENGE: usize = 66;

/// The service's report about `key`, a JWT.
pub(super) fn attest(
    pool: &Pool,
    endpoint: &Url,
    client_id: &str,
    key: &dyn PrivateKey,
    pcrs: &[u8],
    call: &Call,
) -> Result<Secret> {
    let tpm_key = key.in_tpm().ok_or_else(|| Error::internal("the key to attest is not in a TPM"))?;
    let (asked, challenge) = challenge(pool, endpoint, call)?;
    let evidence = tpm_key.attest(&challenge, pcrs, &call.wait())?;
    let logs = boot_log(tpm_key)?.map(|log| Log { r#type: "TCG", log: base64(&log) });
    let attestation = Attestation {
        att_type: "basic",
        att_data: Data {
            rp_id: endpoint.as_str(),
            rp_data: base64(client_id.as_bytes()),
            challenge: &asked.challenge,
            request_key: RequestKey {
                jwk: jwk(key.public_key_der())?,
                info: Info {
                    tpm_certify: Certified {
                        public: base64(&evidence.public),
                        certification: base64(&evidence.certification),
                        signature: base64(&evidence.certification_signature),
                    },
                },
            },
            tpm_att_data: TpmData { current_attestation: current(&evidence, logs) },
            other_keys: [],
            custom_claims: [],
            service_context: &asked.service_context,
        },
    };
    let signed = SignedRequest { request: sign(key, &attestation, call)? };
    report(pool, endpoint, &signed, call)
}

/// What the service wants to see in the evidence, as it came and in bytes.
fn challenge(pool: &Pool, endpoint: &Url, call: &Call) -> Result<(Challenge, Vec<u8>)> {
    let asked: Challenge = exchange(pool, endpoint, &Init { r#type: "aikcert" }, call)?;
    let challenge = URL_SAFE_NO_PAD
        .decode(asked.challenge.trim_end_matches('='))
        .ok()
        .filter(|challenge| (1..=LONGEST_CHALLENGE).contains(&challenge.len()))
        .ok_or_else(|| unreadable("its challenge is no base64url, empty or too long"))?;
    Ok((asked, challenge))
}

fn report(pool: &Pool, endpoint: &Url, signed: &SignedRequest, call: &Call) -> Result<Secret> {
    let answer: Report = exchange(pool, endpoint, signed, call)?;
    let report = Secret::new(answer.report);
    match is_token(report.expose()) {
        true => Ok(report),
        false => Err(unreadable("its report is empty, or has characters that no token has")),
    }
}

/// Both of the service's answers, without a TPM between them.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_service(pool: &Pool, endpoint: &Url, call: &Call) -> Result<Secret> {
    let (_, challenge) = challenge(pool, endpoint, call)?;
    assert!((1..=LONGEST_CHALLENGE).contains(&challenge.len()));
    report(pool, endpoint, &SignedRequest { request: String::new() }, call)
}

fn current(evidence: &Evidence, logs: Option<Log>) -> Current {
    let values =
        evidence.pcrs.iter().map(|(index, digest)| Pcr { index: *index, digest: base64(digest) }).collect();
    // Its place in the TPM may be longer than the certificate.
    let certificate =
        evidence.ak_certificate.as_deref().map(|bytes| match X509Certificate::from_der(bytes) {
            Ok((rest, _)) => &bytes[..bytes.len() - rest.len()],
            Err(_) => bytes,
        });
    let exponent = evidence.ak_exponent.to_be_bytes();
    Current {
        logs: logs.into_iter().collect(),
        aik_cert: certificate.map(base64),
        aik_pub: Jwk { kty: "RSA", n: number(&evidence.ak_modulus), e: number(&exponent) },
        pcrs: [Bank { algorithm: SHA256_BANK, values }],
        quote: base64(&evidence.quote),
        signature: base64(&evidence.quote_signature),
    }
}

/// Signed by the key that is attested, which proves that it is here.
fn sign(key: &dyn PrivateKey, attestation: &Attestation<'_>, call: &Call) -> Result<String> {
    let scheme = SignatureScheme::RsaPssSha256;
    let header = Header { alg: scheme.jose_name(), typ: "attReqV2" };
    let mut jws = format!("{}.{}", base64(&json(&header)?), base64(&json(attestation)?));
    let signature = key.sign_within(scheme, jws.as_bytes(), &call.wait())?;
    jws.push('.');
    jws.push_str(&base64(&signature));
    Ok(jws)
}

/// What the firmware measured into a TPM that is the host's own, where it may be read.
fn boot_log(key: &TpmKey) -> Result<Option<Vec<u8>>> {
    match key.is_of_this_host().then(|| fs::read(BOOT_LOG)).transpose() {
        Err(error) if is_shortage(&error) => {
            let message = format!("the log of the boot cannot be read now, which attestation needs: {error}");
            Err(Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message).with_retryable(true))
        }
        read => Ok(read.ok().flatten()),
    }
}

fn exchange<A: DeserializeOwned>(
    pool: &Pool,
    endpoint: &Url,
    payload: &impl Serialize,
    call: &Call,
) -> Result<A> {
    let mut url = endpoint.clone();
    url.set_path(&format!("{}/{PATH}", endpoint.path().trim_end_matches('/')));
    add_query(&mut url, &[API_VERSION]);
    let body = json(&Envelope { data: base64(&json(&Message { payload })?) })?;
    let request = Request::post(&url, &body)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .header("x-ms-client-request-id", call.correlation_id.as_str())
        .max_response_bytes(LARGEST_ANSWER);
    let client = pool.plain()?;
    let response = send_with_retry(&client, &request, call, Policy::Sts)?;
    if response.status != 200 {
        return Err(refused(endpoint, &response, call));
    }
    let envelope: Envelope =
        response.json().map_err(|_| Refusal::explain(unreadable("it has no member data"), &response))?;
    let data = URL_SAFE_NO_PAD
        .decode(envelope.data.trim_end_matches('='))
        .map_err(|_| unreadable("its data is not base64url"))?;
    let message: Message<A> =
        serde_json::from_slice(&data).map_err(|_| unreadable("its data is not the message that is due"))?;
    Ok(message.payload)
}

fn refused(endpoint: &Url, response: &Response, call: &Call) -> Error {
    let refusal = Refusal::read(response);
    let (host, status) = (endpoint.host_str().unwrap_or_default(), response.status);
    let said = refusal.said();
    let message =
        format!("the attestation service {host} refuses the TPM's evidence (HTTP {status}): {said}");
    let error = Error::new(Refusal::kind(status), "attestation_failed", message)
        .with_http_status(status)
        .with_retryable(status == 429 || status >= 500)
        .with_retry_after(retry_after(response, call.clock.now()));
    refusal.details(error)
}

fn unreadable(why: &str) -> Error {
    let message = format!("the answer of the attestation service cannot be read: {why}");
    Error::new(ErrorKind::InvalidResponse, "attestation_failed", message)
}

/// The RSA key in a SubjectPublicKeyInfo.
fn jwk(public_key: &[u8]) -> Result<Jwk> {
    use x509_parser::public_key::PublicKey;
    use x509_parser::x509::SubjectPublicKeyInfo;
    let info = SubjectPublicKeyInfo::from_der(public_key).ok();
    match info.as_ref().and_then(|(_, info)| info.parsed().ok()) {
        Some(PublicKey::RSA(key)) => Ok(Jwk { kty: "RSA", n: number(key.modulus), e: number(key.exponent) }),
        _ => Err(Error::internal("the key to attest is no RSA key")),
    }
}

/// Base64urlUInt of RFC 7518, section 2.
fn number(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    base64(&bytes[zeros..])
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|_| Error::internal("the attestation request could not be encoded"))
}
