//! An answer that comes while the body of its request is still being sent: it is worth more than the broken pipe that
//! may follow, and the rest of the body worth nothing.

use std::io;

use ureq::unversioned::transport::Buffers;

use super::buffers::HttpBuffers;
use super::tls::TlsStream;

/// Where its number is.
const STATUS: usize = "HTTP/1.1 ".len();

/// What a server has said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// It takes what it gets; some begin to answer before they have read it all.
    Yes,
    /// It wants no more of it.
    No,
}

/// Puts what has arrived into the input of `buffers`, waiting for nothing, and reads its first line. That the server
/// has closed, and said nothing, is an error.
pub(super) fn look(stream: &mut dyn TlsStream, buffers: &mut HttpBuffers) -> io::Result<Said> {
    loop {
        let said = said(buffers.input());
        let room = buffers.input_append_buf();
        if said != Said::Nothing {
            return Ok(said);
        }
        if room.is_empty() {
            // Nobody says so much before an answer; it is refused when it is read.
            return Ok(Said::No);
        }
        match stream.read_arrived(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffers.input_appended(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Said::Nothing),
            Err(error) => return Err(error),
        }
    }
}

/// What the server says to whether it wants the body, as far as that is here; what is more than an interim answer is
/// left there. ureq knows no interim answer that has headers, and takes each of those for the answer.
pub(super) fn word(buffers: &mut HttpBuffers) -> Said {
    loop {
        let input = buffers.input();
        if input.get(STATUS) != Some(&b'1') {
            return said(input);
        }
        let Some(end) = end_of_head(input) else { return Said::Nothing };
        let number = &input[STATUS..STATUS + 3];
        if number == b"101" {
            // Nobody has asked for that.
            return Said::No;
        }
        let goes_on = number == b"100";
        buffers.input_consume(end);
        if goes_on {
            return Said::Yes;
        }
    }
}

fn end_of_head(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4)
}

/// The verdict of the first answer that is no interim one (RFC 9110, section 15.2). What is not HTTP is refused when it
/// is read.
fn said(mut input: &[u8]) -> Said {
    loop {
        match input.get(STATUS) {
            None => return Said::Nothing,
            Some(b'1') => {}
            Some(b'2') => return Said::Yes,
            Some(_) => return Said::No,
        }
        let Some(end) = end_of_head(input) else { return Said::Nothing };
        input = &input[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is an interim answer passed over, and the next one read from its first digit on?
    #[test]
    fn verdicts() {
        let early = "HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n";
        for (input, verdict) in [
            ("", Said::Nothing),
            ("HTTP/1.1 ", Said::Nothing),
            ("HTTP/1.1 4", Said::No),
            ("HTTP/1.0 302 Found\r\n", Said::No),
            ("HTTP/1.1 200 OK\r\n", Said::Yes),
            ("HTTP/1.1 100 Continue\r\n\r", Said::Nothing),
            ("HTTP/1.1 100 Continue\r\n\r\n", Said::Nothing),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 No", Said::No),
            (&format!("{early}{early}HTTP/1.1 2"), Said::Yes),
            ("SSH-2.0-OpenSSH", Said::No),
        ] {
            assert_eq!(said(input.as_bytes()), verdict, "{input:?}");
        }
    }
}
