//! No process forks while a thread is inside of AWS-LC's random generator.
//!
//! That has locks of its own, and no handler for `fork`: a child that inherits one as another thread had it waits for
//! ever, at its first handshake or when it exits. What draws random numbers there (handshakes, signatures, new keys) says so
//! here, and a `fork` waits until all have left. What is short and has no other thread to wait for may be inside, and no I/O.
//!
//! Who wants in waits for a `fork` without regard to the time limit of its call, which notices afterwards.

#![allow(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Those who are inside, and those who want nobody to be.
pub(super) struct Gate {
    inside: AtomicUsize,
    forking: AtomicUsize,
    /// Nobody waits longer, to fork or to get in. Then they take their chance.
    longest: Duration,
    /// Those who want in.
    #[cfg(test)]
    waiting: AtomicUsize,
}

pub(super) static GATE: Gate = Gate::new(LONGEST);

thread_local! {
    /// How often this thread is inside.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static END: OnceCell<End> = const { OnceCell::new() };
}

#[cfg(test)]
thread_local! {
    static LEFT: Cell<bool> = const { Cell::new(false) };
    static ENTERED: Cell<usize> = const { Cell::new(0) };
}

/// A new RSA key takes a tenth of a second, or seconds on a machine that has others to do. And threads that do nothing but
/// fork leave no gap.
const LONGEST: Duration = Duration::from_secs(10);

/// Does `work`, which is not under way in another thread when the process forks.
pub(crate) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    super::fork::watch();
    GATE.undisturbed(work)
}

/// Does `work`, which is I/O or waits for somebody, outside again. It may be called anywhere.
pub(crate) fn outside<T>(work: impl FnOnce() -> T) -> T {
    GATE.outside(work)
}

/// Whether this thread has left for a moment.
#[cfg(test)]
pub(crate) fn has_left() -> bool {
    LEFT.get()
}

/// How often this thread has gone in.
#[cfg(test)]
pub(crate) fn times_entered() -> usize {
    ENTERED.get()
}

struct Inside<'a>(&'a Gate);

/// Who comes back in, and how deep.
struct Outside<'a>(&'a Gate, usize);

