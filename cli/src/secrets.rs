//! Where secrets are read from: files, stdin, the environment, credentials that systemd gives. Never arguments.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mtlspop::Secret;
use zeroize::Zeroizing;

use crate::{Failure, Result};

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// In a file; `-` is stdin.
    File(PathBuf),
    /// In an environment variable.
    Variable(&'static str, Secret),
}

/// Longer than any secret, certificate or token is.
const LONGEST: u64 = 1024 * 1024;
pub(crate) const STDIN: &str = "-";

impl From {
    /// The secret, without the line break that editors and `echo` put behind it.
    pub(crate) fn read(&self, what: &str) -> Result<Secret> {
        let path = match self {
            Self::Variable(_, secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        let place = place(path);
        let bytes = read(path)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::credential(format!("{what}: {place} is not UTF-8 text")))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        match text {
            "" => Err(Failure::credential(format!("{what}: {place} is empty"))),
            // Of what is pasted by mistake, a private key above all.
            text if text.contains(['\n', '\0']) => {
                Err(Failure::credential(format!("{what}: {place} has more than one line")))
            }
            text => Ok(Secret::new(text)),
        }
    }

    pub(crate) fn is_stdin(&self) -> bool {
        matches!(self, Self::File(path) if path.as_os_str() == STDIN)
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File(path) => place(path),
            Self::Variable(name, _) => format!("${name}"),
        }
    }
}

/// A file, or stdin, of at most 1 MiB.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let place = place(path);
    let failed = |error: io::Error| Failure::credential(format!("{place} cannot be read: {error}"));
    match path.as_os_str() == STDIN {
        true => limited(io::stdin().lock()),
        false => File::open(path).and_then(limited),
    }
    .map_err(failed)?
    .ok_or_else(|| Failure::credential(format!("{place} is longer than 1 MiB")))
}

/// All that a reader has, unless it is too long.
pub(crate) fn limited(reader: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Room for all of what is usual: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let count = reader.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok((count as u64 <= LONGEST).then_some(bytes))
}

fn place(path: &Path) -> String {
    match path.as_os_str() == STDIN {
        true => "stdin".to_owned(),
        false => path.display().to_string(),
    }
}
