//! What the library reads of its host: environment variables and well-known places, injected.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// Where the library reads environment variables and finds well-known files. Production uses [`ProcessEnv`]; a test gives a map.
pub trait Env: Send + Sync + fmt::Debug {
    /// The value of `name`, or `None` where it is unset, empty or not UTF-8.
    fn var(&self, name: &str) -> Option<String>;

    /// Where a file is that has its fixed place on every host, such as those of Azure Arc's agent: at that
    /// very place. A test may keep it elsewhere.
    fn host_path(&self, path: &str) -> PathBuf {
        PathBuf::from(path)
    }
}

/// The environment of this process, read anew on each use: mostly when an app is made, and for
/// `MSAL_MI_DISABLE_IMDS_V2` on the way to each fetch from IMDS (docs/adr/007).
///
/// In a program that has more rights than whoever started it (setuid, setgid, file capabilities) every variable is
/// unset, as for `secure_getenv(3)`: they are that one's, who could send our secrets to a server of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<String> {
        if is_privileged() {
            return None;
        }
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

/// Whether this program has more rights than whoever started it, and must not believe their environment.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: reads a number that the kernel gave the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether it is this process, or machine, that has too little just now, or was interrupted: the one rule for everybody who
/// reads files. Such an error says that it passes; what is left out for it would be missing for as long as the app lives.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR))
}

impl Env for HashMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// There is no host around a map: nothing is ever found below /dev/null.
    fn host_path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/dev/null{path}"))
    }
}
