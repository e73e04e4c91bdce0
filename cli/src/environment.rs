//! The environment as a run of this program reads it, and which of its variables were found there.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use mtlspop::{Env, ProcessEnv};

/// Of this run. Whoever asks for a variable says only here that it counts.
static FOUND: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The environment of the process, for the library as for the program itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Environment;

impl Env for Environment {
    fn var(&self, name: &str) -> Option<String> {
        let value = ProcessEnv.var(name);
        if value.is_some() {
            FOUND.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        value
    }
}

/// The names of those that were asked for and are set, in their order.
pub(crate) fn found() -> Vec<String> {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}
