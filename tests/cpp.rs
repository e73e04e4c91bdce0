//! The C++ binding: programs as our users write them, with sanitizers and under valgrind, against devcloud.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../devcloud/tests/common/swtpm.rs"]
mod swtpm;

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use devcloud::{Cloud, Fault, Options, Source, directory};
use serde_json::json;
use support::{Build, builds, checked, compile, compiler, hermetic, library_directory, root, succeed};
use swtpm::Swtpm;
use tempfile::TempDir;

/// A program of bindings/cpp/tests, to be built and run both ways.
struct Program {
    directory: TempDir,
    name: &'static str,
}

impl Program {
    fn new(name: &'static str) -> Self {
        let program = Self { directory: tempfile::tempdir().unwrap(), name };
        for &build in builds() {
            compile(&binding(&format!("tests/{name}.cpp")), build, &program.path(build), &[] as &[&str]);
        }
        program
    }

    fn path(&self, build: Build) -> PathBuf {
        self.directory.path().join(format!("{}-{build:?}", self.name))
    }

    /// Runs it both ways; `prepare` makes the cloud, the environment and the arguments of each run.
    fn run(&self, prepare: impl Fn(&Cloud, &mut Command)) {
        for &build in builds() {
            let cloud = cloud();
            let mut command = checked(&self.path(build), build);
            command.envs(cloud.env()).env("TSS2_LOG", "all+none");
            prepare(&cloud, &mut command);
            println!("{}", succeed(&mut command));
        }
    }
}

fn cloud() -> Cloud {
    Cloud::start(Options::default()).unwrap()
}

fn binding(path: &str) -> PathBuf {
    root().join("bindings/cpp").join(path)
}

/// Do the three ways in give both kinds of token, with everything that the header offers at hand?
#[test]
fn flows() {
    Program::new("flows").run(|cloud, command| {
        command.arg(cloud.state_dir().join("store"));
        let due = json!({"refresh_in": 1}).as_object().unwrap().clone();
        cloud.fault(Fault { set: due, ..Fault::on("token") }).unwrap();
    });
}

/// since_july_2026 spec, section 1: is a token of Azure Arc's agent given that it says is for the identity asked for, and
/// no other?
#[test]
fn azure_arc() {
    Program::new("managed_identity").run(|cloud, command| {
        for echo in [json!(directory::USER_ASSIGNED_CLIENT_ID), json!(null)] {
            let answer = json!({ "access_token": "confirmed", "expires_on": 3600, "client_id": echo });
            cloud.fault(Fault { body: Some(answer.to_string()), ..Fault::on("arc") }).unwrap();
        }
        command.envs(cloud.source_env(Source::AzureArc)).arg("arc");
    });
}

/// since_july_2026 spec, section 2: is a token asked for over mTLS a Bearer one of the token service?
#[test]
fn request_over_mtls() {
    Program::new("managed_identity").run(|_, command| {
        command.arg("over mtls");
    });
}

/// since_july_2026 spec, section 3: does MSAL_MI_DISABLE_IMDS_V2 count while a program runs?
#[test]
fn imds_v2_switch() {
    Program::new("managed_identity").run(|_, command| {
        command.arg("switch");
    });
}

