//! Cancellation: one flag that wakes every wait and shuts down every socket of a call.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::runtime::PerProcess;

/// Stops calls from another thread. Clones share one flag; once cancelled it stays so.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Shared>);

struct Shared {
    cancelled: AtomicBool,
    /// Those who wait are threads, and what they wait for sockets, of one process.
    waiters: PerProcess<Waiters>,
}

#[derive(Default)]
struct Waiters {
    hooks: Mutex<Hooks>,
    woken: Condvar,
}

#[derive(Default)]
struct Hooks {
    next: u64,
    list: Vec<(u64, Weak<dyn Fn() + Send + Sync>)>,
}

/// Keeps a hook registered; dropping it takes the hook out.
pub(crate) struct Registration {
    shared: Arc<Shared>,
    id: u64,
    _hook: Arc<dyn Fn() + Send + Sync>,
}

impl Cancel {
    /// A fresh flag, not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops everything that uses this flag. May be called from any thread, any number of times.
    pub fn cancel(&self) {
        let hooks: Vec<_> = {
            let waiters = self.0.waiters.get();
            let hooks = waiters.lock();
            self.0.cancelled.store(true, Ordering::SeqCst);
            waiters.woken.notify_all();
            hooks.list.iter().filter_map(|(_, hook)| hook.upgrade()).collect()
        };
        for hook in hooks {
            hook();
        }
    }

    /// Whether [`Cancel::cancel`] has been called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Waits until cancelled, at most `duration`; tells whether it was cancelled.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let end = Instant::now().checked_add(duration);
        let waiters = self.0.waiters.get();
        let mut hooks = waiters.lock();
        while !self.is_cancelled() {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            // The longest wait a condition variable takes on every platform is a matter of years.
            let slice = left.min(Duration::from_secs(3600));
            hooks = waiters.woken.wait_timeout(hooks, slice).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Runs `hook` when cancelled, at once if that has already happened. Used to shut sockets down.
    pub(crate) fn on_cancel(&self, hook: Arc<dyn Fn() + Send + Sync>) -> Registration {
        let id = {
            let waiters = self.0.waiters.get();
            let mut hooks = waiters.lock();
            let id = hooks.next;
            hooks.next += 1;
            hooks.list.push((id, Arc::downgrade(&hook)));
            id
        };
        if self.is_cancelled() {
            hook();
        }
        Registration { shared: self.0.clone(), id, _hook: hook }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self { cancelled: AtomicBool::new(false), waiters: PerProcess::new(Waiters::default) }
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.waiters.get().lock().list.retain(|(id, _)| *id != self.id);
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// Does a hook run exactly once, whether it came before or after the cancellation?
    #[test]
    fn hooks_run_once() {
        let count = Arc::new(AtomicU32::new(0));
        let hook: Arc<dyn Fn() + Send + Sync> = {
            let count = count.clone();
            Arc::new(move || {
                count.fetch_add(1, Ordering::SeqCst);
            })
        };
        let cancel = Cancel::new();
        let before = cancel.on_cancel(hook.clone());
        drop(cancel.on_cancel(hook.clone()));
        cancel.cancel();
        let after = cancel.on_cancel(hook);
        assert_eq!(count.load(Ordering::SeqCst), 2);
        drop((before, after));
    }

    /// Does a wait end when another thread cancels, long before its time?
    #[test]
    fn wait_is_woken() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        let waiter = std::thread::spawn(move || other.wait(Duration::from_secs(3600)));
        cancel.cancel();
        assert!(waiter.join().unwrap());
    }
}
