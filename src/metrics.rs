//! Measurements: to the caller's callback, under MSAL's OpenTelemetry names, or nowhere.

use std::fmt;
use std::sync::Arc;

/// One measurement. Nothing in it is secret or personal.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric<'a> {
    /// MSAL's name of the instrument, for example `MsalSuccess`.
    pub name: &'static str,
    /// How values of this name add up.
    pub kind: MetricKind,
    /// `1`, `ms`, `us` or `s`.
    pub unit: &'static str,
    /// The value.
    pub value: i64,
    /// Names and values of the tags.
    pub tags: &'a [(&'static str, &'a str)],
}

/// The kind of an instrument. The numbers are part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum MetricKind {
    /// To be summed.
    Counter = 0,
    /// One value of a distribution.
    Histogram = 1,
}

/// Receives measurements, on any thread that uses the app.
pub type MetricsFn = dyn Fn(&Metric<'_>) + Send + Sync;

/// Where measurements of one app go.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Option<Arc<MetricsFn>>);

impl Metrics {
    pub(crate) fn new(sink: Arc<MetricsFn>) -> Self {
        Self(Some(sink))
    }

    /// Whether anybody listens.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn record(&self, metric: &Metric<'_>) {
        if let Some(sink) = &self.0 {
            sink(metric);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.is_on()).finish()
    }
}
