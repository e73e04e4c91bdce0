//! `mtlspop exec`: programs that know nothing of it, and get tokens.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use devcloud::Fault;
use devcloud::directory::APP_A_CLIENT_ID;
use serde_json::Value;

use crate::support::{GRAPH, PROGRAM, as_app, bare, claims, cloud, fail, header, in_cloud, succeed};

/// `mtlspop exec OPTIONS -- sh -c SCRIPT`, in the cloud as app A.
fn shell(cloud: &devcloud::Cloud, options: &str, script: &str) -> Command {
    let mut command = as_app(cloud, &format!("exec {options} -- sh -euc"));
    command.arg(script);
    command
}

/// Does a client of App Service, here the library's own, get Bearer tokens of the app, again and again with one request; and are
/// the app's credentials no longer in its environment?
#[test]
fn clients_get_tokens() {
    let cloud = cloud();
    let token = format!("{} token --resource {GRAPH} --output json", env!("CARGO_BIN_EXE_mtlspop"));
    let script = format!("env >&2; {token} >/dev/null; http_proxy=$HTTPS_PROXY {token}");
    for options in ["--certificate $PEM", ""] {
        cloud.reset();
        let options = options.replace("$PEM", &cloud.files().sni().display().to_string());
        let output = shell(&cloud, &options, &script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(claims(printed["accessToken"].as_str().unwrap())["appid"], APP_A_CLIENT_ID);
        assert!(printed["tokenEndpoint"].as_str().unwrap().ends_with("/MSI/token"), "{printed}");
        assert_eq!(cloud.counter("token"), 1);
        assert!(said.contains("IDENTITY_HEADER=") && said.contains("PATH="), "{said}");
        for name in ["AZURE_CLIENT_", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_POD_IDENTITY", "MSI_"] {
            assert!(!said.lines().any(|line| line.starts_with(name)), "{said}");
        }
    }
}

/// Is a real HTTP client answered as App Service does, and refused where it has not the secret, comes by another name, or wants
/// another identity or another API than those that are allowed?
#[test]
fn the_endpoint() {
    let cloud = cloud();
    let curl = "ask() { curl -q -s --noproxy '*' -w ' %{http_code}\\n' -H \"X-IDENTITY-HEADER: ${SECRET-$IDENTITY_HEADER}\" \"$@\"; }
        url=\"$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=\"
        ask \"${url}https://graph.microsoft.com\"
        ask \"${url}https://graph.microsoft.com\" --http1.0
        ask \"${url}https://vault.azure.net\"
        ask \"${url}https://graph.microsoft.com&client_id=other\"
        ask \"${url}https://graph.microsoft.com\" -H 'Host: evil.example'
        ask \"${url}https://graph.microsoft.com\" -H 'Origin: https://evil.example'
        ask \"${url}https://graph.microsoft.com\" -d x
        SECRET=wrong; ask \"${url}https://graph.microsoft.com\"
        ask \"${url}$(head -c 20000 /dev/zero | tr '\\0' x)\"";
    let printed = succeed(&mut shell(&cloud, &format!("--allow-resource {GRAPH}"), curl));
    let lines: Vec<(&str, &str)> = printed.lines().map(|line| line.rsplit_once(' ').unwrap()).collect();
    let statuses: Vec<&str> = lines.iter().map(|(_, status)| *status).collect();
    assert_eq!(statuses, ["200", "200", "403", "400", "403", "403", "405", "401", "431"], "{printed}");
    let answer: Value = serde_json::from_str(lines[0].0).unwrap();
    assert_eq!((&answer["token_type"], &answer["client_id"]), (&"Bearer".into(), &APP_A_CLIENT_ID.into()));
    assert!(
        answer["expires_on"].as_str().unwrap().parse::<u64>().is_ok() && answer["resource"] == GRAPH,
        "{answer}"
    );
    let refused: Value = serde_json::from_str(lines[2].0).unwrap();
    assert_eq!((&refused["statusCode"], &refused["message"].is_string()), (&403.into(), &true));

    // What the service says comes through, with a status for which libraries try again where that may help.
    let ask = "curl -q -s --noproxy '*' -D - -H \"X-IDENTITY-HEADER: $IDENTITY_HEADER\" \
               \"$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://graph.microsoft.com\"";
    let headers = [("retry-after".to_owned(), "77".to_owned())].into();
    cloud.fault(Fault { headers, ..Fault::status("token", 429) }).unwrap();
    let said = succeed(&mut shell(&cloud, "", ask));
    assert!(said.starts_with("HTTP/1.1 429") && said.contains("retry-after: 77"), "{said}");
    let mut wrong = shell(&cloud, "", ask);
    let said = succeed(wrong.env("AZURE_CLIENT_SECRET", "wrong~but.looks-like-one"));
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("AADSTS7000215"), "{said}");
}

