//! The app that tokens come from, made anew where the files that prove its identity have changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use mtlspop::App;

use crate::identity::{Identity, Ids};
use crate::{Failure, Result};

/// An app, and how to make it anew.
pub(super) struct Current {
    read: Box<dyn Fn() -> Result<Identity> + Send + Sync>,
    files: Vec<PathBuf>,
    ids: Ids,
    state: Mutex<State>,
}

struct State {
    app: Arc<App>,
    /// Of the files when they were read, also of those that could not be used.
    stamps: Vec<Option<Stamp>>,
}

/// What is another where a file was replaced or written to.
type Stamp = [i64; 5];

impl Current {
    /// With the identity that `read` gives, now and whenever one of `files` has changed.
    pub(super) fn new(
        mut files: Vec<PathBuf>,
        read: impl Fn() -> Result<Identity> + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut stamps: Vec<_> = files.iter().map(stamp).collect();
        let identity = read()?;
        if identity.reads_stdin() {
            // What was there cannot be read again.
            files.clear();
            stamps.clear();
        }
        let (app, ids) = identity.into_app()?;
        let state = Mutex::new(State { app: Arc::new(app), stamps });
        Ok(Self { read: Box::new(read), files, ids, state })
    }

    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Where the files cannot be used, or are just being written, the one that there was; that is said once for each change.
    pub(super) fn app(&self) -> Arc<App> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps: Vec<_> = self.files.iter().map(stamp).collect();
        if stamps != state.stamps {
            state.stamps = stamps;
            match self.renewed() {
                Ok(app) => state.app = Arc::new(app),
                Err(failure) => {
                    failure.hint("it goes on with what was read before").report();
                }
            }
        }
        state.app.clone()
    }

    fn renewed(&self) -> Result<App> {
        let (app, ids) = (self.read)()?.into_app()?;
        match ids == self.ids {
            true => Ok(app),
            false => Err(Failure::input("the profile names another identity now, which takes a new start")),
        }
    }
}

/// Of a pipe, as of `<(...)`, there is none: it can be read once.
fn stamp(path: &PathBuf) -> Option<Stamp> {
    let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some([
        file.ino().cast_signed(),
        file.size().cast_signed(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime_nsec(),
    ])
}
