//! Does every sample in the documents do what it says, as it stands there?

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use devcloud::{Cloud, Options};
use tempfile::TempDir;

use crate::markdown::{Block, Document, documents};
use crate::support::{Build, compile, hermetic, library_directory, report, root, run};

/// Does each code block of each document compile and run, in its order? Does README.md show the library
/// in C and in Rust, with the output it promises?
#[test]
fn samples_run() {
    for document in documents() {
        let blocks = document.blocks();
        if blocks.iter().all(|block| block.language == "text") {
            continue;
        }
        let printed = run_blocks(&document, &blocks);
        if document.path == Path::new("README.md") {
            let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("mtls_pop ")).collect();
            // The C block, the shared and the static build of it, and Rust.
            assert_eq!(lines, ["mtls_pop 200"; 4], "{printed}");
        }
    }
}

/// Runs blocks in one directory that looks like the repository after a build. Returns what they printed.
fn run_blocks(document: &Document, blocks: &[Block]) -> String {
    let cloud = Cloud::start(Options::default()).unwrap();
    let directory = repository();
    let directory = directory.path();
    let mut printed = String::new();
    for block in blocks {
        let place = document.at(block.line);
        match block.language.as_str() {
            "text" => {}
            "c" => {
                let name = block.file_name.clone().unwrap_or_else(|| "sample.c".to_owned());
                let (source, program) = (directory.join(&name), directory.join("sample-in-c"));
                fs::write(&source, &block.text).unwrap();
                compile::<&str>(&source, Build::Sanitized, &program, &[]);
                printed += &execute(&place, &cloud, directory, &program, &[]);
            }
            "sh" | "bash" => {
                let arguments = ["-eu", "-c", block.text.as_str()];
                printed += &execute(&place, &cloud, directory, Path::new(&block.language), &arguments);
            }
            "rust" => {
                let program = directory.join("sample-in-rust");
                compile_rust(&place, &cloud, directory, &block.text, &program);
                printed += &execute(&place, &cloud, directory, &program, &[]);
            }
            other => panic!("{place}: nobody runs blocks in {other:?}; what is not run is text"),
        }
    }
    printed
}

/// The repository, with the libraries of this test run where `cargo build` would have put them.
fn repository() -> TempDir {
    let directory = TempDir::new().unwrap();
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "target" && entry.file_name() != ".git" {
            symlink(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    let built = directory.path().join("target/debug");
    fs::create_dir_all(&built).unwrap();
    for library in ["libmtlspop.so", "libmtlspop.a"] {
        symlink(library_directory().join(library), built.join(library)).unwrap();
    }
    directory
}

fn compile_rust(place: &str, cloud: &Cloud, directory: &Path, text: &str, program: &Path) {
    let source = directory.join("sample.rs");
    fs::write(&source, text).unwrap();
    let libraries = library_directory();
    let library = format!("mtlspop={}", libraries.join("libmtlspop.rlib").display());
    let dependencies = format!("dependency={}", libraries.display());
    let (source, program) = (source.to_str().unwrap(), program.to_str().unwrap());
    let arguments = ["--edition=2024", "--extern", &library, "-L", &dependencies, "-o", program, source];
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    execute(place, cloud, directory, &rustc, &arguments);
}

/// Runs a program in the cloud's environment; it must succeed. Returns its standard output.
fn execute(place: &str, cloud: &Cloud, directory: &Path, program: &Path, arguments: &[&str]) -> String {
    let mut command = hermetic(program, 120);
    command
        .args(arguments)
        .current_dir(directory)
        .envs(cloud.env())
        .env("CARGO_TARGET_DIR", directory.join("target"));
    let output = run(&mut command);
    assert!(output.status.success(), "{place}: the sample failed\n{}", report(&command, &output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
