//! How long somebody waits for an answer that another thread owes, and who may end the wait.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Cancel, Limit};

/// What is left of a call where nothing else of it matters. The default waits as long as it takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    cancel: Cancel,
    until: Option<Instant>,
    /// What the end is called in a message.
    limit: Option<Limit>,
}

/// Where the answer is left.
pub(crate) struct Promise<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

enum State<T> {
    Owed,
    Kept(T),
    /// Nobody waits any more.
    Unwanted,
}

impl Wait {
    /// `left` from now on; `None` for no limit.
    pub(crate) fn new(cancel: &Cancel, left: Option<Duration>) -> Self {
        let until = left.and_then(|left| Instant::now().checked_add(left));
        Self { cancel: cancel.clone(), until, limit: None }
    }

    /// The same with a name for its end.
    pub(crate) fn named(self, limit: Option<Limit>) -> Self {
        Self { limit, ..self }
    }

    /// The same with `limit` from now on, where it has no less.
    pub(crate) fn limited(&self, limit: Duration) -> Self {
        match Instant::now().checked_add(limit) {
            Some(end) if self.until.is_none_or(|until| end < until) => {
                Self { until: Some(end), limit: Some(Limit::step(limit)), ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    /// Lets `ask` take the promise to somebody, and waits until it is kept. `whom` is in the error where
    /// that took too long.
    pub(crate) fn until_kept<T: Send + 'static>(
        &self,
        whom: &str,
        ask: impl FnOnce(Promise<T>) -> Result<()>,
    ) -> Result<T> {
        let shared = Arc::new(Shared { state: Mutex::new(State::Owed), changed: Condvar::new() });
        ask(Promise(shared.clone()))?;
        let woken = shared.clone();
        let _hook = self.cancel.on_cancel(Arc::new(move || {
            // With the lock, or the waiter might miss it.
            let _state = woken.state.lock();
            woken.changed.notify_all();
        }));
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let State::Kept(_) = &*state {
                let State::Kept(value) = std::mem::replace(&mut *state, State::Unwanted) else { continue };
                return Ok(value);
            }
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            let given_up = if self.cancel.is_cancelled() {
                Some(Error::new(ErrorKind::Cancelled, "operation_cancelled", "the call was cancelled"))
            } else if left.is_some_and(|left| left.is_zero()) {
                let message = match self.limit {
                    Some(limit) => format!("{whom} did not answer within {limit}"),
                    None => format!("{whom} did not answer in time"),
                };
                Some(Error::new(ErrorKind::Timeout, "request_timeout", message).with_retryable(true))
            } else {
                None
            };
            if let Some(error) = given_up {
                *state = State::Unwanted;
                return Err(error);
            }
            state = match left {
                Some(left) => {
                    shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl<T> Promise<T> {
    pub(crate) fn is_wanted(&self) -> bool {
        !matches!(*self.0.state.lock().unwrap_or_else(PoisonError::into_inner), State::Unwanted)
    }

    pub(crate) fn keep(self, value: T) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Unwanted) {
            *state = State::Kept(value);
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;

    /// Does an answer arrive from another thread, and is one that comes too late not wanted?
    #[test]
    fn kept_and_unwanted() {
        let answer = Wait::default().until_kept("it", |promise| {
            thread::spawn(move || promise.keep(7));
            Ok(())
        });
        assert_eq!(answer.unwrap(), 7);

        let mut late = None;
        let wait = Wait::new(&Cancel::new(), Some(Duration::ZERO));
        let error = wait
            .until_kept::<i32>("the TPM", |promise| {
                late = Some(promise);
                Ok(())
            })
            .unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "request_timeout"));
        assert!(error.message().contains("the TPM") && !late.unwrap().is_wanted());
    }

    /// Does cancelling end a wait that has no limit?
    #[test]
    fn cancelled() {
        let cancel = Cancel::new();
        let wait = Wait::new(&cancel, None);
        let mut kept = None;
        let error = wait
            .until_kept::<i32>("it", |promise| {
                kept = Some(promise);
                thread::spawn(move || cancel.cancel());
                Ok(())
            })
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }

    /// Is the shorter of two limits the one that counts?
    #[test]
    fn limits() {
        let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
        let long = Wait::new(&Cancel::new(), Some(hour));
        assert!(long.limited(second).until < long.until && long.limited(hour * 2).until == long.until);
        assert!(Wait::default().limited(second).until.is_some());
    }
}
