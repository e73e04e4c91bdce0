//! What a TPM has to say to the attestation service, made with tpm2-tools.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::Cloud;
use devcloud::directory::ATTESTATION_ENDPOINT;
use serde_json::{Value, json};
use tempfile::TempDir;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::swtpm::Swtpm;
use super::{Reply, curl};

/// Where the keys are, once they are made.
pub const ATTESTATION_KEY: u32 = 0x8101_0002;
pub const KEY: u32 = 0x8101_0003;
const ENDORSEMENT_KEY: &str = "0x81010001";
/// Attributes of a key that cannot leave its TPM.
pub const RESIDENT: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
pub const HEADER: &str = r#"{"alg":"PS256","typ":"attReqV2"}"#;
/// Two banks; the values of one are listed backwards, as the protocol's own example has them.
const PCRS: &str = "sha1:0,5+sha256:1,2";

/// A software TPM with an attestation key and a signing key.
pub struct Tpm {
    swtpm: Swtpm,
    directory: TempDir,
    /// Of the attestation key.
    scheme: String,
}

impl Tpm {
    pub fn new() -> Self {
        Tpm::attesting_with("rsassa")
    }

    /// The scheme is that of the attestation key.
    pub fn attesting_with(scheme: &str) -> Self {
        let tpm =
            Tpm { swtpm: Swtpm::start(), directory: tempfile::tempdir().unwrap(), scheme: scheme.to_owned() };
        tpm.tool(&format!("tpm2_createek -G rsa -c {ENDORSEMENT_KEY}"));
        tpm.tool(&format!("tpm2_createak -C {ENDORSEMENT_KEY} -c ak.ctx -G rsa -g sha256 -s {scheme}"));
        tpm.keep("ak.ctx", ATTESTATION_KEY);
        tpm.tool("tpm2_createprimary -C o -G ecc -c primary.ctx");
        tpm.make_key(KEY, RESIDENT);
        tpm.tool(&format!("tpm2_pcrextend 2:sha256={}", "01".repeat(32)));
        tpm
    }

    /// Makes an RSA key with these attributes.
    pub fn make_key(&self, handle: u32, attributes: &str) {
        self.tool("tpm2_flushcontext -t");
        self.tool(&format!(
            "tpm2_create -C primary.ctx -G rsa2048 -a {attributes} -u key.pub -r key.priv -c key.ctx"
        ));
        self.keep("key.ctx", handle);
    }

    /// The RSAPublicKey of a key.
    pub fn public_key(&self, handle: u32) -> Vec<u8> {
        self.tool(&format!("tpm2_readpublic -c {} -f der -o public", hex(handle)));
        let info = self.file("public");
        let (_, info) = SubjectPublicKeyInfo::from_der(&info).unwrap();
        info.subject_public_key.data.to_vec()
    }

    pub fn jwk(&self, handle: u32) -> Value {
        jwk(&self.public_key(handle))
    }

    /// TPMT_PUBLIC.
    pub fn public(&self, handle: u32) -> Vec<u8> {
        self.tool(&format!("tpm2_readpublic -c {} -f tpmt -o public", hex(handle)));
        self.file("public")
    }

    /// RSASSA-PSS with SHA-256.
    pub fn sign(&self, handle: u32, message: &[u8]) -> Vec<u8> {
        self.write("message", message);
        self.tool(&format!("tpm2_sign -c {} -g sha256 -s rsapss -f plain -o signature message", hex(handle)));
        self.file("signature")
    }

    /// The payload of the JWS, with a quote and a certification of [`KEY`].
    pub fn evidence(&self, challenge: &Challenge) -> Value {
        let nonce: String = challenge.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.tool(&format!(
            "tpm2_quote --scheme {} -c {} -l {PCRS} -q {nonce} -g sha256 -m quote -f tss -s signature",
            self.scheme,
            hex(ATTESTATION_KEY)
        ));
        let (quote, signature) = (self.file("quote"), self.file("signature"));
        self.tool(&format!("tpm2_pcrread -o pcrs {PCRS}"));
        let values = self.file("pcrs");
        let (sha1, sha256) = values.split_at(2 * 20);
        let pcr = |index: u8, digest: &[u8]| json!({ "index": index, "digest": encode(digest) });
        json!({
            "att_type": "basic",
            "att_data": {
                "rp_id": "https://devcloud.test",
                "rp_data": encode(b"relying party"),
                "challenge": encode(&challenge.bytes),
                "tpm_att_data": { "current_attestation": {
                    "logs": [{ "type": "TCG", "log": encode(b"not replayed") }],
                    "aik_cert": "",
                    "aik_pub": self.jwk(ATTESTATION_KEY),
                    "pcrs": [
                        { "algorithm": 4, "values": [pcr(0, &sha1[..20]), pcr(5, &sha1[20..])] },
                        { "algorithm": 11, "values": [pcr(2, &sha256[32..]), pcr(1, &sha256[..32])] },
                    ],
                    "quote": encode(&quote),
                    "signature": encode(&signature),
                } },
                "request_key": { "jwk": self.jwk(KEY), "info": { "tpm_certify": self.certify(KEY, &challenge.bytes) } },
                "other_keys": [],
                "custom_claims": [],
                "service_context": challenge.context,
            },
        })
    }

