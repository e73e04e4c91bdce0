//! What a call says when the network or the service fails: the failures, and what must be in the row printed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use devcloud::{Cloud, Fault};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::{Program, cloud};
use crate::support::{builds, succeed};

/// Runs `network_errors`, which expects `status`; returns what it printed.
fn ask(program: &Program, cloud: &Cloud, arguments: &[&str], changes: &[(&str, PathBuf)]) -> String {
    let mut command = program.command(builds()[0], cloud);
    for (name, value) in changes {
        command.env(name, value);
    }
    succeed(command.args(arguments))
}

/// Is each failure told apart, retried where that is right, and put into words?
#[test]
fn failures_are_told_apart() {
    let program = Program::new("network_errors");
    let cloud = cloud();
    let contains = |row: &str, parts: &[&str]| {
        println!("{row}");
        for part in parts {
            assert!(row.to_lowercase().contains(part), "{part:?} is not in: {row}");
        }
    };

    let (_held, address) = nobody();
    let proxy = [("HTTPS_PROXY", PathBuf::from(format!("http://{address}")))];
    contains(&ask(&program, &cloud, &["201"], &proxy), &["201 | ", " | 0 | 1 | ", "proxy"]);

    let roots = [("SSL_CERT_FILE", cloud.files().sni_certificate())];
    contains(&ask(&program, &cloud, &["201"], &roots), &["201 | ", " | 0 | 0 | ", "certificate"]);
    assert_eq!(cloud.counter("token"), 0, "nothing is sent to a server that could be anybody");

    let bearer = json!({"token_type": "Bearer"}).as_object().unwrap().clone();
    cloud.fault(Fault { set: bearer, ..Fault::on("token") }).unwrap();
    contains(&ask(&program, &cloud, &["304"], &[]), &["304 | token_type_mismatch | ", "bearer", "mtls_pop"]);

    cloud.reset();
    cloud.fault(Fault::status("token", 503)).unwrap();
    ask(&program, &cloud, &["0"], &[]);
    assert_eq!(cloud.counter("token"), 2, "a 503 is retried once");

    cloud.fault(Fault { times: 2, ..Fault::status("token", 503) }).unwrap();
    contains(&ask(&program, &cloud, &["301"], &[]), &["301 | ", " | 503 | 1 | "]);

    cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("token") }).unwrap();
    let started = Instant::now();
    contains(&ask(&program, &cloud, &["202", "700"], &[]), &["202 | ", " | 0 | 1 | "]);
    assert!(started.elapsed() < Duration::from_secs(30), "the timeout of the request ends the call");

    cloud.clear_faults();
    for &build in &builds()[1..] {
        let other = &mut program.command(build, &cloud);
        succeed(other.env("HTTPS_PROXY", format!("http://{address}")).arg("201"));
    }
}

/// An address of this machine at which nobody listens, and which nobody else is given while the socket
/// lives.
fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}
