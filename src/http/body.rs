//! The body of a request on its way out: bytes in memory, or what a reader gives, piece by piece.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::exchange::Exchange;
use crate::error::{Error, Result};

/// From here on, and where the length is not known, the server is asked before the body is sent
/// (`Expect: 100-continue`, RFC 9110, section 10.1.1). libcurl's number.
const WORTH_ASKING: u64 = 1024 * 1024;

/// Gives a body that is read while it is sent.
pub trait BodyReader: Send {
    /// Puts the next bytes into `buffer`, which is never empty, and gives their number; 0 is the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Whether [`rewind`](Self::rewind) can be had: if not, the body is sent once.
    fn can_rewind(&self) -> bool;

    /// Goes back to the first byte.
    fn rewind(&mut self) -> Result<()>;
}

/// A body that is read while it is sent. Clones share the reader.
#[derive(Clone)]
pub(crate) struct StreamBody {
    length: Option<u64>,
    source: Arc<Mutex<Source>>,
}

/// The reader, and where it stands.
pub(super) struct Source {
    reader: Box<dyn BodyReader>,
    /// Something was read since the beginning.
    taken: bool,
}

/// What a request has for a body.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    Stream(&'a StreamBody),
}

/// A body in the hands of one send.
pub(super) enum Held<'a> {
    None,
    Bytes(&'a [u8]),
    Stream { length: Option<u64>, source: MutexGuard<'a, Source> },
}

/// The body of one attempt, as ureq reads it.
pub(super) struct Outgoing<'a> {
    from: From<'a>,
    length: Option<u64>,
    sent: u64,
}

enum From<'a> {
    Bytes(&'a [u8]),
    Reader(&'a mut Source),
}

impl StreamBody {
    /// Without a `length` it is sent in chunks.
    pub(crate) fn new(reader: impl BodyReader + 'static, length: Option<u64>) -> Self {
        Self { length, source: Arc::new(Mutex::new(Source { reader: Box::new(reader), taken: false })) }
    }

    /// Whether it can be sent now: nothing of it was taken yet, or it can be rewound.
    pub(crate) fn can_be_sent(&self) -> bool {
        self.hold().is_ok_and(|source| source.is_ready())
    }

    fn hold(&self) -> Result<MutexGuard<'_, Source>> {
        match self.source.try_lock() {
            Ok(source) => Ok(source),
            Err(TryLockError::Poisoned(source)) => Ok(PoisonError::into_inner(source)),
            Err(TryLockError::WouldBlock) => Err(Error::argument(
                "another call is sending the body of this request: give each call a request of its own",
            )),
        }
    }
}

impl Source {
    fn is_ready(&self) -> bool {
        !self.taken || self.reader.can_rewind()
    }

    /// Goes to the first byte.
    fn start(&mut self) -> Result<()> {
        if !self.taken {
            return Ok(());
        }
        if !self.reader.can_rewind() {
            return Err(Error::argument(
                "the body of this request was sent already, or begun, and cannot be rewound: make a new request",
            ));
        }
        self.reader.rewind()?;
        self.taken = false;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.taken = true;
        let count = self.reader.read(buffer)?;
        match count <= buffer.len() {
            true => Ok(count),
            false => Err(Error::argument("the reader of the body gave more than it was asked for")),
        }
    }
}

impl<'a> Body<'a> {
    /// For one send: a reader is in one at a time.
    pub(super) fn hold(self) -> Result<Held<'a>> {
        Ok(match self {
            Self::None => Held::None,
            Self::Bytes(bytes) => Held::Bytes(bytes),
            Self::Stream(body) => Held::Stream { length: body.length, source: body.hold()? },
        })
    }
}

impl Held<'_> {
    /// Whether it can be sent from its first byte.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::None | Self::Bytes(_) => true,
            Self::Stream { source, .. } => source.is_ready(),
        }
    }

    /// Whether there is one, and no reader that may have to wait for it.
    pub(super) fn is_at_hand(&self) -> bool {
        matches!(self, Self::Bytes(bytes) if !bytes.is_empty())
    }

    /// Whether the server is asked before it is sent.
    pub(super) fn is_worth_asking(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bytes(bytes) => bytes.len() as u64 > WORTH_ASKING,
            Self::Stream { length, .. } => length.is_none_or(|length| length > WORTH_ASKING),
        }
    }

    /// From the first byte, for one attempt.
    pub(super) fn start(&mut self) -> Result<Option<Outgoing<'_>>> {
        let (from, length) = match self {
            Self::None => return Ok(None),
            Self::Bytes(bytes) => (From::Bytes(bytes), Some(bytes.len() as u64)),
            Self::Stream { length, source } => {
                source.start()?;
                (From::Reader(source), *length)
            }
        };
        let mut body = Outgoing { from, length, sent: 0 };
        // ureq does not ask for a body of no bytes.
        body.check_end()?;
        Ok(Some(body))
    }
}

impl Outgoing<'_> {
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.length.map_or(u64::MAX, |length| length - self.sent);
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = match &mut self.from {
            From::Bytes(bytes) => {
                let (now, later) = bytes.split_at(room.min(bytes.len()));
                buffer[..now.len()].copy_from_slice(now);
                *bytes = later;
                now.len()
            }
            From::Reader(source) => source.read(&mut buffer[..room])?,
        };
        self.sent += count as u64;
        if let Some(length) = self.length.filter(|_| count == 0) {
            let sent = self.sent;
            return Err(Error::argument(format!(
                "the body of the request ended after {sent} of {length} bytes"
            )));
        }
        self.check_end()?;
        Ok(count)
    }

    /// Before the last bytes of an announced length go out: if there are more, they never do.
    fn check_end(&mut self) -> Result<()> {
        let (From::Reader(source), Some(length)) = (&mut self.from, self.length) else { return Ok(()) };
        if length == self.sent && source.read(&mut [0])? > 0 {
            let message = format!("the body of the request is longer than the {length} bytes announced");
            return Err(Error::argument(message));
        }
        Ok(())
    }
}

impl Read for Outgoing<'_> {
    /// For ureq alone.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(exchange) = Exchange::current() {
            exchange.note_body();
            if exchange.has_refused_body() {
                // Nothing of this leaves, but ureq has to come to the end that it knows. It goes by the number, and is there at
                // once where that is more than the buffer holds: against the rules of Read, but nobody else reads this.
                let left = self.length.map_or(0, |length| length - self.sent);
                let rest = usize::try_from(left).unwrap_or(usize::MAX);
                self.sent += rest as u64;
                return Ok(rest);
            }
        }
        // The error travels inside and comes out again in `failure`.
        self.fill(buffer).map_err(io::Error::other)
    }
}

impl fmt::Debug for StreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBody").field("length", &self.length).finish_non_exhaustive()
    }
}
