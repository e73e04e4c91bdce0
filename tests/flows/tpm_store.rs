//! Certificates for keys in a TPM that outlive the process: restarts, a cleared TPM, wrong values, keys elsewhere.
//!
//! Memory is one per process, so each program here is a process: this test binary, started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mtlspop::{App, AppOptions, BindingStore, LogLevel, Logger, SecretBytes, TpmOptions};

use crate::support::{GRAPH, SYSTEM, World, assert_bound, pop};
use crate::swtpm::Swtpm;
use crate::tpm_identity::{signer_of, tool};

/// What a program is told.
struct Program<'a> {
    world: &'a World,
    /// Empty for a key elsewhere.
    tcti: String,
    directory: PathBuf,
    auth: &'a str,
    handle: &'a str,
    /// Has the TPM attest its keys.
    attested: bool,
}

impl<'a> Program<'a> {
    fn new(world: &'a World, swtpm: Option<&Swtpm>, directory: &Path) -> Self {
        let tcti = swtpm.map(Swtpm::tcti).unwrap_or_default();
        Self { world, tcti, directory: directory.join("store"), auth: "", handle: "", attested: false }
    }

    /// The certificate and the key of its token, or the code of the error; and what was logged.
    fn run(&self) -> (String, String, String) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["tpm_store::program", "--exact", "--ignored", "--nocapture"])
            .envs(self.world.cloud.env())
            .env("TSS2_LOG", "all+none")
            .env("MTLSPOP_TEST_SNI", self.world.cloud.files().sni())
            .env("MTLSPOP_TEST_TCTI", &self.tcti)
            .env("MTLSPOP_TEST_STORE", &self.directory)
            .env("MTLSPOP_TEST_AUTH", self.auth)
            .env("MTLSPOP_TEST_HANDLE", self.handle)
            .env("MTLSPOP_TEST_ATTESTED", self.attested.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let line =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        (line("got "), line("key "), text.clone())
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.directory).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|extension| extension == "binding")).collect()
    }

    fn entries(&self) -> Vec<Vec<u8>> {
        self.files().iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    fn issued(&self) -> u64 {
        self.world.cloud.counter("issuecredential")
    }
}

/// Not a test: the program.
#[test]
#[ignore = "run by other tests"]
fn program() {
    let told = |name: &str| std::env::var(format!("MTLSPOP_TEST_{name}")).expect("run by other tests");
    let log = Logger::new(LogLevel::Warning, Arc::new(|_, _: &str, line: &str| println!("log {line}")));
    let mut options = AppOptions::managed_identity(SYSTEM).with_logger(log);
    if !told("STORE").is_empty() {
        options = options.with_binding_store(BindingStore::unencrypted(told("STORE")));
    }
    let mut tpm = TpmOptions::new().with_tcti(&told("TCTI"));
    if !told("AUTH").is_empty() {
        tpm = tpm.with_auth(SecretBytes::new(told("AUTH")));
    }
    if let Ok(handle) = u32::from_str_radix(told("HANDLE").trim_start_matches("0x"), 16) {
        tpm = tpm.with_persistent_handle(handle);
    }
    if told("ATTESTED") == "true" {
        tpm = tpm.with_attestation(&[7]);
    }
    let options = match told("TCTI").is_empty() {
        true => {
            let key = mtlspop::Certificate::from_file(told("SNI").as_ref(), None, None).unwrap();
            let (public_key, signer) = signer_of(key);
            options.with_key_signer(&public_key, signer)
        }
        false => options.with_tpm(tpm),
    };
    match App::new(options).unwrap().acquire_token(&pop(GRAPH)) {
        Ok(token) => {
            println!("got {}", assert_bound(&token));
            println!("strength {}", token.binding_strength().name());
            let der = token.binding_certificate().unwrap().der().to_vec();
            let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
            println!("key {:x?}", parsed.public_key().subject_public_key.data);
        }
        Err(error) => println!("got {}\nlog {error}", error.code()),
    }
}

/// The program is started again: same key, same certificate, and IMDS is asked for nothing; with the file of the
/// store holding no private key that could be used elsewhere?
#[test]
fn a_restart_needs_no_certificate() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(&world, Some(&swtpm), directory.path());
    let first = program.run();
    assert_eq!(first.0.len(), 43, "{}", first.2);
    let asked = (world.cloud.counter("metadata"), program.issued());
    let second = program.run();
    assert_eq!((&second.0, &second.1), (&first.0, &first.1));
    assert_eq!((world.cloud.counter("metadata"), program.issued()), asked);
    let [entry] = &program.entries()[..] else { panic!("one entry") };
    let entry: serde_json::Value = serde_json::from_slice(entry).unwrap();
    let content = STANDARD.decode(entry["content"].as_str().unwrap()).unwrap();
    let content: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let members: Vec<_> = content.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["certificate", "client_id", "endpoint", "issued_on", "tenant_id", "tpm_key"]);
}

