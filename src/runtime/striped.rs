//! One value that threads hold at the same time without writing to the same memory: references and counts in stripes.

use std::ops::Deref;

use crate::runtime::sync::{Arc, AtomicU64, Ordering, thread_number};

const STRIPES: usize = Stripe::NUMBER;

/// A share of all threads, which count in one place: found once in a call, as finding it costs more than using it.
#[derive(Clone, Copy)]
pub(crate) struct Stripe(usize);

/// Hands out references to one value. Each stripe of threads has them counted in a place of its own; the value goes
/// with the last of them.
pub(crate) struct Striped<T>(Box<[Arc<Line<Arc<T>>>; STRIPES]>);

/// A reference to a value: counted where all are, or in a stripe.
pub(crate) enum Shared<T> {
    One(Arc<T>),
    Striped(Held<T>),
}

/// A reference that [`Striped`] handed out.
pub(crate) struct Held<T>(Arc<Line<Arc<T>>>);

/// Two numbers that threads add to. Exact when nobody is adding.
pub(crate) struct Counts(Box<[Line<[AtomicU64; 2]>; STRIPES]>);

/// Alone on its cache lines, with the count in front of it where an [`Arc`] holds it.
#[repr(align(64))]
struct Line<T>(T);

impl Stripe {
    /// A power of two. With more threads than these, some of them meet.
    pub(crate) const NUMBER: usize = 16;

    #[inline(always)]
    pub(crate) fn of_this_thread() -> Self {
        Self(thread_number() % Self::NUMBER)
    }

    pub(crate) fn number(self) -> u32 {
        self.0 as u32
    }

    /// Less than [`Stripe::NUMBER`].
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.0 % Self::NUMBER
    }
}

impl<T> Striped<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Box::new(std::array::from_fn(|_| Arc::new(Line(value.clone())))))
    }

    /// The value itself, for who holds this.
    pub(crate) fn value(&self) -> &T {
        &self.0[0].0
    }

    /// A reference for this thread.
    pub(crate) fn hold(&self) -> Held<T> {
        self.hold_in(Stripe::of_this_thread())
    }

    /// The same for who knows its stripe already.
    #[inline(always)]
    pub(crate) fn hold_in(&self, stripe: Stripe) -> Held<T> {
        Held(self.0[stripe.index()].clone())
    }
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self(Box::new(std::array::from_fn(|_| Line(Default::default()))))
    }

    /// Adds one to the number with this index, 0 or 1.
    #[inline(always)]
    pub(crate) fn add(&self, stripe: Stripe, index: usize) {
        self.0[stripe.index()].0[index].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sums(&self) -> [u64; 2] {
        [0, 1].map(|index| self.0.iter().map(|line| line.0[index].load(Ordering::Relaxed)).sum())
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::One(value) => value,
            Self::Striped(value) => value,
        }
    }
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        match self {
            Self::One(value) => Self::One(value.clone()),
            Self::Striped(value) => Self::Striped(value.clone()),
        }
    }
}

impl<T> From<Arc<T>> for Shared<T> {
    fn from(value: Arc<T>) -> Self {
        Self::One(value)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Does the value live as long as any reference to it, whatever thread that is from, and no longer?
    #[test]
    fn the_last_reference_counts() {
        let value = Arc::new(7);
        let striped = Striped::new(value.clone());
        let held: Vec<_> =
            (0..20).map(|_| thread::scope(|scope| scope.spawn(|| striped.hold()).join().unwrap())).collect();
        drop(striped);
        assert!(held.iter().all(|held| **held == 7) && Arc::strong_count(&value) > 1);
        drop(held);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    /// Is nothing lost of what many threads count?
    #[test]
    fn counts_are_exact() {
        let counts = Counts::new();
        thread::scope(|scope| {
            for n in 0..20 {
                let counts = &counts;
                scope.spawn(move || (0..1000).for_each(|_| counts.add(Stripe::of_this_thread(), n % 2)));
            }
        });
        assert_eq!(counts.sums(), [10_000, 10_000]);
    }
}
