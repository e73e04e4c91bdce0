//! A cached token in the languages that have a binding: Python, and .NET under each runtime that is here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use devcloud::Cloud;

use crate::installed::library;
use crate::measure::time;
use crate::report::Report;
use crate::tool;

pub(crate) fn of_bindings(report: &mut Report, cloud: &Cloud) {
    report.section(
        "In Python and .NET",
        "Each by a program in the language, over the installed library: the best of five rounds. Python: bindings/python/bench.py. .NET: \
         bindings/dotnet/bench/Bench.cs.",
    );
    python(report, cloud);
    dotnet(report, cloud);
}

fn python(report: &mut Report, cloud: &Cloud) {
    if !tool("python3") {
        return report.skip("a hit in Python", "there is no python3");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.arg(root.join("bindings/python/bench.py")).arg("ours").envs(cloud.env());
    command.env("MTLSPOP_LIBRARY", library()).env("PYTHONPATH", root.join("bindings/python/src"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let rows = match rows(&mut command) {
        Ok(rows) => rows,
        Err(why) => return report.skip("a hit in Python", &why),
    };
    for (name, value) in &rows {
        report.value(&format!("Python: {name}"), time(*value));
    }
    let hit =
        rows.iter().find(|(name, _)| name == "cached Bearer token").map_or(f64::NAN, |(_, value)| *value);
    report.at_most("hit in Python", "at most 1.5 us", 1_500.0, hit, format!("{:.2} us", hit / 1e3));
}

fn dotnet(report: &mut Report, cloud: &Cloud) {
    if !tool("mcs") {
        return report.skip("a hit in .NET", "there is no mcs, Mono's compiler");
    }
    let place = tempfile::tempdir().expect("a directory");
    let program = match compile(place.path()) {
        Ok(program) => program,
        Err(why) => return report.skip("a hit in .NET", &why),
    };
    for (name, tool_name, file) in
        [("Mono", "mono", program.clone()), (".NET", "dotnet", program.with_extension("run.dll"))]
    {
        if !tool(tool_name) {
            report.skip(&format!("a hit under {name}"), &format!("there is no {tool_name}"));
            continue;
        }
        let mut command = Command::new(tool_name);
        command.arg(file).envs(cloud.env());
        command.env("LD_LIBRARY_PATH", library().parent().expect("a directory"));
        let rows = match rows(&mut command) {
            Ok(rows) => rows,
            Err(why) => {
                report.skip(&format!("a hit under {name}"), &why);
                continue;
            }
        };
        for (row, value) in &rows {
            report.value(&format!("{name}: {row}"), time(*value));
        }
        let found = rows.iter().find(|(row, _)| row.starts_with(HIT));
        let (row, hit) = found.map_or(("", f64::NAN), |(row, value)| (row.as_str(), *value));
        let synchronous = row == HIT;
        let measured =
            format!("{:.2} us{}", hit / 1e3, if synchronous { "" } else { ", by a task on the pool" });
        let wanted = "at most 1 us, completed synchronously";
        report.wanted(&format!("hit under {name}"), wanted, measured, synchronous && hit <= 1_000.0);
    }
}

/// The row of bindings/dotnet/bench/Bench.cs that a limit is set for.
const HIT: &str = "cached Bearer token";

/// Compiles the binding and the program, for Mono and for .NET.
fn compile(place: &Path) -> Result<PathBuf, String> {
    let binding = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/dotnet");
    let (assembly, program) = (place.join("mtlspop.dll"), place.join("bench.exe"));
    for (target, folder, out) in [("library", "src", &assembly), ("exe", "bench", &program)] {
        let mut command = Command::new("mcs");
        command.args(["-langversion:7.2", "-optimize+", "-r:System.Net.Http"]);
        command.arg(format!("-target:{target}")).arg(format!("-out:{}", out.display()));
        if target == "exe" {
            command.arg(format!("-r:{}", assembly.display()));
        }
        let files =
            fs::read_dir(binding.join(folder)).expect("a folder").map(|entry| entry.expect("a file").path());
        command.args(files.filter(|file| file.extension().is_some_and(|extension| extension == "cs")));
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned());
        }
    }
    fs::copy(&program, program.with_extension("run.dll")).expect("a file");
    let runtime = r#"{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "8.0.0"},
        "rollForward": "LatestMajor", "configProperties": {"System.Globalization.Invariant": true}}}"#;
    fs::write(program.with_extension("run.runtimeconfig.json"), runtime).expect("a file");
    Ok(program)
}

/// Runs a program that prints rows as `name  1.23 us`: names, and values in nanoseconds.
pub(crate) fn rows(command: &mut Command) -> Result<Vec<(String, f64)>, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(error.trim().lines().last().unwrap_or_default().to_owned());
    }
    Ok(said.lines().filter_map(row).collect())
}

fn row(line: &str) -> Option<(String, f64)> {
    let (rest, unit) = line.trim().rsplit_once(' ')?;
    let (name, value) = rest.trim().rsplit_once(' ')?;
    let scale = [("ns", 1.0), ("us", 1e3), ("ms", 1e6)].into_iter().find(|(name, _)| *name == unit)?.1;
    Some((name.trim().to_owned(), value.parse::<f64>().ok()? * scale))
}
