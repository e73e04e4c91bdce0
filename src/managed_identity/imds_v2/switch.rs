//! `MSAL_MI_DISABLE_IMDS_V2`, which turns IMDSv2 off for the process (since_july_2026 spec, section 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::log::Logger;

/// The variable, read anew whenever something is to be fetched, for whoever runs the program may turn it.
pub(crate) struct Switch {
    env: Arc<dyn Env>,
    /// A value that means nothing has been told about.
    told: AtomicBool,
}

const NAME: &str = "MSAL_MI_DISABLE_IMDS_V2";

/// What a person is told where IMDSv2 is off.
pub(crate) const TURNED_OFF: &str =
    "IMDSv2 is turned off by the environment variable MSAL_MI_DISABLE_IMDS_V2";

impl Switch {
    pub(crate) fn new(env: Arc<dyn Env>) -> Self {
        Self { env, told: AtomicBool::new(false) }
    }

    /// Whether IMDSv2 is off now. Whatever is not understood leaves it on.
    pub(crate) fn is_off(&self, log: &Logger) -> bool {
        let Some(value) = self.env.var(NAME) else { return false };
        if value == "1" || value.eq_ignore_ascii_case("true") {
            log.info("managed_identity", || TURNED_OFF.to_owned());
            return true;
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            log.warn("managed_identity", || {
                format!("{NAME} is neither 1 nor true, so it has no effect: IMDSv2 stays on")
            });
        }
        false
    }
}

/// What a request ends with that cannot do without IMDSv2.
pub(crate) fn turned_off() -> Error {
    let text = format!(
        "{TURNED_OFF}, and requests over mTLS need a certificate from it; unset it, or ask for an ordinary Bearer token"
    );
    Error::new(ErrorKind::NotSupported, "imds_v2_disabled", text)
}
