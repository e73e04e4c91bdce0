//! Connections that lead nowhere: what comes over them was written down before. For `src/fuzzing.rs` alone.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::exchange::Exchange;
use super::message::{TlsDetails, TlsVersion};
use super::socket::Socket;
use super::tls::TlsStream;

/// What the connections of a thread are told, one after the other; then there are no more.
#[derive(Default)]
struct Script {
    answers: VecDeque<Vec<u8>>,
    /// The other ends, which take what is sent and say no more.
    peers: Vec<UnixStream>,
}

thread_local! {
    static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
}

/// Runs `body`, in which the connections that this thread opens get these answers, TLS or not.
pub(crate) fn scripted<T>(answers: impl IntoIterator<Item = Vec<u8>>, body: impl FnOnce() -> T) -> T {
    let script = Script { answers: answers.into_iter().collect(), ..Script::default() };
    let outer = SCRIPT.replace(Some(script));
    let result = body();
    SCRIPT.set(outer);
    result
}

/// One more answer, for the connection after those that have one.
pub(crate) fn answer_next(answer: Vec<u8>) {
    SCRIPT.with_borrow_mut(|script| script.get_or_insert_default().answers.push_back(answer));
}

pub(super) fn is_scripted() -> bool {
    cfg!(fuzzing) || SCRIPT.with_borrow(Option::is_some)
}

/// The next connection.
pub(super) fn connect() -> io::Result<TcpStream> {
    SCRIPT.with_borrow_mut(|script| {
        let script = script.as_mut().ok_or(io::ErrorKind::ConnectionRefused)?;
        let answer = script.answers.pop_front().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (ours, mut theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        // What does not fit is cut off, as by a peer that hangs up.
        let _ = theirs.write(&answer);
        theirs.shutdown(Shutdown::Write)?;
        script.peers.push(theirs);
        ours.set_nonblocking(true)?;
        Ok(TcpStream::from(OwnedFd::from(ours)))
    })
}

/// In the place of TLS, what it would have carried. What is sent goes nowhere, and is no matter how much.
pub(super) struct Clear(pub(super) Socket);

impl TlsStream for Clear {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn read_arrived(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek().read(buffer)
    }

    fn is_open(&mut self) -> bool {
        self.0.peek().is_nothing()
    }

    fn last_words(&mut self, error: io::Error) -> io::Error {
        error
    }

    fn suits(&self, _: &Exchange) -> bool {
        true
    }

    fn socket(&mut self) -> &mut Socket {
        &mut self.0
    }

    fn details(&self) -> TlsDetails {
        TlsDetails { version: TlsVersion::Tls13, certificate_requested: true, asked_late: false }
    }
}