/// Do both styles tell all of an error, and are wrong settings, cut text and moved-from objects errors?
#[test]
fn errors() {
    Program::new("errors").run(|cloud, _| {
        let wants_claims = json!({"error": "interaction_required", "suberror": "basic_action",
            "error_description": "AADSTS50079: more is wanted", "claims": r#"{"access_token":{"acrs":{}}}"#});
        let body = |status, body: &serde_json::Value| Fault {
            status: Some(status),
            body: Some(body.to_string()),
            ..Fault::on("token")
        };
        // The first two requests have a wrong secret, which the service itself judges.
        cloud.fault(Fault { times: 2, ..Fault::on("token") }).unwrap();
        cloud.fault(body(400, &wants_claims)).unwrap();
        let mut throttled = body(429, &json!({}));
        throttled.headers.insert("Retry-After".to_owned(), "77".to_owned());
        cloud.fault(throttled).unwrap();
    });
}

/// Does what a callback of each kind throws leave the call that asked for it, and is what it held released once?
#[test]
fn callbacks() {
    let place = tempfile::tempdir().unwrap();
    let [(signer, public_key), (_, other)] = ["one", "two"].map(|name| key_pair(place.path(), name));
    Program::new("callbacks").run(|cloud, command| {
        command
            .env("SIGNER_CERTIFICATE", &signer)
            .env("PUBLIC_KEY", &public_key)
            .env("OTHER_PUBLIC_KEY", &other);
        command.arg(cloud.state_dir().join("store"));
    });
}

/// Do bodies of any length go both ways through what C++ has for them, and does what a callable throws come out?
#[test]
fn streaming() {
    Program::new("streaming").run(|cloud, command| {
        command.arg(cloud.state_dir().join("body"));
    });
}

/// Makes a file with a certificate and its key, and one with the public key in DER.
fn key_pair(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    let [private, public] = ["pem", "der"].map(|extension| directory.join(name).with_extension(extension));
    let mut openssl = hermetic("openssl", 60);
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=signer", "-keyout", "-"]);
    fs::write(&private, succeed(&mut openssl)).unwrap();
    let mut openssl = hermetic("openssl", 60);
    openssl.args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(&private).arg("-out").arg(&public);
    succeed(&mut openssl);
    (private, public)
}

/// Does a key in a TPM do for what a key in memory does, and is it told where it does not?
#[test]
fn tpm() {
    let swtpms = std::cell::RefCell::new(Vec::new());
    Program::new("tpm").run(|_, command| {
        let swtpm = Swtpm::start();
        command.env("TPM2TOOLS_TCTI", swtpm.tcti());
        swtpms.borrow_mut().push(swtpm);
    });
}

/// Do threads share an app, does a flag stop a call, and do 100,000 rounds take no memory? It is measured without
/// sanitizers and valgrind, which keep what is freed.
#[test]
fn soak() {
    let slow = || Fault { delay_ms: 60_000, times: 2, ..Fault::on("token") };
    let program = Program::new("soak");
    program.run(|cloud, command| {
        cloud.fault(Fault::on("token")).unwrap();
        cloud.fault(slow()).unwrap();
        command.arg("200");
    });
    let cloud = cloud();
    cloud.fault(Fault::on("token")).unwrap();
    cloud.fault(slow()).unwrap();
    let mut command = hermetic(program.path(Build::Plain), 240);
    println!("{}", succeed(command.envs(cloud.env()).arg("100000")));
}

/// Does the header compile without a warning alone and twice, in each standard and without RTTI; and is it one thing
/// in a program of several units?
#[test]
fn compiles_everywhere() {
    let place = tempfile::tempdir().unwrap();
    let alone = place.path().join("alone.cpp");
    fs::write(&alone, "#include <mtlspop.hpp>\n#include <mtlspop.hpp>\nint nothing;\n").unwrap();
    for standard in ["c++17", "c++20"] {
        for more in [&[] as &[&str], &["-fno-rtti"], &["-O2", "-Wsign-conversion", "-Wold-style-cast"]] {
            for source in [&alone, &binding("tests/unit_one.cpp"), &binding("tests/unit_two.cpp")] {
                succeed(unit(standard, more).arg("-fsyntax-only").arg(source));
            }
        }
    }

    let objects: Vec<PathBuf> = [("unit_one", "c++17"), ("unit_two", "c++20")]
        .map(|(name, standard)| {
            let object = place.path().join(name).with_extension("o");
            let source = binding(&format!("tests/{name}.cpp"));
            succeed(unit(standard, &["-fno-rtti", "-c"]).arg(source).arg("-o").arg(&object));
            object
        })
        .into();
    let program = place.path().join("units");
    let library = library_directory();
    let mut linker = Command::new(compiler("c++"));
    linker.arg("-o").arg(&program).args(&objects).arg("-L").arg(&library).arg("-lmtlspop");
    succeed(linker.arg(format!("-Wl,-rpath,{}", library.display())));
    succeed(hermetic(&program, 60).arg(place.path().join("store")));
}

/// Does a compiler that is too old, or asked for too old a standard, say this and nothing else?
#[test]
fn needs_cpp17() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("old.cpp");
    fs::write(&source, "#include <mtlspop.hpp>\n#include <mtlspop.hpp>\nint nothing;\n").unwrap();
    for standard in ["c++98", "c++11", "c++14"] {
        let output = unit(standard, &["-fsyntax-only"]).arg(&source).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("error")).collect();
        // The compiler's own words, and the line of the header that it quotes.
        assert!(errors[0].contains("mtlspop.hpp needs C++17 or later: compile with -std=c++17"), "{said}");
        assert_eq!(errors.iter().filter(|line| line.contains("error:")).count(), 1, "{said}");
    }
}

