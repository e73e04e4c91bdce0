//! Copies the files of the library that are looked at, without their unit tests; and again with a mistake, which the
//! models have to find.

#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::{env, fs};

const FILES: [&str; 6] = [
    "runtime/claim.rs",
    "runtime/flight.rs",
    "runtime/striped.rs",
    "token/entry.rs",
    "token/shard.rs",
    "token/table.rs",
];

/// A name, the file, what is right in it, and what is wrong in the copy.
const MISTAKES: [[&str; 4]; 4] = [
    // Two callers read the same, and both write.
    [
        "claim_not_swapped.rs",
        "runtime/claim.rs",
        "self.quiet_until.compare_exchange(quiet_until, taken, relaxed, relaxed)",
        "Ok::<i64, ()>({ self.quiet_until.store(taken, relaxed); taken })",
    ],
    // Of those who wait for a flight, one is told that it has landed.
    [
        "flight_wakes_one.rs",
        "runtime/flight.rs",
        "flight.landed.notify_all();",
        "flight.landed.notify_one();",
    ],
    // Who leads does not look whether a flight has just landed.
    [
        "flight_does_not_look.rs",
        "runtime/flight.rs",
        "if let Some(present) = present() {",
        "if let Some(present) = present().filter(|_| false) {",
    ],
    // Who came while an entry was replaced or moved does not look again.
    [
        "shard_does_not_look.rs",
        "token/shard.rs",
        "            self.table.find(key)\n        });",
        "            None\n        });",
    ],
];

fn main() {
    for file in FILES {
        write(&file.replace('/', "_"), &source(file));
    }
    for [name, file, right, wrong] in MISTAKES {
        let source = source(file);
        assert!(source.matches(right).count() == 1, "src/{file} no longer has, and once: {right}");
        write(name, &source.replace(right, wrong));
    }
}

/// A file without its tests. What is included cannot have the documentation of a file.
fn source(file: &str) -> String {
    let path = Path::new("../src").join(file);
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).expect("a file of the library");
    text.split("#[cfg(test)]").next().unwrap_or_default().replace("//!", "//")
}

fn write(name: &str, text: &str) {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join(name), text).expect("a copy");
}
