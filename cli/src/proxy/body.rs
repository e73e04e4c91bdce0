//! Bodies between hyper, which is not to wait, and a thread, which does: a piece at a time, as fast as the slower side.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use mtlspop::{BodyReader, Cancel, Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What is wrong with the body of a client.
pub(super) const TOO_LONG: &str = "request_body_too_long";
pub(super) const BROKEN: &str = "request_body_broken";
pub(super) const TOO_SLOW: &str = "request_body_too_slow";

/// A client that gives or takes nothing for so long has gone; the library's number for servers.
const PATIENCE: Duration = Duration::from_secs(100);
/// Pieces of an answer that wait for the client.
const PIECES: usize = 2;

/// The body of a request, read by the thread that sends it.
pub(super) struct Upload {
    body: Incoming,
    piece: Bytes,
    left: u64,
    runtime: Handle,
    /// How much has come.
    count: Arc<AtomicU64>,
}

/// The body of an answer, for hyper.
pub(super) struct Streamed {
    pieces: mpsc::Receiver<Bytes>,
    _stop: StopOnDrop,
    ended: bool,
}

/// The side of the thread that has it.
pub(super) struct Sender {
    pieces: mpsc::Sender<Bytes>,
    runtime: Handle,
}

/// Stops a call whose client has gone.
pub(super) struct StopOnDrop(pub(super) Cancel);

/// Reads one piece, of no more than is `left`.
pub(super) async fn piece(body: &mut Incoming, left: &mut u64) -> Result<Option<Bytes>> {
    loop {
        let frame = timeout(PATIENCE, body.frame()).await;
        let frame = frame.map_err(|_| broken(TOO_SLOW, "the body of the request did not come"))?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|_| broken(BROKEN, "the body of the request broke off"))?;
        // Trailers go no further.
        let Ok(bytes) = frame.into_data() else { continue };
        *left = left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| broken(TOO_LONG, "the body of the request is longer than --max-body allows"))?;
        if !bytes.is_empty() {
            return Ok(Some(bytes));
        }
    }
}

fn broken(code: &str, message: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, code, message)
}

impl Upload {
    pub(super) fn new(body: Incoming, longest: u64, runtime: Handle, count: Arc<AtomicU64>) -> Self {
        Self { body, piece: Bytes::new(), left: longest, runtime, count }
    }
}

impl BodyReader for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.piece.is_empty() {
            let Some(piece) = self.runtime.block_on(piece(&mut self.body, &mut self.left))? else {
                return Ok(0);
            };
            self.count.fetch_add(piece.len() as u64, Ordering::Relaxed);
            self.piece = piece;
        }
        let now = self.piece.split_to(buffer.len().min(self.piece.len()));
        buffer[..now.len()].copy_from_slice(&now);
        Ok(now.len())
    }

    fn can_rewind(&self) -> bool {
        false
    }

    fn rewind(&mut self) -> Result<()> {
        Err(broken(BROKEN, "the body of the request was sent already"))
    }
}

/// A body and its source. Dropped, the body stops the call.
pub(super) fn streamed(runtime: Handle, stop: StopOnDrop) -> (Sender, Streamed) {
    let (sender, pieces) = mpsc::channel(PIECES);
    (Sender { pieces: sender, runtime }, Streamed { pieces, _stop: stop, ended: false })
}

impl Sender {
    /// Waits until there is room; false where the client has gone, or takes nothing.
    pub(super) fn send(&self, piece: &[u8]) -> bool {
        self.pass(Bytes::copy_from_slice(piece))
    }

    /// Only with this it is whole: a thread that stops in the middle must not look as one that is done.
    pub(super) fn end(self) -> bool {
        self.pass(Bytes::new())
    }

    fn pass(&self, piece: Bytes) -> bool {
        let sent = self.runtime.block_on(async { timeout(PATIENCE, self.pieces.send(piece)).await });
        matches!(sent, Ok(Ok(())))
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(piece) if piece.is_empty() => {
                self.ended = true;
                None
            }
            Some(piece) => Some(Ok(Frame::data(piece))),
            None => Some(Err(io::Error::other("the answer of the upstream broke off"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
