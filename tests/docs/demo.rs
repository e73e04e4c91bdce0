//! Do the examples work, and would the demo notice if they did not?

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use devcloud::{Cloud, Fault, Options};
use tempfile::TempDir;

use crate::support::{
    build_directory, hermetic, library_directory, report, root, run, rust_program, succeed, valgrind,
};
use crate::swtpm::Swtpm;

/// Does every example get the token it asks for and call the API with it, with nothing that
/// AddressSanitizer or LeakSanitizer could find?
#[test]
fn demo_passes() {
    passes(demo(examples(), &rust_program("acquire_pop")));
}

/// The same under valgrind, which sees what the library does inside. `make sanitize` runs it: it takes minutes.
#[test]
#[ignore = "scripts/sanitize.sh runs it"]
fn demo_passes_under_valgrind() {
    let plain = build_directory().with_file_name("examples-c-plain");
    for target in ["all", "libcurl"] {
        succeed(&mut examples_with(target, &plain, "-O1 -g"));
    }
    // What the demo runs in their place.
    let place = TempDir::new().unwrap();
    let wrap = |program: &Path| {
        let command = valgrind(program, 600);
        let words: Vec<_> = command.get_args().map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        let wrapped = place.path().join(program.file_name().unwrap());
        fs::write(&wrapped, format!("#!/bin/sh\nexec timeout {} \"$@\"\n", words.join(" "))).unwrap();
        fs::set_permissions(&wrapped, fs::Permissions::from_mode(0o755)).unwrap();
        wrapped
    };
    for source in sources() {
        wrap(&plain.join(source.file_stem().unwrap()));
    }
    let rust = wrap(&rust_program("acquire_pop"));
    passes(demo_within(3000, place.path(), &rust));
}

fn passes(mut command: Command) {
    let cloud = Cloud::start(Options::default()).unwrap();
    command.envs(cloud.env());
    let printed = succeed(&mut command);
    let rows = printed.lines().filter(|line| line.ends_with(" 200")).count();
    assert!(printed.ends_with(&format!("demo: all {rows} flows passed\n")), "{printed}");
    assert!(printed.contains(" mtls_pop ") && printed.contains(" Bearer "), "{printed}");
    // Azure Arc is left out only where there can be no mount namespace.
    let mut mount = hermetic("unshare", 20);
    mount.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/var/opt"]);
    assert_eq!(
        printed.contains("\nAzure Arc, user-assigned "),
        run(&mut mount).status.success(),
        "{printed}"
    );
}

/// The same for those with keys in a TPM: a real (software) one, behind a real resource manager?
#[test]
fn demo_with_a_tpm_passes() {
    let cloud = Cloud::start(Options { require_tpm_attestation: true, ..Options::default() }).unwrap();
    let swtpm = Swtpm::start();
    succeed(&mut examples_with("tpm", &sanitized(), SANITIZED));
    let mut command = hermetic("dbus-run-session", 120);
    let script = root().join("scripts/demo-tpm.sh");
    command.arg("--").arg(&script).arg("--manage").arg(&script).arg("--run").arg(examples());
    // One program is OpenSSL's, which leaves its providers to the end of the process; tests/c/tpm.c looks for ours.
    command.envs(cloud.env()).env("TPM2TOOLS_TCTI", swtpm.tcti()).env("ASAN_OPTIONS", "detect_leaks=0");
    let printed = succeed(&mut command);
    assert!(printed.ends_with("demo-tpm: all 3 flows passed\n"), "{printed}");
    assert_eq!(cloud.counter("attest_request"), 1);
}

/// Is every program in examples-c run by the demo, listed for newcomers from MSAL.NET, and short?
#[test]
fn every_example_is_in_the_demo() {
    let demo = fs::read_to_string(root().join("scripts/demo.sh")).unwrap();
    let table = fs::read_to_string(root().join("docs/FROM_MSAL_NET.md")).unwrap();
    for source in sources() {
        let name = source.file_stem().unwrap().to_str().unwrap();
        assert!(demo.contains(&format!("\"$examples/{name}\"")), "scripts/demo.sh does not run {name}");
        assert!(table.contains(&format!("/{name}.c")), "docs/FROM_MSAL_NET.md does not list {name}.c");
    }
    let demo_with_a_tpm = fs::read_to_string(root().join("scripts/demo-tpm.sh")).unwrap();
    for source in sources_in("examples-c/tpm") {
        let name = source.file_stem().unwrap().to_str().unwrap();
        assert!(demo_with_a_tpm.contains(&format!("\"$examples/{name}\"")), "scripts/demo-tpm.sh: {name}");
        assert!(table.contains(&format!("tpm/{name}.c")), "docs/FROM_MSAL_NET.md does not list {name}.c");
    }
    for source in sources().into_iter().chain(sources_in("examples-c/tpm")) {
        let name = source.file_stem().unwrap().to_str().unwrap();
        let lines = fs::read_to_string(&source).unwrap().lines().count();
        assert!(lines < 80, "{name}.c has {lines} lines: an example is read at one glance");
    }
}