    /// The attestation key's word for a key. tpm2_certify takes no challenge: this is the command itself.
    pub fn certify(&self, handle: u32, challenge: &[u8]) -> Value {
        // An empty password for each of the two keys.
        let authorization = [&0x4000_0009_u32.to_be_bytes()[..], &[0; 5]].concat().repeat(2);
        let size = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let body = [
            &0x148_u32.to_be_bytes()[..],
            &handle.to_be_bytes(),
            &ATTESTATION_KEY.to_be_bytes(),
            &[0, 0],
            &size(authorization.len()),
            &authorization,
            &size(challenge.len()),
            challenge,
            &[0x00, 0x10],
        ]
        .concat();
        self.write("command", &[&[0x80, 0x02, 0, 0], &size(6 + body.len())[..], &body].concat());
        self.tool("tpm2_send -o answer command");
        let answer = self.file("answer");
        assert_eq!(answer[6..10], [0; 4], "TPM2_Certify: {answer:?}");
        let parameters = usize::from(u16::from_be_bytes([answer[12], answer[13]]));
        let attest = usize::from(u16::from_be_bytes([answer[14], answer[15]]));
        let (attest, signature) = answer[16..14 + parameters].split_at(attest);
        json!({
            "public": encode(&self.public(handle)),
            "certification": encode(attest),
            "signature": encode(signature),
        })
    }

    /// A JWS of the payload, signed by a key of the TPM.
    pub fn jws(&self, handle: u32, header: &str, payload: &Value) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.to_string().as_bytes()));
        let signature = self.sign(handle, signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    /// Sends the payload, signed by [`KEY`].
    pub fn send(&self, cloud: &Cloud, payload: &Value) -> Reply {
        request(cloud, &self.jws(KEY, HEADER, payload))
    }

    fn keep(&self, context: &str, handle: u32) {
        self.tool("tpm2_flushcontext -t");
        self.tool(&format!("tpm2_evictcontrol -C o -c {context} {}", hex(handle)));
        self.tool("tpm2_flushcontext -t");
    }

    /// Runs one of tpm2-tools where the files are. No argument has a blank in it.
    fn tool(&self, line: &str) {
        let mut words = line.split(' ');
        let program = words.next().unwrap();
        let output = Command::new(program)
            .args(words)
            .current_dir(self.directory.path())
            .env("TPM2TOOLS_TCTI", self.swtpm.tcti())
            .output()
            .unwrap_or_else(|error| panic!("{program} (scripts/prerequisites.sh installs it): {error}"));
        assert!(output.status.success(), "{line}: {output:?}");
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.directory.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.path().join(name), bytes).unwrap();
    }
}

/// A challenge of the service.
pub struct Challenge {
    pub bytes: Vec<u8>,
    pub context: String,
}

pub fn challenge(cloud: &Cloud) -> Challenge {
    let said = payload(&message(cloud, &json!({ "payload": { "type": "aikcert" } })));
    Challenge {
        bytes: decode(said["challenge"].as_str().unwrap()),
        context: said["service_context"].as_str().unwrap().to_owned(),
    }
}

/// The request message.
pub fn request(cloud: &Cloud, jws: &str) -> Reply {
    message(cloud, &json!({ "payload": { "request": jws } }))
}

pub fn message(cloud: &Cloud, data: &Value) -> Reply {
    let body = json!({ "data": encode(data.to_string().as_bytes()) }).to_string();
    curl(cloud, &["-d", &body, &attest_url("/attest/Tpm?api-version=2022-08-01")])
}

pub fn attest_url(path: &str) -> String {
    format!("{ATTESTATION_ENDPOINT}{path}")
}

/// What an answer has in its `data`.
pub fn payload(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    let data = decode(reply.json()["data"].as_str().unwrap());
    serde_json::from_slice::<Value>(&data).unwrap()["payload"].take()
}

/// The JWK of an RSAPublicKey.
pub fn jwk(public_key: &[u8]) -> Value {
    let (_, key) = RSAPublicKey::from_der(public_key).unwrap();
    // DER puts a zero in front of a number whose first bit is set.
    json!({ "kty": "RSA", "n": encode(&key.modulus[1..]), "e": encode(key.exponent) })
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn hex(handle: u32) -> String {
    format!("0x{handle:08x}")
}
