//! The files of a store: closed to others, replaced as a whole, never through a symbolic link, locked.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, open, openat, renameat, unlinkat};
use rustix::process::geteuid;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::runtime::Call;
use crate::secret::SecretBytes;

/// A directory that this user owns and nobody else may enter.
pub(crate) struct Directory(OwnedFd);

/// A lock that other processes see, until dropped.
pub struct FileLock(File);

/// Why something cannot be done.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It must not be used as it is.
    Refused(&'static str),
    Failed(io::Error),
}

const OURS: Mode = Mode::RUSR.union(Mode::WUSR);
/// How often a lock is tried, and for how long by a call without a deadline: longer than IMDS may take.
const LOCK_SLICE: Duration = Duration::from_millis(20);
const LOCK_TRIES: u32 = 6000;

impl Directory {
    /// Opens it, and makes it where it is not there.
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, Problem> {
        match Self::open_existing(path) {
            Err(problem) if problem.is_absence() => {
                DirBuilder::new().recursive(true).mode(0o700).create(path)?;
                Self::open_existing(path)
            }
            opened => opened,
        }
    }

    pub(crate) fn open_existing(path: &Path) -> std::result::Result<Self, Problem> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        // With a slash at its end a symbolic link would be followed.
        let path: PathBuf = path.components().collect();
        let directory = match open(&path, flags, Mode::empty()) {
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
                return Err(Problem::Refused("it is no directory, or a symbolic link to one"));
            }
            opened => File::from(opened.map_err(io::Error::from)?),
        };
        belongs_to_us(&directory)?;
        Ok(Self(directory.into()))
    }

    /// The names of its files.
    pub(crate) fn files(&self) -> std::result::Result<Vec<String>, Problem> {
        let entries = Dir::read_from(&self.0).map_err(io::Error::from)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        Ok(names.collect())
    }

    /// The content of `file`; `None` where there is none. More than `largest` bytes were not written here.
    pub(crate) fn read(
        &self,
        file: &str,
        largest: usize,
    ) -> std::result::Result<Option<SecretBytes>, Problem> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = match openat(&self.0, file, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(Problem::Refused("a file of it is a symbolic link")),
            opened => File::from(opened.map_err(io::Error::from)?),
        };
        belongs_to_us(&opened)?;
        let length = opened.metadata()?.len();
        if !opened.metadata()?.is_file() || length > largest as u64 {
            return Err(Problem::Refused("a file of it is not one of a store"));
        }
        // Long enough from the start, so that no copy of a key is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(largest.min(length as usize) + 1));
        opened.take(largest as u64).read_to_end(&mut bytes)?;
        Ok(Some(SecretBytes::new(std::mem::take(&mut *bytes))))
    }

    /// Puts `content` in the place of `file`: whoever reads it finds the old or the new one, whole, also
    /// after a crash. For the holder of the lock of that file, as two would write into one.
    pub(crate) fn replace(&self, file: &str, content: &[u8]) -> std::result::Result<(), Problem> {
        let next = format!("{file}.new");
        // What a process left that died here.
        self.remove(&next)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = openat(&self.0, &next, flags, OURS).map_err(io::Error::from).and_then(|opened| {
            let mut opened = File::from(opened);
            opened.write_all(content)?;
            opened.sync_all()
        });
        let renamed = written.and_then(|()| renameat(&self.0, &next, &self.0, file).map_err(io::Error::from));
        if let Err(error) = renamed {
            self.remove(&next)?;
            return Err(error.into());
        }
        rustix::fs::fsync(&self.0).map_err(io::Error::from)?;
        Ok(())
    }

    /// Removes `file`, if it is there.
    pub(crate) fn remove(&self, file: &str) -> std::result::Result<(), Problem> {
        match unlinkat(&self.0, file, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Takes the lock called `file`; `None` where another has it.
    pub(crate) fn try_lock(&self, file: &str) -> std::result::Result<Option<FileLock>, Problem> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = File::from(openat(&self.0, file, flags, OURS).map_err(io::Error::from)?);
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(FileLock(opened))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Waits for the lock called `file`. The outer result is about the file, the inner about the call.
    pub(crate) fn lock(
        &self,
        file: &str,
        call: &Call,
    ) -> std::result::Result<Result<Option<FileLock>>, Problem> {
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = self.try_lock(file)? {
                return Ok(Ok(Some(lock)));
            }
            if let Err(end) = call.check() {
                return Ok(Err(end.context("waiting for another process that has locked the binding store")));
            }
            call.cancel.wait(call.bounded(LOCK_SLICE));
        }
        call.log.warn("binding_store", || "another process does not give its lock back".to_owned());
        Ok(Ok(None))
    }
}

impl Problem {
    /// Whether there is no such directory.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Failed(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it is a reason never to use the directory, rather than one not to use it now.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// Of this user alone, and nobody else may do anything with it.
fn belongs_to_us(file: &File) -> std::result::Result<(), Problem> {
    let metadata = file.metadata()?;
    if metadata.uid() != geteuid().as_raw() {
        return Err(Problem::Refused("it belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Problem::Refused("others may use it: take that right from them (chmod go-rwx)"));
    }
    Ok(())
}

impl Drop for FileLock {
    /// Said rather than left to the closing: a child that was forked meanwhile has the file open, too.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the directory is not safe: {why}"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}
