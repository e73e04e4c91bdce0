//! A TCP connection that the call using it can interrupt, from the look-up of the name on.

use std::io::{self, ErrorKind::*, IoSlice, Read, Write};
use std::mem;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use libc::MSG_NOSIGNAL;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Type};

use super::exchange::Exchange;

/// Reads and writes block until the deadline, at most, and fail with `TimedOut` after it.
pub(super) struct Socket {
    line: Arc<Line>,
    /// The exchange that uses it now, or used it last.
    user: Weak<()>,
    deadline: Instant,
    /// Whether a write that has to wait ends with what arrives meanwhile.
    listens: bool,
    /// Written last, so that the next read has to wait for the peer.
    wrote: bool,
}

/// Why there is no connection.
pub(super) enum OpenError {
    Resolve(io::Error),
    Connect(io::Error),
}

/// What a cancellation from another thread holds on to.
struct Line {
    /// Never blocks: [`ready`] waits.
    stream: TcpStream,
    /// Counts the exchanges that have used it, so that a late cancellation of an earlier one does
    /// not hit the present one.
    turn: Mutex<u64>,
}

impl Socket {
    /// Looks up `host` and connects to the first of its addresses that answers.
    pub(super) fn open(host: &str, port: u16, deadline: Instant) -> Result<Self, OpenError> {
        #[cfg(any(test, fuzzing))]
        if super::scripted::is_scripted() {
            let stream = super::scripted::connect().map_err(OpenError::Connect)?;
            return Ok(Self::over(stream, deadline));
        }
        let addresses = alternate(resolve(host, port, deadline).map_err(OpenError::Resolve)?);
        let mut last = io::Error::new(NotFound, "the name has no address");
        for (index, address) in addresses.iter().enumerate() {
            // Half of what is left for each address, all of it for the last one.
            let last_one = index + 1 == addresses.len();
            let share = left(deadline).map_err(OpenError::Connect)? / if last_one { 1 } else { 2 };
            match Self::connect(*address, Instant::now() + share, deadline) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(OpenError::Connect(last))
    }

    fn connect(address: SocketAddr, until: Instant, deadline: Instant) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        let mut socket = Self::over(socket.into(), deadline);
        // From here on a cancellation shuts the socket down. Linux remembers that even where it
        // comes before the connect: the wait for the connection then ends at once.
        socket.enlist();
        let stream = &socket.line.stream;
        match SockRef::from(stream).connect(&address.into()) {
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
                ready(stream, PollFlags::OUT, until)?;
                stream.take_error()?.map_or(Ok(()), Err)?;
                // Without an error and without a peer it was shut down.
                stream.peer_addr()?;
            }
            result => result?,
        }
        stream.set_nodelay(true)?;
        Ok(socket)
    }

    /// Over `stream`, which never blocks.
    fn over(stream: TcpStream, deadline: Instant) -> Self {
        let line = Line { stream, turn: Mutex::default() };
        if let Some(exchange) = Exchange::current() {
            exchange.note_opened();
        }
        Self { line: Arc::new(line), user: Weak::new(), deadline, listens: false, wrote: false }
    }

    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Lets writes that would have to wait end with `WouldBlock` when something arrives.
    pub(super) fn while_silent<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        self.listens = true;
        let result = write(self);
        self.listens = false;
        result
    }

    /// Waits until something arrives.
    pub(super) fn await_input(&mut self, until: Instant) -> io::Result<()> {
        self.enlist();
        ready(&self.line.stream, PollFlags::IN, until).map(drop)
    }

    /// To look what has arrived, without waiting for more.
    pub(super) fn peek(&self) -> Arrived<'_> {
        Arrived(&self.line.stream)
    }

    /// To say a last word, which waits for nothing: what there is no room for is not said.
    pub(super) fn at_once(&self) -> AtOnce<'_> {
        AtOnce(&self.line.stream)
    }

    /// Runs `io` until it does not have to wait any more, at most until the deadline.
    fn patiently<T>(
        &mut self,
        what: PollFlags,
        mut io: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        self.enlist();
        let listened = if self.listens { PollFlags::IN } else { PollFlags::empty() };
        loop {
            left(self.deadline)?;
            match io(&self.line.stream) {
                Err(error) if error.kind() == WouldBlock => {
                    if ready(&self.line.stream, what | listened, self.deadline)? == listened {
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == Interrupted => {}
                result => return result,
            }
        }
    }

    /// Makes the current exchange the one whose cancellation interrupts this connection.
    fn enlist(&mut self) {
        let Some(exchange) = Exchange::current() else { return };
        if exchange.is(&self.user) {
            return;
        }
        self.user = exchange.identity();
        let turn = self.line.next_turn();
        let line = Arc::downgrade(&self.line);
        exchange.on_cancel(Arc::new(move || {
            if let Some(line) = line.upgrade() {
                line.interrupt(turn);
            }
        }));
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if mem::take(&mut self.wrote) {
            self.await_input(self.deadline)?;
        }
        self.patiently(PollFlags::IN, |mut stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wrote = true;
        self.patiently(PollFlags::OUT, |mut stream| stream.write(bytes))
    }

    /// What rustls has in several records goes out at once.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wrote = true;
        // As the standard library's `write`: no signal where the peer has hung up.
        let send = |stream: &TcpStream| SockRef::from(stream).send_vectored_with_flags(parts, MSG_NOSIGNAL);
        self.patiently(PollFlags::OUT, send)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a socket has received. Reads return `WouldBlock` instead of waiting.
pub(super) struct Arrived<'a>(&'a TcpStream);

impl Arrived<'_> {
    /// Whether the peer has neither closed nor sent anything.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.0.peek(&mut [0]), Err(error) if error.kind() == WouldBlock)
    }
}

