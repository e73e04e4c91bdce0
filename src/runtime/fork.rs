//! Life after `fork`: state that belongs to one process and is made anew in a child.
//!
//! A child inherits locks that other threads held, sockets its parent still uses and TLS sessions
//! that would be continued twice. So everything of that kind lives in a [`PerProcess`] cell. A
//! counter that `pthread_atfork` raises in the child (no `getpid` per call) tells an inherited value
//! from an own one; inherited values are never used again and, because another thread may have been
//! changing them, never dropped either. So a reference is all that a caller needs, and it costs two reads.

use std::sync::atomic::{AtomicU32, Ordering};

use once_cell::race::OnceBox;
use once_cell::sync::Lazy;

use super::gate::GATE;

/// A value that each process makes for itself on first use.
pub(crate) struct PerProcess<T> {
    first: Generation<T>,
    make: Box<dyn Fn() -> T + Send + Sync>,
}

/// The value of one process, and then those of its children. Without a lock: one could be inherited locked.
struct Generation<T> {
    own: Slot<T>,
    next: OnceBox<Self>,
}

/// A value that is of use only in the process that made it.
pub(crate) struct OwnProcess<T>(Slot<T>);

struct Slot<T> {
    epoch: u32,
    value: Option<T>,
}

static EPOCH: AtomicU32 = AtomicU32::new(0);

impl<T> PerProcess<T> {
    pub(crate) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { first: Generation::new(make()), make: Box::new(make) }
    }

    /// The value of this process; made anew in the first call after a `fork`.
    #[inline(always)]
    pub(crate) fn get(&self) -> &T {
        // `watch_forks` came before there was a value.
        let epoch = EPOCH.load(Ordering::Relaxed);
        match &self.first.own {
            Slot { epoch: own, value: Some(value) } if *own == epoch => value,
            _ => self.of_child(epoch),
        }
    }

    #[cold]
    fn of_child(&self, epoch: u32) -> &T {
        let mut generation = &self.first;
        loop {
            match &generation.own {
                Slot { epoch: own, value: Some(value) } if *own == epoch => return value,
                _ => generation = generation.next.get_or_init(|| Box::new(Generation::new((self.make)()))),
            }
        }
    }
}

impl<T> Generation<T> {
    fn new(value: T) -> Self {
        Self { own: Slot::new(value), next: OnceBox::new() }
    }
}

impl<T> OwnProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Slot::new(value))
    }

    /// `None` in a child.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.value.as_mut().filter(|_| self.0.epoch == epoch())
    }

    /// `None` in a child, where it is left alone.
    pub(crate) fn into_inner(mut self) -> Option<T> {
        if self.0.epoch == epoch() { self.0.value.take() } else { None }
    }
}

impl<T> Slot<T> {
    fn new(value: T) -> Self {
        Self { epoch: epoch(), value: Some(value) }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if self.epoch != epoch() {
            std::mem::forget(self.value.take());
        }
    }
}

/// How many forks lie between this process and the one that loaded the library.
fn epoch() -> u32 {
    watch();
    EPOCH.load(Ordering::Relaxed)
}

/// From now on no `fork` goes unnoticed.
pub(super) fn watch() {
    static WATCH: Lazy<()> = Lazy::new(watch_forks);
    Lazy::force(&WATCH);
}

#[allow(unsafe_code)]
fn watch_forks() {
    extern "C" fn before() {
        GATE.close();
    }
    extern "C" fn in_parent() {
        GATE.open();
    }
    extern "C" fn in_child() {
        EPOCH.fetch_add(1, Ordering::Relaxed);
        GATE.open_in_child();
    }
    // SAFETY: the handlers only touch atomics (the first one sleeps, too), so the last one is sound in a forked child.
    // They stay registered for the life of the library, which `dlclose` does not end (build.rs).
    let _ = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Is a value of another epoch replaced, and leaked rather than dropped?
    #[test]
    fn inherited_values_are_left_alone() {
        struct Loud(Arc<AtomicU32>);
        impl Drop for Loud {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let drops = Arc::new(AtomicU32::new(0));
        let made = drops.clone();
        let mut cell = PerProcess::new(move || Loud(made.clone()));
        cell.first.own.epoch = epoch().wrapping_sub(1);
        assert!(std::ptr::eq(cell.get(), cell.get()), "made once in a process");
        assert!(cell.first.next.get().is_some_and(|own| own.own.epoch == epoch()));
        drop(cell);
        assert_eq!(drops.load(Ordering::SeqCst), 1, "our own value is dropped, the inherited one is not");
    }
}
