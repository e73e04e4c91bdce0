//! `mtlspop call`: an API called as with curl.

use std::fs;
use std::process::Command;

use devcloud::Cloud;
use serde_json::Value;

use crate::support::{GRAPH, as_app, cloud, fail, fail_with, feed, in_cloud, json, succeed};

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
    assert_eq!(json(&mut in_cloud(&cloud, vault))["token_type"], "mtls_pop");
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
