//! Bodies that no memory holds: what is sent is made on the way, what is received is counted and hashed.

use std::io;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use serde_json::{Value, json};

/// What an answer does with a body that streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stream {
    #[default]
    None,
    /// Reads the request's; a good answer says what it was.
    Take,
    /// Sends so many bytes, of which the one at `i` is `i % 251`.
    Give { bytes: u64, announced: bool },
    /// Sends so many blanks.
    Blanks(u64),
    /// Sends nothing, and never ends.
    Stall,
}

/// What is left of a body to send.
pub(crate) struct Given {
    left: u64,
    of: &'static LazyLock<Bytes>,
    announced: bool,
    pub(crate) stalls: bool,
}

/// As much as 256 times all values.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| (0..251 * 256).map(|at| (at % 251) as u8).collect());
static BLANKS: LazyLock<Bytes> = LazyLock::new(|| vec![b' '; 64 * 1024].into());

impl Given {
    pub(crate) fn new(stream: Stream) -> Self {
        let none = Self { left: 0, of: &PATTERN, announced: true, stalls: stream == Stream::Stall };
        match stream {
            Stream::Give { bytes, announced } => Self { left: bytes, announced, ..none },
            Stream::Blanks(bytes) => Self { left: bytes, of: &BLANKS, ..none },
            _ => none,
        }
    }

    /// What hyper may say of the length.
    pub(crate) fn known(&self) -> Option<u64> {
        ((self.announced || self.left == 0) && !self.stalls).then_some(self.left)
    }

    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let size = usize::try_from(self.left).map_or(self.of.len(), |left| left.min(self.of.len()));
        self.left -= size as u64;
        (size > 0).then(|| self.of.slice(..size))
    }
}

/// Reads the whole body, and tells its length and SHA-256.
pub(crate) async fn take(mut body: Incoming) -> io::Result<Value> {
    let (mut hash, mut length) = (digest::Context::new(&digest::SHA256), 0);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            hash.update(&data);
            length += data.len();
        }
    }
    let hash: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({ "length": length, "sha256": hash }))
}
