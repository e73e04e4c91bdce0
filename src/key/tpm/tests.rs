//! Keys in a real (software) TPM: made, used, kept, lost, guarded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::key::{PrivateKey, SignatureScheme, StoredKey};
use crate::runtime::Cancel;

#[path = "../../../devcloud/tests/common/swtpm.rs"]
mod swtpm;
use swtpm::Swtpm;

fn options(swtpm: &Swtpm) -> TpmOptions {
    TpmOptions::new().with_tcti(&swtpm.tcti())
}

fn tpm(options: TpmOptions) -> Tpm {
    options.resolve(&HashMap::new()).unwrap().open().unwrap()
}

fn wait() -> Wait {
    Wait::new(&Cancel::new(), Some(Duration::from_secs(60)))
}

/// One of the TPM's own tools, run against `swtpm`.
fn tool(swtpm: &Swtpm, command: &[&str]) {
    let output =
        Command::new(command[0]).args(&command[1..]).env("TPM2TOOLS_TCTI", swtpm.tcti()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Does a new key sign in each way that an RSA key can, verifiably; and can it not be exported?
#[test]
fn signs() {
    let swtpm = Swtpm::start();
    let key = TpmKey::generate(&tpm(options(&swtpm)), &wait()).unwrap();
    for scheme in key.schemes() {
        // Verified inside.
        assert_eq!(key.sign_within(*scheme, b"message", &wait()).unwrap().len(), 256);
    }
    let error = key.export_pkcs8_der().unwrap_err();
    assert!(error.message().contains("it is in a TPM") && !key.is_exportable(), "{error}");
    let error = key.sign(SignatureScheme::EcdsaP256Sha256, b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
}

/// The TPM is cleared: is its key lost, and said to be; and does a TPM that was only restarted still know it?
#[test]
fn lost_when_cleared() {
    let mut swtpm = Swtpm::start();
    let tpm = tpm(options(&swtpm));
    let key = TpmKey::generate(&tpm, &wait()).unwrap();
    swtpm.stop();
    swtpm.start_again();
    key.sign(SignatureScheme::RsaPssSha256, b"").unwrap();
    let StoredKey::Tpm(stored) = key.to_stored().unwrap() else { panic!("it is in a TPM") };
    let again = TpmKey::from_stored(&tpm, &stored, &wait()).unwrap();
    assert_eq!(again.public_key_der(), key.public_key_der());
    tool(&swtpm, &["tpm2_clear", "-c", "platform"]);
    for error in [
        key.sign(SignatureScheme::RsaPssSha256, b"").unwrap_err(),
        TpmKey::from_stored(&tpm, &stored, &wait()).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "tpm_key_lost"), "{error}");
    }
}

/// Do all who use a TPM share its queue, however often it is opened, and those of another one not?
#[test]
fn one_queue_for_one_tpm() {
    let at = |tcti: &str| tpm(TpmOptions::new().with_tcti(tcti));
    // Nothing is contacted.
    let (one, again, other) = (at("swtpm:port=1"), at("swtpm:port=1"), at("swtpm:port=2"));
    assert!(Arc::ptr_eq(&one.device, &again.device));
    assert!(!Arc::ptr_eq(&one.device, &other.device));
}
