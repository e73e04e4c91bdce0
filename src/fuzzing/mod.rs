//! What the fuzzers in `fuzz/` call, compiled for them and for tests alone: one function for each target, which takes any
//! bytes and asserts what must hold of them. The test here replays the seeds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod certificates;
mod stores;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::clock::{Clock, from_unix_seconds};
use crate::error::text::one_line;
use crate::error::{Error, ErrorKind};
use crate::log::{LogLevel, Logger};
use crate::runtime::{Call, Cancel};

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// The targets, by the names of their binaries and of the directories of their seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("attestation_answers", answers::attestation),
    ("binding_store", stores::binding_store),
    ("c_abi", crate::ffi::fuzzing::calls),
    ("discovery_answers", answers::discovery),
    ("http_responses", wire::http),
    ("imds_answers", answers::imds),
    ("pem", certificates::pem),
    ("pkcs12", certificates::pkcs12),
    ("plugin_frames", crate::key::fuzz_plugin_frame),
    ("proxy_answers", wire::proxy),
    ("renegotiation", wire::renegotiation),
    ("token_answers", answers::token),
    ("token_files", stores::token_files),
    ("token_store", stores::token_store),
    ("www_authenticate", answers::www_authenticate),
];

/// Runs the target of this name.
pub fn run(target: &str, data: &[u8]) {
    let (_, function) = TARGETS.iter().find(|(name, _)| *name == target).expect("no such target");
    function(data);
}

/// A secret that goes in and must not come out in words.
const SECRET: &str = "s3cret/of+the=fuzzer";

/// Time stands still, and nobody waits: what is read must not depend on when.
#[derive(Debug)]
struct Still;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

impl Clock for Still {
    fn now(&self) -> SystemTime {
        from_unix_seconds(NOW)
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, _: Duration, _: &Cancel) {}
}

/// A call whose log is looked at.
fn call() -> Call {
    let look = |_, _: &str, line: &str| assert!(!line.contains('\n') && !line.is_empty());
    let log = Logger::new(LogLevel::Verbose, Arc::new(look));
    Call::new(Arc::new(Still), Cancel::new(), log, "the-id".to_owned(), None)
}

/// Whether hostile input tells the secret itself, so that it may be repeated.
fn knows_secret(data: &[u8]) -> bool {
    let narrow: Vec<u8> = data.iter().copied().filter(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&narrow).contains(SECRET)
}

/// The same as [`judge`], for an error about `data`, into which the secret must not come from elsewhere.
fn judge_about(error: &Error, data: &[u8]) {
    judge(error);
    assert!(!error.message().contains(SECRET) || knows_secret(data), "a secret: {error}");
}

/// What holds of every error, whatever caused it: words for a person, in one line, that are not endless; and it is never our
/// own fault.
fn judge(error: &Error) {
    let texts = [Some(error.message()), Some(error.code()), error.sub_error(), error.correlation_id()];
    for text in texts.into_iter().flatten() {
        assert_eq!(text, one_line(text.to_owned()), "not one line");
        assert!(text.chars().count() <= 5000, "endless: {text}");
    }
    assert!(!error.message().is_empty() && !error.code().is_empty());
    assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Does every seed, and with them every input that a fuzzer once found, still do no harm?
    #[test]
    fn seeds() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let names = |directory: &Path| -> BTreeSet<String> {
            let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names(&fuzz.join("seeds")), targets, "each target has seeds");
        assert_eq!(names(&fuzz.join("fuzz_targets")), targets, "each target has a program");
        for (name, target) in TARGETS {
            let seeds = fuzz.join("seeds").join(name);
            assert!(names(&seeds).len() >= 3, "{name} has few seeds");
            for seed in fs::read_dir(seeds).unwrap() {
                let path = seed.unwrap().path();
                let data = fs::read(&path).unwrap();
                let outcome = std::panic::catch_unwind(|| target(&data));
                assert!(outcome.is_ok(), "{}", path.display());
            }
        }
    }
}
