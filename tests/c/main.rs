//! Programs in C against devcloud, as our users write them: with sanitizers, and again under valgrind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/apache.rs"]
mod apache;
#[path = "../support/callgrind.rs"]
mod callgrind;
mod deb;
mod edges;
mod exports;
mod install;
mod instructions;
mod memory;
mod network;
mod planted;
#[path = "../../devcloud/tests/common/swtpm.rs"]
mod swtpm;
mod tpm;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::{Cloud, Fault, Options, ReceivedRequest, Service, Source, directory};
use serde_json::json;
use support::{Build, builds, checked, compile, hermetic, library_directory, report, root, run, succeed};
use tempfile::TempDir;

/// A program of this folder, built both ways.
struct Program {
    directory: TempDir,
    name: &'static str,
}

impl Program {
    fn new(name: &'static str) -> Self {
        Self::linked_with(name, &[])
    }

    fn linked_with(name: &'static str, arguments: &[&str]) -> Self {
        let program = Self { directory: tempfile::tempdir().unwrap(), name };
        let source = root().join("tests/c").join(format!("{name}.c"));
        for &build in builds() {
            compile(&source, build, &program.path(build), arguments);
        }
        program
    }

    fn path(&self, build: Build) -> PathBuf {
        self.directory.path().join(format!("{}-{build:?}", self.name))
    }

    /// How it is run: with sanitizers by itself, otherwise under valgrind.
    fn command(&self, build: Build, cloud: &Cloud) -> Command {
        let mut command = checked(&self.path(build), build);
        command.envs(cloud.env());
        command
    }

    /// Runs it both ways, each time against a cloud that has forgotten the last; `check` looks at what
    /// the cloud received.
    fn run(&self, arguments: &[&str], check: impl Fn(&Cloud)) {
        let cloud = cloud();
        for &build in builds() {
            cloud.reset();
            println!("{}", succeed(self.command(build, &cloud).args(arguments)));
            check(&cloud);
        }
    }
}

fn cloud() -> Cloud {
    Cloud::start(Options::default()).unwrap()
}

/// Whether the payload of the client assertion holds the text.
fn assertion_says(request: &ReceivedRequest, text: &str) -> bool {
    let assertion = request.form("client_assertion").unwrap_or_default();
    let payload = assertion.split('.').nth(1).unwrap_or_default();
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap().contains(text)
}

/// Does every mistake of a caller get a status and a sentence that say what to do?
#[test]
fn contract() {
    Program::new("contract").run(&[], |_| ());
}

/// Do the three ways in give both kinds of token, with nothing sent for the second of a kind, and
/// is a claims challenge answered, and the host asked what it can do?
#[test]
fn flows() {
    Program::new("flows").run(&[], |cloud| {
        let counters = cloud.counters();
        let expected =
            [("imds_token", 1), ("metadata", 2), ("issuecredential", 1), ("token", 7), ("graph", 9)];
        for (operation, count) in expected {
            assert_eq!(counters.get(operation), Some(&count), "{operation} in {counters:?}");
        }
    });
}

/// Does Apache get the certificate in a renegotiation, from a program in C, with nothing leaked or out of bounds in libssl?
/// And is `SSLKEYLOGFILE` read by neither TLS?
#[test]
fn renegotiation() {
    let (program, cloud) = (Program::new("renegotiation"), cloud());
    let read = |path| std::fs::read_to_string(path).unwrap();
    let (own, clients) = (read(cloud.files().localhost()), read(cloud.files().client_cas()));
    for &build in builds() {
        let apache = apache::Apache::start(&own, &clients, "TLSv1.2");
        let url = apache.url("/private/secret");
        let keys = program.directory.path().join("keys");
        let mut command = program.command(build, &cloud);
        println!("{}", succeed(command.env("APACHE_URL", url).env("SSLKEYLOGFILE", &keys)));
        assert!(!keys.exists(), "a variable has had the keys of connections written down");
        let lines = apache.log(3);
        assert_eq!(lines.iter().filter(|line| line.status == 200 && line.name.is_some()).count(), 3);
        assert!(lines.iter().all(|line| line.status == 200 || line.name.is_none()), "{lines:?}");
    }
}

