//! What threads share memory by, in one place: the models in `loom/` put theirs here.

pub(crate) use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
pub(crate) use std::thread::{ThreadId, current};

pub(crate) use arc_swap::ArcSwapOption;

/// What was in one when it was looked at.
pub(crate) type Guard<T> = arc_swap::Guard<Option<Arc<T>>>;

/// The number of this thread, in the order in which threads came here.
pub(crate) fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}
