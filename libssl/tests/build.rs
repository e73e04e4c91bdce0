//! Is what build.rs makes fit to be linked into any program, and does it say what it takes?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Does nothing that we compile have a name that a program's own OpenSSL, BoringSSL or AWS-LC may have, and is nothing asked
/// of the C++ library, which programs in C do not have?
#[test]
fn symbols_have_a_prefix() {
    let archive = Path::new(env!("OUT_DIR")).join("libmtlspop_libssl.a");
    let symbols = |arguments: &[&str]| {
        let output = Command::new("nm").args(arguments).arg("--format=posix").arg(&archive).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let names =
            text.lines().filter(|line| !line.ends_with(':')).filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    // Of the C++ library's headers, instantiated here: the same in every program.
    let standard = ["_ZSt", "_ZNSt", "_ZNKSt", "_ZN9__gnu_cxx", "_ZnwmPv"];
    let is_standard = |name: &str| standard.iter().any(|start| name.starts_with(start));
    let defined = symbols(&["--extern-only", "--defined-only"]);
    assert!(defined.iter().any(|name| name == "mtlspop_libssl_SSL_new"), "{defined:?}");
    let bare: Vec<_> =
        defined.iter().filter(|name| !name.contains("mtlspop_libssl_") && !is_standard(name)).collect();
    assert!(bare.is_empty(), "add these to OTHER_NAMES in build.rs: {bare:?}");

    let prefix = env!("MTLSPOP_LIBCRYPTO_PREFIX");
    let asked = symbols(&["--undefined-only"]);
    assert!(asked.iter().any(|name| name.starts_with(prefix)), "{asked:?}");
    let cpp: Vec<_> = asked
        .iter()
        .filter(|name| name.starts_with("_Z") || name.starts_with("__cxa") || name.starts_with("__gxx"))
        .filter(|name| !defined.contains(name))
        .collect();
    assert!(cpp.is_empty(), "these are in libstdc++: {cpp:?}");
}

/// Does it stay so where the compiler is told to have the C++ library check how it is used, as distributions do?
#[test]
fn assertions_of_the_library_stay_out() {
    let place = place("assertions");
    let source = "#include <memory>\nint use(std::unique_ptr<int> &p) { return *p; }\n";
    std::fs::write(place.join("use.cc"), source).unwrap();
    let compile = |rest: &[&str]| {
        let mut compiler = Command::new("g++");
        compiler.args(["-D_GLIBCXX_ASSERTIONS", "-fno-exceptions", "-c", "use.cc", "-I"]);
        compiler.arg(env!("MTLSPOP_LIBSSL_INCLUDE")).args(rest).current_dir(&place);
        assert!(compiler.status().unwrap().success());
        let output = Command::new("nm").args(["-u", "use.o"]).current_dir(&place).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(compile(&[]).contains("_ZSt"), "it checks nothing");
    let names = Path::new(env!("OUT_DIR")).join("names.h");
    let asked = compile(&["-include", names.to_str().unwrap()]);
    assert!(!asked.contains("_ZSt"), "{asked}");
}

/// Are exceptions left out that the environment switches on, as Fedora's packages do, and its other flags not?
#[test]
fn exceptions_stay_out() {
    let place = place("exceptions");
    let compiler = place.join("compiler");
    std::fs::write(&compiler, "#!/bin/sh\necho \"$@\" >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&compiler, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = fails(build(&place).env("CXX", compiler).env("CXXFLAGS", "-O1 -fexceptions -DA_FLAG -frtti"));
    assert!(said.contains("-fno-exceptions") && said.contains("-DA_FLAG"), "{said}");
    assert!(!said.contains("-fexceptions") && !said.contains("-frtti"), "{said}");
}

/// Is the package named that has the compiler, where there is none?
#[test]
fn missing_compiler_is_named() {
    let place = place("without-compiler");
    let said = fails(build(&place).env("CXX", place.join("no-compiler")));
    assert!(said.contains("no-compiler") && said.contains("apt-get install g++"), "{said}");
    assert!(said.starts_with("mtlspop-libssl: ") && !said.contains("panicked"), "{said}");
}

/// Are the sources found where Cargo has fetched for the first time, and only what this machine needs, as `cargo build` does?
#[test]
fn nothing_is_needed_for_other_machines() {
    let place = place("first-build");
    let out = PathBuf::from(env!("OUT_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--format-version", "1", "--filter-platform", &host()]);
    let output = cargo.arg("--manifest-path").arg(out.join("asking/Cargo.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = packages["packages"].as_array().unwrap().iter();
    // Each in CARGO_HOME/registry/src/REGISTRY/NAME-VERSION, unpacked from registry/cache/REGISTRY/NAME-VERSION.crate.
    let folders =
        packages.map(|package| Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap());
    for folder in folders.filter(|folder| folder.iter().any(|part| part == "registry")) {
        let (registry, name) = (folder.parent().unwrap(), folder.file_name().unwrap().to_str().unwrap());
        let home = registry.ancestors().nth(3).unwrap();
        let registry = registry.file_name().unwrap();
        for (kind, name) in [("src", name.to_owned()), ("cache", format!("{name}.crate"))] {
            let within = Path::new("registry").join(kind).join(registry);
            std::fs::create_dir_all(place.join(&within)).unwrap();
            symlink(home.join(&within).join(&name), place.join(&within).join(&name)).unwrap();
        }
        let index = Path::new("registry/index");
        if !place.join(index).exists() {
            symlink(home.join(index), place.join(index)).unwrap();
        }
    }
    let said = fails(build(&place).env("CARGO_HOME", &place).env("CXX", place.join("no-compiler")));
    assert!(said.contains("no-compiler"), "{said}");
}

/// An empty folder.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    place
}

/// The build script as Cargo runs it, for an output in `place`.
fn build(place: &Path) -> Command {
    let mut build = Command::new(script());
    build.env("OUT_DIR", place).env("DEP_AWS_LC_0_47_0_INCLUDE", env!("MTLSPOP_LIBSSL_INCLUDE"));
    build.envs([("TARGET", host()), ("HOST", host()), ("OPT_LEVEL", "0".to_owned())]);
    build.env("CARGO", env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR"));
    build
}

fn fails(build: &mut Command) -> String {
    let output = build.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// The build script itself, the newest: Cargo has it in a directory beside that of its output.
fn script() -> PathBuf {
    let directories = Path::new(env!("OUT_DIR")).ancestors().nth(2).unwrap().read_dir().unwrap();
    let ours = directories
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("mtlspop-libssl-"));
    let scripts = ours.map(|path| path.join("build-script-build")).filter(|script| script.exists());
    scripts.max_by_key(|script| script.metadata().unwrap().modified().unwrap()).unwrap()
}
