//! PKCS#12 data that was cut off, damaged, or made to do harm: it is an error, soon.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mtlspop::{Certificate, Secret};

use crate::pfx::{Encoding, Mac, Pfx};
use crate::workshop::{P256, Workshop, assert_refused};

/// Is data an error wherever it was cut off?
#[test]
fn what_is_cut_off_is_malformed() {
    let workshop = Workshop::with_certificate(P256);
    for encoding in [Encoding::Der, Encoding::Indefinite, Encoding::Pieces] {
        let pfx = Pfx { encoding, ..Pfx::default() }.build(&workshop);
        for length in 0..pfx.len() {
            let error = Certificate::from_pkcs12(&pfx[..length], Some(&Secret::new("pw"))).unwrap_err();
            assert_eq!(error.code(), "invalid_certificate", "{length}: {error}");
        }
    }
}

/// Does nothing worse than an error come of any byte that is another one, where no checksum stands before it?
#[test]
fn what_is_damaged_is_survived() {
    let workshop = Workshop::with_certificate(P256);
    let password = Secret::new("pw");
    for encoding in [Encoding::Der, Encoding::Indefinite] {
        let recipe = Pfx { encoding, encrypted: false, mac: Mac::None, depth: 1, ..Pfx::default() };
        let pfx = recipe.build(&workshop);
        let mut refused = 0;
        for index in 0..pfx.len() {
            for other in [0, 0x24, 0x30, 0x7f, 0x80, 0x84, 0xa0, 0xff, pfx[index] ^ 1] {
                let mut damaged = pfx.clone();
                damaged[index] = other;
                refused += usize::from(Certificate::from_pkcs12(&damaged, Some(&password)).is_err());
            }
        }
        assert!(refused > pfx.len(), "{refused} of {}", 9 * pfx.len());
    }
}

/// Are bags in bags without end refused, where they would take the stack?
#[test]
fn endless_depth_is_malformed() {
    let workshop = Workshop::with_certificate(P256);
    for encoding in [Encoding::Der, Encoding::Indefinite] {
        let pfx = Pfx { encoding, depth: 100, encrypted: false, ..Pfx::default() }.build(&workshop);
        let result = Certificate::from_pkcs12(&pfx, Some(&Secret::new("pw")));
        assert_refused(result, "invalid_certificate", "malformed");
    }
}

/// Is work without end refused before it is begun: for the checksum, old and new, and for what is encrypted, old and new?
#[test]
fn endless_work_is_refused() {
    let workshop = Workshop::with_certificate(P256);
    let refuse = |pfx: &[u8]| {
        let result = Certificate::from_pkcs12(pfx, Some(&Secret::new("pw")));
        assert_refused(result, "cryptographic_error", "asks for too much work");
    };
    for claimed in [5_000_001, i32::MAX as u32, u32::MAX] {
        for (mac, encrypted) in
            [(Mac::Traditional("sha1"), false), (Mac::Pbmac1("sha256", 32), false), (Mac::None, true)]
        {
            let recipe = Pfx { mac, encrypted, claimed_rounds: Some(claimed), ..Pfx::default() };
            refuse(&recipe.build(&workshop));
        }
    }
    workshop
        .openssl("pkcs12 -export -inkey key.pem -in cert.pem -passout pass:pw -iter 65537 -nomac -out a.pfx");
    let mut pfx = workshop.read("a.pfx");
    let iterations = [2, 3, 1, 0, 1];
    let place = pfx.windows(5).position(|window| window == iterations).unwrap();
    pfx[place + 2] = 0x7f;
    refuse(&pfx);
}

/// Do all keys of a PEM file share one limit of work, so that many keys are no way to more?
#[test]
fn endless_work_on_keys_in_pem_is_refused() {
    let workshop = Workshop::with_certificate(P256);
    workshop.openssl("pkcs8 -topk8 -in key.pem -iter 65537 -outform DER -passout pass:pw -out key.der");
    let mut key = workshop.read("key.der");
    let pem = |key: &[u8]| {
        let base64 = STANDARD.encode(key);
        format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{base64}\n-----END ENCRYPTED PRIVATE KEY-----\n")
    };
    let cheap = pem(&key);
    let place = key.windows(5).position(|window| window == [2, 3, 1, 0, 1]).unwrap();
    key[place + 2..place + 5].copy_from_slice(&5_000_000_u32.to_be_bytes()[1..]);
    workshop.write("keys.pem", cheap + &pem(&key));
    let result = workshop.load("cert.pem", Some("keys.pem"), "pw");
    assert_refused(result, "cryptographic_error", "asks for too much work");
}
