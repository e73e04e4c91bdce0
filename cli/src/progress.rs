//! How far a call has come: shown on a terminal where a body takes long, and told where the time was over.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Seek as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mtlspop::{BodyReader, Error, ErrorKind};

/// What is being done, and how many bytes of it are. Clones are the same.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Somebody would see it, and wants to.
    shown: bool,
}

/// One body on its way.
pub(crate) struct Meter {
    progress: Progress,
    began: Instant,
    length: Option<u64>,
    /// A bar is still to come.
    due: bool,
}

/// A file that is sent, and counted.
pub(crate) struct Counted {
    file: File,
    length: u64,
    progress: Progress,
    /// Since it is sent.
    meter: Option<Meter>,
}

/// A body that has passed by then needs no bar.
const LONG: Duration = Duration::from_secs(1);
/// One that is as large as that takes longer.
const LARGE: u64 = 16 << 20;
const REDRAWN: Duration = Duration::from_millis(200);

impl Progress {
    /// Shown where it is `wanted` and stderr is a terminal.
    pub(crate) fn new(wanted: bool) -> Self {
        Self { bar: ProgressBar::hidden(), shown: wanted && io::stderr().is_terminal() }
    }

    /// Whether there is somebody to show a bar to.
    pub(crate) fn is_shown(&self) -> bool {
        self.shown
    }

    /// What is being done now.
    pub(crate) fn stage(&self, what: &'static str) {
        self.bar.set_position(0);
        self.bar.set_message(what);
    }

    /// The same where it is a body, of `length` where that is known.
    pub(crate) fn body(&self, what: &'static str, length: Option<u64>) -> Meter {
        self.bar.set_length(length.unwrap_or_default());
        self.stage(what);
        let mut meter = Meter { progress: self.clone(), began: Instant::now(), length, due: self.shown };
        // That of an earlier body goes on as that of this one.
        if !self.bar.is_hidden() {
            meter.show();
        }
        meter
    }

    /// Nothing of it is shown from here on.
    pub(crate) fn hide(&mut self) {
        self.clear();
        self.shown = false;
    }

    /// What was being done last, for people.
    pub(crate) fn said(&self) -> String {
        format!("{}, {} bytes so far", self.bar.message(), self.bar.position())
    }

    /// Leaves nothing of it on the terminal.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Meter {
    /// So many bytes more have passed.
    pub(crate) fn add(&mut self, count: usize) {
        self.progress.bar.inc(count as u64);
        let long = self.length.is_some_and(|length| length >= LARGE) || self.began.elapsed() >= LONG;
        if self.due && long {
            self.show();
        }
    }

    fn show(&mut self) {
        self.due = false;
        let template = match self.length {
            Some(_) => "{msg} {bytes} of {total_bytes} [{wide_bar}] {bytes_per_sec}, {eta} left",
            None => "{msg} {bytes} in {elapsed}, {bytes_per_sec}",
        };
        let bar = &self.progress.bar;
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        if self.length.is_none() {
            bar.unset_length();
        }
        bar.set_draw_target(ProgressDrawTarget::stderr());
        // Also while nothing comes.
        bar.enable_steady_tick(REDRAWN);
    }
}

impl Counted {
    pub(crate) fn new(file: File, length: u64, progress: &Progress) -> Self {
        Self { file, length, progress: progress.clone(), meter: None }
    }
}

impl BodyReader for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> mtlspop::Result<usize> {
        let count = self.file.read(buffer).map_err(unreadable)?;
        let begin = || self.progress.body("sending", Some(self.length));
        self.meter.get_or_insert_with(begin).add(count);
        Ok(count)
    }

    fn can_rewind(&self) -> bool {
        true
    }

    fn rewind(&mut self) -> mtlspop::Result<()> {
        self.meter = None;
        self.file.rewind().map_err(unreadable)
    }
}

fn unreadable(error: io::Error) -> Error {
    let message = format!("the body of the request cannot be read: {error}");
    Error::new(ErrorKind::InvalidArgument, "invalid_argument", message)
}
