//! What the plugin shows to the world. (That this is built also puts the plugin where the library's tests find it.)
#![allow(clippy::unwrap_used)]
use std::path::PathBuf;
use std::process::Command;

fn plugin() -> PathBuf {
    let directory = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    directory.join("libmtlspop_tpm.so")
}

fn run(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).arg(plugin()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Is there one symbol, so that nothing of the plugin's Rust meets that of the library?
#[test]
fn one_symbol() {
    let symbols = run("nm", &["--dynamic", "--defined-only", "--format=just-symbols"]);
    assert_eq!(symbols.split_whitespace().collect::<Vec<_>>(), ["mtlspop_tpm_plugin"]);
}

/// Is it the plugin that needs tpm2-tss?
#[test]
fn needs_tpm2_tss() {
    assert!(run("readelf", &["--dynamic"]).contains("libtss2-esys.so"));
}
