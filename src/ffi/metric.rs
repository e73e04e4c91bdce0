//! `mtlspop_metric`: one measurement, lent to the caller's callback.

use std::ffi::{c_char, c_void};

use super::callback::{Lend, UserData};
use super::guard::guard_or;
use super::handle::{Handle, boxed, value};
use super::text::Lent;
use crate::error::Result;
use crate::metrics::{Metric, MetricKind};

/// Metric kind: values are to be summed.
pub const MTLSPOP_METRIC_KIND_COUNTER: i32 = 0;
/// Metric kind: each value is one of a distribution.
pub const MTLSPOP_METRIC_KIND_HISTOGRAM: i32 = 1;

/// One measurement. Valid during the callback only; never freed by the caller.
pub struct mtlspop_metric {
    _private: [u8; 0],
}

/// Receives one measurement. Called on any thread that uses the app, also on its background thread,
/// possibly on several at once. Must not call functions with this app. No exception may leave it.
pub type mtlspop_metrics_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, metric: *const mtlspop_metric)>;

type Function = unsafe extern "C" fn(*mut c_void, *const mtlspop_metric);

pub(super) struct MetricValue {
    name: (&'static str, Lent),
    unit: (&'static str, Lent),
    kind: MetricKind,
    value: i64,
    tags: Vec<Tag>,
}

struct Tag {
    name: (&'static str, Lent),
    value: (String, Lent),
}

impl Handle for mtlspop_metric {
    type Value = MetricValue;
    const NAME: &'static str = "metric";
    const TAG: u64 = 0x6d74_6c73_4d45_5452;
}

/// A C callback as a sink of measurements.
pub(super) fn sink(function: Function, userdata: UserData) -> impl Fn(&Metric<'_>) + Send + Sync {
    move |metric| {
        let lent = Lend(boxed::<mtlspop_metric>(MetricValue::new(metric)));
        // SAFETY: the caller gave the function to be called with this pointer and a measurement.
        unsafe { function(userdata.pointer(), lent.0) };
    }
}

impl MetricValue {
    fn new(metric: &Metric<'_>) -> Self {
        let tag = |(name, value): &(&'static str, &str)| Tag {
            name: (*name, Lent::default()),
            value: ((*value).to_owned(), Lent::default()),
        };
        Self {
            name: (metric.name, Lent::default()),
            unit: (metric.unit, Lent::default()),
            kind: metric.kind,
            value: metric.value,
            tags: metric.tags.iter().map(tag).collect(),
        }
    }
}

/// MSAL's name of the instrument: "MsalSuccess", "MsalTotalDuration.1A" and so on.
///
/// @param metric  the measurement
/// @return text, borrowed from metric; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_metric_name(metric: *const mtlspop_metric) -> *const c_char {
    unsafe { text(metric, |metric| Some(metric.name.1.get(|| Some(metric.name.0)))) }
}

/// How values of this name add up.
///
/// @param metric  the measurement
/// @return one of MTLSPOP_METRIC_KIND_..., -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_metric_kind(metric: *const mtlspop_metric) -> i32 {
    guard_or(-1, || Ok(unsafe { value(metric, "metric") }?.kind as i32))
}

/// The unit of the value.
///
/// @param metric  the measurement
/// @return "1", "ms", "us" or "s", borrowed from metric; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_metric_unit(metric: *const mtlspop_metric) -> *const c_char {
    unsafe { text(metric, |metric| Some(metric.unit.1.get(|| Some(metric.unit.0)))) }
}

/// The value.
///
/// @param metric  the measurement
/// @return the value, 0 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_metric_value(metric: *const mtlspop_metric) -> i64 {
    guard_or(0, || Ok(unsafe { value(metric, "metric") }?.value))
}

/// How many tags the measurement has.
///
/// @param metric  the measurement
/// @return their number, 0 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_metric_tag_count(metric: *const mtlspop_metric) -> usize {
    guard_or(0, || Ok(unsafe { value(metric, "metric") }?.tags.len()))
}

/// The name of a tag.
///
/// @param metric  the measurement
/// @param index   from 0 to mtlspop_metric_tag_count() - 1
/// @return text, borrowed from metric; NULL where index is out of range
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_metric_tag_name(
    metric: *const mtlspop_metric,
    index: usize,
) -> *const c_char {
    unsafe { text(metric, |metric| metric.tags.get(index).map(|tag| tag.name.1.get(|| Some(tag.name.0)))) }
}

/// The value of a tag; empty where the measurement has none for it.
///
/// @param metric  the measurement
/// @param index   from 0 to mtlspop_metric_tag_count() - 1
/// @return text, borrowed from metric; NULL where index is out of range
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_metric_tag_value(
    metric: *const mtlspop_metric,
    index: usize,
) -> *const c_char {
    unsafe { text(metric, |metric| metric.tags.get(index).map(|tag| tag.value.1.get(|| Some(&tag.value.0)))) }
}

unsafe fn text(
    metric: *const mtlspop_metric,
    get: impl FnOnce(&MetricValue) -> Option<*const c_char>,
) -> *const c_char {
    let body = || -> Result<_> { Ok(get(unsafe { value(metric, "metric") }?).unwrap_or(std::ptr::null())) };
    guard_or(std::ptr::null(), body)
}