/// The compiler with every warning that a user may have on.
fn unit(standard: &str, more: &[&str]) -> Command {
    let mut command = Command::new(compiler("c++"));
    command.arg(format!("-std={standard}"));
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]).args(more);
    command.arg("-I").arg(root().join("include")).arg("-I").arg(binding(""));
    command
}

/// Is every function and number of the C header at hand in the binding?
#[test]
fn everything_is_reachable() {
    let header = fs::read_to_string(binding("mtlspop.hpp")).unwrap();
    let says = |name: &str| {
        let follows = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        header.match_indices(name).any(|(at, _)| follows(&header[at + name.len()..]))
    };
    let c_header = fs::read_to_string(root().join("include/mtlspop.h")).unwrap();
    let numbers = c_header.lines().filter_map(|line| line.strip_prefix("#define MTLSPOP_"));
    let numbers = numbers.filter_map(|line| line.split_once(' ')).map(|(name, _)| format!("MTLSPOP_{name}"));
    let numbers = numbers.filter(|name| !name.starts_with("MTLSPOP_VERSION"));
    let functions = fs::read_to_string(root().join("abi/symbols.txt")).unwrap();
    // The errors of callbacks and calls carry their status themselves.
    let known = ["mtlspop_error_status"];
    let missing: Vec<String> = functions
        .lines()
        .map(str::to_owned)
        .filter(|name| !known.contains(&name.as_str()))
        .chain(numbers)
        .filter(|name| !says(name))
        .collect();
    assert!(missing.is_empty(), "bindings/cpp/mtlspop.hpp has no way to {missing:?}");
}

/// Does the sample of the binding's own page do what it says, and does what else is shown there compile?
#[test]
fn sample() {
    let page = fs::read_to_string(binding("README.md")).unwrap();
    let mut blocks = page.split("```cpp\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("sample.cpp");
    fs::write(&source, blocks.next().unwrap()).unwrap();
    let program = place.path().join("sample");
    compile(&source, builds()[0], &program, &[] as &[&str]);
    let said = succeed(hermetic(&program, 60).envs(cloud().env()));
    assert!(said.starts_with("mtls_pop, bound to ") && said.ends_with("\n200\n"), "{said}");

    let names = "mtlspop::app_options &options, mtlspop::app &identity, mtlspop::token_request &exchange, \
                 mtlspop::token &bound";
    let includes = "#include <mtlspop.hpp>\n#include <fstream>\n#include <iostream>\n";
    for block in blocks {
        let unused = "(void)options, (void)identity, (void)exchange, (void)bound;";
        fs::write(&source, format!("{includes}void shown({names}) {{\n{unused}\n{block}\n}}\n")).unwrap();
        succeed(unit("c++17", &["-fsyntax-only"]).arg(&source));
    }
}