/// The end of a thread that has been inside. AWS-LC has a list of all threads' states with a lock around it, and takes the
/// thread's out when that ends. Here that happens a moment before: no other destructor can be told when to run.
struct End(&'static Gate);

impl Gate {
    const fn new(longest: Duration) -> Self {
        Self {
            inside: AtomicUsize::new(0),
            forking: AtomicUsize::new(0),
            longest,
            #[cfg(test)]
            waiting: AtomicUsize::new(0),
        }
    }

    fn undisturbed<T>(&'static self, work: impl FnOnce() -> T) -> T {
        self.pass(|| {
            // In the destructors of a thread it may be too late. What they draw is AWS-LC's to free.
            let _ = END.try_with(|end| {
                end.get_or_init(|| {
                    aws_lc::prepare_thread();
                    End(self)
                });
            });
            work()
        })
    }

    fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = self.enter();
        work()
    }

    fn outside<T>(&self, work: impl FnOnce() -> T) -> T {
        let depth = DEPTH.take();
        if depth > 0 {
            self.inside.fetch_sub(1, SeqCst);
            #[cfg(test)]
            LEFT.set(true);
        }
        let _outside = Outside(self, depth);
        work()
    }

    fn enter(&self) -> Inside<'_> {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            self.wait();
        }
        Inside(self)
    }

    /// Until no process forks; then this thread is among those inside.
    fn wait(&self) {
        #[cfg(test)]
        {
            ENTERED.set(ENTERED.get() + 1);
            self.waiting.fetch_add(1, SeqCst);
        }
        self.inside.fetch_add(1, SeqCst);
        let mut waited = Duration::ZERO;
        let mut pauses = pauses(Duration::from_millis(5));
        while self.forking.load(SeqCst) > 0 && waited < self.longest {
            let pause = pauses.next().unwrap_or_default();
            self.inside.fetch_sub(1, SeqCst);
            thread::sleep(pause);
            self.inside.fetch_add(1, SeqCst);
            waited += pause;
        }
        #[cfg(test)]
        self.waiting.fetch_sub(1, SeqCst);
    }

    /// Before a `fork`: lets nobody in, and waits until all others have left.
    pub(super) fn close(&self) {
        self.forking.fetch_add(1, SeqCst);
        let mut waited = Duration::ZERO;
        for pause in pauses(Duration::from_millis(1)) {
            if self.inside.load(SeqCst) <= self.own() || waited >= self.longest {
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

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        DEPTH.set(self.1);
        if self.1 > 0 {
            #[cfg(test)]
            LEFT.set(false);
            self.0.wait();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.pass(aws_lc::end_thread);
    }
}

/// What AWS-LC keeps for each thread.
mod aws_lc {
    use std::ffi::c_int;

    unsafe extern "C" {
        #[link_name = concat!(env!("MTLSPOP_AWS_LC_PREFIX"), "_ERR_peek_error")]
        fn ERR_peek_error() -> u32;
        #[link_name = concat!(env!("MTLSPOP_AWS_LC_PREFIX"), "_AWSLC_thread_local_clear")]
        fn AWSLC_thread_local_clear() -> c_int;
    }

    /// Makes the thread's queue of errors. The first error would do so, wherever it happens, under a lock.
    pub(super) fn prepare_thread() {
        // SAFETY: it looks into a queue that belongs to the thread.
        unsafe { ERR_peek_error() };
    }

    /// Frees all of it. Who calls AWS-LC on this thread once more has it made again.
    pub(super) fn end_thread() {
        // SAFETY: it is the thread's own, and none of it is in use.
        let _ = unsafe { AWSLC_thread_local_clear() };
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
        let (gate, order) = (Gate::new(LONGEST), Mutex::new(Vec::new()));
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
        let gate = Gate::new(LONGEST);
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

    /// Is I/O in the middle of it no matter for a fork, and does who did it come back in after the fork only, as deep
    /// as he was?
    #[test]
    fn a_fork_does_not_wait_for_io() {
        let (gate, order) = (Gate::new(LONGEST), Mutex::new(Vec::new()));
        let note = |what| order.lock().unwrap().push(what);
        let (left, has_left) = mpsc::channel();
        let (back, may_come_back) = mpsc::channel::<()>();
        let (gate, note) = (&gate, &note);
        thread::scope(|scope| {
            scope.spawn(move || {
                let work = || {
                    gate.outside(|| {
                        left.send(()).unwrap();
                        may_come_back.recv().unwrap();
                    });
                    note("back");
                    assert_eq!((gate.inside.load(SeqCst), DEPTH.get()), (1, 2));
                };
                gate.pass(|| gate.pass(work));
            });
            has_left.recv().unwrap();
            gate.close();
            assert_eq!(gate.inside.load(SeqCst), 0);
            back.send(()).unwrap();
            until(|| gate.waiting.load(SeqCst) == 1);
            note("forked");
            gate.open();
        });
        assert_eq!(*order.lock().unwrap(), ["forked", "back"]);
        assert_eq!((gate.inside.load(SeqCst), gate.outside(|| DEPTH.get())), (0, 0));
    }

    /// Does a thread that was inside end only once a fork is over?
    #[test]
    fn threads_do_not_end_during_a_fork() {
        static OWN: Gate = Gate::new(LONGEST);
        let (drawn, has_drawn) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            OWN.undisturbed(|| aws_lc_rs::rand::fill(&mut [0]).unwrap());
            drawn.send(()).unwrap();
            may_end.recv().unwrap();
        });
        has_drawn.recv().unwrap();
        OWN.close();
        end.send(()).unwrap();
        let ended = thread::spawn(move || thread.join().unwrap());
        until(|| {
            assert!(!ended.is_finished(), "it ended in the middle of the fork");
            OWN.waiting.load(SeqCst) == 1
        });
        OWN.open();
        ended.join().unwrap();
        assert_eq!(OWN.inside.load(SeqCst), 0);
    }

    /// Does who wants in get in at last, where other threads fork all the time, and who forks, where others stay inside?
    #[test]
    fn nobody_waits_for_ever() {
        static OWN: Gate = Gate::new(Duration::from_millis(1));
        let (passed, has_passed) = mpsc::channel();
        OWN.forking.fetch_add(1, SeqCst);
        thread::spawn(move || OWN.pass(|| passed.send(()).unwrap()));
        has_passed.recv_timeout(Duration::from_secs(30)).expect("it waits still");
        OWN.inside.fetch_add(1, SeqCst);
        OWN.close();
    }

    fn until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }
}
