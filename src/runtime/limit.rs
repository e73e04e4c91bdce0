//! A time limit as messages name it: whose it is, and how long.

use std::fmt;
use std::time::Duration;

/// "the connect timeout of 10 s".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    whose: &'static str,
    length: Duration,
}

impl Limit {
    /// For a connection: name look-up, TCP, proxy and TLS together.
    pub(crate) fn connect(length: Duration) -> Self {
        Self { whose: "the connect timeout", length }
    }

    /// For one request.
    pub(crate) fn request(length: Duration) -> Self {
        Self { whose: "the request's timeout", length }
    }

    /// For all that a call of the library does.
    pub(crate) fn call(length: Duration) -> Self {
        Self { whose: "the caller's time limit", length }
    }

    /// For one thing of several that a call does.
    pub(crate) fn step(length: Duration) -> Self {
        Self { whose: "the step's time limit", length }
    }

    /// For the next part of a body.
    pub(crate) fn read(length: Duration) -> Self {
        Self { whose: "the read timeout", length }
    }

    pub(crate) fn length(self) -> Duration {
        self.length
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, ms) = (self.whose, self.length.as_millis());
        match (self.length.subsec_millis(), self.length.as_secs()) {
            (0, seconds) => write!(f, "{whose} of {seconds} s"),
            (_, 0..10) => write!(f, "{whose} of {ms} ms"),
            _ => write!(f, "{whose} of {:.1} s", self.length.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is a limit named with a number that a person would write?
    #[test]
    fn shown() {
        let show = |ms| Limit::connect(Duration::from_millis(ms)).to_string();
        assert_eq!(show(10_000), "the connect timeout of 10 s");
        assert_eq!(show(1500), "the connect timeout of 1500 ms");
        assert_eq!(show(12_340), "the connect timeout of 12.3 s");
        assert_eq!(show(0), "the connect timeout of 0 s");
    }
}
