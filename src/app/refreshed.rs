//! Who is told how a refresh ended that no caller waits for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Token;
use super::core::Core;
use crate::error::Result;
use crate::runtime::Call;

/// Receives the outcome of an early refresh, on the background thread of the app. It may use the app, and drop it.
pub type BackgroundRefreshFn = dyn Fn(Result<Token>) + Send + Sync;

/// The callback of one app, if it has one.
pub(super) type OnBackgroundRefresh = Option<Arc<BackgroundRefreshFn>>;

impl Core {
    /// Tells the callback what `call` came to. An app that is no more has nobody to be told.
    pub(super) fn tell_refreshed(&self, outcome: Result<Token>, call: &Call) {
        let Some(callback) = self.on_background_refresh.as_ref().filter(|_| !call.cancel.is_cancelled())
        else {
            return;
        };
        let outcome = outcome.map_err(|error| error.with_correlation_id(&call.correlation_id));
        // What the thread has to do after this is not the callback's.
        if catch_unwind(AssertUnwindSafe(|| callback(outcome))).is_err() {
            self.log.warn("app", || "the background refresh callback panicked".to_owned());
        }
    }
}
