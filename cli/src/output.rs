//! What goes to stdout, and how it looks there.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

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

/// Two columns.
pub(crate) fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (name, value)| {
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

/// Makes a file that its owner alone can read, in the place of one that may be there.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |error: &io::Error| Failure::output(&path.display().to_string(), error);
    // A file that others could read, or have open, is not written into: a new one takes its place.
    let _ = std::fs::remove_file(path);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let write = |mut file: File| file.write_all(content).and_then(|()| file.sync_all());
    made.and_then(write).map_err(|error| failed(&error))
}
