//! How long something takes: min, median and max of repetitions, taken in turns with what it is compared with.

use std::time::{Duration, Instant};

/// Min, median and max, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { min: values[0], median: values[values.len() / 2], max: values[values.len() - 1] }
    }
}

/// How often each row of a comparison is repeated.
const ROUNDS: usize = 9;
/// How long one repetition takes.
const REPETITION: Duration = Duration::from_millis(50);

/// One row of a comparison: gives the nanoseconds of one repetition.
pub(crate) type Repetition<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// What one call costs, for calls that take less than a clock can tell.
pub(crate) fn calls<'a>(mut call: impl FnMut() + 'a) -> Repetition<'a> {
    Box::new(move || {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < REPETITION {
            (0..1000).for_each(|_| call());
            calls += 1000;
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    })
}

/// What one call costs, for calls that take long.
pub(crate) fn call<'a>(mut call: impl FnMut() + 'a) -> Repetition<'a> {
    Box::new(move || nanoseconds(&mut call))
}

pub(crate) fn nanoseconds(call: impl FnOnce()) -> f64 {
    let start = Instant::now();
    call();
    start.elapsed().as_secs_f64() * 1e9
}

/// The rows of a comparison in turns, so that what else the machine does falls on all of them.
pub(crate) fn in_turns<const N: usize>(rounds: usize, mut rows: [Repetition<'_>; N]) -> [Spread; N] {
    let mut values = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (values, row) in values.iter_mut().zip(&mut rows) {
            values.push(row());
        }
    }
    values.map(Spread::of)
}

/// The same for rows of [`calls`].
pub(crate) fn compare<const N: usize>(rows: [Repetition<'_>; N]) -> [Spread; N] {
    in_turns(ROUNDS, rows)
}

/// Min, median, max over `times` calls of one thing.
pub(crate) fn times(times: usize, mut call: impl FnMut()) -> Spread {
    Spread::of((0..times).map(|_| nanoseconds(&mut call)).collect())
}

/// Nanoseconds as people read them.
pub(crate) fn time(ns: f64) -> String {
    match ns {
        ns if ns < 100.0 => format!("{ns:.1} ns"),
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.0} us", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}
