//! Is the C ABI what it says it is? Each test answers one question; its failure says how to fix it.
//!
//! With MTLSPOP_UPDATE=1 (`make header`) the committed files are rewritten instead of compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod dotnet;
mod header;
mod man;
mod nulls;
mod outside;
mod prototype;
mod python;
mod release;
mod source;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use prototype::Prototype;
use release::Release;
use support::{Build, compile, compiler, hermetic, library_directory, report, root, run, succeed};
use versions::{History, Version};

/// Is the committed header what src/ffi says today?
#[test]
fn header_is_current() {
    committed("include/mtlspop.h", &header::generate());
}

/// Are the prototypes of the Python package those of the header?
#[test]
fn python_prototypes_are_current() {
    committed("bindings/python/src/mtlspop/_prototypes.py", &python::prototypes());
}

/// Are the committed manual pages those of today's header: one for each function, handle, callback and type, and one
/// that leads to it for each number, none of them twice where case does not count?
#[test]
fn man_pages_are_current() {
    let pages = manual();
    for (name, page) in &pages {
        committed(&format!("{MANUAL}/{name}"), page);
    }
    for name in files_in(MANUAL).iter().filter(|name| !pages.contains_key(*name)) {
        match std::env::var_os("MTLSPOP_UPDATE") {
            Some(_) => fs::remove_file(root().join(MANUAL).join(name)).unwrap(),
            None => panic!("{MANUAL}/{name} is of something that is gone: run `make header`"),
        }
    }
    let lower: BTreeSet<String> = pages.keys().map(|name| name.to_lowercase()).collect();
    assert_eq!(lower.len(), pages.len(), "two pages whose names differ by case alone");
    for item in header::items() {
        assert!(lower.contains(&format!("{}.3", item.name.to_lowercase())), "{} has no page", item.name);
    }
}

/// Does each page have all of its parts?
#[test]
fn man_pages_are_whole() {
    let pages = manual();
    for function in functions() {
        let page = &pages[&format!("{}.3", function.name)];
        for part in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "RETURN VALUES",
            "ERRORS",
            "THREADS",
            "VERSION",
            "EXAMPLES",
            "SEE ALSO",
        ] {
            let text = page.split(&format!(".Sh {part}\n")).nth(1).and_then(|rest| rest.split(".Sh ").next());
            assert!(text.is_some_and(|text| !text.trim().is_empty()), "{} has no {part}", function.name);
        }
        // A page is read alone.
        let neighbour =
            ["as above", "as below", "\nThe same "].into_iter().find(|words| page.contains(words));
        assert_eq!(neighbour, None, "{} leans on its neighbour", function.name);
        for parameter in &function.parameters {
            let told = page.contains(&format!("\n.It Fa {}\n", parameter.name));
            assert!(told, "{} does not tell {}", function.name, parameter.name);
        }
    }
}

/// Is every function called by a program that the tests run, so that its page can show how?
#[test]
fn functions_are_used_by_programs() {
    let unused = man::unused(&header::generate());
    assert!(unused.is_empty(), "call these in a program in examples-c or tests/c: {unused:?}");
    // Those in examples-c are run by the demo, which tests/docs/demo.rs sees to.
    let tests: String = files_in("tests/c")
        .iter()
        .map(|name| fs::read_to_string(root().join("tests/c").join(name)).unwrap())
        .collect();
    for name in files_in("tests/c").iter().filter_map(|name| name.strip_suffix(".c")) {
        assert!(tests.contains(&format!("\"{name}\"")), "tests/c/{name}.c is run by none of tests/c/*.rs");
    }
}

/// Are the pages without a flaw, for both of the programs that format them?
#[test]
fn man_pages_are_without_flaws() {
    let directory = root().join(MANUAL);
    let pages = || files_in(MANUAL).into_iter().filter(|name| !name.starts_with("MTLSPOP_"));
    // All but the habits of BSD's own pages.
    let flaws =
        run(Command::new("mandoc").current_dir(&directory).args(["-T", "lint", "-W", "style"]).args(pages()));
    assert!(flaws.stdout.is_empty() && flaws.status.success(), "{}", String::from_utf8_lossy(&flaws.stdout));
    if Command::new("groff").arg("--version").output().is_err() {
        return println!("left out: groff is not installed");
    }
    let flaws = run(Command::new("groff")
        .current_dir(&directory)
        .args(["-mandoc", "-ww", "-z", "-Tutf8"])
        .args(pages()));
    assert!(flaws.stderr.is_empty() && flaws.status.success(), "{}", String::from_utf8_lossy(&flaws.stderr));
}

