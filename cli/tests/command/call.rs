//! `mtlspop call`: an API called as with curl.

use std::fs;
use std::process::{Command, Stdio};

use devcloud::{Cloud, Fault};
use serde_json::Value;

use crate::support::{GRAPH, PROGRAM, as_app, cloud, fail, fail_with, feed, in_cloud, json, succeed};

/// Is the API called with what was asked for: method, headers, body and its type, a bound token with its certificate, also where
/// that is asked for in a renegotiation; and is a claims challenge answered?
#[test]
fn requests() {
    let cloud = cloud();
    let call = format!("call --resource {GRAPH}");
    let bound = json(&mut as_app(
        &cloud,
        &format!("{call} --pop https://mtlstb.graph.microsoft.com/v1.0/applications"),
    ));
    assert_eq!((&bound["token_type"], &bound["method"]), (&"mtls_pop".into(), &"GET".into()));
    let vault = "call --pop --resource https://vault.azure.net https://demo.vault.azure.net/secrets/demo";
    assert_eq!(json(&mut in_cloud(&cloud, vault))["value"], "a secret of devcloud");
    assert_eq!(cloud.counter("renegotiations"), 1);
    assert_eq!(
        json(&mut as_app(&cloud, &format!("{call} {GRAPH}/claims-challenge")))["path"],
        "/claims-challenge"
    );
    assert_eq!(cloud.counter("graph"), 3, "asked twice for the last one");

    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("body");
    fs::write(&file, "from a file\n").unwrap();
    let form = "application/x-www-form-urlencoded";
    for (options, method, content_type, body) in [
        ("-d a=b".to_owned(), "POST", form, "a=b"),
        ("--json {}".to_owned(), "POST", "application/json", "{}"),
        (format!("-d @{}", file.display()), "POST", form, "from a file\n"),
        ("-d @-".to_owned(), "POST", form, "from stdin"),
        ("-d -x -H Content-Type:text/plain".to_owned(), "POST", "text/plain", "-x"),
    ] {
        let output =
            feed(&mut as_app(&cloud, &format!("{call} {options} -H X-Own:1 {GRAPH}/echo")), b"from stdin");
        let echo: Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = (&echo["method"], &echo["headers"]["content-type"], &echo["body"]);
        assert_eq!(said, (&method.into(), &content_type.into(), &body.into()), "{options}");
        assert_eq!(echo["headers"]["x-own"], "1");
    }
    let echo = json(&mut as_app(&cloud, &format!("{call} -X PATCH --data-binary x {GRAPH}/echo")));
    assert_eq!((&echo["method"], &echo["body"]), (&"PATCH".into(), &"x".into()));
    let echo = json(&mut as_app(&cloud, &format!("{call} DELETE {GRAPH}/echo?a=%20b")));
    assert_eq!((&echo["method"], &echo["query"]), (&"DELETE".into(), &"a=%20b".into()));
}

/// Are status and headers shown on demand, is an error of the API a failure on demand only, and is a redirect not followed?
#[test]
fn answers() {
    let cloud = cloud();
    let call = format!("call --resource {GRAPH}");
    let shown = succeed(&mut as_app(&cloud, &format!("{call} -i {GRAPH}/redirect")));
    assert!(shown.starts_with("HTTP/1.1 302\r\n") && shown.contains("\r\nlocation: https://"), "{shown}");
    assert!(shown.ends_with("\r\n\r\n"), "{shown}");
    assert_eq!(json(&mut as_app(&cloud, &format!("{call} {GRAPH}/status/404")))["status"], 404);
    let said = fail(&mut as_app(&cloud, &format!("{call} --fail {GRAPH}/status/404")), 22);
    assert!(said.contains("the API answered 404"), "{said}");
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("answer");
    let printed = succeed(&mut as_app(&cloud, &format!("{call} -o {} {GRAPH}/status/404", file.display())));
    assert_eq!((printed.as_str(), fs::read_to_string(&file).unwrap().as_str()), ("", "{\"status\":404}"));
    for (options, status, says) in [
        (format!("http://{}/x", &GRAPH[8..]), 2, "https"),
        (format!("-H Authorization:x {GRAPH}/"), 2, "authorization"),
        (GRAPH[8..].to_owned(), 2, "the URL has to begin with https://"),
        (format!("{GRAPH}/ {GRAPH}/"), 2, "one URL is called"),
        (format!("-X GET GET {GRAPH}/"), 2, "the method is given twice"),
        (format!("{GRAPH}/{}", "a".repeat(100_000)), 2, "the URL of the request is longer than 16 KiB"),
        (format!("-H x {GRAPH}/"), 2, "NAME: VALUE"),
        (format!("-d @/nowhere {GRAPH}/"), 2, "/nowhere cannot be read"),
        (format!("-d @/ {GRAPH}/"), 2, "directory"),
        (format!("-o /nowhere/x {GRAPH}/big/1"), 23, "/nowhere/x cannot be written"),
        (format!("-o /dev/full {GRAPH}/big/1"), 23, "No space left"),
        ("https://localhost:1/".to_owned(), 5, "localhost"),
    ] {
        let said = fail(&mut as_app(&cloud, &format!("{call} {options}")), status);
        assert!(said.to_lowercase().contains(&says.to_lowercase()), "{options}: {said}");
    }
    let said =
        fail_with(&mut as_app(&cloud, &format!("{call} -d @- --secret-file - {GRAPH}/")), b"secret", 2);
    assert!(said.contains("stdin cannot be the body and hold a secret"), "{said}");
}

