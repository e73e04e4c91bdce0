//! The request message (version 2) of the TPM protocol, as it is on the wire.
//!
//! Members that the protocol does not have are ignored, as JSON Web Signatures and Keys want it.

use serde::Deserialize;
use serde_json::Value;

use crate::rsa_key::{Jwk, base64url};

/// The longest log that is taken. Firmware reserves 64 KiB for its own.
const LONGEST_LOG: usize = 1 << 20;
const MOST_LOGS: usize = 16;

/// The payload of the JWS.
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    pub(super) att_type: String,
    pub(super) att_data: Data,
}

#[derive(Debug, Deserialize)]
pub(super) struct Data {
    #[serde(rename = "rp_id")]
    _rp_id: String,
    pub(super) rp_data: String,
    pub(super) challenge: String,
    pub(super) tpm_att_data: TpmData,
    pub(super) request_key: RequestKey,
    #[serde(default)]
    other_keys: Vec<Value>,
    #[serde(default)]
    custom_claims: Vec<Value>,
    pub(super) service_context: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct TpmData {
    pub(super) current_attestation: Attestation,
    #[serde(default)]
    boot_attestation: Option<Value>,
}

/// The state of the platform, quoted by the attestation key.
#[derive(Debug, Deserialize)]
pub(super) struct Attestation {
    logs: Vec<Log>,
    #[serde(default)]
    pub(super) aik_cert: Option<String>,
    pub(super) aik_pub: Jwk,
    pub(super) pcrs: Vec<Bank>,
    pub(super) quote: String,
    pub(super) signature: String,
}

#[derive(Debug, Deserialize)]
struct Log {
    #[serde(rename = "type")]
    kind: String,
    log: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Bank {
    pub(super) algorithm: u16,
    pub(super) values: Vec<Pcr>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pcr {
    pub(super) index: u8,
    pub(super) digest: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RequestKey {
    pub(super) jwk: Jwk,
    #[serde(default)]
    pub(super) info: Info,
}

/// How the key is bound to the TPM.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Info {
    pub(super) tpm_certify: Option<TpmCertify>,
}

/// The attestation key's word that the TPM holds the request key.
#[derive(Debug, Deserialize)]
pub(super) struct TpmCertify {
    pub(super) public: String,
    pub(super) certification: String,
    pub(super) signature: String,
}

impl Data {
    /// Refuses what would go into no report: a test that sends it shall not believe that it was judged.
    pub(super) fn judge_extent(&self) -> Result<(), String> {
        for (name, absent) in [
            ("other_keys", self.other_keys.is_empty()),
            ("custom_claims", self.custom_claims.is_empty()),
            ("boot_attestation", self.tpm_att_data.boot_attestation.is_none()),
        ] {
            if !absent {
                return Err(format!("{name} must be absent or empty: devcloud does not judge it"));
            }
        }
        base64url(&self.rp_data, "rp_data")?;
        self.tpm_att_data.current_attestation.judge_logs()
    }
}

impl Attestation {
    /// The logs are not replayed: the quote vouches for the PCRs, and nobody for what led to them.
    fn judge_logs(&self) -> Result<(), String> {
        if self.logs.len() > MOST_LOGS {
            return Err(format!("logs: {MOST_LOGS} are the most, there are {}", self.logs.len()));
        }
        for log in &self.logs {
            if !["TCG", "IMA"].contains(&log.kind.as_str()) {
                return Err(format!("logs: type must be TCG or IMA, it is {}", log.kind));
            }
            let length = base64url(&log.log, "logs: log")?.len();
            if length > LONGEST_LOG {
                return Err(format!("logs: a log must have {LONGEST_LOG} bytes at most, it has {length}"));
            }
        }
        Ok(())
    }
}
