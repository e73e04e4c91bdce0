//! What can be told from the source alone: which exports are guarded, and who asks for unsafe code.
//!
//! It relies on rustfmt: a function starts at the beginning of a line and ends with a `}` there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

struct Function {
    name: String,
    export: bool,
    body: String,
}

/// Every export of src/ffi by name, and whether its work is done inside a guard.
pub(crate) fn exports() -> Vec<(String, bool)> {
    let functions: Vec<Function> = rust_files(&root().join("src/ffi"))
        .iter()
        .flat_map(|path| functions(&fs::read_to_string(path).unwrap()))
        .collect();
    // A helper is a guard if it calls one.
    let mut guards = BTreeSet::from(["guard".to_owned(), "guard_or".to_owned()]);
    loop {
        let known = guards.len();
        for function in functions.iter().filter(|function| !function.export) {
            if calls_one_of(&function.body, &guards) {
                guards.insert(function.name.clone());
            }
        }
        if guards.len() == known {
            break;
        }
    }
    let exports = functions.iter().filter(|function| function.export);
    exports.map(|export| (export.name.clone(), calls_one_of(&export.body, &guards))).collect()
}

/// The files of the library and of libssl's package that lift the ban on unsafe code.
pub(crate) fn permissions_for_unsafe() -> Vec<String> {
    let lifts = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("allow(unsafe_code)");
    let relative = |path: PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    let files = ["src", "libssl/src"].map(|directory| rust_files(&root().join(directory)));
    files.into_iter().flatten().filter(lifts).map(relative).collect()
}

/// The files of the library that read others, and whether they know when that fails for a moment only.
pub(crate) fn readers_of_files() -> Vec<(String, bool)> {
    let is_test =
        |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "fuzzing");
    let files = rust_files(&root().join("src")).into_iter().filter(|path| !is_test(path));
    let reader = |path: PathBuf| {
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let ways =
            ["File::open(", "fs::read(", "fs::read_to_string(", "fs::read_dir(", "OpenOptions", "openat("];
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        ways.iter().any(|way| code.contains(way)).then(|| (file, code.contains("is_shortage(")))
    };
    files.filter_map(reader).collect()
}

/// Every import of a room by one that may not have it, as `file: room`.
pub(crate) fn imports_upwards() -> Vec<String> {
    let height = |room: &str| ROOMS.iter().position(|storey| storey.contains(&room));
    let src = root().join("src");
    let mut found = Vec::new();
    for path in rust_files(&src) {
        let file = path.strip_prefix(&src).unwrap();
        let room = file.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(own) = height(room) else {
            assert_eq!(room, "lib", "{room} is in no storey of ROOMS in tests/abi/source.rs");
            continue;
        };
        let source = fs::read_to_string(&path).unwrap();
        for other in source.split("crate::").skip(1) {
            let end = other.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(other.len());
            let other = &other[..end];
            let bottom = own == ROOMS.len() - 1;
            if height(other).is_some_and(|other_height| other_height < own)
                || (height(other) == Some(own) && other != room && !bottom)
            {
                found.push(format!("src/{}: {other}", file.display()));
            }
        }
    }
    found
}

/// The files of src/ffi in circles of imports, and those between two circles; each file imports by `super::`.
pub(crate) fn circles() -> Vec<String> {
    let directory = root().join("src/ffi");
    let mut files: BTreeMap<String, BTreeSet<String>> = rust_files(&directory)
        .iter()
        // Which is no part of the library, and calls all of it.
        .filter(|path| !path.starts_with(directory.join("fuzzing")))
        .map(|path| {
            let source = fs::read_to_string(path).unwrap();
            assert!(!source.contains("super::{"), "{}: one line for each import, please", path.display());
            let name =
                |text: &str| text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                source.split("super::").skip(1).map(name).collect(),
            )
        })
        .collect();
    assert!(files["app"].contains("token"), "the scan of src/ffi finds imports");
    // Who imports nobody, or is imported by nobody, is in no circle.
    loop {
        let left = files.len();
        let imported: BTreeSet<String> = files.values().flatten().cloned().collect();
        let names: BTreeSet<String> = files.keys().cloned().collect();
        files.retain(|name, imports| imported.contains(name) && !imports.is_disjoint(&names));
        if files.len() == left {
            return files.into_keys().collect();
        }
    }
}

/// The rooms from the top down; those of one storey know nothing of each other, but for the lowest.
const ROOMS: [&[&str]; 11] = [
    &["fuzzing"],
    &["ffi"],
    &["app"],
    &["resource", "credential", "managed_identity"],
    &["attestation"],
    &["token"],
    &["authority"],
    &["http"],
    &["binding"],
    &["key"],
    &["runtime", "error", "secret", "clock", "env", "log", "metrics", "pem"],
];

fn functions(source: &str) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        if !line.starts_with([' ', '/', '#', '}']) && line.contains("fn ") {
            let name = line.split("fn ").nth(1).unwrap();
            let end = name.find(['(', '<']).unwrap_or(name.len());
            let export = line.contains("extern \"C\" fn");
            functions.push(Function { name: name[..end].to_owned(), export, body: String::new() });
            inside = true;
        } else if line == "}" {
            inside = false;
        } else if inside && let Some(function) = functions.last_mut() {
            function.body += line;
            function.body.push('\n');
        }
    }
    functions
}

fn calls_one_of(body: &str, guards: &BTreeSet<String>) -> bool {
    let before = |at: usize| body[..at].chars().next_back().unwrap_or(' ');
    let is_call = |at: usize| !before(at).is_ascii_alphanumeric() && !matches!(before(at), '_' | '.');
    guards.iter().any(|guard| body.match_indices(&format!("{guard}(")).any(|(at, _)| is_call(at)))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut files: Vec<_> =
        files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    files.extend(folders.iter().flat_map(|folder| rust_files(folder)));
    files.sort();
    files
}
