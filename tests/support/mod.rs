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
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo put libmtlspop.so and libmtlspop.a for this test run: beside the test itself.
pub(crate) fn library_directory() -> PathBuf {
    let directory = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    assert!(directory.join("libmtlspop.so").exists(), "no libmtlspop.so in {}", directory.display());
    directory
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
        Build::Sanitized => {
            &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        }
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
        .arg(root().join("bindings/cpp"))
        .args(arguments)
        .arg("-o")
        .arg(program)
        .arg(source)
        .arg("-L")
        .arg(&library)
        .arg("-lmtlspop")
        .arg(format!("-Wl,-rpath,{}", library.display()));
    succeed(&mut command);
    if build == Build::Sanitized {
        // Wrong flags would give a program that finds nothing and passes.
        let symbols = succeed(Command::new("nm").arg(program));
        assert!(
            symbols.contains("__asan_init") && symbols.contains("__ubsan_handle"),
            "{} was built without sanitizers",
            program.display()
        );
    }
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
