//! What threads share memory by, as loom has it. `arc-swap` is taken for what it says it is.

use std::cell::Cell;
use std::ops::Deref;

pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
pub(crate) use loom::thread::{ThreadId, current};
pub(crate) use std::sync::PoisonError;

/// A place for a reference, read and written at once.
pub(crate) struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

pub(crate) struct Guard<T>(Option<Arc<T>>);

impl<T> ArcSwapOption<T> {
    pub(crate) fn empty() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }

    pub(crate) fn load_full(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap(), value);
        drop(before);
    }
}

impl<T> Deref for Guard<T> {
    type Target = Option<Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

loom::thread_local! {
    static NUMBER: Cell<usize> = Cell::new(0);
}

pub(crate) fn thread_number() -> usize {
    NUMBER.with(Cell::get)
}

/// Gives this thread a number.
pub(crate) fn be(number: usize) {
    NUMBER.with(|place| place.set(number));
}
