//! Does every sample in the documents do what it says, as it stands there?

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use devcloud::{Cloud, Options};
use tempfile::TempDir;

use crate::markdown::{Block, Document, documents};
use crate::support::{Build, compile, hermetic, library_directory, report, root, run, rust_program};

/// Does each code block of each document compile and run, in its order? Does README.md show the library
/// in C and in Rust, with the output it promises? Do they do so beside what a reader has made who followed them
/// before, is all of that left as it was, and does git ignore it?
#[test]
fn samples_run() {
    let reader = TempDir::new().unwrap();
    for part in PARTS {
        copy(&root().join(part), &reader.path().join(part));
    }
    fs::write(reader.path().join("first.c"), "int main(void) { return 1; } /* the reader's */").unwrap();
    fs::create_dir(reader.path().join("exported")).unwrap();
    fs::write(reader.path().join("exported/key.pem"), "the reader's").unwrap();
    let before = contents(reader.path());
    for document in documents() {
        let blocks = document.blocks();
        if blocks.iter().all(|block| block.language == "text") {
            continue;
        }
        let directory = repository(reader.path());
        let printed = run_blocks(&document, &blocks, directory.path());
        if document.path == Path::new("README.md") {
            let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("mtls_pop ")).collect();
            // The C block, the shared and the static build of it, and Rust.
            assert_eq!(lines, ["mtls_pop 200"; 4], "{printed}");
            let made: BTreeSet<String> = made(directory.path()).collect();
            assert!(made.contains("first.c") && made.contains("exported"), "{made:?}");
            let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
            for name in made {
                assert!(ignored.lines().any(|line| line == format!("/{name}")), ".gitignore lacks /{name}");
            }
        }
    }
    assert!(contents(reader.path()) == before, "the samples changed what is the reader's");
}

/// What the samples take from the repository, beside the built libraries.
const PARTS: [&str; 2] = ["include", "examples-c"];

/// The entries that the samples have made in their directory.
fn made(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.into_string().unwrap());
    names.filter(|name| name != "target" && !PARTS.contains(&name.as_str()))
}

/// Runs blocks in a directory that looks like the repository after a build. Returns what they printed.
fn run_blocks(document: &Document, blocks: &[Block], directory: &Path) -> String {
    let cloud = Cloud::start(Options::default()).unwrap();
    let programs = TempDir::new().unwrap();
    let programs = programs.path();
    let mut printed = String::new();
    for block in blocks {
        let place = document.at(block.line);
        match block.language.as_str() {
            "text" => {}
            // bindings/python/tests/test_readme.py runs these.
            "python" => {}
            "c" => {
                let source = match &block.file_name {
                    Some(name) => directory.join(name),
                    None => programs.join("sample.c"),
                };
                let program = programs.join("sample-in-c");
                fs::write(&source, &block.text).unwrap();
                compile::<&str>(&source, Build::Sanitized, &program, &[]);
                printed += &execute(&place, &cloud, directory, &program, &[]);
            }
            "sh" | "bash" => {
                let arguments = ["-eu", "-c", block.text.as_str()];
                printed += &execute(&place, &cloud, directory, Path::new(&block.language), &arguments);
            }
            "rust" => {
                let program = programs.join("sample-in-rust");
                compile_rust(&place, &cloud, directory, &block.text, &program);
                printed += &execute(&place, &cloud, directory, &program, &[]);
            }
            other => panic!("{place}: nobody runs blocks in {other:?}; what is not run is text"),
        }
    }
    printed
}

/// The repository, with the libraries of this test run where `cargo build` would have put them. What is there of
/// `from` is a copy: the samples write into it.
fn repository(from: &Path) -> TempDir {
    let directory = TempDir::new().unwrap();
    for part in PARTS {
        copy(&from.join(part), &directory.path().join(part));
    }
    let built = directory.path().join("target/debug");
    fs::create_dir_all(&built).unwrap();
    for library in ["libmtlspop.so", "libmtlspop.a"] {
        symlink(library_directory().join(library), built.join(library)).unwrap();
    }
    directory
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(from, to).unwrap()),
        }
    }
}

/// Every file below a directory, with its content.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    found
}

fn compile_rust(place: &str, cloud: &Cloud, directory: &Path, text: &str, program: &Path) {
    let source = program.with_extension("rs");
    fs::write(&source, text).unwrap();
    let libraries = library_directory();
    let library = format!("mtlspop={}", libraries.join("libmtlspop.rlib").display());
    let dependencies = format!("dependency={}", libraries.display());
    let (source, program) = (source.to_str().unwrap(), program.to_str().unwrap());
    let arguments = ["--edition=2024", "--extern", &library, "-L", &dependencies, "-o", program, source];
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    execute(place, cloud, directory, &rustc, &arguments);
}

/// With the command where a shell finds it, as after `make install`.
fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        rust_program("devcloud");
        let directory = rust_program("mtlspop").parent().unwrap().to_owned();
        format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
    })
}

/// Runs a program in the cloud's environment; it must succeed. Returns its standard output.
fn execute(place: &str, cloud: &Cloud, directory: &Path, program: &Path, arguments: &[&str]) -> String {
    let mut command = hermetic(program, 120);
    command
        .args(arguments)
        .current_dir(directory)
        .env("PATH", path())
        .envs(cloud.env())
        .env("CARGO_TARGET_DIR", directory.join("target"));
    let output = run(&mut command);
    assert!(output.status.success(), "{place}: the sample failed\n{}", report(&command, &output));
    // An API's answer may not end its line.
    format!("{}\n", String::from_utf8_lossy(&output.stdout).trim_end_matches('\n'))
}
