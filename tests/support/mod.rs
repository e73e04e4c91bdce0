//! What the test targets share: where things are, and C programs built against the library and run.

// Each test target uses its own part of it.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How a C program is built, and with that how its mistakes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// With AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer. They see what the C side
    /// does, and every leak, but not a read of freed memory on the Rust side.
    Sanitized,
    /// Without: to be run under valgrind, which sees both sides.
    Plain,
    /// As the first, with a library that AddressSanitizer looks into, too: `make sanitize` builds it.
    Address,
    /// For ThreadSanitizer, with a library that it looks into, too: the same.
    Thread,
}

/// How the programs of this run are built: the first two ways, or the one that scripts/sanitize.sh is at.
pub(crate) fn builds() -> &'static [Build] {
    match std::env::var("MTLSPOP_SANITIZER").as_deref() {
        Ok("address") => &[Build::Address],
        Ok("thread") => &[Build::Thread],
        Ok(other) => panic!("MTLSPOP_SANITIZER is address or thread, not {other}"),
        Err(_) => &[Build::Sanitized, Build::Plain],
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo put what was built for this test run.
pub(crate) fn build_directory() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// Where libmtlspop.so and libmtlspop.a for this test run are: beside the test itself, or where scripts/sanitize.sh
/// has put one.
pub(crate) fn library_directory() -> PathBuf {
    let directory = std::env::var_os("MTLSPOP_SANITIZED_LIBRARY").map_or_else(build_directory, PathBuf::from);
    assert!(directory.join("libmtlspop.so").exists(), "no libmtlspop.so in {}", directory.display());
    directory
}

/// A program in Rust of another member, which `cargo test` would not always build. Of the whole workspace, so that its
/// features are those that everything else was built with.
pub(crate) fn rust_program(name: &str) -> PathBuf {
    let profile = build_directory().parent().unwrap().to_owned();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--workspace", "--bin", name, "--target-dir"]);
    succeed(command.arg(profile.parent().unwrap()).current_dir(root()));
    profile.join(name)
}

/// The C compiler: `$CC`, or gcc. The C++ one: `$CXX`, or g++.
pub(crate) fn compiler(language: &str) -> String {
    let (variable, default) = if language == "c++" { ("CXX", "g++") } else { ("CC", "gcc") };
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

/// Compiles a program in C, or in C++ (`.cpp`), and links it with the library. `arguments` go to the compiler.
pub(crate) fn compile<A: AsRef<OsStr>>(source: &Path, build: Build, program: &Path, arguments: &[A]) {
    let library = library_directory();
    let sanitize: &[&str] = match build {
        Build::Sanitized | Build::Address => {
            &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        }
        Build::Thread => &["-fsanitize=thread", "-fno-omit-frame-pointer"],
        Build::Plain => &[],
    };
    let cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let (language, standard): (_, &[&str]) = match cpp {
        true => ("c++", &["-std=c++17", "-Wshadow", "-Wconversion"]),
        false => ("c", &["-std=c99", "-D_POSIX_C_SOURCE=200809L"]),
    };
    let mut command = Command::new(compiler(language));
    command
        .args(standard)
        .args(["-O1", "-g", "-pthread"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(sanitize)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-I")
        .arg(root().join("bindings/cpp"));
    let object = program.with_extension("o");
    if build == Build::Thread {
        // A library that rustc made for ThreadSanitizer needs rustc's runtime of it; gcc's has not all that it calls.
        succeed(command.args(arguments).arg("-c").arg("-o").arg(&object).arg(source));
        command = Command::new(compiler(language));
        let runtime = std::env::var_os("MTLSPOP_THREAD_RUNTIME").expect("scripts/sanitize.sh names it");
        command.args(["-pthread", "-Wl,--export-dynamic", "-Wl,--whole-archive"]).arg(runtime);
        command.args(["-Wl,--no-whole-archive", "-ldl", "-lm", "-lrt"]);
    }
    let source = if build == Build::Thread { &object } else { source };
    command
        .args(arguments)
        .arg("-o")
        .arg(program)
        .arg(source)
        .arg("-L")
        .arg(&library)
        .arg("-lmtlspop")
        .arg(format!("-Wl,-rpath,{}", library.display()));
    succeed(&mut command);
    // Wrong flags would give a program that finds nothing and passes.
    let wanted: &[&str] = match build {
        Build::Sanitized | Build::Address => &["__asan_init", "__ubsan_handle"],
        Build::Thread => &["__tsan_init"],
        Build::Plain => return,
    };
    let symbols = succeed(Command::new("nm").arg(program));
    let missing: Vec<_> = wanted.iter().filter(|symbol| !symbols.contains(**symbol)).collect();
    assert!(missing.is_empty(), "{} was built without sanitizers: no {missing:?}", program.display());
}

/// A program that [`compile`] built, run so that its mistakes are found.
pub(crate) fn checked(program: &Path, build: Build) -> Command {
    let mut command = match build {
        Build::Plain => valgrind(program, 400),
        Build::Sanitized => hermetic(program, 120),
        Build::Address | Build::Thread => hermetic(program, 600),
    };
    let suppressions = root().join("tests/support/tsan.supp");
    command.env("ASAN_OPTIONS", "detect_leaks=1");
    command.env(
        "TSAN_OPTIONS",
        format!("suppressions={}:second_deadlock_stack=1:die_after_fork=0", suppressions.display()),
    );
    command
}

/// A command with no environment but `PATH`, stopped after `seconds`.
pub(crate) fn hermetic(program: impl AsRef<OsStr>, seconds: u32) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg(seconds.to_string()).arg(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// The same command, beside an nginx that requires client certificates; its environment must be devcloud's.
pub(crate) fn beside_nginx(command: &Command) -> Command {
    let mut beside = Command::new(root().join("tests/support/nginx.sh"));
    beside.arg(command.get_program()).args(command.get_args()).env_clear();
    beside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    beside
}

/// A program under valgrind: an invalid access or a definite leak ends it with 99.
pub(crate) fn valgrind(program: &Path, seconds: u32) -> Command {
    let mut command = hermetic("valgrind", seconds);
    command
        .args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"])
        .args(["--show-leak-kinds=definite", "--num-callers=30", "--fair-sched=yes"])
        .arg(format!("--suppressions={}", root().join("tests/support/valgrind.supp").display()))
        .arg(program);
    command
}

/// Runs a command that must succeed; returns its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", report(command, &output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end, whatever that is.
pub(crate) fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| {
        panic!("cannot run {}: {error}. `make prerequisites` installs what is missing", program.display())
    })
}

/// What a failed command was and said.
pub(crate) fn report(command: &Command, output: &Output) -> String {
    format!(
        "{command:?}\nended with {}\n--- stdout\n{}--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