/// Does docs/symbols-in-versions have each name of the header, and say of those in the last release that they were
/// there, and of no other?
#[test]
fn symbols_in_versions_is_current() {
    let history = history();
    committed("docs/symbols-in-versions", &history.text());
    let released = Release::read(&fs::read_to_string(root().join("abi/released.txt")).unwrap());
    let lasting = |name: &&str| !name.contains("_VERSION");
    let then: BTreeSet<&str> = history.at(released.version()).filter(lasting).collect();
    let names: BTreeSet<&str> = released.interface.keys().map(String::as_str).collect();
    assert_eq!(then, names, "left: by docs/symbols-in-versions, right: by abi/released.txt");
}

/// Are the prototypes of the .NET assembly those of the header?
#[test]
fn dotnet_prototypes_are_current() {
    committed("bindings/dotnet/src/Native.g.cs", &dotnet::prototypes());
    let project = fs::read_to_string(root().join("bindings/dotnet/mtlspop.csproj")).unwrap();
    let version = format!("<Version>{}</Version>", env!("CARGO_PKG_VERSION"));
    assert!(project.contains(&version), "bindings/dotnet/mtlspop.csproj needs {version}");
}

/// Is every export, parameter and result documented for C readers?
#[test]
fn header_documents_everything() {
    let mut missing: Vec<String> = header::items()
        .iter()
        .filter(|item| item.comment.is_empty())
        .map(|item| format!("{} ({}) has no documentation", item.name, item.file))
        .collect();
    for function in functions() {
        for parameter in &function.parameters {
            if !function.comment.contains(&format!("@param {} ", parameter.name)) {
                missing.push(format!("{} does not document {}", function.name, parameter.name));
            }
        }
        if function.returns != "void" && !function.comment.contains("@return ") {
            missing.push(format!("{} does not document what it returns", function.name));
        }
    }
    assert!(missing.is_empty(), "write these in src/ffi, then `make header`:\n{}", missing.join("\n"));
}

/// Does the header compile alone and twice, as the C and C++ of our users, with every warning an error?
#[test]
fn header_compiles_alone_and_twice() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("alone.c");
    fs::write(&source, "#include <mtlspop.h>\n#include <mtlspop.h>\nextern int nothing;\n").unwrap();
    for (language, standard) in [("c", "c99"), ("c", "c11"), ("c", "c17"), ("c++", "c++17")] {
        succeed(
            Command::new(compiler(language))
                .args(["-x", language, &format!("-std={standard}")])
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
                .arg(root().join("include"))
                .arg(&source),
        );
    }
}

/// Does the example on top of the header compile as it stands there?
#[test]
fn header_example_compiles() {
    let header = header::generate();
    let example = header.split(" * A call:").nth(1).and_then(|rest| rest.split(" * Ownership").next());
    let example = example.expect("include/mtlspop.h.in has its example between `A call:` and `Ownership`");
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("example.c");
    let program = format!(
        "#include <mtlspop.h>\n#include <stdio.h>\nint main(void)\n{{\n{}\n    return 0;\n}}\n",
        example.replace("\n *", "\n")
    );
    fs::write(&source, program).unwrap();
    compile(&source, Build::Plain, &directory.path().join("example"), &[] as &[&str]);
}

/// Does the library export what the header declares, and nothing else? A change of abi/symbols.txt is
/// a decision about the ABI.
#[test]
fn symbols_are_those_of_the_header() {
    let library = library_directory().join("libmtlspop.so");
    let listing = succeed(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library));
    let exported: BTreeSet<&str> = listing.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let functions = functions();
    let declared: BTreeSet<&str> = functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(exported, declared, "left: exported by the library, right: declared in the header");
    let foreign: Vec<_> = exported.iter().filter(|name| !name.starts_with("mtlspop_")).collect();
    assert!(foreign.is_empty(), "exported without the prefix: {foreign:?}");
    committed("abi/symbols.txt", &exported.iter().map(|name| format!("{name}\n")).collect::<String>());
}

