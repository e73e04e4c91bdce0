//! Log lines: to the caller's callback, or nowhere. Secrets and personal data never appear in them.

use std::fmt;
use std::sync::Arc;

use crate::error::text::one_line;

/// How important a line is. The numbers are MSAL's and part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum LogLevel {
    /// A call failed.
    Error = 0,
    /// Something failed, and the call goes on without it.
    Warning = 1,
    /// What a person following one call wants to see.
    Info = 2,
    /// Every step.
    Verbose = 3,
}

/// Receives level, target (the room of the library that speaks, e.g. `http`) and message.
pub type LogFn = dyn Fn(LogLevel, &str, &str) + Send + Sync;

/// Where log lines of one app go. Cheap to clone; the default one drops every line unformatted.
#[derive(Clone, Default)]
pub struct Logger(Option<(LogLevel, Arc<LogFn>)>);

impl Logger {
    /// Lines up to and including `level` go to `sink`.
    pub fn new(level: LogLevel, sink: Arc<LogFn>) -> Self {
        Self(Some((level, sink)))
    }

    pub(crate) fn warn(&self, target: &str, message: impl FnOnce() -> String) {
        self.write(LogLevel::Warning, target, message);
    }

    pub(crate) fn info(&self, target: &str, message: impl FnOnce() -> String) {
        self.write(LogLevel::Info, target, message);
    }

    pub(crate) fn verbose(&self, target: &str, message: impl FnOnce() -> String) {
        self.write(LogLevel::Verbose, target, message);
    }

    pub(crate) fn error(&self, target: &str, message: impl FnOnce() -> String) {
        self.write(LogLevel::Error, target, message);
    }

    /// A line stays one, whatever a server put into its words.
    fn write(&self, level: LogLevel, target: &str, message: impl FnOnce() -> String) {
        if let Some((max, sink)) = &self.0
            && level <= *max
        {
            sink(level, target, &one_line(message()));
        }
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Logger").field(&self.0.as_ref().map(|(level, _)| level)).finish()
    }
}
