//! Writes docs/performance.md, and the pictures beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::report::{Report, Section};

pub(crate) fn write(report: &Report, minutes: f64) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pictures = docs.join("performance");
    fs::create_dir_all(&pictures).expect("a directory");
    let mut text = head(minutes);
    wanted(&mut text, report);
    for section in &report.sections {
        table(&mut text, section);
        for plot in &section.plots {
            fs::write(pictures.join(plot.file), &plot.svg).expect("a file");
            let _ = writeln!(text, "\n![{}](performance/{})", plot.shows, plot.file);
        }
    }
    if !report.skipped.is_empty() {
        text += "\n## Left out\n\n";
        for skipped in &report.skipped {
            let _ = writeln!(text, "- {skipped}");
        }
    }
    fs::write(docs.join("performance.md"), text).expect("a file");
    println!("\nwrote docs/performance.md");
}

fn head(minutes: f64) -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let processor = processor.map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // Without what whoever built it calls it.
    let kernel = kernel.split('-').next().unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "# What it costs\n\n\
         Written by `make bench`, which measures all of this in one run; with `PEERS=1` beside other libraries. Numbers are min, median\n\
         and max of repetitions that were taken in turns with what they are compared with. A *limit* is what the same work costs\n\
         without this library: the same bytes over rustls by hand, a look-up in a hash map. All servers are devcloud's, on the same\n\
         machine and in the same process: a real network adds its own time to both sides.\n\n\
         {processor}, {cores} cores, Linux {}, {}; the run took {minutes:.1} minutes, load at its end {load}.\n",
        kernel.trim(),
        rustc(),
    )
}

fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or("rustc unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn wanted(text: &mut String, report: &Report) {
    *text += "\n## What was wanted\n\n| what | wanted | measured | met |\n|---|---|---|---|\n";
    for row in &report.wanted {
        let met = if row.is_met { "yes" } else { "**no**" };
        let _ = writeln!(text, "| {} | {} | {} | {met} |", row.what, row.wanted, row.measured);
    }
}

fn table(text: &mut String, section: &Section) {
    let _ = write!(text, "\n## {}\n\n", section.title);
    if !section.about.is_empty() {
        let _ = write!(text, "{}\n\n", section.about);
    }
    *text += "| | min | median | max |\n|---|--:|--:|--:|\n";
    for row in &section.rows {
        let [min, median, max] = &row.cells;
        let _ = writeln!(text, "| {} | {min} | {median} | {max} |", row.name);
    }
}
