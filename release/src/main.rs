//! Writes down what is in a build, and how it came about. `scripts/install.sh` and `scripts/dist.sh` call it.

mod linked;
mod provenance;
mod sbom;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use self::linked::linked;

const USAGE: &str = "\
mtlspop-release sbom PACKAGE [FEATURES]        a CycloneDX document of the packages that are linked into one
mtlspop-release auditable PACKAGE [FEATURES]   the same as cargo-auditable puts it into a library's section .dep-v0
mtlspop-release provenance FILE                an in-toto statement about the files whose SHA-256 sums are in one
FEATURES are options as cargo takes them.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let written = match arguments[..] {
        ["sbom", package, ref features @ ..] => {
            linked(package, features).and_then(|packages| Ok(text(&sbom::document(&packages)?)))
        }
        ["auditable", package, ref features @ ..] => linked(package, features).map(|packages| {
            let data = sbom::auditable(&packages).to_string();
            miniz_oxide::deflate::compress_to_vec_zlib(data.as_bytes(), 9)
        }),
        ["provenance", sums] => provenance::statement(sums).map(|statement| text(&statement)),
        _ => Err(USAGE.into()),
    };
    match written.and_then(|bytes| Ok(std::io::stdout().write_all(&bytes)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "mtlspop-release: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn text(document: &Value) -> Vec<u8> {
    format!("{document:#}\n").into_bytes()
}

/// What a command prints that succeeds.
fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let program = std::env::var(program.to_uppercase()).unwrap_or_else(|_| program.to_owned());
    let output = std::process::Command::new(&program).args(arguments).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {} failed: {}", arguments.join(" "), said.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
