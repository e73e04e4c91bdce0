//! Certificate signing requests as IMDS wants them, and with anything about them changed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rcgen::{KeyPair, PublicKeyData as _};

pub const UTF8_STRING: u8 = 0x0c;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const IA5_STRING: u8 = 0x16;

/// The AlgorithmIdentifier that MSAL.NET puts on the wire for RSASSA-PSS.
pub const PSS: &str = "303d06092a864886f70d01010a3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120";

/// The parts of a CSR; `new` gives the right ones.
#[derive(Clone)]
pub struct Csr {
    pub rdns: Vec<Vec<u8>>,
    pub attributes: Vec<Vec<u8>>,
    pub algorithm: Vec<u8>,
}

impl Csr {
    pub fn new(client_id: &str, tenant_id: &str, vm_id: &str) -> Self {
        Csr {
            rdns: vec![dc(IA5_STRING, tenant_id), cn(PRINTABLE_STRING, client_id)],
            attributes: vec![cu_id(UTF8_STRING, &format!(r#"{{"vmId":"{vm_id}"}}"#))],
            algorithm: hex(PSS),
        }
    }

    /// The DER, signed with an RSA key.
    pub fn der(&self, key: &KeyPair) -> Vec<u8> {
        self.der_with(key.der_bytes(), |info| {
            let signer = RsaKeyPair::from_pkcs8(key.serialized_der()).unwrap();
            let mut signature = vec![0; signer.public_modulus_len()];
            signer.sign(&RSA_PSS_SHA256, &SystemRandom::new(), info, &mut signature).unwrap();
            signature
        })
    }

    /// The DER for an RSAPublicKey whose private half is somewhere else.
    pub fn der_with(&self, public_key: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let bits = [&[0], public_key].concat();
        let public_key = element(0x30, &[&hex("300d06092a864886f70d0101010500"), &element(0x03, &[&bits])]);
        let subject = element(0x30, &[&self.rdns.concat()]);
        let attributes = element(0xa0, &[&self.attributes.concat()]);
        let info = element(0x30, &[&[0x02, 0x01, 0x00], &subject, &public_key, &attributes]);
        element(0x30, &[&info, &self.algorithm, &element(0x03, &[&[0], &sign(&info)])])
    }
}

pub fn cn(tag: u8, value: &str) -> Vec<u8> {
    rdn("0603550403", tag, value)
}

pub fn dc(tag: u8, value: &str) -> Vec<u8> {
    rdn("060a0992268993f22c640119", tag, value)
}

pub fn cu_id(tag: u8, value: &str) -> Vec<u8> {
    let values = element(0x31, &[&element(tag, &[value.as_bytes()])]);
    element(0x30, &[&hex("060a2b0601040182375a020a"), &values])
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn rdn(oid: &str, tag: u8, value: &str) -> Vec<u8> {
    element(0x31, &[&element(0x30, &[&hex(oid), &element(tag, &[value.as_bytes()])])])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}
