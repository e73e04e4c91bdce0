//! How a command fails: with one line on stderr, and a status that says of which kind it was.

use std::io::{self, ErrorKind as IoErrorKind, Write as _};
use std::process::ExitCode;

use mtlspop::{Error, ErrorKind};

use crate::output::visible;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    /// Nothing is said where the reader of the output has gone: it has what it wanted.
    message: Option<String>,
}

const MISMATCH: u8 = 1;
const WRONG_INPUT: u8 = 2;
const NOT_HERE: u8 = 3;
const REFUSED: u8 = 4;
const NO_ANSWER: u8 = 5;
const UNUSABLE: u8 = 6;
const THROTTLED: u8 = 7;
const HTTP_ERROR: u8 = 22;
const OUTPUT: u8 = 23;
const TIMEOUT: u8 = 28;
const BUG: u8 = 70;

impl Failure {
    fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: Some(message.into()) }
    }

    /// The command line, a setting or the input is wrong.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(WRONG_INPUT, message)
    }

    /// What was compared does not match.
    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(MISMATCH, message)
    }

    /// An API answered with an error, and that was not to be taken for a result.
    pub(crate) fn http(status: u16) -> Self {
        Self::new(HTTP_ERROR, format!("the API answered {status}"))
    }

    /// The time that was given is over.
    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::new(TIMEOUT, message)
    }

    /// A program that was to be run did not, with the status that shells have for it.
    pub(crate) fn program(status: u8, message: impl Into<String>) -> Self {
        Self::new(status, message)
    }

    /// A credential cannot be read or used.
    pub(crate) fn credential(message: impl Into<String>) -> Self {
        Self::new(UNUSABLE, message)
    }

    /// What was written to stdout or to a file did not arrive there.
    pub(crate) fn output(place: &str, error: &io::Error) -> Self {
        match error.kind() {
            IoErrorKind::BrokenPipe => Self { status: OUTPUT, message: None },
            _ => Self::new(OUTPUT, format!("{place} cannot be written: {error}")),
        }
    }

    /// The same with a hint behind the message.
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        if let Some(message) = &mut self.message {
            *message = format!("{message}; {hint}");
        }
        self
    }

    /// The same without a word.
    pub(crate) fn silent(self) -> Self {
        Self { message: None, ..self }
    }

    /// Says it, and ends the program from whatever thread.
    pub(crate) fn end(&self) -> ! {
        self.report();
        std::process::exit(self.status.into())
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// Says it, in one line.
    pub(crate) fn report(&self) -> ExitCode {
        if let Some(message) = &self.message {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(io::stderr(), "mtlspop: {}", visible(message));
        }
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidArgument => WRONG_INPUT,
            ErrorKind::NotSupported => NOT_HERE,
            ErrorKind::Network => NO_ANSWER,
            ErrorKind::Timeout => TIMEOUT,
            ErrorKind::Rejected | ErrorKind::InteractionRequired | ErrorKind::InvalidResponse => REFUSED,
            ErrorKind::Throttled => THROTTLED,
            ErrorKind::KeyUnavailable => UNUSABLE,
            _ => BUG,
        };
        let id = error.correlation_id().map(|id| format!(", correlation id {id}")).unwrap_or_default();
        Self::new(status, format!("{} ({}{id})", error.message(), error.code()))
    }
}