/// Does the demo fail, and say why, when an example prints nothing, fails, or got something else than
/// it asked for?
#[test]
fn demo_notices_what_is_wrong() {
    const X5T: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let line = |kind: &str, x5t: &str, cnf: &str, source: &str, status: &str| {
        format!("echo 'flow=x type={kind} x5t#S256={x5t} cnf={cnf} source={source} status={status}'\n")
    };
    let bearer = line("Bearer", "-", "-", "identity_provider", "200");
    let bound = line("mtls_pop", X5T, X5T, "identity_provider", "200");
    let nothing = "--source: says 'source: none'";
    let cached = line("mtls_pop", X5T, X5T, "cache", "200");
    let cases = [
        ("managed_identity_bearer", String::new(), "printed nothing"),
        ("managed_identity_bearer", format!("{bearer}exit 3\n"), "failed with status 3"),
        ("managed_identity_bearer", "echo hello\n".to_owned(), "printed 0 results, not 1"),
        ("managed_identity_bearer", bound.clone(), "asked for a token of type Bearer, got 'mtls_pop'"),
        ("managed_identity_pop", bearer.clone(), "asked for a token of type mtls_pop, got 'Bearer'"),
        ("managed_identity_pop", bound.replacen(X5T, "B", 1), "is not the SHA-256 of a certificate"),
        (
            "managed_identity_pop",
            bound.replace("cnf=A", "cnf=B"),
            "the token is bound to another certificate",
        ),
        ("attested_identity", bearer.clone(), "asked for a token of type mtls_pop, got 'Bearer'"),
        ("sni_bearer", line("Bearer", "-", X5T, "identity_provider", "200"), "must not be bound"),
        (
            "sni_pop",
            line("mtls_pop", X5T, X5T, "identity_provider", "401"),
            "the API answered '401', not 200",
        ),
        ("fic_pop", cached.clone(), "expected a token from identity_provider"),
        ("fic_two_legs", bound.clone(), "asked for a token of type Bearer, got 'mtls_pop'"),
        ("agent_identity", bound.clone(), "asked for a token of type Bearer, got 'mtls_pop'"),
        ("workload_identity", bound.clone(), "asked for a token of type Bearer, got 'mtls_pop'"),
        ("call_graph", bound.repeat(3), "expected a token from cache"),
        ("call_graph", bound.clone(), "printed 1 results, not 3"),
        ("managed_identity_bearer", "echo source: none\n".to_owned(), nothing),
    ];
    for (wrong, script, complaint) in cases {
        let directory = TempDir::new().unwrap();
        for source in sources() {
            let name = source.file_stem().unwrap().to_str().unwrap();
            let right = match name {
                "call_graph" => format!("{bound}{cached}{cached}"),
                "agent_identity" | "workload_identity" => bearer.clone(),
                "fic_two_legs" => format!("case $* in *--bearer) {bearer};; *) {bound};; esac\n"),
                name if name.ends_with("bearer") => bearer.clone(),
                _ => bound.clone(),
            };
            let text = if name == wrong { &script } else { &right };
            let asked = match name.starts_with("managed_identity") && (name != wrong || complaint != nothing)
            {
                true => {
                    "[ \"${1:-}\" != --source ] || { printf 'source: IMDS\nmtls_pop: yes, strength of the key: software'; exit; }\n"
                }
                false => "",
            };
            let path = directory.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{asked}{text}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = demo(directory.path(), Path::new("/nowhere"));
        command.env("DEVCLOUD_STATE_DIR", directory.path());
        for variable in
            ["DEVCLOUD_CONTROL", "DEVCLOUD_ARC_ENDPOINT", "USER_ASSIGNED_CLIENT_ID", "FIC_CLIENT_ID"]
        {
            command.env(variable, "unused");
        }
        let output = run(&mut command);
        let said = errors(&output);
        assert!(!output.status.success() && said.contains(complaint), "{}", report(&command, &output));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("passed"), "{}", report(&command, &output));
    }
}

