//! The environment variables of the process, injected.

use std::collections::HashMap;
use std::fmt;

/// Where the library reads environment variables. Production uses [`ProcessEnv`]; a test gives a map.
pub trait Env: Send + Sync + fmt::Debug {
    /// The value of `name`, or `None` where it is unset, empty or not UTF-8.
    fn var(&self, name: &str) -> Option<String>;
}

/// The environment of this process, read anew on each use.
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
}
