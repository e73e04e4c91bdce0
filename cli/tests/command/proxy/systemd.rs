//! Sockets that systemd has opened, and what it is told; here by a program in the place of systemd, and by its own where that is.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use devcloud::Cloud;
use rustix::process::Signal;

use super::support::{Proxy, answer, statuses};
use crate::support::{GRAPH, PROGRAM, as_app, cloud, line};

/// Opens what it is told, and runs a program with it as systemd does.
const HAND_OVER: &str = r#"
import fcntl, os, socket, sys
names, opened, words = [], [], sys.argv[1:]
while words[0] != "--":
    name, kind, place, mode = words.pop(0).split("|")
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    sort = socket.SOCK_DGRAM if mode == "datagram" else socket.SOCK_STREAM
    one = socket.socket(family, sort)
    one.bind((place, 0) if kind == "tcp" else place.replace("@", "\0"))
    if mode.isdigit():
        one.listen()
    if place.startswith("/") and mode.isdigit():
        os.chmod(place, int(mode, 8))
    names.append(name)
    opened.append(fcntl.fcntl(one, fcntl.F_DUPFD, 100))
for number, descriptor in enumerate(opened):
    os.dup2(descriptor, 3 + number)
    os.close(descriptor)
if opened:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(opened)), LISTEN_FDNAMES=":".join(names))
os.execv(words[1], words[1:])
"#;

/// `mtlspop proxy` as app A, which is given these sockets.
fn handed(cloud: &Cloud, sockets: &[&str], options: &str) -> Command {
    let mut command = Command::new("python3");
    command.env_clear().envs(variables(cloud)).stdin(Stdio::null());
    command.args(["-c", HAND_OVER]).args(sockets).args(["--", PROGRAM, "proxy"]);
    command.args(["--resource", GRAPH, "--upstream", GRAPH]);
    command.args(options.split_whitespace());
    command
}

/// The environment of app A.
fn variables(cloud: &Cloud) -> Vec<(OsString, OsString)> {
    let command = as_app(cloud, "");
    command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

/// Are sockets that were handed over listened on, by their names, without a secret where the file system lets nobody else in; and does
/// the one who opened them keep them?
#[test]
fn sockets() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let socket = format!("graph|unix|{}|600", path.display());
    let sockets = ["metrics|tcp|127.0.0.1|0", &socket];
    let options = "--listen systemd:graph --metrics systemd:metrics";
    let mut proxy = Proxy::start_open(&mut handed(&cloud, &sockets, options));
    assert_eq!(proxy.place, format!("unix:{}", path.display()));
    let metrics = proxy.prints();
    assert!(proxy.curl("$URL/v1.0/me").contains("\"path\":\"/v1.0/me\""));
    let address = metrics.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    let asked = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(asked.as_bytes()).unwrap();
    assert!(answer(stream).contains("code=\"200\"} 1"));
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().status.success());
    assert!(path.metadata().unwrap().file_type().is_socket());

    let proxy = Proxy::start(&mut handed(&cloud, &["x|tcp|127.0.0.1|0"], "--listen systemd"));
    let asked =
        |headers: &str| proxy.ask(&format!("GET / HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n"));
    assert_eq!(statuses(&asked("$HEADERS")), ["200"]);
    assert_eq!(statuses(&asked(&format!("Host: {}", proxy.address()))), ["401"]);
}

/// Is a socket refused that others could reach without a secret, that another host could, that takes no connections, or that was
/// not handed over?
#[test]
fn sockets_that_are_refused() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let unix = |mode: &str| format!("x|unix|{}/{mode}|{mode}", place.path().display());
    let (open, closed, other) = (unix("666"), unix("660"), unix("600"));
    let (datagram, idle) = (unix("datagram"), "x|tcp|127.0.0.1|idle");
    let secret = format!("--listen-secret-file {}/secret", place.path().display());
    for (sockets, options, says) in [
        (&[open.as_str()][..], "--listen systemd", "SocketMode=0600"),
        (
            &[&format!("x|unix|@mtlspop-test-{}|0", std::process::id())],
            "--listen systemd",
            "--listen-secret-file",
        ),
        (&["x|tcp|127.0.0.1|0"], "--listen systemd", "--listen-secret-file"),
        (&["x|tcp|0.0.0.0|0"], &format!("--listen systemd {secret}"), "loopback"),
        (&[&datagram], "--listen systemd", "cannot be used"),
        (&[idle], &format!("--listen systemd {secret}"), "Accept="),
        (&[], "--listen systemd", "no socket"),
        (&[&closed, "y|tcp|127.0.0.1|0"], "--listen systemd", "(x, y)"),
        (&[&other], "--listen systemd:y", "(x)"),
        (&[&unix("640")], "--listen systemd --metrics systemd", "two places"),
        (&[&unix("620")], "--listen systemd --socket-group 0", "SocketGroup="),
    ] {
        let mut command = handed(&cloud, sockets, options);
        let output = command.output().unwrap();
        let said = line(&command, &output, 2);
        assert!(said.contains(says), "{sockets:?} {options}: {said}");
    }
}

/// Is systemd told when the proxy can be reached, reads its files, has read them, and stops?
#[test]
fn notifications() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    let next = || {
        let mut buffer = [0; 200];
        let length = told.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    let options = format!("proxy --resource {GRAPH} --upstream {GRAPH} --listen 127.0.0.1:0");
    let mut command = as_app(&cloud, &options);
    let proxy = Proxy::start(command.env("NOTIFY_SOCKET", &path));
    assert_eq!(next(), "READY=1");
    proxy.signal(Signal::HUP);
    let reloading = next();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(next(), "READY=1");
    proxy.signal(Signal::TERM);
    assert_eq!(next(), "STOPPING=1");
    assert!(proxy.wait().status.success());
}

/// And does it work with systemd's own tool, whose first client starts it?
#[test]
fn started_by_the_first_client() {
    const TOOL: &str = "/usr/bin/systemd-socket-activate";
    if !Path::new(TOOL).exists() {
        return println!("left out: systemd-socket-activate is not installed");
    }
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let mut command = Command::new(TOOL);
    command.env_clear().arg("--listen").arg(&path).arg("--fdname=graph");
    for (mut name, value) in variables(&cloud) {
        name.push("=");
        name.push(value);
        command.arg("--setenv").arg(name);
    }
    command.args([PROGRAM, "proxy", "--resource", GRAPH, "--upstream", GRAPH, "--listen", "systemd:graph"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(_) => assert!(child.try_wait().unwrap().is_none(), "it has ended"),
        }
    };
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(statuses(&answer(stream)), ["200"]);
    child.kill().unwrap();
    child.wait().unwrap();
}
