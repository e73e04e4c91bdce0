//! Does the attestation service believe a TPM, and nothing that only looks like one?
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::swtpm::Swtpm;

/// Does every holder have a TPM of its own, on ports of its own?
#[test]
fn two_software_tpms_are_two() {
    let tpms = [Swtpm::start(), Swtpm::start()];
    let tool = |tpm: &Swtpm, arguments: &[&str]| {
        let output = Command::new(arguments[0])
            .args(&arguments[1..])
            .env("TPM2TOOLS_TCTI", tpm.tcti())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    tool(&tpms[0], &["tpm2_pcrextend", &format!("16:sha256={}", "01".repeat(32))]);
    let [first, second] = [0, 1].map(|at| tool(&tpms[at], &["tpm2_pcrread", "sha256:16"]));
    assert_ne!(first, second);
}
