//! The ABI as somebody else judges it: libabigail's abidiff compares what compilers make of the interface of the last release
//! and of today's. It sees types and symbols; the values of constants are for tests/abi/release.rs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::abi_version;
use crate::header;
use crate::release::{Bump, Interface, Release};
use crate::support::{compiler, report, root, run, succeed};

/// Where the declarations of a library's functions come from.
enum Declared<'a> {
    /// From the interface itself.
    Here,
    /// From a header, with which the compiler compares it.
    By(&'a Path),
}

/// A library with the functions of `interface` and nothing in them, and what its debug information says of their types.
fn library(directory: &Path, name: &str, interface: &Interface, declared: &Declared<'_>) -> PathBuf {
    let mut source = String::new();
    match declared {
        Declared::By(_) => source += "#include <mtlspop.h>\n",
        Declared::Here => {
            source += "#include <stddef.h>\n#include <stdint.h>\n";
            let mut typedefs: Vec<_> = interface.values().filter(|what| is_typedef(what)).collect();
            // Handles, then numbers, then callbacks, which take both.
            typedefs.sort_by_key(|what| (what.contains('('), !what.starts_with("typedef struct ")));
            for what in typedefs {
                writeln!(source, "{what}").unwrap();
            }
        }
    }
    for (function, what) in interface {
        let prototype = what.strip_suffix(')').filter(|what| !is_typedef(what));
        let Some((returns, kinds)) = prototype.and_then(|what| what.split_once(" (")) else { continue };
        let parameters: Vec<_> = match kinds {
            "void" => vec!["void".to_owned()],
            kinds => kinds.split(", ").enumerate().map(|(at, kind)| format!("{kind} p{at}")).collect(),
        };
        writeln!(source, "{returns} {function}({}) {{ __builtin_trap(); }}", parameters.join(", ")).unwrap();
    }
    let (file, library) = (directory.join(format!("{name}.c")), directory.join(format!("{name}.so")));
    fs::write(&file, source).unwrap();
    let mut gcc = Command::new(compiler("c"));
    gcc.args(["-g", "-O0", "-shared", "-fPIC", "-Wl,-soname,libmtlspop.so", "-o"]).arg(&library).arg(&file);
    if let Declared::By(include) = declared {
        gcc.arg("-I").arg(include);
    }
    succeed(&mut gcc);
    library
}

fn is_typedef(what: &str) -> bool {
    what.starts_with("typedef ")
}

/// What abidiff has against `new` in the place of `old`; nothing where it only has more functions.
fn objections(old: &Path, new: &Path) -> Option<String> {
    let mut abidiff = Command::new("abidiff");
    let output = run(abidiff.arg("--no-added-syms").arg(old).arg(new));
    let status = output.status.code().unwrap();
    // The first two bits are its own failures, the others what it found.
    assert_eq!(status & 3, 0, "{}", report(&abidiff, &output));
    (status != 0).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Does an outside tool find nothing that programs built with the last release would miss, and does it find each kind of break?
#[test]
fn abidiff_finds_no_break() {
    let place = tempfile::tempdir().unwrap();
    let released = Release::read(&fs::read_to_string(root().join("abi/released.txt")).unwrap());
    let items = header::items();
    let version = abi_version(&items);
    let today = Release::new(version, &items);
    let old = library(place.path(), "released", &released.interface, &Declared::Here);
    let new = library(place.path(), "today", &today.interface, &Declared::By(&root().join("include")));
    if released.grown(version) != Bump::Major {
        assert_eq!(
            objections(&old, &new),
            None,
            "programs that were built with the last release would break"
        );
    }

    let (now, callback) = ("mtlspop_app_new", "mtlspop_sign_callback");
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Interface));
    let changes: [Change; 4] = [
        (now, &|interface| drop(interface.remove(now))),
        (now, &|interface| {
            let what = interface[now].replace("const mtlspop_app_options *", "const mtlspop_token *");
            interface.insert(now.to_owned(), what);
        }),
        ("mtlspop_token_expires_on", &|interface| {
            let what = interface["mtlspop_token_expires_on"].replace("int64_t", "int32_t");
            interface.insert("mtlspop_token_expires_on".to_owned(), what);
        }),
        // It stands in a type that functions take.
        (callback, &|interface| {
            let what = interface[callback].replace("void *userdata", "int64_t userdata");
            interface.insert(callback.to_owned(), what);
        }),
    ];
    for (number, (whose, change)) in changes.into_iter().enumerate() {
        let mut broken = released.interface.clone();
        change(&mut broken);
        assert_ne!(broken, released.interface, "{whose} is there no more: plant another break");
        let broken = library(place.path(), &format!("broken{number}"), &broken, &Declared::Here);
        let found = objections(&old, &broken).unwrap_or_default();
        assert!(found.contains(whose), "break {number} of {whose} was not found: {found}");
    }
}
