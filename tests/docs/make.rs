//! Do the Makefile's targets say early what is missing, and hide nothing?

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{hermetic, report, root, run};

/// Where make finds a cargo that builds nothing, and notes what it was told.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        place
            .program("bin/cargo", "echo \"cargo $*\" >>\"$LOG\"; [ \"$1\" != test ] || exit \"${TESTS:-0}\"");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn make(&self, arguments: &[&str]) -> Command {
        let mut command = hermetic("make", 120);
        let path = std::env::var("PATH").unwrap();
        command.arg("-C").arg(root()).args(arguments).env("LOG", self.path("log"));
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env("CARGO_TARGET_DIR", self.0.path());
        command
    }

    /// The lines of the log since this was asked for.
    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let _ = fs::remove_file(self.path("log"));
        text.lines().map(str::to_owned).collect()
    }

    /// Where pkg-config does not know tpm2-tss.
    fn without_tpm2_tss(&self) {
        self.program("bin/pkg-config", "case \"$*\" in *tss2*) exit 1 ;; esac");
    }
}

/// Does `make test` run the Python tests where one in Rust fails, and fail where either does? A failing program of
/// tests must not hide those after it.
#[test]
fn a_failing_test_hides_no_other() {
    let place = Place::new();
    // What would make the environment of Python's tests, and it.
    place.program("bin/python3", "");
    place.program("python/venv/bin/python", "");
    place.program("debug/devcloud", "echo python >>\"$LOG\"; exit \"$PYTHON_TESTS\"");
    for (tests, python, passes) in [("0", "0", true), ("101", "0", false), ("0", "1", false)] {
        // What is missing is not installed here.
        let mut command = place.make(&["test", "--old-file=prerequisites"]);
        let output = run(command.env("TESTS", tests).env("PYTHON_TESTS", python));
        assert_eq!(output.status.success(), passes, "{}", report(&command, &output));
        let log = place.log();
        let ran = |what: &str| log.iter().any(|line| line.starts_with(what));
        assert!(ran("cargo fmt") && ran("cargo clippy") && ran("python"), "{log:?}");
        let test = log.iter().find(|line| line.starts_with("cargo test")).unwrap();
        assert!(test.contains("--workspace") && test.contains("--no-fail-fast"), "{test}");
    }
}

/// Does `make install TPM=1` name the package that is missing before it builds anything?
#[test]
fn install_asks_for_tpm2_tss_first() {
    let place = Place::new();
    place.without_tpm2_tss();
    let prefix = format!("PREFIX={}", place.path("prefix").display());
    let mut command = place.make(&["install", "TPM=1", &prefix]);
    let output = run(&mut command);
    assert!(!output.status.success(), "{}", report(&command, &output));
    let said = errors(&output);
    assert!(said.starts_with("install: ") && said.contains("apt-get install libtss2-dev"), "{said}");
    assert_eq!(place.log(), [""; 0], "nothing was built");
    assert!(!place.path("prefix").exists());
}

/// Does `make bench` do without tpm2-tss where that is missing?
#[test]
fn bench_takes_no_tpm() {
    let place = Place::new();
    let mut command = place.make(&["bench"]);
    let mut bench = |place: &Place| {
        let output = run(&mut command);
        assert!(output.status.success(), "{}", report(&command, &output));
        place.log()
    };
    place.program("bin/pkg-config", "");
    assert_eq!(bench(&place), ["cargo build --release --package mtlspop-tpm", "cargo bench --bench bench"]);
    place.without_tpm2_tss();
    assert_eq!(bench(&place), ["cargo bench --bench bench"]);
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
