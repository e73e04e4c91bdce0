//! Instructions of a cached token, counted by valgrind: benches/c/token.c with few and with many of them.

use std::path::Path;
use std::process::Command;

/// How many instructions one hit takes, in a program that was made of benches/c/token.c. `environment` is devcloud's.
pub(crate) fn instructions_of_a_hit(program: &Path, environment: &[(String, String)]) -> Result<f64, String> {
    const FEW: u32 = 1_000;
    // The handshake before them takes a million more or fewer each time.
    const MANY: u32 = 201_000;
    let counts: Result<Vec<f64>, String> =
        [FEW, MANY].into_iter().map(|hits| counted(program, hits, environment)).collect();
    counts.map(|counts| (counts[1] - counts[0]) / f64::from(MANY - FEW))
}

fn counted(program: &Path, hits: u32, environment: &[(String, String)]) -> Result<f64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).arg(hits.to_string());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let environment = environment.iter().map(|(name, value)| (name, value));
    let output =
        command.envs(environment).output().map_err(|error| format!("valgrind does not run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // ==123== Collected : 4567
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let collected = collected.and_then(|(_, number)| number.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| said.into_owned())
}
