//! Judges a certificate signing request the way IMDS does: byte by byte.

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

use crate::der::{Element, Reader};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// 2.5.4.3 and 0.9.2342.19200300.100.1.25, with tag and length.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
const DOMAIN_COMPONENT: [u8; 12] = [0x06, 0x0a, 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19];
/// 1.3.6.1.4.1.311.90.2.10: the attribute that carries the machine's identity.
const CU_ID: [u8; 12] = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x5a, 0x02, 0x0a];
/// rsaEncryption with NULL parameters.
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// RSASSA-PSS, SHA-256 without parameters, MGF1 with SHA-256, salt 32, trailer field left out.
const PSS_SHA256: [u8; 63] = [
    0x30, 0x3d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x30, 0xa0, 0x0d,
    0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0xa1, 0x1a, 0x30, 0x18,
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86,
    0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0xa2, 0x03, 0x02, 0x01, 0x20,
];

/// Whom the CSR must be for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) tenant_id: &'a str,
    pub(crate) vm_id: &'a str,
}

/// Checks a CSR (base64 of its DER) and returns its public key (RSAPublicKey, DER). The error names what is wrong.
pub(crate) fn judge(text: &str, expected: Expected<'_>) -> Result<Vec<u8>, String> {
    if text.contains("-----BEGIN") {
        return Err("csr must be base64 of the DER, without PEM header and footer".to_owned());
    }
    let der =
        STANDARD.decode(text).map_err(|error| format!("csr must be one line of padded base64: {error}"))?;
    let request = sole(&der, SEQUENCE, "the CSR")?;
    let mut parts = Reader::new(request.content);
    let info = parts.expect(SEQUENCE, "certificationRequestInfo")?;
    let algorithm = parts.expect(SEQUENCE, "signatureAlgorithm")?;
    let signature = parts.expect(0x03, "signature")?;
    end(parts, "the CSR")?;

    let mut parts = Reader::new(info.content);
    let version = parts.expect(0x02, "version")?;
    let subject = parts.expect(SEQUENCE, "subject")?;
    let public_key = parts.expect(SEQUENCE, "subjectPublicKeyInfo")?;
    let attributes = parts.expect(0xa0, "attributes")?;
    end(parts, "certificationRequestInfo")?;

    if version.content != [0] {
        return Err("version must be 0 (PKCS#10 v1)".to_owned());
    }
    judge_subject(subject, expected)?;
    judge_attributes(attributes, expected)?;
    let public_key = judge_public_key(public_key)?;
    if algorithm.raw != PSS_SHA256 {
        return Err(
            "signatureAlgorithm must be RSASSA-PSS with SHA-256 (no NULL), MGF1 SHA-256 and salt length 32"
                .to_owned(),
        );
    }
    let signature = signature.content.strip_prefix(&[0]).ok_or("signature must have no unused bits")?;
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &public_key).verify(info.raw, signature).map_err(
        |_| "the signature does not verify with the CSR's public key (RSA-PSS, SHA-256, salt 32)".to_owned(),
    )?;
    Ok(public_key)
}

fn judge_subject(subject: Element<'_>, expected: Expected<'_>) -> Result<(), String> {
    let mut names = Reader::new(subject.content);
    let wanted: [(&str, &[u8], u8, &str, &str); 2] = [
        ("DC", &DOMAIN_COMPONENT, IA5_STRING, "IA5String", expected.tenant_id),
        ("CN", &COMMON_NAME, PRINTABLE_STRING, "PrintableString", expected.client_id),
    ];
    for (name, oid, tag, tag_name, value) in wanted {
        let set = names.expect(SET, "subject: relative distinguished name")?;
        let pair = sole(set.content, SEQUENCE, "subject: name and value")?;
        let mut parts = Reader::new(pair.content);
        let found = parts.expect(0x06, "subject: attribute type")?;
        let text = parts.next("subject: attribute value")?;
        end(parts, "subject: name and value")?;
        if found.raw != oid {
            return Err(format!("subject must be DC, then CN, in DER order: here {name} was expected"));
        }
        if text.tag != tag {
            return Err(format!("subject: {name} must be a {tag_name}, its DER tag is 0x{:02x}", text.tag));
        }
        if text.content != value.as_bytes() {
            let text = String::from_utf8_lossy(text.content);
            return Err(format!("subject: {name} must be {value}, it is {text}"));
        }
    }
    end(names, "subject")
}

fn judge_attributes(attributes: Element<'_>, expected: Expected<'_>) -> Result<(), String> {
    let attribute = sole(attributes.content, SEQUENCE, "attributes (there must be exactly one)")?;
    let mut parts = Reader::new(attribute.content);
    let oid = parts.expect(0x06, "attribute type")?;
    let values = parts.expect(SET, "attribute values")?;
    end(parts, "attribute")?;
    if oid.raw != CU_ID {
        return Err("the attribute must be 1.3.6.1.4.1.311.90.2.10".to_owned());
    }
    let value = sole(values.content, UTF8_STRING, "attribute value (one UTF8String)")?;
    let wanted = json!({ "vmId": expected.vm_id }).to_string();
    if value.content != wanted.as_bytes() {
        return Err(format!(
            "the attribute must be {wanted}, it is {}",
            String::from_utf8_lossy(value.content)
        ));
    }
    Ok(())
}