/// Has the version of the ABI grown as much as the interface has changed since the last release? With
/// `--nocapture` (`make abi`) it says what changed, and which bump that is due for.
#[test]
fn abi_version_has_grown_with_the_interface() {
    let items = header::items();
    let version = abi_version(&items);
    let today = Release::new(version, &items);
    if std::env::var_os("MTLSPOP_RELEASE").is_some() {
        return fs::write(root().join("abi/released.txt"), today.text()).unwrap();
    }
    let released = Release::read(&fs::read_to_string(root().join("abi/released.txt")).unwrap());
    let (due, changes) = released.due(&today.interface);
    let told = format!(
        "ABI {}.{} since {}.{}: the bump that is due is {due:?}\n{}",
        today.major,
        today.minor,
        released.major,
        released.minor,
        changes.join("\n")
    );
    println!("{told}");
    assert!(released.grown(version) >= due, "raise MTLSPOP_ABI_VERSION in src/ffi/version.rs. {told}");
}

/// Do Cargo.toml, the header's macros as a C program sees them, and the library name the same versions?
#[test]
fn versions_agree() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("versions");
    compile(&root().join("tests/abi/versions.c"), Build::Plain, &program, &[] as &[&str]);
    let printed = succeed(&mut hermetic(&program, 60));
    let version = env!("CARGO_PKG_VERSION");
    let (numbers, abi) = printed.trim().rsplit_once(' ').unwrap();
    assert_eq!(
        numbers,
        format!("{version} {version} {version}"),
        "macro, three macros, library: `make header`"
    );
    let (header, library) = abi.split_once('/').unwrap();
    assert_eq!(header, library, "MTLSPOP_ABI_VERSION and mtlspop_abi_version()");
    let abi: i32 = header.parse().unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let for_packagers =
        format!("[package.metadata.capi.library]\nversion = \"{}.{}.0\"\n", abi >> 16, abi & 0xffff);
    assert!(manifest.contains(&for_packagers), "Cargo.toml needs {for_packagers}");
}

/// Can no panic leave an export?
#[test]
fn exports_are_guarded() {
    // They return a constant.
    let exceptions = ["mtlspop_version", "mtlspop_abi_version"];
    let exports = source::exports();
    let declared = functions().len();
    assert_eq!(exports.len(), declared, "the scan of src/ffi finds as many exports as the header declares");
    let bare: Vec<_> = exports
        .iter()
        .filter(|(name, guarded)| !guarded && !exceptions.contains(&name.as_str()))
        .map(|(name, _)| name)
        .collect();
    assert!(bare.is_empty(), "put the bodies of these into guard(), guard_or() or change(): {bare:?}");
}

/// Does data flow one way through the house: does no room import one that stands above or beside it?
#[test]
fn rooms_import_downwards() {
    let upwards = source::imports_upwards();
    assert!(upwards.is_empty(), "move the rule to a lower room, or up to who needs both: {upwards:?}");
}

/// Do imports go one way in src/ffi, too, so that each of its files can be read without those above it?
#[test]
fn files_of_ffi_import_downwards() {
    let circles = source::circles();
    assert!(circles.is_empty(), "give what these share a file of its own, below them: {circles:?}");
}

/// Is unsafe code only where the boundary, a private key or libssl needs it? The compiler refuses it elsewhere.
#[test]
fn unsafe_code_is_where_it_belongs() {
    let allowed = [
        "src/clock.rs",
        "src/env.rs",
        "src/ffi/",
        "src/key/",
        "src/runtime/fork.rs",
        "src/runtime/gate.rs",
        "libssl/src/border.rs",
        "libssl/src/context.rs",
        "libssl/src/error.rs",
        "libssl/src/session.rs",
        "libssl/src/sys.rs",
    ];
    let misplaced: Vec<_> = source::permissions_for_unsafe()
        .into_iter()
        .filter(|file| !allowed.iter().any(|prefix| file.starts_with(prefix)))
        .collect();
    assert!(misplaced.is_empty(), "write these without unsafe: {misplaced:?}");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""), "Cargo.toml no longer denies unsafe code");
}

/// Does whoever reads a file tell one that cannot be read just now, for want of a file descriptor, from a wrong one?
#[test]
fn a_shortage_is_no_wrong_file() {
    let readers = source::readers_of_files();
    assert!(readers.len() > 6, "{readers:?}");
    // What a binding store cannot read is logged, and done without (docs/adr/010).
    let careless: Vec<_> =
        readers.iter().filter(|(file, knows)| !knows && file != "src/binding/store/directory.rs").collect();
    assert!(
        careless.is_empty(),
        "these have their error say that it passes, see is_shortage(): {careless:?}"
    );
}

