//! What a doctor says: one line for each thing that was looked at, and what to do where it is not well.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::output::visible;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Warning,
    Fault,
    /// It could not be looked at, or there was no reason to.
    Skipped,
}

/// One thing that was looked at. Name and status are for programs, the rest is for people.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Of which server, where it is about one.
    pub(crate) host: Option<String>,
    pub(crate) status: Status,
    pub(crate) detail: String,
    /// What to do, where something is to be done.
    pub(crate) advice: Option<String>,
}

/// All that was looked at, in its order.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Check>);

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
            Self::Skipped => "skipped",
        }
    }
}

impl Report {
    pub(crate) fn ok(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, None, Status::Ok, detail.into(), None);
    }

    pub(crate) fn skipped(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, None, Status::Skipped, detail.into(), None);
    }

    pub(crate) fn warning(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(name, None, Status::Warning, detail.into(), Some(advice.into()));
    }

    pub(crate) fn fault(&mut self, name: &'static str, detail: impl Into<String>, advice: impl Into<String>) {
        self.add(name, None, Status::Fault, detail.into(), Some(advice.into()));
    }

    pub(crate) fn add(
        &mut self,
        name: &'static str,
        host: Option<&str>,
        status: Status,
        detail: String,
        advice: Option<String>,
    ) {
        self.0.push(Check { name, host: host.map(str::to_owned), status, detail, advice });
    }

    pub(crate) fn count(&self, status: Status) -> usize {
        self.0.iter().filter(|check| check.status == status).count()
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let title = |check: &Check| match &check.host {
            Some(host) => visible(&format!("{} {host}", check.name)),
            None => check.name.to_owned(),
        };
        self.0.iter().fold(String::new(), |mut text, check| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:8} {}: {}", check.status.name(), title(check), visible(&check.detail));
            if let Some(advice) = &check.advice {
                let _ = writeln!(text, "         what to do: {}", visible(advice));
            }
            text
        })
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        self.0
            .iter()
            .map(|check| {
                json!({
                    "name": check.name,
                    "host": check.host,
                    "status": check.status.name(),
                    "detail": check.detail,
                    "advice": check.advice,
                })
            })
            .collect()
    }
}
