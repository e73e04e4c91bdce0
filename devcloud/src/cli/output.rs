//! What commands print, and how they fail.

use std::error::Error;
use std::io::{self, Write as _};

pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// `export NAME='value'`, safe for any POSIX shell.
pub(super) fn export(in_the_way: &[&str], env: impl IntoIterator<Item = (String, String)>) -> String {
    let unset = format!("unset {}\n", in_the_way.join(" "));
    let exports =
        env.into_iter().map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
    std::iter::once(unset).chain(exports).collect()
}

pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
