//! A tunnel through an HTTP proxy (CONNECT, RFC 9110, section 9.3.6).

use std::io::{self, Read, Write};
use std::time::Instant;

use super::USER_AGENT;
use super::failure::{self, Peer};
use super::proxy::Proxy;
use super::socket::Socket;
use crate::error::{Error, ErrorKind, Result, TransportFailure};
use crate::runtime::Limit;

/// More than this is not the head of an answer to CONNECT.
const MAX_HEAD: usize = 16 * 1024;

/// Connects to `proxy` and has it connect to `host`, which is not looked up here.
pub(super) fn open(proxy: &Proxy, host: &str, port: u16, deadline: Instant, limit: Limit) -> Result<Socket> {
    let peer = Peer::Proxy(proxy.address());
    let mut socket = Socket::open(proxy.host(), proxy.port(), deadline)
        .map_err(|error| failure::open(error, &peer, limit))?;
    // An IPv6 address literal needs its brackets back.
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let head =
        exchange(&mut socket, proxy, &target).map_err(|error| failure::proxy_io(error, &peer, limit))?;
    match status(&head) {
        Some(200..=299) => Ok(socket),
        Some(407) => Err(refused(&format!(
            "the {peer} asks for a user name and password or did not accept the given ones; put them into the \
             proxy URL (http://user:password@host:port)"
        ))),
        Some(status) => {
            Err(refused(&format!("the {peer} answered {status} when asked for a connection to {target}")))
        }
        None => Err(refused(&format!("the {peer} did not answer like an HTTP proxy"))),
    }
}

fn exchange(socket: &mut Socket, proxy: &Proxy, target: &str) -> io::Result<Vec<u8>> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n");
    if let Some(authorization) = proxy.authorization() {
        request.push_str("Proxy-Authorization: ");
        request.push_str(authorization.expose());
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let request = zeroize::Zeroizing::new(request);
    socket.write_all(request.as_bytes())?;

    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    // Reading ahead is safe: behind the head nothing comes before we have spoken to the target.
    // The body that a refusal may have is not waited for.
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = socket.read(&mut chunk)?;
        head.extend_from_slice(&chunk[..count]);
        if count == 0 || head.len() > MAX_HEAD {
            return Ok(Vec::new());
        }
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Network, "proxy_error", message).with_transport(TransportFailure::Proxy)
}
