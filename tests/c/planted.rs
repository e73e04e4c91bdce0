//! Does each tool find what it is there for? A run that finds nothing says nothing where the tool does not look.

use std::process::Command;

use super::{Program, cloud};
use crate::support::{Build, builds, report, run, succeed};

/// Mistakes in a program, and in what it has the library do: is each found by all that can see it, and said where it
/// was; and is a program without one left alone?
#[test]
fn mistakes_are_found() {
    let (program, cloud) = (Program::new("planted"), cloud());
    for &build in builds() {
        succeed(program.command(build, &cloud).arg("none"));
        let found: &[(&str, &str, &str)] = match build {
            Build::Sanitized => &[
                ("overflow", "heap-buffer-overflow", "planted.c"),
                ("undefined", "runtime error: shift exponent", "planted.c"),
                ("leak", "LeakSanitizer: detected memory leaks", "mtlspop_token_request_new"),
            ],
            Build::Address => &[
                ("overflow", "heap-buffer-overflow", "planted.c"),
                ("undefined", "runtime error: shift exponent", "planted.c"),
                ("leak", "LeakSanitizer: detected memory leaks", "mtlspop_token_request_new"),
                ("overread", "heap-buffer-overflow", "mtlspop_certificate_new_from_pem"),
                ("freed", "heap-use-after-free", "mtlspop_token_request_set_force_refresh"),
            ],
            Build::Plain => &[
                ("overflow", "Invalid read", "planted.c"),
                ("leak", "definitely lost", "mtlspop_token_request_new"),
                ("overread", "Invalid read", "libmtlspop.so"),
                ("freed", "Invalid read", "mtlspop_token_request_set_force_refresh"),
            ],
            Build::Thread => &[
                ("race", "data race", "planted.c"),
                ("race in the library", "data race", "mtlspop_token_request_set_force_refresh"),
            ],
        };
        for (mistake, what, place) in found {
            let mut command = program.command(build, &cloud);
            // Of std there are no frame pointers to go by.
            command.env("ASAN_OPTIONS", "detect_leaks=1:fast_unwind_on_malloc=0");
            let output = run(command.arg(mistake));
            let said = String::from_utf8_lossy(&output.stderr);
            let found = !output.status.success() && said.contains(what) && said.contains(place);
            let about = Command::new(format!("{build:?}: {mistake}"));
            assert!(found, "{}", report(&about, &output));
        }
    }
}
