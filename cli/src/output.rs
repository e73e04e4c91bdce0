//! What goes to stdout, and how it looks there.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clap::ValueEnum;

use crate::{Failure, Result};

/// Writes all of it, and has it arrive.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output("stdout", &error))
}

/// Whether a person reads stdout.
pub(crate) fn is_for_a_person() -> bool {
    io::stdout().is_terminal()
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

impl Format {
    /// What was asked for, else what suits the reader of stdout.
    pub(crate) fn of(asked: Option<Self>) -> Self {
        asked.unwrap_or(if is_for_a_person() { Self::Table } else { Self::Json })
    }
}

/// Two columns.
pub(crate) fn table<N: AsRef<str>>(rows: &[(N, String)]) -> String {
    // A name may be another's text, too.
    let names: Vec<String> = rows.iter().map(|(name, _)| visible(name.as_ref())).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    names.iter().zip(rows).fold(String::new(), |mut text, (name, (_, value))| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:width$}  {}", visible(value));
        text
    })
}

/// Text of others on one line, and without what a terminal would obey.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // Beside control characters those that turn the direction of what follows.
        let hidden =
            matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match character.is_control() || hidden {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

/// Makes a file that its owner alone can read, in the place of one that may be there: all of it or nothing.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |error: io::Error| Failure::output(&path.display().to_string(), &error);
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Failure::input(format!("{} is there and is no file", path.display())));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = Path::new(&beside);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside);
    let write = |mut file: File| file.write_all(content).and_then(|()| file.sync_all());
    let written = made.and_then(write).and_then(|()| fs::rename(beside, path));
    written.map_err(|error| {
        // What is half a key is of no use to anybody.
        let _ = fs::remove_file(beside);
        failed(error)
    })
}
