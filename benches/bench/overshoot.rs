//! How long after the time given for a call the call ends, wherever in its work the time runs out.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use devcloud::{Cloud, Fault};
use mtlspop::{App, AppOptions, ErrorKind, ManagedIdentityId, TokenRequest};
use socket2::{Domain, Socket, Type};

use crate::measure::Spread;
use crate::report::Report;
use crate::{SCOPE, sni_options};

/// Longer ones are where a kernel's timers are coarser.
const LIMITS: [(Duration, usize); 2] = [(Duration::from_secs(1), 5), (Duration::from_secs(20), 1)];
/// So that it is the call's time that runs out.
const LONGER: Duration = Duration::from_secs(60);

pub(crate) fn of_limits(report: &mut Report, cloud: &Cloud) {
    report.section(
        "How late a call ends",
        "By how much a call exceeds its time limit (1 s, 20 s) where that runs out. Rust API.",
    );
    let late = Fault { times: u32::MAX, delay_ms: 60_000, ..Fault::on("token") };
    cloud.fault(late).expect("devcloud takes the fault");
    let full = FullListener::new();
    let through = |proxy: SocketAddr| {
        let options = sni_options(cloud).with_connect_timeout(LONGER).with_proxy(&proxy.to_string());
        App::new(options).expect("options are right")
    };
    let imds = serving(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    let env = [("AZURE_POD_IDENTITY_AUTHORITY_HOST".to_owned(), format!("http://{imds}"))];
    let env: HashMap<String, String> = env.into_iter().collect();
    let trickle = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned).with_env(Arc::new(env));
    let cuts = [
        ("waiting for a TCP connection", through(full.address)),
        ("waiting for a proxy's tunnel", through(serving(b""))),
        ("in the TLS handshake", through(serving(b"HTTP/1.1 200 OK\r\n\r\n"))),
        ("waiting for the head of an answer", App::new(sni_options(cloud)).expect("options are right")),
        ("in a body that trickles", App::new(trickle).expect("options are right")),
    ];
    let mut worst = 0.0_f64;
    // At once: they do nothing but wait.
    thread::scope(|scope| {
        let running = cuts.each_ref().map(|(_, app)| scope.spawn(|| overshoots(app)));
        for ((name, _), overshoots) in cuts.iter().zip(running) {
            let late = Spread::of(overshoots.join().expect("it ends"));
            worst = worst.max(late.max);
            report.row(name, &late);
        }
    });
    cloud.clear_faults();
    let measured = format!("{:.1} ms at most", worst / 1e6);
    report.at_most("lateness of a time limit", "less than 50 ms", 50e6, worst, measured);
}

/// In nanoseconds.
fn overshoots(app: &App) -> Vec<f64> {
    let mut all = Vec::new();
    for (limit, times) in LIMITS {
        let request = TokenRequest::new(SCOPE).with_timeout(Some(limit));
        for _ in 0..times {
            let started = Instant::now();
            let error = app.acquire_token(&request).expect_err("nobody answers");
            let took = started.elapsed();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert!(took >= limit, "{took:?}: {error}");
            all.push((took - limit).as_secs_f64() * 1e9);
        }
    }
    all
}

/// A listener that answers `head` once it was spoken to, and then a byte each tenth of a second where that is
/// the head of something, or nothing more.
fn serving(head: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, head));
        }
    });
    address
}

fn serve(mut stream: TcpStream, head: &[u8]) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096])?;
    stream.write_all(head)?;
    if head.windows(14).any(|part| part == b"Content-Length") {
        loop {
            thread::sleep(Duration::from_millis(100));
            stream.write_all(b" ")?;
        }
    }
    // Until the other side gives up.
    while stream.read(&mut [0; 4096])? > 0 {}
    Ok(())
}

/// A listener whose queue is full: the kernel drops further attempts to connect.
struct FullListener {
    address: SocketAddr,
    _sockets: Vec<Socket>,
}

impl FullListener {
    fn new() -> Self {
        let new = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = new();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        listener.listen(0).expect("it listens");
        let address = listener.local_addr().expect("its address");
        let mut sockets = vec![listener];
        for _ in 0..3 {
            let socket = new();
            socket.set_nonblocking(true).expect("it does not block");
            let _ = socket.connect(&address);
            sockets.push(socket);
        }
        thread::sleep(Duration::from_millis(20));
        Self { address: address.as_socket().expect("an address"), _sockets: sockets }
    }
}
