//! Federated tokens in a file: what Kubernetes' workload identity puts there and replaces now and then.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::env::is_shortage;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// No JWT is as long as this.
const MAX_BYTES: u64 = 256 * 1024;

/// Reads the token in `path`, as it is now: an earlier one may have expired (AADSTS700024).
pub(super) fn read(path: &Path) -> Result<Secret> {
    let text = text(path)?;
    let token = text.trim();
    match token.split('.').count() {
        3 if !token.contains(char::is_whitespace) => Ok(Secret::new(token)),
        _ if token.is_empty() => Err(bad(path, "is empty")),
        _ => Err(bad(path, "holds no JWT (three parts with dots between them)")),
    }
}

fn text(path: &Path) -> Result<Zeroizing<String>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    // The room for everything is made at once: text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 32));
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(read) if read as u64 > MAX_BYTES => Err(bad(path, "is too long to be a token")),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == IoErrorKind::InvalidData => Err(bad(path, "is not a text file")),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    match is_shortage(error) {
        true => bad(path, &format!("cannot be read now ({error})")).with_retryable(true),
        false => bad(
            path,
            &format!("cannot be read ({error}); check AZURE_FEDERATED_TOKEN_FILE and the volume it is on"),
        ),
    }
}

fn bad(path: &Path, what: &str) -> Error {
    let message = format!("the federated token file {} {what}", path.display());
    Error::new(ErrorKind::KeyUnavailable, "invalid_client_assertion", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is the token read without the line break behind it, and is everything else refused in words?
    #[test]
    fn what_is_a_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let read_of = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read(&path).map(|token| token.expose().to_owned()).map_err(|error| error.message().to_owned())
        };
        assert_eq!(read_of(b"a.b.c\n").unwrap(), "a.b.c");
        for (content, why) in [
            (b"".as_slice(), "is empty"),
            (b" \n", "is empty"),
            (b"a.b", "holds no JWT"),
            (b"a.b.c d", "holds no JWT"),
            (b"\xff.b.c", "is not a text file"),
            (&[b'x'; 300 * 1024], "too long"),
        ] {
            let message = read_of(content).unwrap_err();
            assert!(message.contains(why) && message.contains("token"), "{message}");
        }
        // However long it is, it is read into one place.
        std::fs::write(&path, "x".repeat(MAX_BYTES as usize)).unwrap();
        assert_eq!(text(&path).unwrap().capacity(), MAX_BYTES as usize + 32);
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().message().contains("AZURE_FEDERATED_TOKEN_FILE"));
        assert!(read(directory.path()).unwrap_err().message().contains("cannot be read"));
        assert!(!read(&path).unwrap_err().is_retryable());
        assert!(unreadable(&path, &rustix::io::Errno::MFILE.into()).is_retryable());
    }
}
