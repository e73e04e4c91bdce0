//! What bodies cost that no memory should hold: 4 GiB each way, by examples-c/stream_file.c and by curl.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use devcloud::Cloud;
use mtlspop::{App, AppOptions, ManagedIdentityId};

use crate::report::Report;
use crate::{GRAPH, environment, pop, tool};

const GIBIBYTES: u64 = 4;
const BYTES: u64 = GIBIBYTES << 30;
/// What this library may have at most, the program and all its pages counted.
const MOST_MEMORY: f64 = 20.0;

pub(crate) fn of_any_size(report: &mut Report, cloud: &Cloud) {
    report.section(
        &format!("Bodies of {GIBIBYTES} GiB"),
        "examples-c/stream_file.c and the command curl, with a bound token, through devcloud: time, memory at the peak (VmHWM), speed.",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (program, source) = (place("stream_file"), place("source"));
    compile(&program);
    // Holes of zeros take no room on disk. Who reads them first has the kernel make pages of them, three times as long
    // as a transfer takes.
    File::create(&source).and_then(|file| file.set_len(BYTES)).expect("a file");
    File::open(&source).and_then(|mut file| io::copy(&mut file, &mut io::sink())).expect("it can be read");
    export(cloud, directory.path());
    let (header, certificate, key) = (place("header"), place("certificate"), place("key"));
    let curl = ["--fail", "--silent", "--show-error", "--header", &format!("@{header}")]
        .into_iter()
        .chain(["--cert", &certificate, "--key", &key, "--output", "/dev/null"])
        .map(str::to_owned)
        .chain(["--cacert".to_owned(), cloud.ca_pem_path().to_str().expect("UTF-8").to_owned()])
        .collect::<Vec<_>>();
    let (download, upload) =
        (format!("https://graph.microsoft.com/stream/{BYTES}"), "https://graph.microsoft.com/upload");
    let ours = |arguments: [&str; 3]| run(cloud, Command::new(&program).args(arguments));
    let curls = |arguments: &[&str]| run(cloud, Command::new("curl").args(&curl).args(arguments));
    let mut rows = vec![
        ("down, this library, read in parts of 64 KiB", ours(["get", "/dev/null", &download])),
        ("up, this library, from a file descriptor", ours(["put", &source, upload])),
    ];
    let worst = rows.iter().map(|(_, (_, memory))| *memory).fold(0.0, f64::max);
    match tool("curl") {
        true => {
            rows.insert(1, ("down, curl", curls(&[&download])));
            rows.push(("up, curl", curls(&["--upload-file", &source, upload])));
        }
        false => report.skip("bodies by curl", "there is no curl"),
    }
    for (name, (took, memory)) in rows {
        let speed = BYTES as f64 / 1e6 / took.as_secs_f64();
        report.value(name, format!("{:.1} s, {memory:.1} MiB, {speed:.0} MB/s", took.as_secs_f64()));
    }
    let measured = format!("{worst:.1} MiB");
    report.at_most("memory for a body of any size", "less than 20 MiB", MOST_MEMORY, worst, measured);
}

/// The example, as its Makefile makes it, with the library of this run.
fn compile(program: &str) {
    let library = std::env::current_exe().expect("a path").parent().expect("a directory").to_owned();
    assert!(library.join("libmtlspop.so").exists(), "no libmtlspop.so in {}", library.display());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new("cc")
        .args(["-O2", "-o", program, "-I"])
        .arg(root.join("include"))
        .arg(root.join("examples-c/stream_file.c"))
        .arg("-L")
        .arg(&library)
        .arg("-lmtlspop")
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .status();
    assert!(status.expect("cc runs").success());
}

/// The token and its certificate, for curl.
fn export(cloud: &Cloud, directory: &Path) {
    let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned);
    let options = options.with_env(Arc::new(environment(cloud)));
    let app = App::new(options).expect("options are right");
    let token = app.acquire_token(&pop(GRAPH)).expect("a token");
    let certificate = token.binding_certificate().expect("a bound token");
    let key = certificate.private_key_pem().expect("a key in memory");
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("a file");
    write("header", &format!("Authorization: {}", token.authorization()));
    write("certificate", &certificate.chain_pem());
    write("key", key.expose());
}

/// How long the program took, and its memory at the peak, in MiB.
fn run(cloud: &Cloud, command: &mut Command) -> (Duration, f64) {
    let started = Instant::now();
    let mut child =
        command.envs(cloud.env()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut peak = 0.0_f64;
    // The kernel counts the peak; it only has to be read before the end.
    let status = loop {
        peak = peak.max(high_water(&child));
        match child.try_wait().expect("it ends") {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let took = started.elapsed();
    let said = child.stderr.take().map(io::read_to_string).transpose().expect("text").unwrap_or_default();
    assert!(status.success(), "{said}");
    (took, peak)
}

fn high_water(child: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) / 1024.0
}
