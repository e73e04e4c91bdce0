//! The .NET assembly under Mono and, where it is here, .NET, against devcloud: programs in C# as our users write them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod additions;
mod how_to;
mod managed_identities;
mod package;
mod runtimes;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::{Close, Cloud, Fault, Options, ReceivedRequest, Service};
use runtimes::Runtime;
use serde_json::{Value, json};
use support::{beside_nginx, compiler, library_directory, report, root, run, succeed};
use tempfile::TempDir;

#[path = "../../devcloud/tests/common/swtpm.rs"]
mod swtpm;
use swtpm::Swtpm;

/// A directory with the assembly and the tests, compiled once.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<TempDir> = OnceLock::new();
    PROGRAMS
        .get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let assembly = directory.path().join("mtlspop.dll");
            compile("library", &assembly, &sources("src"));
            compile("exe", &directory.path().join("tests.exe"), &sources("tests"));
            directory
        })
        .path()
}

/// The C# files of a folder of the binding.
fn sources(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("bindings/dotnet").join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "cs")).collect()
}

/// Compiles C#, against the assembly that is beside it.
fn compile(target: &str, out: &Path, sources: &[PathBuf]) {
    let mut command = Command::new("mcs");
    command.args(["-langversion:7.2", "-warn:4", "-warnaserror+", "-debug", "-r:System.Net.Http"]);
    command.arg(format!("-target:{target}")).arg(format!("-out:{}", out.display()));
    if target == "exe" {
        command.arg(format!("-r:{}", out.with_file_name("mtlspop.dll").display()));
    }
    succeed(command.args(sources));
    if target == "exe" {
        runtimes::prepare(out);
    }
}

/// Runs a test of bindings/dotnet/tests on each runtime, in a cloud of its own; `check` looks at what that received.
fn test(name: &str, check: impl Fn(&Cloud)) {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        test_in(&cloud, runtime, name, &[]);
        check(&cloud);
    }
}

/// Runs a test in a cloud that has been prepared, with more in its environment.
fn test_in(cloud: &Cloud, runtime: Runtime, name: &str, environment: &[(&str, &str)]) {
    let mut command = runtime.command(cloud, &programs().join("tests.exe"));
    command.arg(name).envs(environment.iter().copied());
    succeed_printing(&mut command);
}

fn succeed_printing(command: &mut Command) {
    let output = run(command);
    assert!(output.status.success(), "{}", report(command, &output));
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

/// Is a vault called, which asks for the certificate in a renegotiation?
#[test]
fn key_vault() {
    test("KeyVault", |cloud| assert_eq!(cloud.counter("renegotiations"), 1));
}

/// Does a managed identity get both kinds of token, each once, and an API called with the bound one?
#[test]
fn managed_identity() {
    test("ManagedIdentity", |cloud| {
        assert_eq!((cloud.counter("imds_token"), cloud.counter("token")), (1, 1));
        assert_eq!(cloud.counter("graph"), 2);
    });
}

/// Does a task end before it begins where the cache has the token, with nothing sent and every field what it should be?
#[test]
fn cached() {
    test("Cached", |cloud| assert_eq!((cloud.counter("token"), cloud.counter("graph")), (2, 2)));
}

/// Is one identity found by each of its names, with one certificate?
#[test]
fn user_assigned() {
    test("UserAssigned", |cloud| assert_eq!(cloud.counter("issuecredential"), 1));
}

/// Do certificate and issuers get both kinds of token, with every field of the result what it should be?
#[test]
fn subject_name_issuer() {
    test("SubjectNameIssuer", |cloud| assert_eq!(cloud.counter("token"), 3));
}

/// Does a delegate that waits get both kinds of token?
#[test]
fn federated() {
    test("Federated", |cloud| assert_eq!((cloud.counter("token"), cloud.counter("graph")), (2, 2)));
}

/// Do 200 calls on a cold app share one request, and leave its delegate a thread to go on?
#[test]
fn crowd() {
    test("Crowd", |cloud| assert_eq!(cloud.counter("token"), 1));
}

/// Does an exception have everything that the service said?
#[test]
fn fields_of_errors() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let claims = r#"{"access_token":{}}"#;
        let required = json!({
            "error": "interaction_required", "error_description": "AADSTS50079: more", "suberror": "basic_action",
            "claims": claims,
        });
        // The first request is judged as it is.
        cloud.fault(Fault::set("token", json!({}))).unwrap();
        cloud.fault(Fault { body: Some(required.to_string()), ..Fault::status("token", 400) }).unwrap();
        cloud
            .fault(Fault {
                headers: [("retry-after".to_owned(), "7".to_owned())].into(),
                ..Fault::status("token", 429)
            })
            .unwrap();
        cloud.fault(Fault { close: Some(Close::BeforeResponse), times: 99, ..Fault::on("token") }).unwrap();
        test_in(&cloud, runtime, "Fields", &[]);
    }
}

