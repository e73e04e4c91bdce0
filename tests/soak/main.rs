//! Does a program with 200 threads and 10 apps get only true tokens, and every one that can be had, on a day when
//! everything around it fails now and then?
//!
//! Half a minute in `make test`; `make soak MINUTES=10` is the same for longer, with a release build. In real time,
//! as nothing else here: it looks for what only load and chance find.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod weather;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use devcloud::{Cloud, Fault, Options, Source, directory};
use serde_json::json;
use support::{Build, compile, report, root, run};
use tempfile::TempDir;
use weather::Weather;

/// Tokens that are of use for 20 seconds, for none is served in its last five minutes; to be replaced after ten.
const TOKEN_SECONDS: i64 = 320;
const REFRESH_IN: i64 = 10;

fn number(name: &str) -> Option<f64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value}?")))
}

fn cloud() -> Arc<Cloud> {
    let (token_seconds, refresh_in) = (Some(TOKEN_SECONDS), Some(REFRESH_IN));
    Arc::new(Cloud::start(Options { token_seconds, refresh_in, ..Options::default() }).unwrap())
}

/// soak.c, to run for so many seconds with what it keeps on disk in `directory`.
fn program(cloud: &Cloud, directory: &TempDir, seconds: u64) -> Command {
    let program = directory.path().join("soak");
    compile(&root().join("tests/soak/soak.c"), Build::Plain, &program, &["-D_GNU_SOURCE", "-rdynamic"]);
    let mut command = Command::new(&program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let file = |path: &Path| path.display().to_string();
    command.envs(cloud.env());
    // glibc has lists of freed memory for each thread, which count as in use, and those of 200 threads fill for hours.
    command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    for (name, value) in [
        ("DIRECTORY", file(directory.path())),
        ("SECONDS", seconds.to_string()),
        ("SECOND_TENANT", directory::OTHER_TENANT_ID.to_owned()),
        ("THIRD_TENANT", directory::THIRD_TENANT_ID.to_owned()),
        ("SYSTEM_ASSIGNED", directory::SYSTEM_ASSIGNED_CLIENT_ID.to_owned()),
        ("EC_CERTIFICATE", file(&cloud.files().sni_ec())),
    ] {
        command.env(format!("SOAK_{name}"), value);
    }
    for (host, source) in [("APP_SERVICE", Source::AppService), ("MACHINE_LEARNING", Source::MachineLearning)]
    {
        command.envs(
            cloud.source_env(source).into_iter().map(|(name, value)| (format!("{host}_{name}"), value)),
        );
    }
    command
}

/// The question above.
#[test]
fn soak() {
    let seconds = number("MINUTES").map_or(30.0, |minutes| minutes * 60.0) as u64;
    let seed = number("SEED").map_or_else(|| fastrand::u64(1..1_000_000), |seed| seed as u64);
    let warm = if seconds < 120 { seconds / 3 } else { 60 };
    println!("SEED={seed}");

    let (cloud, directory) = (cloud(), tempfile::tempdir().unwrap());
    let mut command = program(&cloud, &directory, seconds);
    command.env("SOAK_SEED", seed.to_string()).env("SOAK_WARM_SECONDS", warm.to_string());
    let weather = Weather::over(&cloud, seed, seconds);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut errors = BTreeMap::<String, u64>::new();
    // As it comes: of minutes one wants to see something.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.strip_prefix("error ").and_then(|error| error.rsplit_once(' ')) {
            Some((code, count)) => {
                *errors.entry(code.to_owned()).or_default() += count.parse::<u64>().unwrap();
            }
            None => println!("{line}"),
        }
    }
    let status = child.wait().unwrap();
    let struck = weather.end();
    show(&cloud.counters(), &struck, &errors);
    assert!(status.success(), "the program ended with {status}; SEED={seed} makes the same weather again");
    let unexpected: Vec<_> = errors.keys().filter(|code| !weather::explains(code, &struck)).collect();
    assert!(unexpected.is_empty(), "no fault explains {unexpected:?}; SEED={seed}");
    assert!(struck.values().sum::<u64>() > seconds, "hardly any weather: {struck:?}");
}

