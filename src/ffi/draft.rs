//! Settings under construction: setters cannot fail, so the first bad value waits for the call that uses them.

use super::handle::{Handle, value_mut};
use crate::error::{Error, Result};

/// Settings of type `T` and the first thing that was wrong with them.
pub(super) struct Draft<T> {
    settings: Option<T>,
    error: Option<Error>,
}

impl<T: Clone> Draft<T> {
    pub(super) fn new(settings: T) -> Self {
        Self { settings: Some(settings), error: None }
    }

    /// A draft that is wrong from the start.
    pub(super) fn failed(settings: T, setter: &str, error: &Error) -> Self {
        Self { settings: Some(settings), error: Some(error.clone().context(setter)) }
    }

    /// The settings, or the first error of a setter.
    #[inline(always)]
    pub(super) fn settings(&self) -> Result<&T> {
        match (&self.error, &self.settings) {
            (None, Some(settings)) => Ok(settings),
            _ => Err(self.failure()),
        }
    }

    #[cold]
    fn failure(&self) -> Error {
        self.error.clone().unwrap_or_else(|| Error::internal("a setter did not finish"))
    }

    /// Applies what a setter of this name parsed, or keeps its error unless there is one already.
    fn set<A>(&mut self, setter: &str, parsed: Result<A>, apply: impl FnOnce(T, A) -> T) {
        match (parsed, self.settings.take()) {
            (Ok(argument), Some(settings)) => self.settings = Some(apply(settings, argument)),
            (Err(error), settings) => {
                self.settings = settings;
                self.error.get_or_insert_with(|| error.context(setter));
            }
            (Ok(_), None) => {}
        }
    }
}

/// The body of every setter.
///
/// # Safety
/// As for [`value_mut`].
pub(super) unsafe fn change<H, T, A>(
    handle: *mut H,
    setter: &str,
    parse: impl FnOnce() -> Result<A>,
    apply: impl FnOnce(T, A) -> T,
) where
    H: Handle<Value = Draft<T>>,
    T: Clone,
{
    super::guard::guard_or((), || {
        let parsed = parse();
        // SAFETY: as promised by the caller.
        unsafe { value_mut(handle, "handle") }?.set(setter, parsed, apply);
        Ok(())
    });
}