/// Do bodies that do not fit into memory pass, both ways?
#[test]
fn bodies_are_streamed() {
    const SIZE: u64 = 80_000_000;
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    narrow(&cloud, &format!("call --resource {GRAPH} {GRAPH}/stream/{SIZE} -o {}", file.display()));
    assert_eq!(fs::metadata(&file).unwrap().len(), SIZE);
    let sent = narrow(&cloud, &format!("call PUT --resource {GRAPH} {GRAPH}/upload -d @{}", file.display()));
    assert_eq!(serde_json::from_str::<Value>(&sent).unwrap()["length"], SIZE);
}

/// Runs the program where it may have 150 MB of addresses, most of which its threads' stacks and libraries take.
fn narrow(cloud: &Cloud, arguments: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 150000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_mtlspop")]);
    command.args(arguments.split_whitespace()).envs(cloud.env());
    succeed(&mut command)
}

/// Does `--max-time` end the whole call, wherever it is: at the token service, at the API, in the body, and at who does not read?
#[test]
fn time_is_limited() {
    let cloud = cloud();
    let late = |operation: &str| {
        let fault = Fault { operation: operation.into(), times: 1, delay_ms: 20_000, ..Fault::default() };
        cloud.fault(fault).unwrap();
    };
    let call = format!("call --max-time 0.7 --resource {GRAPH}");
    late("token");
    let said = fail(&mut as_app(&cloud, &format!("{call} {GRAPH}/v1.0/applications")), 28);
    assert!(said.contains("--max-time 0.7 is over: getting a token"), "{said}");
    late("graph");
    let said = fail(&mut as_app(&cloud, &format!("{call} {GRAPH}/v1.0/applications")), 28);
    assert!(said.contains("waiting for the answer"), "{said}");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut stuck = as_app(&cloud, &format!("{call} {GRAPH}/stream/1000000"));
    let output = stuck.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    drop(reader);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(28) && said.contains("receiving, "), "{said}");
    let done = succeed(&mut as_app(&cloud, &format!("call -m 100 --resource {GRAPH} {GRAPH}/echo")));
    assert!(done.contains("\"GET\""), "{done}");
    for wrong in ["0", "-1", "x", "1e99"] {
        let said = as_app(&cloud, &format!("call --max-time={wrong} {GRAPH}/")).output().unwrap();
        assert_eq!(said.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&said.stderr).contains("such as 30 or 2.5"), "{said:?}");
    }
}

/// Is a long body shown on a terminal, both ways, and nowhere else; and is nothing said where nothing is to be?
#[test]
fn long_bodies_are_shown_on_a_terminal() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, vec![b'x'; 17 << 20]).unwrap();
    let (file, out) = (file.display(), place.path().join("out"));
    let call = format!("call --resource {GRAPH} -o {}", out.display());
    let (receive, send) = (format!("{GRAPH}/stream/17000000"), format!("PUT {GRAPH}/upload -d @{file}"));
    for (options, says) in [
        (receive.clone(), Some("receiving ")),
        (send, Some("sending ")),
        (format!("--no-progress {receive}"), None),
        (format!("-s {receive}"), None),
        (format!("{GRAPH}/echo"), None),
    ] {
        // The terminal is stderr alone: stdin is closed, and so is stdout.
        let script = format!("exec {PROGRAM} {call} {options} </dev/null >/dev/null");
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &script, "/dev/null"]).envs(cloud.env()).stdin(Stdio::null());
        let output = terminal.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{options}: {shown}");
        match says {
            Some(says) => {
                assert!(shown.contains(says) && shown.contains(" of 1") && shown.contains(" left"), "{shown}")
            }
            None => assert_eq!(shown, "", "{options}"),
        }
    }
    let failing = format!("call --fail --resource {GRAPH} {GRAPH}/status/404");
    for (options, said) in [("-s", false), ("-sS", true)] {
        let output = as_app(&cloud, &format!("{failing} {options}")).output().unwrap();
        assert_eq!((output.status.code(), !output.stderr.is_empty()), (Some(22), said), "{options}");
    }
    // A header may hold a secret.
    let said = fail(&mut as_app(&cloud, &format!("{failing} -H A:b -H hunter2")), 2);
    assert!(said.contains("-H number 2 has no colon") && !said.contains("hunter2"), "{said}");
    let said = fail(as_app(&cloud, &failing).args(["-H", "X-Key: hunter2\u{1}"]), 2);
    assert!(said.to_lowercase().contains("x-key") && !said.contains("hunter2"), "{said}");
}