/// A stored key that is damaged: another certificate, as for keys in software?
#[test]
fn a_damaged_key_begins_anew() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(&world, Some(&swtpm), directory.path());
    let first = program.run().0;
    let [file] = &program.files()[..] else { panic!("one entry") };
    let mut entry: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let content = STANDARD.decode(entry["content"].as_str().unwrap()).unwrap();
    let mut content: serde_json::Value = serde_json::from_slice(&content).unwrap();
    content["tpm_key"] = "MAA=".into();
    entry["content"] = STANDARD.encode(content.to_string()).into();
    std::fs::write(file, entry.to_string()).unwrap();
    let (second, _, log) = program.run();
    assert!(second.len() == 43 && second != first, "{log}");
    assert!(log.contains("the TPM key is malformed"), "{log}");
}

/// The TPM is cleared between two starts: is that noticed, another certificate issued, and the old entry gone?
#[test]
fn a_cleared_tpm_begins_anew() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(&world, Some(&swtpm), directory.path());
    let first = program.run().0;
    let stored = program.entries();
    tool(&swtpm, &["tpm2_clear", "-c", "platform"]);
    let (second, _, log) = program.run();
    assert_ne!(second, first);
    assert!(log.contains("the key is not one of this TPM"), "{log}");
    assert_eq!((stored.len(), program.entries().len(), program.issued()), (1, 1, 2));
    assert_ne!(program.entries(), stored);
    assert_eq!(program.run().0, second);
}

/// The TPM does not answer, or refuses the value, at the next start: an error, and the entry stays for the day on
/// which it does?
#[test]
fn what_may_come_back_is_kept() {
    let (world, mut swtpm) = (World::new(), Swtpm::start());
    let directory = tempfile::tempdir().unwrap();
    let tcti = swtpm.tcti();
    let program =
        || Program { auth: "a value", tcti: tcti.clone(), ..Program::new(&world, None, directory.path()) };
    let first = program().run().0;
    assert_eq!(first.len(), 43);
    let (wrong, _, log) = Program { auth: "another value", ..program() }.run();
    assert_eq!(wrong, "tpm_auth_failed", "{log}");
    swtpm.stop();
    let (silent, _, log) = program().run();
    assert_eq!(silent, "tpm_unavailable", "{log}");
    swtpm.start_again();
    assert_eq!(program().run().0, first);
    assert_eq!(program().issued(), 1);
}

/// Attested and not, with one store: does each restart find what is its own, and know how strong it is; and is an
/// entry that was put in the other's place not taken for what it is not?
#[test]
fn strength_outlives_the_program() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let directory = tempfile::tempdir().unwrap();
    let run = |attested| {
        let program = Program { attested, ..Program::new(&world, Some(&swtpm), directory.path()) };
        let (got, _, text) = program.run();
        let strength = if attested { "strength Attested" } else { "strength Hardware" };
        assert!(text.contains(strength), "{text}");
        got
    };
    let (hardware, attested) = (run(false), run(true));
    assert_ne!(hardware, attested);
    assert_eq!((run(false), run(true)), (hardware.clone(), attested.clone()));
    let program = Program::new(&world, Some(&swtpm), directory.path());
    let (issued, files) = (program.issued(), program.files());
    assert_eq!((issued, files.len()), (2, 2));
    // Each in the place of the other.
    let entries = program.entries();
    for (file, entry) in files.iter().rev().zip(entries) {
        std::fs::write(file, entry).unwrap();
    }
    let got = run(true);
    assert!(got != hardware && got != attested);
    assert_eq!(program.issued(), 3);
}

/// A key at a persistent handle: is it made there once, and found by the next process, also without a store?
#[test]
fn at_a_persistent_handle() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let directory = tempfile::tempdir().unwrap();
    let program = || Program { handle: "0x81010042", ..Program::new(&world, Some(&swtpm), directory.path()) };
    let without = || Program { directory: PathBuf::new(), ..program() };
    let first = without().run();
    assert_eq!(first.0.len(), 43, "{}", first.2);
    let second = without().run();
    assert_eq!(second.1, first.1, "the same key");
    assert_ne!(second.0, first.0, "in another certificate, as there is no store");
    let third = program().run();
    assert_eq!(program().run().0, third.0, "with a store, in the same one");
    assert_eq!((third.1 == first.1, program().issued()), (true, 3));
    // Cleared: it is made anew.
    tool(&swtpm, &["tpm2_clear", "-c", "platform"]);
    let fourth = program().run();
    assert_ne!(fourth.1, first.1);
    assert_eq!(fourth.0.len(), 43, "{}", fourth.2);
}

/// A key that a signer has: does the next process with that signer use the stored certificate?
#[test]
fn a_key_elsewhere_is_found_again() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(&world, None, directory.path());
    let first = program.run();
    assert_eq!(first.0.len(), 43, "{}", first.2);
    assert_eq!(program.run().0, first.0);
    assert_eq!(program.issued(), 1);
}

/// Two programs with one TPM and store at the same time: one certificate between them?
#[test]
fn two_programs_share() {
    let (world, swtpm) = (World::new(), Swtpm::start());
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(&world, Some(&swtpm), directory.path());
    let got = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| program.run().0)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(got[0], got[1]);
    assert_eq!((got[0].len(), program.issued()), (43, 1));
}