/// Does an example explain its use, and name the setting that is missing?
#[test]
fn examples_explain_themselves() {
    for source in sources() {
        let program = examples().join(source.file_stem().unwrap());
        let usage = succeed(hermetic(&program, 20).arg("--help"));
        assert!(usage.starts_with("usage: ") && usage.lines().count() > 1, "{usage}");
    }
    let output = run(&mut hermetic(examples().join("sni_pop"), 20));
    assert!(!output.status.success());
    assert_eq!(errors(&output), "set AZURE_CLIENT_CERTIFICATE_PATH (--help lists the settings)\n");
}

/// Do the examples for managed identities tell what the host has, and with status 3 that it has nothing,
/// without acquiring anything?
#[test]
fn examples_tell_the_source() {
    let cloud = Cloud::start(Options::default()).unwrap();
    for name in ["managed_identity_pop", "managed_identity_bearer"] {
        let ask = || {
            let mut command = hermetic(examples().join(name), 60);
            command.envs(cloud.env()).arg("--source");
            command
        };
        let said = succeed(&mut ask());
        let expected = "source: IMDS\nwhy: IMDSv2 answered its probe";
        assert!(said.starts_with(expected) && said.contains("strength of the key: software"), "{said}");
        let said = succeed(ask().env("MSI_ENDPOINT", "http://127.0.0.1:1/"));
        assert!(said.starts_with("source: Cloud Shell\nwhy: the environment sets MSI_ENDPOINT\n"), "{said}");
        assert!(said.contains("mtls_pop: no"), "{said}");

        for operation in ["metadata", "imds_token"] {
            cloud.fault(Fault::status(operation, 404)).unwrap();
        }
        let mut command = ask();
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(3), "{}", report(&command, &output));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with("source: none\n") && said.contains("IMDSv1: HTTP 404"), "{said}");
    }
    assert_eq!((cloud.counter("issuecredential"), cloud.counter("token")), (0, 0));
}

/// Does an example that is refused say so with status, code, message and correlation id, and fail?
#[test]
fn examples_explain_errors() {
    let cloud = Cloud::start(Options::default()).unwrap();
    let mut command = hermetic(examples().join("sni_pop"), 60);
    command.envs(cloud.env()).env("AZURE_CLIENT_ID", "99999999-9999-9999-9999-999999999999");
    let output = run(&mut command);
    let said = errors(&output);
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", report(&command, &output));
    assert!(said.starts_with("REJECTED (301) unauthorized_client: AADSTS700016"), "{said}");
    assert!(said.contains("[correlation id ") && said.lines().count() == 1, "{said}");

    let mut command = hermetic(examples().join("managed_identity_pop"), 60);
    command.envs(cloud.env()).env("API_URL", "https://graph.microsoft.com/status/403");
    let output = run(&mut command);
    assert!(!output.status.success(), "{}", report(&command, &output));
    assert!(errors(&output).contains("the API answered 403"), "{}", report(&command, &output));
}

fn demo(examples: &Path, rust_example: &Path) -> Command {
    demo_within(120, examples, rust_example)
}

fn demo_within(seconds: u32, examples: &Path, rust_example: &Path) -> Command {
    let mut command = hermetic(root().join("scripts/demo.sh"), seconds);
    command.current_dir(root()).arg("--run").arg(examples).arg(rust_example).arg(rust_program("mtlspop"));
    command
}

/// The C examples, built once by their own Makefile, with sanitizers.
fn examples() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        for target in ["all", "libcurl"] {
            succeed(&mut examples_with(target, &sanitized(), SANITIZED));
        }
        sanitized()
    })
}

const SANITIZED: &str = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all";

fn sanitized() -> PathBuf {
    build_directory().with_file_name("examples-c-sanitized")
}

fn examples_with(target: &str, directory: &Path, flags: &str) -> Command {
    let mut command = hermetic("make", 120);
    command
        .args(["--silent", target, "-C"])
        .arg(root().join("examples-c"))
        .arg(format!("OUT={}", directory.display()))
        .arg(format!("LIBDIR={}", library_directory().display()))
        .arg(format!("CFLAGS={flags}"));
    command
}

/// What scripts/demo.sh runs.
fn sources() -> Vec<PathBuf> {
    [sources_in("examples-c"), sources_in("examples-c/libcurl")].concat()
}

fn sources_in(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
