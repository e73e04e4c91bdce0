//! What the library reads of its host: environment variables and well-known places, injected.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

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
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
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
