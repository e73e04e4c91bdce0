//! Memory that is reachable and never freed, which no tool for leaks reports.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};
use std::time::Duration;

use devcloud::{Close, Cloud, Fault};
use serde_json::json;

use super::cloud;
use super::edges::plain;
use crate::support::{Build, hermetic};

const DAY: Duration = Duration::from_secs(86_400);
/// In glibc's malloc, lists of freed memory for each thread.
const NO_LISTS: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// Runs memory.c for so many days, which pass for `cloud`, too, after those that have passed already. What it says.
fn days(cloud: &Cloud, passed: u32, turns: u32, kinds: &[&str]) -> Output {
    let program = plain("memory");
    let mut command = hermetic(program.path(Build::Plain), 120);
    command.envs(cloud.env()).envs([NO_LISTS]).args([passed, turns].map(|days| days.to_string())).args(kinds);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = String::new();
    for line in BufReader::new(output).lines() {
        match line.unwrap() {
            line if line == "a day" => {
                cloud.advance_clock(DAY);
                input.write_all(b"\n").unwrap();
            }
            line => said += &(line + "\n"),
        }
    }
    println!("{kinds:?}: {said}");
    Output { status: child.wait().unwrap(), stdout: said.into(), stderr: Vec::new() }
}

/// Is nothing left of tokens that have expired, of certificates that were replaced, of apps, threads and forks?
#[test]
fn nothing_is_left() {
    let everything = ["certificate", "secret", "managed", "app", "thread", "fork"];
    let cloud = cloud();
    let output = days(&cloud, 0, 60, &everything);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // A certificate of managed identity lives for a week, and is renewed in the middle of it.
    assert!(cloud.counter("token") > 500 && cloud.counter("issuecredential") > 10, "{:?}", cloud.counters());
}

/// Nor of what went wrong?
#[test]
fn nothing_is_left_of_failures() {
    let cloud = cloud();
    let token = |fault: Fault| Fault { operation: "token".to_owned(), ..fault };
    let page = Fault { body: Some("<html>Sign in".to_owned()), ..Fault::default() };
    let cut = |close| Fault { close: Some(close), ..Fault::default() };
    for (n, fault) in (0..).zip([
        token(page),
        token(cut(Close::Reset)),
        token(cut(Close::MidResponse)),
        token(Fault { blanks: 2 << 20, ..Fault::default() }),
        Fault::claims("token", json!({ "cnf": null })),
        Fault::status("token", 400),
        Fault::status("graph", 401),
        Fault { operation: "graph".to_owned(), ..cut(Close::MidResponse) },
        Fault::on("tls_server_certificate"),
        Fault::on("tls_client_certificate"),
        Fault::on("connect"),
    ]) {
        cloud.clear_faults();
        let name = Some(n.to_string());
        cloud.fault(Fault { probability: Some(1.0), name, ..fault.clone() }).unwrap();
        let output = days(&cloud, 18 * n, 18, &["certificate"]);
        assert!(output.status.success(), "{fault:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(cloud.counter(&format!("fault:{n}")) >= 18, "{fault:?}: {:?}", cloud.counters());
    }
}

/// Would it be found if there were?
#[test]
fn what_is_left_is_found() {
    let output = days(&cloud(), 0, 18, &["secret", "keep"]);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
