//! No process forks while a thread is inside of AWS-LC's random generator.
//!
//! That has locks of its own, and no handler for `fork`: a child that inherits one as another thread had it waits for
//! ever at its first handshake. What draws random numbers there (key exchanges, signatures, new keys) says so here, and
//! a `fork` waits until all have left. What is short and has no other thread to wait for may be inside, and no I/O.

use std::cell::Cell;
use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Those who are inside, and those who want nobody to be.
pub(super) struct Gate {
    inside: AtomicUsize,
    forking: AtomicUsize,
}

pub(super) static GATE: Gate = Gate::new();

thread_local! {
    /// How often this thread is inside.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// A `fork` waits no longer: a new RSA key takes a tenth of a second, or seconds on a machine that has others to do. Then
/// it takes its chance.
const LONGEST: Duration = Duration::from_secs(10);

/// Does `work`, which is not under way in another thread when the process forks.
pub(crate) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    super::fork::watch();
    GATE.pass(work)
}

struct Inside<'a>(&'a Gate);

impl Gate {
    const fn new() -> Self {
        Self { inside: AtomicUsize::new(0), forking: AtomicUsize::new(0) }
    }

    fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = self.enter();
        work()
    }

    fn enter(&self) -> Inside<'_> {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            let mut pauses = pauses(Duration::from_millis(5));
            self.inside.fetch_add(1, SeqCst);
            while self.forking.load(SeqCst) > 0 {
                self.inside.fetch_sub(1, SeqCst);
                thread::sleep(pauses.next().unwrap_or_default());
                self.inside.fetch_add(1, SeqCst);
            }
        }
        Inside(self)
    }

    /// Before a `fork`: lets nobody in, and waits until all others have left.
    pub(super) fn close(&self) {
        self.forking.fetch_add(1, SeqCst);
        let mut waited = Duration::ZERO;
        for pause in pauses(Duration::from_millis(1)) {
            if self.inside.load(SeqCst) <= self.own() || waited >= LONGEST {
                return;
            }
            thread::sleep(pause);
            waited += pause;
        }
    }

    /// After it, in the parent.
    pub(super) fn open(&self) {
        self.forking.fetch_sub(1, SeqCst);
    }

    /// After it, in the child, which has no other thread.
    pub(super) fn open_in_child(&self) {
        self.forking.store(0, SeqCst);
        self.inside.store(self.own(), SeqCst);
    }

    /// This thread, if it is inside: it cannot wait for itself.
    fn own(&self) -> usize {
        usize::from(DEPTH.get() > 0)
    }
}

/// Each twice as long as the last, to leave the processor to those who are waited for.
fn pauses(longest: Duration) -> impl Iterator<Item = Duration> {
    iter::successors(Some(Duration::from_micros(50)), move |last| Some((*last * 2).min(longest)))
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if DEPTH.replace(DEPTH.get() - 1) == 1 {
            self.0.inside.fetch_sub(1, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    /// Does a fork wait for who is inside, and does nobody get in until it is over?
    #[test]
    fn a_fork_finds_nobody_inside() {
        let (gate, order) = (Gate::new(), Mutex::new(Vec::new()));
        let note = |what| order.lock().unwrap().push(what);
        let (entered, has_entered) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                gate.pass(|| {
                    entered.send(()).unwrap();
                    while gate.forking.load(SeqCst) == 0 {
                        thread::yield_now();
                    }
                    note("left");
                });
                gate.pass(|| note("back"));
            });
            has_entered.recv().unwrap();
            gate.close();
            note("forked");
            gate.open();
        });
        assert_eq!(*order.lock().unwrap(), ["left", "forked", "back"]);
        assert_eq!(gate.inside.load(SeqCst), 0);
    }

    /// May who is inside go in once more, and fork, and does the child begin with nobody else inside?
    #[test]
    fn nobody_waits_for_himself() {
        let gate = Gate::new();
        gate.inside.fetch_add(7, SeqCst);
        gate.pass(|| {
            gate.forking.fetch_add(1, SeqCst);
            gate.pass(|| ());
            gate.open_in_child();
            gate.close();
            gate.open();
            assert_eq!(gate.inside.load(SeqCst), 1);
        });
        assert_eq!((gate.inside.load(SeqCst), gate.forking.load(SeqCst)), (0, 0));
    }
}
