//! Keys in a TPM from C: a real (software) TPM for each run, and what is said where something is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use devcloud::{Cloud, Options};

use super::Program;
use crate::support::{builds, library_directory, succeed};

use crate::swtpm::Swtpm;

const PLUGIN: &str = "libmtlspop_tpm.so";

/// The plugin that was built for this test run, which the library finds beside itself.
fn plugin() -> PathBuf {
    let plugin = library_directory().join(PLUGIN);
    assert!(plugin.exists(), "no {}: cargo test --package mtlspop-tpm --no-run", plugin.display());
    plugin
}

/// Runs `tpm` both ways, each time with a TPM and a cloud of its own.
fn run(options: &Options, arguments: &[&str], check: impl Fn(&Cloud)) {
    let program = Program::new("tpm");
    plugin();
    for &build in builds() {
        let (swtpm, cloud) = (Swtpm::start(), Cloud::start(options.clone()).unwrap());
        let mut command = program.command(build, &cloud);
        command.env("TPM2TOOLS_TCTI", swtpm.tcti()).env("TSS2_LOG", "all+none").args(arguments);
        println!("{}", succeed(&mut command));
        check(&cloud);
    }
}

/// A host that takes only keys that a TPM vouches for: is a token bound to one, does the key sign whatever a key in
/// software would, does it stay inside, and is its exported file the key again, for this TPM and no other?
#[test]
fn attested() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { require_tpm_attestation: true, ..Options::default() };
    let other = Swtpm::start();
    run(&options, &["attested", directory.path().to_str().unwrap(), &other.tcti()], |cloud| {
        assert_eq!(cloud.counter("attest_request"), 1);
        assert_eq!(cloud.counter("token"), 1, "one token, with the attested key");
    });
}

/// Is a key with an authorisation value used with that value and no other, and the callback that gives it asked
/// when it must be and released once?
#[test]
fn guarded() {
    run(&Options::default(), &["guarded"], |cloud| {
        assert_eq!(cloud.counter("issuecredential"), 2, "one with such a key, and one without");
    });
}

/// Is a key at a persistent handle used, and said to have no file?
#[test]
fn persistent() {
    run(&Options::default(), &["persistent"], |cloud| assert_eq!(cloud.counter("token"), 1));
}

/// Is each wrong setting an error in words, before anything is asked of a TPM?
#[test]
fn settings() {
    run(&Options::default(), &["settings"], |cloud| assert!(cloud.requests().is_empty()));
}

/// Is it told what is missing, the plugin, tpm2-tss or the TPM, with no certificate for a key in software in its
/// place, and with Bearer tokens as ever?
#[test]
fn without() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    fs::write(at("text.so"), "no library").unwrap();
    fs::copy(library_directory().join("libmtlspop.so"), at("other.so")).unwrap();
    without_tss(&plugin(), Path::new(&at("tssless.so")));
    let nothing = at("nothing.so");
    let missing = format!("the TPM plugin is missing: there is no {nothing}");
    // plugin, TCTI, status, code, part of the message
    let cases = [
        (nothing.as_str(), "-", "103", "tpm_unavailable", missing.as_str()),
        ("target/debug/libmtlspop_tpm.so", "-", "101", "invalid_argument", "is not absolute"),
        (&at("text.so"), "-", "103", "tpm_unavailable", "cannot be loaded"),
        (&at("other.so"), "-", "103", "tpm_unavailable", "is not a TPM plugin of mtlspop"),
        (&at("tssless.so"), "-", "103", "tpm_unavailable", "tpm2-tss is missing"),
        ("-", "swtpm:host=127.0.0.1,port=1", "103", "tpm_unavailable", "no TPM answers at swtpm:host"),
        ("-", "nonsense:x", "101", "invalid_argument", "nonsense:x"),
    ];
    // As in tests/support/valgrind.supp.
    fs::write(at("lsan.supp"), "leak:Tss2_TctiLdr_Initialize_Ex\n").unwrap();
    let program = Program::new("tpm");
    let cloud = super::cloud();
    for (plugin, tcti, status, code, part) in cases {
        for &build in builds() {
            cloud.reset();
            let mut command = program.command(build, &cloud);
            command.env("LSAN_OPTIONS", format!("suppressions={}", at("lsan.supp")));
            command.env("TSS2_LOG", "all+none").args(["without", plugin, tcti, status, code, part]);
            println!("{}", succeed(&mut command));
            assert_eq!(cloud.counter("issuecredential"), 0, "{plugin} {tcti}");
        }
    }
}

/// Does the library itself need nothing of tpm2-tss, and its plugin does?
#[test]
fn linked() {
    let needed = |library: &Path| {
        let dynamic = succeed(Command::new("readelf").arg("-d").arg(library));
        dynamic.lines().filter(|line| line.contains("NEEDED")).collect::<String>()
    };
    assert!(needed(&plugin()).contains("libtss2"));
    let library = needed(&library_directory().join("libmtlspop.so"));
    assert!(library.contains("libc.so") && !library.contains("libtss2"), "{library}");
}

/// Writes a copy of the plugin that cannot find tpm2-tss, whoever runs it: the name it looks for is one that nothing
/// has.
fn without_tss(plugin: &Path, copy: &Path) {
    let (wanted, nowhere) = (b"libtss2-esys.so.0", b"libtss2-gone.so.0");
    let mut bytes = fs::read(plugin).unwrap();
    let places: Vec<_> = bytes
        .windows(wanted.len())
        .enumerate()
        .filter(|(_, text)| text == wanted)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + nowhere.len()].copy_from_slice(nowhere);
    }
    fs::write(copy, bytes).unwrap();
}