/// Is each mistake of a caller an exception in words?
#[test]
fn mistakes() {
    test("Mistakes", |cloud| assert_eq!(cloud.counter("token"), 1));
}

/// Does a CancellationToken reach the library and the delegate, and end a call that waits for either?
#[test]
fn cancelled() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        cloud.fault(Fault { delay_ms: 60_000, times: 9, ..Fault::on("token") }).unwrap();
        let begun = std::time::Instant::now();
        test_in(&cloud, runtime, "Cancelled", &[]);
        assert!(begun.elapsed().as_secs() < 50, "no call waited for the service");
    }
}

/// Is what a delegate throws the inner exception of the call's, whether it throws at once or later?
#[test]
fn thrown_by_delegates() {
    test("Thrown", |cloud| assert_eq!(cloud.counter("token"), 0));
}

/// Does a key that cannot be exported sign by the external signer: for assertions, and under .NET for TLS, too?
#[test]
fn signer() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        test_in(&cloud, runtime, "Signer", &[]);
        let bound = u64::from(runtime == Runtime::DotNet);
        assert_eq!((cloud.counter("token"), cloud.counter("graph")), (1 + bound, bound));
    }
}

/// Does the handler send what HttpClient was given, and nothing where the token is not the certificate's?
#[test]
fn handler() {
    test("Handler", |cloud| {
        let sent = cloud.requests_to(Service::Graph);
        let [sent] = &sent[..] else { panic!("one request went out: {sent:?}") };
        assert_eq!(sent.header("user-agent"), Some("program/1.0 (test)"));
        assert_eq!(sent.header("x-demo"), Some("a, b"));
        assert_eq!(sent.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!((sent.method.as_str(), sent.body.as_str()), ("POST", "ü"));
    });
}

/// Does nginx see the certificate that a token is bound to: from .NET's own clients, and from our handler?
#[test]
fn nginx() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let mut command = runtime.command(&cloud, &programs().join("tests.exe"));
        succeed_printing(&mut beside_nginx(command.arg("Nginx")));
    }
}

/// Does a certificate with an EC key do under .NET?
#[test]
fn elliptic() {
    for runtime in Runtime::all().into_iter().filter(|runtime| *runtime == Runtime::DotNet) {
        let cloud = Cloud::start(Options::default()).unwrap();
        let pfx = cloud.state_dir().join("ec.pfx");
        runtime.write_pfx(&cloud.files().sni_ec(), &pfx);
        test_in(&cloud, runtime, "Elliptic", &[("EC_PFX", pfx.to_str().unwrap())]);
        assert_eq!(cloud.counter("graph"), 1);
    }
}

/// Does the call that has the next token fetched say so, and is a delegate told what came of it?
#[test]
fn early_refresh() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let set = json!({"refresh_in": 1}).as_object().unwrap().clone();
        cloud.fault(Fault { set, times: 2, ..Fault::on("token") }).unwrap();
        let body = Some(r#"{"error":"invalid_request"}"#.to_owned());
        cloud.fault(Fault { body, ..Fault::status("token", 400) }).unwrap();
        test_in(&cloud, runtime, "EarlyRefresh", &[]);
    }
}

/// Is a delegate asked for the certificate, once for each request that goes out?
#[test]
fn certificate_provider() {
    test("Provider", |cloud| assert_eq!(cloud.counter("token"), 2));
}

/// Is a key attested by a delegate where the request says so, and only there?
#[test]
fn attested() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options { require_attestation: true, ..Options::default() }).unwrap();
        test_in(&cloud, runtime, "Attested", &[]);
        assert_eq!(cloud.counter("attest"), 1);
    }
}

/// Is a token bound to a key in a TPM that vouches for it, and an API called with that key?
#[test]
fn tpm() {
    for runtime in Runtime::all() {
        let plugin = library_directory().join("libmtlspop_tpm.so");
        assert!(plugin.exists(), "no {}: cargo test --package mtlspop-tpm --no-run", plugin.display());
        let options = Options { require_tpm_attestation: true, ..Options::default() };
        let (swtpm, cloud) = (Swtpm::start(), Cloud::start(options).unwrap());
        test_in(&cloud, runtime, "Tpm", &[("TCTI", &swtpm.tcti())]);
        assert_eq!((cloud.counter("attest_request"), cloud.counter("graph")), (1, 1));
    }
}

/// Does memory stay as it is over 100,000 tokens and 1,000 apps, certificates and errors, made and disposed?
#[test]
fn cycles() {
    test("Cycles", |cloud| assert_eq!((cloud.counter("issuecredential"), cloud.counter("token")), (1, 1)));
}

