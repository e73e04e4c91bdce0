//! The secret that clients of the proxy have to know, in a file.

use std::path::Path;

use mtlspop::Secret;

use crate::output::write_private;
use crate::secrets::{From, STDIN};
use crate::server::Callers;
use crate::{Failure, Result};

/// Of one that somebody chose.
const SHORTEST: usize = 16;

/// Reads it; where it is not there, it is made.
pub(super) fn read_or_make(path: &Path, stdin_is_taken: bool) -> Result<Secret> {
    if is_stdin(path) && stdin_is_taken {
        return Err(Failure::input("stdin cannot hold two secrets: put one into a file"));
    }
    if !is_stdin(path) && matches!(path.try_exists(), Ok(false)) {
        let secret = Callers::new_secret();
        write_private(path, format!("{}\n", secret.expose()).as_bytes())?;
        return Ok(secret);
    }
    read(path)
}

/// Whether it could be read, or made. What will be on stdin is not read.
pub(super) fn check(path: &Path) -> Result<()> {
    match is_stdin(path) || matches!(path.try_exists(), Ok(false)) {
        true => Ok(()),
        false => read(path).map(drop),
    }
}

/// Reads it again. What was on stdin is `known`.
pub(super) fn read_again(path: &Path, known: &Secret) -> Result<Secret> {
    if is_stdin(path) { Ok(known.clone()) } else { read(path) }
}

fn read(path: &Path) -> Result<Secret> {
    let secret = From::File(path.to_owned()).read("the secret of --listen-secret-file")?;
    let text = secret.expose();
    if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::credential(format!(
            "{} must hold {SHORTEST} characters or more, of ASCII and without blanks; where it is not there, it is made",
            path.display()
        )));
    }
    Ok(secret)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}
