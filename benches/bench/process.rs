//! The first token of a process: from exec to its end, and the memory that takes.

use std::fs;
use std::process::Command;

use devcloud::Cloud;

use crate::installed::compile;
use crate::measure::{Spread, call, in_turns};
use crate::raw::{CHILD, Step};
use crate::report::Report;

const TIMES: usize = 40;
const MOST_KIBIBYTES: f64 = 12.0 * 1024.0;

pub(crate) fn first_token(report: &mut Report, cloud: &Cloud) {
    report.section(
        "The first token of a process",
        "benches/c/token.c: a program in C with the installed library that reads roots and certificate, gets one bound token (SN/I) \
         and ends: from its start to its end. The limit is a program that does the same with the bytes by hand over rustls, linked \
         statically. Memory: VmHWM at its end.",
    );
    let place = tempfile::tempdir().expect("a directory");
    let program = match compile("token", place.path(), &[]) {
        Ok(program) => program,
        Err(why) => return report.skip("the first token of a process", &why),
    };
    cloud.reset();
    let peak = || run(cloud, &mut Command::new(&program)).trim().parse::<f64>().expect("a number");
    let peaks = Spread::of((0..5).map(|_| peak()).collect());
    let step = Step::received(cloud).pop().expect("a request");
    let request = place.path().join("request");
    fs::write(&request, step.bytes()).expect("a file");
    let host = step.host().expect("TLS");
    let itself = std::env::current_exe().expect("a path");
    let [limit, ours] = in_turns(
        TIMES,
        [
            call(|| drop(run(cloud, Command::new(&itself).args([CHILD, host]).arg(&request)))),
            call(|| drop(run(cloud, &mut Command::new(&program)))),
        ],
    );
    report.row("limit: a process that does it by hand", &limit);
    report.row("a program in C: one bound token", &ours);
    let mebibytes = format!("{:.1} MiB", peaks.median / 1024.0);
    report.value("its memory at the peak", mebibytes.clone());
    let ratio = ours.median / limit.median;
    let measured = format!("{:.1} ms, {ratio:.2} times the limit", ours.median / 1e6);
    report.at_most("first token of a process", "at most 1.3 times the limit", 1.3, ratio, measured);
    report.at_most("its memory at the peak", "at most 12 MiB", MOST_KIBIBYTES, peaks.median, mebibytes);
}

/// Runs a program in the cloud's environment; what it printed.
fn run(cloud: &Cloud, command: &mut Command) -> String {
    let output = command.envs(cloud.env()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