/// Do signals and the exit status pass through, is what cannot be run told by its status, and does the endpoint end with the
/// program?
#[test]
fn signals_and_statuses() {
    let cloud = cloud();
    // Waits for as long as its input is open; only `wait` lets a shell hear a signal at once.
    let waiting = "exec 3<&0; cat <&3 >/dev/null & wait";
    for (script, status) in [
        ("exit 7".to_owned(), 7),
        ("kill -9 $$".to_owned(), 137),
        (format!("kill -TERM $PPID; {waiting}"), 143),
        (format!("trap 'exit 3' HUP; kill -HUP $PPID; {waiting}"), 3),
    ] {
        let mut child = shell(&cloud, "", &script).stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{script}");
        drop(input);
    }
    let mut child = shell(&cloud, "", "echo $IDENTITY_ENDPOINT; read line");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let address = url.trim().strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:") && TcpStream::connect(&address).is_ok());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "there was no line");
    assert!(TcpStream::connect(&address).is_err());

    for (arguments, status, says) in [
        ("exec -- /no/such/program", 127, "/no/such/program cannot be run"),
        ("exec -- /etc/passwd", 126, "/etc/passwd cannot be run"),
        ("exec --pop -- true", 2, "Bearer"),
        ("exec --resource x -- true", 2, "--allow-resource"),
        ("exec --certificate /nowhere --tenant a --client-id b -- true", 6, "/nowhere"),
    ] {
        let said = fail(&mut in_cloud(&cloud, arguments), status);
        assert!(said.contains(says), "{arguments}: {said}");
    }
    assert_eq!(bare("exec").output().unwrap().status.code(), Some(2));
}

/// Does a certificate count that replaces another in its file while the program runs; and does it go on with the last one, and say so once,
/// where what is there is none?
#[test]
fn certificates_are_replaced() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("app.pem");
    fs::copy(cloud.files().sni(), &file).unwrap();
    let token = |resource: &str| format!("{PROGRAM} token --resource {resource} --output token >/dev/null;");
    let script = [
        token(GRAPH),
        format!("cp {} {}.new; mv {1}.new {1};", cloud.files().sni_rotated().display(), file.display()),
        token(GRAPH),
        format!("echo none >{};", file.display()),
        token(GRAPH),
        token("https://vault.azure.net"),
    ];
    let output = shell(
        &cloud,
        &format!("--certificate {} --send-certificate-chain", file.display()),
        &script.concat(),
    )
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let kept = said.matches("goes on with what was read before").count();
    assert_eq!((said.lines().count(), kept), (1, 1), "{said}");
    let requests = cloud.requests();
    let keys: Vec<String> = requests
        .iter()
        .filter_map(|request| request.form("client_assertion"))
        .map(|assertion| header(&assertion)["x5t#S256"].as_str().unwrap().to_owned())
        .collect();
    assert!(keys.len() == 3 && keys[0] != keys[1] && keys[1] == keys[2], "{keys:?}");
}