fn show(counters: &BTreeMap<String, u64>, struck: &BTreeMap<String, u64>, errors: &BTreeMap<String, u64>) {
    println!("\nwhat devcloud did, and the faults that struck it:");
    for (operation, count) in counters.iter().filter(|(name, _)| !name.starts_with("fault:")) {
        println!("{count:>8}  {operation}");
    }
    for (name, count) in struck {
        println!("{count:>8}  {name}");
    }
    println!("errors of the program, of all its processes:");
    for (code, count) in errors {
        println!("{count:>8}  {code}{}", if weather::explains(code, struck) { "" } else { "  UNEXPECTED" });
    }
}

/// Do the checks find what they are for: tokens for other audiences, clients, tenants and certificates, what an API
/// refuses, and a token that is there and not served?
#[test]
fn checks_have_teeth() {
    let cloud = cloud();
    let claims = [
        json!({ "aud": "https://vault.azure.net.example" }),
        json!({ "appid": "another" }),
        json!({ "tid": "another" }),
        json!({ "cnf": { "x5t#S256": "another" } }),
    ];
    let bent = claims.map(|claims| Fault { probability: Some(0.2), ..Fault::claims("token", claims) });
    let busy = Fault { probability: Some(0.5), ..Fault::status("token", 400) };
    let refused = Fault { probability: Some(0.5), ..Fault::status("graph", 401) };
    for fault in bent.into_iter().chain([busy, refused]) {
        cloud.fault(fault).unwrap();
    }
    say(
        &cloud,
        ("SOAK_MAX_ENTRIES", "4"),
        &[
            "the audience is another",
            "of another client",
            "of another tenant",
            "its certificate is",
            "bound or not",
            "its API answers 401",
            "no token, with one that is good",
        ],
    );
}

/// Do children work that are forked while 200 threads make their first connections, and so their first draw from
/// AWS-LC's generator, whose lock a child must not inherit (`src/runtime/gate.rs`)?
#[test]
fn children_of_a_cold_start_work() {
    let (cloud, directory) = (cloud(), tempfile::tempdir().unwrap());
    let mut command = program(&cloud, &directory, 2);
    let output = run(command.envs([("SOAK_EVERY_MS", "100"), ("SOAK_BROOD", "15"), ("SOAK_ASKS", "3")]));
    assert!(output.status.success(), "{}", report(&command, &output));
}

/// Is a program found out that keeps a little of each call?
#[test]
fn growth_is_found() {
    let (cloud, directory) = (cloud(), tempfile::tempdir().unwrap());
    let mut command = program(&cloud, &directory, 9);
    let output =
        run(command.envs([("SOAK_KEEP", "4096"), ("SOAK_WARM_SECONDS", "0"), ("SOAK_THREADS", "20")]));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && said.contains("VIOLATION heap without connections, kB grew"),
        "{said}"
    );
}

/// Is a call that does not come back found out, with what it is and the stack of its thread?
#[test]
fn a_call_that_hangs_is_told() {
    let cloud = cloud();
    cloud.fault(Fault { probability: Some(1.0), delay_ms: 600_000, ..Fault::on("graph") }).unwrap();
    say(&cloud, ("SOAK_LIMIT_SECONDS", "1"), &["VIOLATION worker", ": call of ", "mtlspop_app_send"]);
}

/// Lets the program run until it has said all this.
fn say(cloud: &Cloud, setting: (&str, &str), texts: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = program(cloud, &directory, 120);
    command.envs([setting]).env("SOAK_THREADS", "20").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut missing, mut said) = (texts.to_vec(), String::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        missing.retain(|text| !line.contains(text));
        if missing.is_empty() {
            break;
        }
        said += &(line + "\n");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(missing.is_empty(), "{missing:?} is not in\n{said}");
}
