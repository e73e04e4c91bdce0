//! Judges what a TPM says about a key and about itself, and who vouches for that TPM.

use aws_lc_rs::digest::{SHA256 as SHA_256, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::message::{Attestation, Bank, TpmCertify};
use super::structures::{
    Certified, Public, Quoted, RSASSA, SHA1, SHA256, SHA384, SHA512, Selection, Signature,
};
use crate::clock;
use crate::pki::Pki;
use crate::rsa_key::{RsaKey, base64url};

/// TPMA_OBJECT: made in this TPM, never leaves it, signs.
const WANTED_ATTRIBUTES: [(&str, u32); 4] =
    [("fixedTPM", 1 << 1), ("fixedParent", 1 << 4), ("sensitiveDataOrigin", 1 << 5), ("sign", 1 << 18)];

/// What the report says of a key that a TPM holds.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) name_algorithm: u16,
    pub(super) attributes: u32,
}

/// Whether the TPM of the attestation key holds `key`, in such a way that it cannot get out.
pub(super) fn judge_certification(
    certify: &TpmCertify,
    key: &RsaKey,
    attestation_key: &RsaKey,
    challenge: &[u8],
) -> Result<Resident, String> {
    let what = "tpm_certify.public";
    let bytes = base64url(&certify.public, what)?;
    let public = Public::parse(&bytes, what)?;
    if public.bits != 2048 || public.modulus.len() != 256 {
        return Err(format!("{what}: the key must have 2048 bits, it has {}", public.bits));
    }
    if RsaKey::new(public.modulus, &public.exponent.to_be_bytes()) != *key {
        return Err(format!("{what} is another key than request_key.jwk"));
    }
    if public.name_algorithm != SHA256 {
        return Err(format!(
            "{what}: nameAlg must be SHA-256 (0x000b), it is 0x{:04x}",
            public.name_algorithm
        ));
    }
    if let Some((lacking, _)) = WANTED_ATTRIBUTES.iter().find(|(_, bit)| public.attributes & bit == 0) {
        return Err(format!("{what}: the key lacks the attribute {lacking}"));
    }

    let what = "tpm_certify.certification";
    let attest = base64url(&certify.certification, what)?;
    let certified = Certified::parse(&attest, what)?;
    if certified.extra_data != challenge {
        return Err(format!("{what}: extraData is not the challenge"));
    }
    let name = [&SHA256.to_be_bytes()[..], digest(&SHA_256, &bytes).as_ref()].concat();
    if certified.name != name {
        return Err(format!(
            "{what} is of another key than tpm_certify.public: name is not 0x000b || SHA-256 of it"
        ));
    }
    judge_signature(&certify.signature, "tpm_certify.signature", attestation_key, &attest)?;
    Ok(Resident { name_algorithm: public.name_algorithm, attributes: public.attributes })
}

/// Whether the attestation key quotes these PCRs, now.
pub(super) fn judge_quote(
    attestation: &Attestation,
    attestation_key: &RsaKey,
    challenge: &[u8],
) -> Result<(), String> {
    let what = "current_attestation.quote";
    let attest = base64url(&attestation.quote, what)?;
    let quoted = Quoted::parse(&attest, what)?;
    if quoted.extra_data != challenge {
        return Err(format!("{what}: extraData is not the challenge"));
    }
    let (listed, values) = pcrs(&attestation.pcrs)?;
    if quoted.selections != listed {
        return Err(format!("{what}: pcrSelect is not what pcrs lists"));
    }
    // The hash is that of the scheme, and only SHA-256 is taken for it.
    if quoted.digest != digest(&SHA_256, &values).as_ref() {
        return Err(format!("{what}: pcrDigest is not that of the values in pcrs"));
    }
    judge_signature(&attestation.signature, "current_attestation.signature", attestation_key, &attest)
}

/// Whether `certificate` (DER) is the TPM CA's word for the attestation key.
pub(super) fn judge_certificate(
    certificate: &[u8],
    attestation_key: &RsaKey,
    pki: &Pki,
    now: i64,
) -> Result<(), String> {
    let (rest, certificate) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("aik_cert is no certificate: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("aik_cert has {} bytes more than it should", rest.len()));
    }
    let (_, ca) = X509Certificate::from_der(pki.tpm_ca.der()).map_err(|error| format!("TPM CA: {error}"))?;
    if certificate.issuer() != ca.subject() || certificate.verify_signature(Some(ca.public_key())).is_err() {
        return Err("aik_cert was not issued by the TPM CA".to_owned());
    }
    let validity = certificate.validity();
    let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if now < from || now > to {
        return Err(format!("aik_cert is valid from {} to {} only", clock::text(from), clock::text(to)));
    }
    match RsaKey::from_der(&certificate.public_key().subject_public_key.data) {
        Ok(key) if key == *attestation_key => Ok(()),
        _ => Err("aik_cert is for another key than aik_pub".to_owned()),
    }
}

/// What `pcrs` lists: which PCRs, and their values one after the other, in the order in which a TPM has them.
fn pcrs(banks: &[Bank]) -> Result<(Vec<Selection>, Vec<u8>), String> {
    let (mut selections, mut values) = (Vec::new(), Vec::new());
    for Bank { algorithm, values: listed } in banks {
        let length = match *algorithm {
            SHA1 => 20,
            SHA256 => 32,
            SHA384 => 48,
            SHA512 => 64,
            other => return Err(format!("pcrs: algorithm {other} is no hash of a PCR bank")),
        };
        let mut ascending: Vec<_> = listed.iter().collect();
        ascending.sort_by_key(|pcr| pcr.index);
        for pcr in &ascending {
            let value = base64url(&pcr.digest, "pcrs: digest")?;
            if value.len() != length {
                let (index, has) = (pcr.index, value.len());
                return Err(format!(
                    "pcrs: the digest of PCR {index} must have {length} bytes, it has {has}"
                ));
            }
            values.extend(value);
        }
        // A PCR that is listed twice is in no selection twice: the comparison refuses it.
        let indices = ascending.iter().map(|pcr| pcr.index).collect();
        selections.push(Selection { algorithm: *algorithm, indices });
    }
    if selections.iter().all(|selection| selection.indices.is_empty()) {
        return Err("pcrs lists no PCR".to_owned());
    }
    Ok((selections, values))
}

fn judge_signature(text: &str, what: &str, key: &RsaKey, message: &[u8]) -> Result<(), String> {
    let bytes = base64url(text, what)?;
    let signature = Signature::parse(&bytes, what)?;
    if signature.hash != SHA256 {
        return Err(format!("{what}: the hash must be SHA-256 (0x000b), it is 0x{:04x}", signature.hash));
    }
    let scheme =
        if signature.scheme == RSASSA { &RSA_PKCS1_2048_8192_SHA256 } else { &RSA_PSS_2048_8192_SHA256 };
    if key.verifies(scheme, message, signature.bytes) {
        Ok(())
    } else {
        Err(format!("{what} is not that of aik_pub"))
    }
}
