//! A call that may be cancelled, and has all the time in the world.

use std::time::Duration;

use loom::sync::atomic::AtomicBool;

use super::sync::Ordering;
use crate::error::{Error, ErrorKind, Result};

#[derive(Default)]
pub(crate) struct Call {
    pub(crate) cancelled: AtomicBool,
}

impl Call {
    pub(crate) fn check(&self) -> Result<()> {
        match self.cancelled.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Cancelled, "", "")),
            false => Ok(()),
        }
    }

    pub(crate) fn bounded(&self, limit: Duration) -> Duration {
        limit
    }

    pub(crate) fn was_cut_short(&self) -> bool {
        false
    }
}