fn judge_public_key(info: Element<'_>) -> Result<Vec<u8>, String> {
    let mut parts = Reader::new(info.content);
    let algorithm = parts.expect(SEQUENCE, "public key algorithm")?;
    let bits = parts.expect(0x03, "public key")?;
    end(parts, "subjectPublicKeyInfo")?;
    if algorithm.raw != RSA_ENCRYPTION {
        return Err("the public key must be rsaEncryption with NULL parameters".to_owned());
    }
    let key = bits.content.strip_prefix(&[0]).ok_or("the public key must have no unused bits")?;
    let (_, rsa) =
        RSAPublicKey::from_der(key).map_err(|error| format!("the public key is no RSAPublicKey: {error}"))?;
    if rsa.key_size() != 2048 {
        return Err(format!("the public key must have 2048 bits, it has {}", rsa.key_size()));
    }
    Ok(key.to_vec())
}

/// The one element that `bytes` consist of.
fn sole<'a>(bytes: &'a [u8], tag: u8, what: &str) -> Result<Element<'a>, String> {
    let mut reader = Reader::new(bytes);
    let element = reader.expect(tag, what)?;
    end(reader, what)?;
    Ok(element)
}

fn end(reader: Reader<'_>, what: &str) -> Result<(), String> {
    if reader.is_empty() { Ok(()) } else { Err(format!("{what}: there is more than there should be")) }
}

#[cfg(test)]
#[path = "../tests/common/csr.rs"]
#[allow(clippy::unwrap_used, unreachable_pub)]
mod build;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::build::{Csr, cn, cu_id, dc, hex};
    use super::*;

    const EXPECTED: Expected<'_> = Expected {
        client_id: "11111111-2222-3333-4444-555555555555",
        tenant_id: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        vm_id: "test-vm-id",
    };

    /// The bytes that MSAL.NET puts on the wire for this subject.
    #[test]
    fn the_golden_subject_is_accepted() {
        let golden = "306531343032060a0992268993f22c640119162461616161616161612d626262622d636363632d646464642d656565656565656565656565312d302b0603550403132431313131313131312d323232322d333333332d343434342d353535353535353535353535";
        judge_subject(sole(&hex(golden), SEQUENCE, "subject").unwrap(), EXPECTED).unwrap();
    }

    #[test]
    fn every_deviation_is_named() {
        let key = crate::pki::rsa_key().unwrap();
        let right = Csr::new(EXPECTED.client_id, EXPECTED.tenant_id, EXPECTED.vm_id);
        let judged = |csr: &Csr| judge(&STANDARD.encode(csr.der(&key)), EXPECTED);
        assert_eq!(judged(&right).unwrap(), rcgen::PublicKeyData::der_bytes(&key));

        let subject = |rdns: [Vec<u8>; 2]| Csr { rdns: rdns.to_vec(), ..right.clone() };
        let attributes = |attributes: &[Vec<u8>]| Csr { attributes: attributes.to_vec(), ..right.clone() };
        let [the_dc, the_cn] = [right.rdns[0].clone(), right.rdns[1].clone()];
        let the_cu_id = right.attributes[0].clone();
        let mut salt_20 = right.clone();
        salt_20.algorithm[62] = 20;
        for (csr, says) in [
            (subject([the_cn.clone(), the_dc.clone()]), "DC, then CN"),
            (subject([the_dc.clone(), cn(UTF8_STRING, EXPECTED.client_id)]), "PrintableString"),
            (subject([dc(PRINTABLE_STRING, EXPECTED.tenant_id), the_cn]), "IA5String"),
            (subject([the_dc, cn(PRINTABLE_STRING, "somebody else")]), "CN must be"),
            (attributes(&[]), "exactly one"),
            (attributes(&[the_cu_id.clone(), the_cu_id]), "exactly one"),
            (attributes(&[cu_id(PRINTABLE_STRING, r#"{"vmId":"test-vm-id"}"#)]), "UTF8String"),
            (attributes(&[cu_id(UTF8_STRING, r#"{"vmId": "test-vm-id"}"#)]), "the attribute must be"),
            (salt_20, "salt length 32"),
        ] {
            let error = judged(&csr).unwrap_err();
            assert!(error.contains(says), "{says:?} is not in {error:?}");
        }
    }

    #[test]
    fn a_forged_signature_is_refused() {
        let key = crate::pki::rsa_key().unwrap();
        let mut der = Csr::new(EXPECTED.client_id, EXPECTED.tenant_id, EXPECTED.vm_id).der(&key);
        let last = der.len() - 1;
        der[last] ^= 1;
        let error = judge(&STANDARD.encode(der), EXPECTED).unwrap_err();
        assert!(error.contains("does not verify"), "{error}");
    }
}
