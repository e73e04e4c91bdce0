//! The one background thread of an app: early refreshes and renewals that no caller waits for.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::runtime::{Cancel, PerProcess};

/// Runs jobs one after the other on at most one thread, which lives only while there are jobs.
///
/// Dropping it cancels what runs and waits for it, a second at most, unless dropped on that very
/// thread. In a forked child nothing is waited for: the thread did not come along.
pub(crate) struct Background {
    process: PerProcess<Worker>,
}

#[derive(Default)]
struct Worker {
    cancel: Cancel,
    runtime: Mutex<Option<Runtime>>,
}

thread_local! {
    static ON_WORKER: Cell<bool> = const { Cell::new(false) };
}

impl Background {
    pub(crate) fn new() -> Self {
        Self { process: PerProcess::new(Worker::default) }
    }

    /// Queues `job`; it is handed the flag that stops it. Where no thread can be had it is dropped.
    pub(crate) fn spawn(&self, job: impl FnOnce(Cancel) + Send + 'static) {
        let worker = self.process.get();
        let cancel = worker.cancel.clone();
        let mut runtime = worker.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if runtime.is_none() {
            *runtime = Builder::new_current_thread()
                .max_blocking_threads(1)
                .thread_keep_alive(Duration::ZERO)
                .thread_name("mtlspop")
                .build()
                .ok();
        }
        let Some(running) = runtime.as_ref() else { return };
        let spawn = || {
            running.spawn_blocking(move || {
                ON_WORKER.set(true);
                job(cancel);
            })
        };
        // tokio panics where the system gives it no thread, and has queued the job by then.
        if catch_unwind(AssertUnwindSafe(spawn)).is_err()
            && let Some(useless) = runtime.take()
        {
            useless.shutdown_background();
        }
    }

    /// Stops what runs and what is queued. Dropping also waits for it.
    pub(crate) fn stop(&self) {
        self.process.get().cancel.cancel();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.cancel.cancel();
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(runtime) = runtime else { return };
        // Waiting for a runtime inside another one would panic.
        if ON_WORKER.get() || tokio::runtime::Handle::try_current().is_ok() {
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Does dropping it stop a job that would wait for an hour?
    #[test]
    fn drop_cancels_and_joins() {
        let (started, has_started) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel();
        let background = Background::new();
        background.spawn(move |cancel| {
            started.send(()).unwrap();
            ended.send(cancel.wait(Duration::from_secs(3600))).unwrap();
        });
        has_started.recv().unwrap();
        drop(background);
        assert!(has_ended.try_recv().unwrap(), "joined, and the job saw the cancellation");
    }

    /// May the last owner be the job itself?
    #[test]
    fn drop_on_its_own_thread_does_not_wait() {
        let (sender, receiver) = mpsc::channel();
        let background = std::sync::Arc::new(Background::new());
        let (hand_over, handed) = mpsc::channel::<std::sync::Arc<Background>>();
        background.spawn(move |_| {
            drop(handed.recv().unwrap());
            sender.send(()).unwrap();
        });
        hand_over.send(background).unwrap();
        receiver.recv().unwrap();
    }
}