/// Does the handler send a token as long as its certificate is there, whoever still has its result?
#[test]
fn remembered() {
    test("Remembered", |cloud| assert_eq!(cloud.counter("graph"), 3));
}

/// Does a delegate live as long as the app that may call it, and no longer?
#[test]
fn rooted() {
    test("Rooted", |cloud| assert_eq!(cloud.counter("token"), 1));
}

/// Is a library of another ABI refused with a sentence before anything is called?
#[test]
fn other_version() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let source = "int mtlspop_abi_version(void) { return 1 << 16 | 9; }\n\
                      const char *mtlspop_version(void) { return \"9.9.9\"; }\n";
        fs::write(at("other.c"), source).unwrap();
        let mut gcc = Command::new(compiler("c"));
        gcc.args(["-shared", "-fPIC", "-o"]).arg(at("libmtlspop.so")).arg(at("other.c"));
        succeed(&mut gcc);
        test_in(&cloud, runtime, "OtherVersion", &[("LD_LIBRARY_PATH", directory.path().to_str().unwrap())]);
    }
}

/// Is the issuer of a certificate that comes alone sent where the user's store has it?
#[test]
fn issuer() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let at = |name: &str| cloud.state_dir().join(name);
        let chain = fs::read_to_string(cloud.files().sni_certificate()).unwrap();
        let (leaf, intermediate) = chain.split_at(chain.rfind("-----BEGIN").unwrap());
        fs::write(at("leaf.pem"), leaf.to_owned() + &fs::read_to_string(cloud.files().sni_key()).unwrap())
            .unwrap();
        fs::write(at("intermediate.pem"), intermediate).unwrap();
        runtime.write_pfx(&at("leaf.pem"), &at("leaf.pfx"));
        let (leaf, intermediate) = (at("leaf.pfx"), at("intermediate.pem"));
        let environment =
            [("LEAF_PFX", leaf.to_str().unwrap()), ("INTERMEDIATE", intermediate.to_str().unwrap())];
        test_in(&cloud, runtime, "Issuer", &environment);
        let certificates = |request: &ReceivedRequest| {
            let assertion = request.form("client_assertion")?;
            let header = URL_SAFE_NO_PAD.decode(assertion.split('.').next()?).unwrap();
            serde_json::from_slice::<Value>(&header).unwrap()["x5c"].as_array().map(Vec::len)
        };
        let sent: Vec<_> = cloud.requests().iter().filter_map(certificates).collect();
        assert_eq!(sent, [1, 2], "the certificate, then its issuer, too");
    }
}

/// Does a key do that Mono's own PFX export writes wrong, as it does one in a hundred?
#[test]
fn short_integer() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let at = |name: &str| cloud.state_dir().join(name);
        let key = root().join("bindings/dotnet/tests/short-integer.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-new", "-subj", "/CN=short", "-days", "2", "-key"]).arg(&key);
        let certificate = succeed(&mut openssl);
        fs::write(at("short.pem"), certificate + &fs::read_to_string(key).unwrap()).unwrap();
        runtime.write_pfx(&at("short.pem"), &at("short.pfx"));
        test_in(&cloud, runtime, "ShortInteger", &[("SHORT_PFX", at("short.pfx").to_str().unwrap())]);
    }
}

/// Does the sample of the README compile and run as it stands there?
#[test]
fn sample_of_the_readme() {
    for runtime in Runtime::all() {
        let directory = tempfile::tempdir().unwrap();
        fs::copy(programs().join("mtlspop.dll"), directory.path().join("mtlspop.dll")).unwrap();
        let sample = compile_sample(directory.path());
        let cloud = Cloud::start(Options::default()).unwrap();
        assert_eq!(succeed(&mut runtime.command(&cloud, &sample)), "200\n");
    }
}

/// Compiles that sample in a directory that has the assembly.
fn compile_sample(directory: &Path) -> PathBuf {
    let readme = fs::read_to_string(root().join("bindings/dotnet/README.md")).unwrap();
    let sample = readme.split("```csharp\n").nth(1).unwrap().split("```").next().unwrap();
    fs::write(directory.join("Sample.cs"), sample).unwrap();
    // Ends at once, as tests/Program.cs does.
    let main = "using System.Reflection; static class Exit { static void Main() { typeof(Program)
        .GetMethod(\"Main\", BindingFlags.Static | BindingFlags.NonPublic).Invoke(null, null);
        System.Environment.Exit(0); } }";
    fs::write(directory.join("Exit.cs"), main).unwrap();
    let program = directory.join("sample.exe");
    let sources = ["Sample.cs", "Exit.cs"].map(|name| directory.join(name));
    compile("exe", &program, &[&sources[..], &["-main:Exit".into()]].concat());
    program
}
