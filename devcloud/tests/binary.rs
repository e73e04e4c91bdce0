//! Does the program do what its help says?
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::directory::{APP_A_CLIENT_ID, APP_B_CLIENT_ID, SYSTEM_ASSIGNED_CLIENT_ID};
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

/// Does a program find what one host has, and nothing of another's, not even its caller's; and is the mixture of all
/// spoken of?
#[test]
fn a_host_has_its_own_variables() {
    let identity =
        |name: &&str| name.starts_with("AZURE_") || name.starts_with("MSI_") || name.starts_with("IDENTITY_");
    let run = |options: &[&str]| {
        let mut run = devcloud();
        run.env("AZURE_CLIENT_SECRET", "the caller's").env("AZURE_AUTHORITY_HOST", "the caller's");
        let output = run.arg("run").args(options).args(["--", "env"]).output().unwrap();
        let spoken = !output.stderr.is_empty();
        let printed = text(output);
        assert!(printed.contains("\nNODE_EXTRA_CA_CERTS=") && printed.contains("\nREQUESTS_CA_BUNDLE="));
        let env: BTreeMap<_, _> = printed.lines().filter_map(|line| line.split_once('=')).collect();
        let names = env.keys().copied().filter(identity).collect::<Vec<_>>().join(" ");
        (names, env.get("AZURE_CLIENT_ID").map(|id| (*id).to_owned()), spoken)
    };
    for (options, names, client) in [
        (
            &["--as", "secret"][..],
            "AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_TENANT_ID",
            Some(APP_A_CLIENT_ID),
        ),
        (
            &["--as", "certificate"],
            "AZURE_CLIENT_CERTIFICATE_PATH AZURE_CLIENT_ID AZURE_CLIENT_SEND_CERTIFICATE_CHAIN AZURE_TENANT_ID",
            Some(APP_A_CLIENT_ID),
        ),
        (
            &["--as", "workload", "--source", "azure-arc"],
            "AZURE_AUTHORITY_HOST AZURE_CLIENT_ID AZURE_FEDERATED_TOKEN_FILE AZURE_TENANT_ID",
            Some(APP_B_CLIENT_ID),
        ),
        (&["--as", "managed-identity"], "AZURE_POD_IDENTITY_AUTHORITY_HOST", None),
        (
            &["--as", "managed-identity", "--source", "app-service"],
            "AZURE_POD_IDENTITY_AUTHORITY_HOST IDENTITY_ENDPOINT IDENTITY_HEADER",
            None,
        ),
    ] {
        assert_eq!(run(options), (names.to_owned(), client.map(str::to_owned), false), "{options:?}");
    }
    let (names, client, spoken) = run(&[]);
    assert!(names.contains("AZURE_FEDERATED_TOKEN_FILE") && spoken, "{names}");
    assert_eq!(client.as_deref(), Some(APP_A_CLIENT_ID));
}

/// Is IMDS where clients look that know no other address, in a network that was made for it; and nowhere else but on
/// loopback?
#[test]
fn imds_at_its_own_address() {
    let refused = devcloud().args(["run", "--imds-address", "0.0.0.0:0", "--", "true"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("127.0.0.1 or 169.254.169.254"), "{refused:?}");
    let away =
        devcloud().args(["run", "--imds-address", "169.254.169.254:80", "--", "true"]).output().unwrap();
    assert!(String::from_utf8_lossy(&away.stderr).contains("unshare --net"), "{away:?}");

    let network = |script: &str| {
        let script = format!("ip link set lo up && ip addr add 169.254.169.254/32 dev lo && {script}");
        Command::new("unshare").args(["--net", "--map-root-user", "sh", "-c", &script]).output()
    };
    if !network("true").is_ok_and(|output| output.status.success()) {
        return eprintln!("left out: this user may make no network namespace");
    }
    let ask = "curl -sS --noproxy '*' -H Metadata:true \
        'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com'";
    let program = env!("CARGO_BIN_EXE_devcloud");
    let script =
        format!("exec '{program}' run --as managed-identity --imds-address 169.254.169.254:80 -- {ask}");
    let token: Value = serde_json::from_str(&text(network(&script).unwrap())).unwrap();
    assert_eq!(
        (&token["token_type"], &token["client_id"]),
        (&"Bearer".into(), &SYSTEM_ASSIGNED_CLIENT_ID.into())
    );
}

/// Are Azure Arc's keys written where real clients read them, and is it said at once where that cannot be?
#[test]
fn arc_keys_where_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("azcmagent/tokens");
    let run = |tokens: &std::path::Path| {
        let ask = "curl -sS --noproxy '*' -H Metadata:true -D - \
            \"$IDENTITY_ENDPOINT?api-version=2020-06-01&resource=https://graph.microsoft.com\"";
        let options = ["run", "--as", "managed-identity", "--source", "azure-arc", "--arc-tokens-dir"];
        devcloud().args(options).arg(tokens).args(["--", "sh", "-c", ask]).output().unwrap()
    };
    let challenge = text(run(&tokens));
    let key = tokens.read_dir().unwrap().next().unwrap().unwrap().file_name();
    let realm = format!("Basic realm=/var/opt/azcmagent/tokens/{}", key.to_str().unwrap());
    assert!(challenge.contains(&realm), "{challenge}");
    let refused = run(std::path::Path::new("/proc/tokens"));
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("cannot be written to /proc/tokens"),
        "{refused:?}"
    );
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
