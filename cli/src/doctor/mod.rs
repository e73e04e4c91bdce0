//! `mtlspop doctor`: why it does not work here. Each part is looked at by itself, whatever another one said.

mod advice;
mod credential;
mod identity;
mod live;
mod report;
mod server;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::identity::Patient;
use self::live::Transcript;
use self::report::{Report, Status};
use crate::environment;
use crate::output::print;
use crate::settings::Settings;
use crate::{Context, Failure, Result};

/// Find out why it does not work here
///
/// Looks at versions, settings, identity, certificate and key, TPM, roots, and for each server at proxy, name look-up, TLS, whether it asks
/// for the certificate, and the clock. Goes on after a fault, and says of each what to do. Asks with the options of mtlspop token; sends
/// neither token nor secret, unless --live has it go through the whole flow.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// An API to look at, too
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Print what was found as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Get a token from the real services, call the API with it, and write down how it went
    #[arg(long, help_heading = "The whole flow")]
    live: bool,
    /// Where that is written: names, times and ids, without any secret; mode 0600
    #[arg(
        long,
        value_name = "FILE",
        default_value = "mtlspop-transcript.json",
        requires = "live",
        help_heading = "The whole flow"
    )]
    transcript: PathBuf,
    /// How long each look may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(flatten)]
    settings: Settings,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop doctor
  mtlspop doctor --pop --certificate app.pem \\
      https://mtlstb.graph.microsoft.com/v1.0/applications
  mtlspop doctor --managed-identity --json
  mtlspop doctor --live --pop --resource https://graph.microsoft.com \\
      https://mtlstb.graph.microsoft.com/v1.0/applications

EXIT STATUS:
  0 where nothing is at fault, warnings or not; 1 where something is;
  2 where the command line is wrong";

pub(crate) fn run(args: &DoctorArgs, context: &Context) -> Result<()> {
    let limit = Duration::from_secs(args.timeout);
    let mut report = Report::default();
    report.ok("version", format!("mtlspop {} on {}", env!("CARGO_PKG_VERSION"), system()));
    let transcript = args.live.then(Transcript::default);
    let patient = Patient::examine(&args.settings, context, limit, transcript.as_ref(), &mut report);
    if let Some(patient) = &patient {
        patient.servers(args.url.as_deref(), limit, &mut report);
    }
    let token = match (&patient, args.live) {
        (Some(patient), true) => patient.go(args.url.as_deref(), limit, &mut report),
        (None, true) => {
            report.skipped("token", "not asked for, as the settings are at fault");
            None
        }
        (_, false) => None,
    };
    let found = environment::found();
    let variables = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    report.ok("environment", format!("variables that count and are set: {variables}"));
    if let Some(transcript) = &transcript {
        transcript.write(&args.transcript, token.as_ref(), &report)?;
        let detail =
            format!("{}: names, times and ids, to be read before it is sent", args.transcript.display());
        report.ok("transcript", detail);
    }
    let (faults, warnings) = (report.count(Status::Fault), report.count(Status::Warning));
    print(&match args.json {
        true => format!("{:#}\n", json!({ "faults": faults, "warnings": warnings, "checks": report.json() })),
        false => report.text(),
    })?;
    match faults {
        0 => Ok(()),
        1 => Err(Failure::mismatch("1 fault was found")),
        _ => Err(Failure::mismatch(format!("{faults} faults were found"))),
    }
}

/// The system that it runs on, as far as that says so.
fn system() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map(|name| name.trim_matches('"')).unwrap_or(std::env::consts::OS);
    format!("{name}, Linux {}, {}", read("/proc/sys/kernel/osrelease").trim(), std::env::consts::ARCH)
}