/// Does the fuzzer call every function, with all of its parameters?
#[test]
fn functions_are_fuzzed() {
    let table = fs::read_to_string(root().join("src/ffi/fuzzing/table.rs")).unwrap();
    let known: BTreeSet<&str> = table.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let missing: Vec<_> =
        functions().into_iter().map(|f| f.name).filter(|name| !known.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "give these a place in src/ffi/fuzzing/table.rs: {missing:?}");
}

/// Does NULL, for any pointer of any function, stay an error or a fallback, and no crash?
#[test]
fn null_pointers_do_not_crash() {
    let cloud = devcloud::Cloud::start(devcloud::Options::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("null_calls.inc"), nulls::program(&functions())).unwrap();
    let program = directory.path().join("nulls");
    let source = root().join("tests/abi/nulls.c");
    compile(&source, Build::Sanitized, &program, &["-I".as_ref(), directory.path().as_os_str()]);
    let mut command = hermetic(&program, 120);
    command.envs(cloud.env());
    let output = run(&mut command);
    assert!(
        output.status.success(),
        "the last line before the report names the call:\n{}",
        report(&command, &output)
    );
}

/// Can the static library be linked into a program that has an OpenSSL, BoringSSL or AWS-LC of its own: is no function
/// and no C++ of theirs in it under its own name?
#[test]
fn cryptography_has_names_of_its_own() {
    let library = library_directory().join("libmtlspop.a");
    let symbols = succeed(
        Command::new("nm")
            .args(["--extern-only", "--defined-only", "--format=posix", "--no-sort"])
            .arg(library),
    );
    let names: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.iter().any(|name| name.ends_with("_SSL_new")), "libssl is not in it");
    let theirs = [
        "SSL_", "TLS_", "DTLS", "BIO_", "ERR_", "EVP_", "X509_", "RSA_", "CRYPTO_", "OPENSSL_", "sk_", "lh_",
    ];
    let clash = |name: &&&str| theirs.iter().any(|start| name.starts_with(start)) || name.contains("N4bssl");
    let clashes: Vec<_> = names.iter().filter(clash).collect();
    assert!(clashes.is_empty(), "{clashes:?}");
}

/// Is aws-lc's jitter entropy left out, which makes the first random byte of a process cost 50 ms of CPU?
#[test]
fn jitter_entropy_is_off() {
    let library = library_directory().join("libmtlspop.a");
    let symbols = succeed(Command::new("nm").args(["--defined-only", "--format=posix"]).arg(library));
    assert!(symbols.lines().count() > 1000, "nm did not read the library");
    let jitter = symbols.lines().find(|line| line.contains("jent_"));
    assert_eq!(
        jitter, None,
        "set AWS_LC_SYS_NO_JITTER_ENTROPY in .cargo/config.toml, then `cargo clean -p aws-lc-sys`"
    );
}

/// Where the manual pages are: `man -M docs/man mtlspop_app_new` shows one before it is installed.
const MANUAL: &str = "docs/man/man3";

fn manual() -> BTreeMap<String, String> {
    man::pages(&header::generate(), &history())
}

/// The history of all names, with those of today.
fn history() -> History {
    let history = History::read(&fs::read_to_string(root().join("docs/symbols-in-versions")).unwrap());
    let released = Release::read(&fs::read_to_string(root().join("abi/released.txt")).unwrap());
    let now = Version::of_number(abi_version(&header::items()));
    history.with(&man::names(&header::generate()), now, released.version())
}

fn abi_version(items: &[header::Item]) -> i32 {
    let version = items.iter().find(|item| item.name == "MTLSPOP_ABI_VERSION").unwrap();
    version.declaration.rsplit(' ').next().unwrap().parse().unwrap()
}

fn files_in(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join(directory)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn functions() -> Vec<Prototype> {
    header::items().iter().filter(|item| item.is_function()).map(Prototype::parse).collect()
}

/// Compares a committed file with what it should be, or writes it.
fn committed(path: &str, expected: &str) {
    let file = root().join(path);
    let found = fs::read_to_string(&file).unwrap_or_default();
    if found == expected {
        return;
    }
    if std::env::var_os("MTLSPOP_UPDATE").is_some() {
        return fs::write(&file, expected).unwrap();
    }
    panic!(
        "{path} is out of date: run `make header` and commit what it changes\n{}",
        difference(&file, expected)
    );
}

fn difference(file: &Path, expected: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let wanted = directory.path().join("expected");
    fs::write(&wanted, expected).unwrap();
    let output = run(Command::new("diff").arg("-u").arg(file).arg(wanted));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