impl Read for Arrived<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Where a socket has room for something. Writes return `WouldBlock` instead of waiting.
pub(super) struct AtOnce<'a>(&'a TcpStream);

/// One piece after the other: a stream's own way for several at once raises SIGPIPE where the peer is gone.
impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line {
    fn next_turn(&self) -> u64 {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn += 1;
        *turn
    }

    fn interrupt(&self, turn: u64) {
        let current = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == turn {
            // An error means that there is nothing left to shut down.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// The addresses of `host`. Address literals cost nothing; for a name a thread waits for the
/// system's resolver, which can be neither interrupted nor given a time limit.
pub(super) fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let (answer, answered) = mpsc::sync_channel(2);
    if let Some(exchange) = Exchange::current() {
        let answer = answer.clone();
        exchange.on_cancel(Arc::new(move || {
            let _ = answer.try_send(Err(Interrupted.into()));
        }));
    }
    let host = host.to_owned();
    #[cfg(test)]
    LOOK_UPS.set(LOOK_UPS.get() + 1);
    thread::Builder::new().name("mtlspop-resolve".into()).spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        let _ = answer.try_send(addresses.map(Iterator::collect));
    })?;
    answered.recv_timeout(left(deadline)?).unwrap_or_else(|_| Err(TimedOut.into()))
}

/// IPv6 and IPv4 in turn, beginning as the system did: where one of the two leads nowhere, the other
/// must come up before the time is over.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut mixed = Vec::with_capacity(one.len() + other.len());
    while one.len() + other.len() > 0 {
        mixed.extend(one.next());
        mixed.extend(other.next());
    }
    mixed
}

/// Whether it was the deadline that ended. The kernel's own error of that kind is about a peer that is gone.
pub(super) fn is_over(error: &io::Error) -> bool {
    error.kind() == TimedOut && error.raw_os_error().is_none()
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(TimedOut.into()) } else { Ok(left) }
}

/// Waits until `stream` is ready for `what`, at most until `deadline`.
///
/// Linux ends the timeouts of a socket up to an eighth of their length late (5 s were 5.2 s, 20 s were
/// 21.25 s), and a poll up to a thousandth. So a long wait stops a little short of its end, and a short one follows.
fn ready(stream: &TcpStream, what: PollFlags, deadline: Instant) -> io::Result<PollFlags> {
    loop {
        let left = left(deadline)?;
        let step = if left > Duration::from_secs(1) { left - left / 500 } else { left };
        let step = Timespec::try_from(step).map_err(io::Error::other)?;
        let mut poll_fd = [PollFd::new(stream, what)];
        match poll(&mut poll_fd, Some(&step)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(poll_fd[0].revents()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
thread_local! {
    static LOOK_UPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many names this thread has had looked up.
#[cfg(test)]
pub(super) fn look_ups() -> usize {
    LOOK_UPS.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does IPv4 come up second where the system lists all of IPv6 first, and is nothing lost?
    #[test]
    fn families_take_turns() {
        let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let (six, four) = (["[::1]:1", "[::2]:1", "[::3]:1"], ["1.1.1.1:1"]);
        let system = parse(&[&six[..], &four[..]].concat());
        assert_eq!(alternate(system), parse(&[six[0], four[0], six[1], six[2]]));
        assert_eq!(alternate(parse(&four)), parse(&four));
        assert!(alternate(Vec::new()).is_empty());
    }
}
