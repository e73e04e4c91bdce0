//! A body from a file descriptor: a file from where it stands, or whatever else can be read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, fstat, seek};
use rustix::io::{Errno, fcntl_dupfd_cloexec, pread, read, write};

use super::body::{BodyReader, StreamBody};
use super::exchange::Exchange;
use crate::env::is_shortage;
use crate::error::{Error, ErrorKind, Result};

/// A duplicate of the caller's descriptor.
struct Descriptor {
    fd: OwnedFd,
    /// Where the body begins, for what has positions. The descriptor's own is left alone: the caller has it, too.
    start: Option<u64>,
    /// How much belongs to the body.
    length: Option<u64>,
    /// How much of it was read.
    position: u64,
    /// What ends a wait when the exchange is cancelled.
    waker: Option<(Weak<()>, Arc<OwnedFd>)>,
}

/// Without a `length` it is what comes until the end; of a file, to its present end.
pub(crate) fn descriptor_body(fd: BorrowedFd<'_>, length: Option<u64>) -> Result<StreamBody> {
    let fd = fcntl_dupfd_cloexec(fd, 0).map_err(unusable)?;
    if fcntl_getfl(&fd).map_err(unusable)? & OFlags::ACCMODE == OFlags::WRONLY {
        return Err(Error::argument("the file descriptor of the body is not open for reading"));
    }
    let state = fstat(&fd).map_err(unusable)?;
    let start = match FileType::from_raw_mode(state.st_mode) {
        FileType::Directory => return Err(Error::argument("the file descriptor of the body is a directory")),
        FileType::RegularFile => Some(seek(&fd, SeekFrom::Current(0)).map_err(unusable)?),
        FileType::BlockDevice => Some(seek(&fd, SeekFrom::Current(0)).map_err(unusable)?),
        _ => None,
    };
    let mut body = Descriptor { fd, start, length, position: 0, waker: None };
    if let (None, Some(start)) = (length, start) {
        let left = u64::try_from(state.st_size).unwrap_or(0).saturating_sub(start);
        // Some files do not say how long they are, in /proc.
        if left > 0 || body.read(&mut [0])? == 0 {
            body.length = Some(left);
        }
        body.position = 0;
    }
    let length = body.length;
    Ok(StreamBody::new(body, length))
}

impl BodyReader for Descriptor {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.length.map_or(u64::MAX, |length| length - self.position);
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..room];
        if room == 0 {
            return Ok(0);
        }
        loop {
            let result = match self.start {
                Some(start) => pread(&self.fd, &mut *buffer, start + self.position),
                None => {
                    self.wait()?;
                    read(&self.fd, &mut *buffer)
                }
            };
            match result {
                Ok(count) => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => {
                    return Err(Error::argument(format!("the body of the request cannot be read: {error}")));
                }
            }
        }
    }

    fn can_rewind(&self) -> bool {
        self.start.is_some()
    }

    fn rewind(&mut self) -> Result<()> {
        self.position = 0;
        Ok(())
    }
}

impl Descriptor {
    /// Waits until something can be read, no longer than the exchange may take.
    fn wait(&mut self) -> Result<()> {
        let Some(exchange) = Exchange::current() else { return Ok(()) };
        let waker = self.waker(&exchange)?;
        loop {
            let left = exchange.until().saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("the body of the request was not there within {}", exchange.limit());
                return Err(Error::new(ErrorKind::Timeout, "request_timeout", message).with_retryable(true));
            }
            let left = Timespec::try_from(left).map_err(|_| Error::internal("a wait that is too long"))?;
            let mut files = [PollFd::new(&self.fd, PollFlags::IN), PollFd::new(&*waker, PollFlags::IN)];
            match poll(&mut files, Some(&left)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) if !files[1].revents().is_empty() => {
                    return Err(Error::new(
                        ErrorKind::Cancelled,
                        "operation_cancelled",
                        "the call was cancelled",
                    ));
                }
                Ok(_) => return Ok(()),
                Err(error) => return Err(unwatched(error)),
            }
        }
    }

    /// Made once for each exchange: it rings when that is cancelled.
    fn waker(&mut self, exchange: &Exchange) -> Result<Arc<OwnedFd>> {
        if let Some((user, waker)) = &self.waker
            && exchange.is(user)
        {
            return Ok(waker.clone());
        }
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let waker = Arc::new(eventfd(0, flags).map_err(unwatched)?);
        let bell = waker.clone();
        exchange.on_cancel(Arc::new(move || {
            // It cannot be full.
            let _ = write(bell.as_fd(), &1u64.to_ne_bytes());
        }));
        self.waker = Some((exchange.identity(), waker.clone()));
        Ok(waker)
    }
}

fn unusable(error: Errno) -> Error {
    Error::argument(format!("the file descriptor of the body cannot be used: {error}"))
}

/// It could not be waited for, which is no fault of its own.
fn unwatched(error: Errno) -> Error {
    let message = format!("the body of the request cannot be waited for: {error}");
    Error::new(ErrorKind::Network, "network_error", message).with_retryable(is_shortage(&error.into()))
}
