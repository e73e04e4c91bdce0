//! Does the program do what its help says?
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

fn devcloud() -> Command {
    Command::new(env!("CARGO_BIN_EXE_devcloud"))
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_ready_line_has_everything_and_sigterm_ends_it_well() {
    let mut serve = devcloud().arg("serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(serve.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&ready["event"], &ready["pid"]), (&"ready".into(), &serve.id().into()));
    for name in ["imds", "proxy", "control"] {
        assert!(ready[name].as_str().unwrap().starts_with("http://127.0.0.1:"), "{name}");
    }
    for name in [
        "HTTPS_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "DEVCLOUD_CONTROL",
        "DEVCLOUD_STATE_DIR",
        "DEVCLOUD_ARC_ENDPOINT",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_REGION",
        "FIC_CLIENT_ID",
        "FIC_CERTIFICATE_PATH",
        "FIC_ASSERTION_PATH",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_KUBERNETES_TOKEN_PROXY",
        "AZURE_KUBERNETES_CA_FILE",
        "AZURE_KUBERNETES_SNI_NAME",
        "AGENT_BLUEPRINT_CLIENT_ID",
        "AGENT_IDENTITY_CLIENT_ID",
        "USER_ASSIGNED_CLIENT_ID",
        "USER_ASSIGNED_OBJECT_ID",
        "USER_ASSIGNED_RESOURCE_ID",
    ] {
        assert!(ready["env"][name].is_string(), "{name}");
    }
    let directory = std::path::PathBuf::from(ready["state_dir"].as_str().unwrap());
    assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for entry in directory.read_dir().unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The shell has a kill of its own; the program is a package that may be missing.
    let kill = Command::new("sh").args(["-c", "kill \"$0\"", &serve.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert!(serve.wait().unwrap().success());
    assert!(!directory.exists(), "a temporary directory goes with the cloud");
}

#[test]
fn run_exits_as_the_command_does() {
    let run = |script: &str| devcloud().args(["run", "--", "sh", "-c", script]).output().unwrap();
    assert_eq!(run("exit 7").status.code(), Some(7));
    assert_eq!(run("kill -9 $$").status.code(), Some(137));
    assert_eq!(text(run("echo \"$AZURE_REGION\"; test -r \"$AZURE_CLIENT_CERTIFICATE_PATH\"")), "east us\n");
    let source = |source: &str, script: &str| {
        let mut run = devcloud();
        run.env("IDENTITY_HEADER", "the caller's own");
        text(run.args(["run", "--source", source, "--", "sh", "-c", script]).output().unwrap())
    };
    assert_eq!(source("cloud-shell", "echo \"${MSI_ENDPOINT%%:*} $IDENTITY_HEADER\""), "http \n");
    assert_eq!(source("service-fabric", "echo \"${IDENTITY_ENDPOINT%%:*}\""), "https\n");
    assert_eq!(devcloud().args(["run", "--", "/no/such/program"]).output().unwrap().status.code(), Some(1));
}

#[test]
fn start_leaves_a_cloud_that_mints_assertions_until_stop() {
    let options = ["--arc-agent", "legacy", "--source", "azure-arc"];
    let printed = text(devcloud().arg("start").args(options).output().unwrap());
    let env: BTreeMap<_, _> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('\'')))
        .collect();
    let minted = text(
        devcloud()
            .args(["assertion", "--subject", "s", "--bound-to", env["FIC_CERTIFICATE_PATH"]])
            .envs(&env)
            .output()
            .unwrap(),
    );
    assert_eq!(minted.trim().split('.').count(), 3);
    // The file of Kubernetes has one that is bound to nothing; a new one may take its place.
    let file = || std::fs::read_to_string(env["AZURE_FEDERATED_TOKEN_FILE"]).unwrap();
    let payload = |token: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let before = payload(&file());
    let script = format!("'{}' assertion > \"$AZURE_FEDERATED_TOKEN_FILE\"", env!("CARGO_BIN_EXE_devcloud"));
    text(Command::new("sh").args(["-c", &script]).envs(&env).output().unwrap());
    let after = payload(&file());
    assert_ne!(before["jti"], after["jti"]);
    assert_eq!((&before["sub"], &before["cnf"]), (&after["sub"], &after["cnf"]));
    assert!(before["cnf"].is_null());
    let serving = std::fs::read(format!("/proc/{}/cmdline", env["DEVCLOUD_PID"])).unwrap();
    let serving: Vec<&[u8]> = serving.split(|byte| *byte == 0).collect();
    assert!(options.iter().all(|option| serving.contains(&option.as_bytes())), "{serving:?}");
    let bound = std::fs::read_to_string(env["FIC_ASSERTION_PATH"]).unwrap();
    assert!(payload(&bound)["cnf"].is_object());

    let curl = |path: &str, body: &[&str]| {
        let url = format!("{}{path}", env["DEVCLOUD_CONTROL"]);
        let output =
            Command::new("curl").args(["-q", "-sS", "--noproxy", "*", &url]).args(body).output().unwrap();
        serde_json::from_str::<Value>(&text(output)).unwrap()
    };
    assert_eq!(
        curl("/faults", &["-d", r#"{"operation":"token","status":503,"headers":{"retry-after":"3"}}"#]),
        serde_json::json!({})
    );
    assert_eq!(curl("/faults", &[])[0]["times"], 1);
    assert!(curl("/faults", &["-d", r#"{"operation":"toke"}"#])["error"].is_string());
    let advance = |seconds: i64| {
        let body = format!(r#"{{"advance_seconds":{seconds}}}"#);
        curl("/clock", &["-d", &body])["now"].as_i64().unwrap()
    };
    let now = advance(0);
    assert!(advance(3600) >= now + 3600);
    assert_eq!(curl("/requests", &[]), serde_json::json!([]));
    assert_eq!(curl("/ready", &[])["env"]["AZURE_REGION"], "east us");

    let stop = || devcloud().arg("stop").env("DEVCLOUD_PID", env["DEVCLOUD_PID"]).output().unwrap();
    text(stop());
    let control = env["DEVCLOUD_CONTROL"].strip_prefix("http://").unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(control).is_ok() {
        assert!(Instant::now() < deadline, "the cloud is still there");
    }
}