/// Does everything a confidential client can be told reach the wire, and what came of it the caller
/// (confidential_client spec, sections 3.6, 3.7, 4.5, 6.3, 8 and 9)?
#[test]
fn clients() {
    let program = Program::new("clients");
    let cloud = cloud();
    for &build in builds() {
        cloud.reset();
        cloud.fault(Fault { times: 10, ..Fault::status("compute", 404) }).unwrap();
        println!("{}", succeed(&mut program.command(build, &cloud)));

        let requests = cloud.requests();
        let tokens: Vec<_> =
            requests.iter().filter(|request| request.operation.as_deref() == Some("token")).collect();
        let count =
            |sent: &dyn Fn(&ReceivedRequest) -> bool| tokens.iter().filter(|request| sent(request)).count();
        let form = |name: &'static str, value: &'static str| {
            count(&|request| request.form(name).as_deref() == Some(value))
        };
        let query = |name: &'static str, value: &'static str| {
            count(&|request| request.query(name).as_deref() == Some(value))
        };
        assert_eq!(tokens.len(), 17, "{tokens:#?}");
        assert_eq!(query("of_app", "1"), 7, "one for the tenant, six with additions");
        assert_eq!((query("slice", "a b"), query("dc", "x")), (5, 5));
        assert_eq!(count(&|request| request.header("x-demo") == Some("header")), 5);
        assert_eq!(form("demo", "body"), 4);
        assert_eq!(form("claims", r#"{"demo":1}"#), 3);
        assert_eq!(form("claims", r#"{"access_token":{"xms_cc":{"values":["cp1","cp2"]}}}"#), 3);
        assert_eq!(form("fmi_path", "some/workload"), 1);
        assert_eq!(count(&|request| assertion_says(request, r#""demo":2"#)), 2);
        assert_eq!(count(&|request| request.client_certificate.is_some()), 1, "Bearer over mTLS");
        assert!(!format!("{tokens:?}").contains("contoso"), "a partition key is not sent");
    }
}

/// Is everything told that a program can ask of tokens, errors, responses, certificates and questions, and do the
/// settings that no example needs have their effect (confidential_client spec, section 8)?
#[test]
fn details() {
    let (program, cloud) = (Program::new("details"), cloud());
    let wants = r#"{"error":"invalid_grant","error_description":"AADSTS50076: more is wanted","suberror":"basic_action",
        "error_codes":[50076,50079],"claims":"{\"access_token\":{\"acrs\":{\"value\":\"c1\"}}}"}"#;
    for &build in builds() {
        cloud.reset();
        let later = [("Retry-After".to_owned(), "60".to_owned())].into();
        let body = r#"{"error":"temporarily_unavailable"}"#;
        for fault in [
            Fault { body: Some(wants.into()), ..Fault::status("token", 400) },
            Fault { body: Some(body.into()), headers: later, ..Fault::status("token", 429) },
        ] {
            cloud.fault(fault).unwrap();
        }
        println!("{}", succeed(&mut program.command(build, &cloud)));
        let asked = |name: &str, value: &str| {
            let imds = |request: &&ReceivedRequest| request.operation.as_deref() == Some("imds_token");
            cloud.requests().iter().filter(imds).filter(|r| r.query(name).as_deref() == Some(value)).count()
        };
        assert_eq!(asked("object_id", directory::USER_ASSIGNED_OBJECT_ID), 1);
        assert_eq!(asked("msi_res_id", directory::USER_ASSIGNED_RESOURCE_ID), 1);
    }
}

/// since_july_2026 spec, section 1: is a token of Azure Arc's agent given that it says is for the identity asked for, and
/// no other?
#[test]
fn azure_arc() {
    let (program, cloud) = (Program::new("managed_identity"), cloud());
    for &build in builds() {
        for echo in [json!(directory::USER_ASSIGNED_CLIENT_ID), json!(null)] {
            let answer = json!({ "access_token": "confirmed", "expires_on": 3600, "client_id": echo });
            cloud.fault(Fault { body: Some(answer.to_string()), ..Fault::on("arc") }).unwrap();
        }
        let mut command = program.command(build, &cloud);
        command.envs(cloud.source_env(Source::AzureArc)).arg("arc");
        println!("{}", succeed(&mut command));
    }
    assert_eq!(cloud.counter("arc"), 2 * builds().len() as u64);
}

/// since_july_2026 spec, section 2: is a token asked for over mTLS a Bearer one of the token service?
#[test]
fn request_over_mtls() {
    Program::new("managed_identity").run(&["over mtls"], |cloud| {
        assert_eq!((cloud.counter("imds_token"), cloud.counter("token")), (0, 1));
    });
}

/// since_july_2026 spec, section 3: does MSAL_MI_DISABLE_IMDS_V2 count while a program runs?
#[test]
fn imds_v2_switch() {
    Program::new("managed_identity").run(&["switch"], |cloud| {
        let counters = ["imds_token", "metadata", "issuecredential", "token"].map(|name| cloud.counter(name));
        assert_eq!(counters, [2, 1, 1, 1], "a probe of IMDSv1 and a token from it, then the bound one");
    });
}

/// Is the environment of whoever starts a setuid program believed there? Left out where the tests are not root's.
#[test]
fn privileged() {
    if !rustix::process::geteuid().is_root() {
        println!("left out: only root makes setuid programs");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("privileged");
    let mut gcc = hermetic("gcc", 120);
    // The loader, too, wants nothing of the environment there: the library is inside.
    gcc.args(["-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I"]).arg(root().join("include"));
    gcc.arg("-o").arg(&program).arg(root().join("tests/c/privileged.c"));
    succeed(gcc.arg(library_directory().join("libmtlspop.a")).args(["-pthread", "-ldl", "-lm"]));
    let cloud = cloud();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(place.path(), 0o755);
    for (mode, privileged) in [(0o755, "0"), (0o4755, "1")] {
        open(&program, mode);
        let mut command = match privileged {
            // Root's program, started by nobody.
            "1" => hermetic("setpriv", 60),
            _ => hermetic(&program, 60),
        };
        if privileged == "1" {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        }
        command.arg(cloud.proxy_url()).arg(privileged);
        command.env("SSL_CERT_FILE", cloud.ca_pem_path()).env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "no URL");
        let client = [
            ("AZURE_TENANT_ID", directory::TENANT_ID),
            ("AZURE_CLIENT_ID", directory::APP_A_CLIENT_ID),
            ("AZURE_CLIENT_SECRET", directory::APP_A_SECRET),
        ];
        println!("{}", succeed(command.envs(client)));
    }
    assert_eq!(cloud.counter("token"), 1, "the secret went to no server that the starter vouches for");
}

/// Do 50 threads on a cold app share one request?
#[test]
fn threads() {
    let program = Program::new("threads");
    program.run(&["certificate"], |cloud| assert_eq!(cloud.counter("token"), 1));
    program.run(&["managed_identity"], |cloud| {
        for operation in ["metadata", "issuecredential", "token"] {
            assert_eq!(cloud.counter(operation), 1, "{operation}");
        }
    });
}

/// Can another thread stop a call that waits for a slow service?
#[test]
fn cancel() {
    let program = Program::new("cancel");
    for &build in builds() {
        let cloud = cloud();
        cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("token") }).unwrap();
        println!("{}", succeed(&mut program.command(build, &cloud)));
        assert!(cloud.counter("token") <= 1);
    }
}

/// Is `destroy` called exactly once whatever happens, and does what a callback does stay in bounds?
#[test]
fn callbacks() {
    Program::new("callbacks").run(&[], |_| ());
}

/// Does a key that only the `openssl` command line holds do for handshakes and assertions, with every failure
/// of its callback told and `destroy` called exactly once?
#[test]
fn signer() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().display().to_string();
    Program::new("signer").run(&[&directory], |_| ());
}

/// Does a key that only the `openssl` command line holds do for a managed identity, with every mistake told; and is
/// its callback called for its own app only, and released with it?
#[test]
fn key_signer() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().display().to_string();
    Program::new("key_signer").run(&[&directory], |cloud| {
        assert_eq!(cloud.counter("issuecredential"), 2, "one for each app, none where the signer failed");
    });
}

/// Does IMDS issue certificates for keys that a callback has attested, with every
/// failure told and no certificate in its place (managed_identity spec, sections 5.6 and 5.9)?
#[test]
fn attestation() {
    Program::new("attestation").run(&[], |cloud| {
        assert_eq!(cloud.counter("issuecredential"), 2, "one for an attested key, one for another");
    });
}

/// Do both sides of a `fork` work on at once, each on its own connections? Not under valgrind, which takes what
/// the child leaves alone for leaks.
#[test]
fn fork() {
    let program = Program::new("fork");
    let cloud = cloud();
    let members = json!({"refresh_in": 1}).as_object().unwrap().clone();
    cloud.fault(Fault { set: members, ..Fault::on("token") }).unwrap();
    cloud.fault(Fault { delay_ms: 4000, ..Fault::on("token") }).unwrap();
    println!("{}", succeed(&mut program.command(builds()[0], &cloud)));

    assert_eq!(cloud.counter("token"), 3, "the first token, the refresh, the child's token");
    let graph: Vec<_> = cloud.requests_to(Service::Graph);
    // The child calls once, with a token of its own; the parent before, meanwhile and after.
    let token = |request: &ReceivedRequest| request.header("authorization").unwrap().to_owned();
    let (parent, child): (Vec<_>, Vec<_>) =
        graph.iter().partition(|request| token(request) == token(&graph[0]));
    assert!(parent.len() >= 2, "{parent:?}");
    let connection = graph[0].connection;
    assert!(parent.iter().all(|request| request.connection == connection), "it stays on its connection");
    let [child] = child[..] else { panic!("the child calls once: {child:?}") };
    assert_ne!(child.connection, connection, "the child has one of its own");
    assert_eq!(child.handshake.as_deref(), Some("Full"), "the child resumes no TLS session of its parent");
}

/// Do bodies of any size go both ways, and is every mistake with them told? A child that leaves its parent's stream
/// alone is nothing for valgrind, as above.
#[test]
fn streaming() {
    let (program, cloud) = (Program::new("streaming"), cloud());
    for &build in builds() {
        let arguments: &[&str] = if build == Build::Plain { &[] } else { &["fork"] };
        cloud.reset();
        println!("{}", succeed(program.command(build, &cloud).args(arguments)));
        assert_eq!(cloud.counter("token"), 2, "the first, and one for the challenge that could be answered");
    }
}

/// Is the end of each background refresh told: on a thread of the library, once, also in a forked child and where the
/// callback frees the app; and is a callback that nobody would call an error? Not under valgrind, as above.
#[test]
fn background_refresh() {
    let program = Program::new("background_refresh");
    let cloud = cloud();
    let due = |seconds| Fault::set("token", json!({ "refresh_in": seconds }));
    let refused =
        Fault { body: Some(r#"{"error":"invalid_request"}"#.into()), ..Fault::status("token", 400) };
    // First token and refresh of the parent, those of the child, the next refresh of the parent, the other app.
    for fault in [due(1), due(3), due(1), Fault::on("token"), refused, due(1)] {
        cloud.fault(fault).unwrap();
    }
    println!("{}", succeed(&mut program.command(builds()[0], &cloud)));
    assert_eq!(cloud.counter("token"), 7);
}

/// Is a token had from the cache without waiting, by a loop and by requests that are used once, with one request to the
/// token service in all?
#[test]
fn cached_token() {
    Program::new("cached_token").run(&[], |cloud| {
        assert_eq!((cloud.counter("token"), cloud.counter("graph")), (1, 1));
    });
}

/// Do apps share a cache, and processes a store?
#[test]
fn token_cache() {
    Program::new("token_cache").run(&[], |cloud| assert_eq!(cloud.counter("token"), 5));
}

/// Does a program that starts again find its certificate in the store it gave, with a bad store an error in
/// words and `destroy` called exactly once?
#[test]
fn binding_store() {
    let program = Program::new("binding_store");
    let cloud = cloud();
    for &build in builds() {
        let place = tempfile::tempdir().unwrap();
        cloud.reset();
        for start in 1..=2 {
            println!("{}", succeed(program.command(build, &cloud).arg(place.path().join("store"))));
            assert_eq!((cloud.counter("issuecredential"), cloud.counter("token")), (1, start));
        }
    }
}

/// Are frees that the header forbids found out: left alone in release builds, an abort with a message in
/// debug builds? Best effort, so it cannot be run with what finds them better.
#[test]
fn misuse() {
    let program = Program::new("misuse");
    let cloud = cloud();
    let end = |mistake| -> Output {
        let mut command = hermetic(program.path(Build::Plain), 60);
        run(command.envs(cloud.env()).arg(mistake))
    };
    for (mistake, handle) in [("double_free", "app"), ("wrong_type", "token")] {
        let output = end(mistake);
        if cfg!(debug_assertions) {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{mistake} went unnoticed");
            assert!(
                said.contains(&format!("mtlspop_{handle}_free: this is not a live mtlspop_{handle}")),
                "{said}"
            );
        } else {
            assert!(output.status.success(), "{mistake}: {output:?}");
        }
    }
    let output = end("freed_app");
    assert!(output.status.success(), "{}", report(&Command::new("misuse freed_app"), &output));
}
