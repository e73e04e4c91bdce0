//! Microsoft Entra tokens, Bearer and mTLS proof-of-possession.

mod binding;
mod clock;
mod env;
mod error;
mod key;
mod log;
mod runtime;
mod secret;

pub use binding::Certificate;
pub use clock::{Clock, SystemClock};
pub use env::{Env, ProcessEnv};
pub use error::{Error, ErrorKind, Result};
pub use log::{LogFn, LogLevel, Logger};
pub use runtime::Cancel;
pub use secret::{Secret, SecretBytes};
