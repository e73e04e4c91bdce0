//! A tunnel through an HTTP proxy (CONNECT, RFC 9110, section 9.3.6).

use std::io::{self, Read, Write};
use std::time::Instant;

use super::USER_AGENT;
use super::failure::{self, Peer};
use super::proxy::Proxy;
use super::socket::Socket;
use crate::error::{Error, ErrorKind, Result, TransportFailure, text};
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
    let Some((status, reason)) = status(&head) else {
        return Err(refused(&format!("the {peer} did not answer like an HTTP proxy")));
    };
    let why = match status {
        200..=299 => return Ok(socket),
        407 => return Err(refused(&unauthorized(&head, &peer)).with_http_status(407)),
        401 | 403 => "its rules do not allow that; ask those who run it, or list the host in NO_PROXY",
        404 | 405 | 501 => "it opens no tunnels; is it a proxy?",
        429 => "it is asked too often; try again later",
        502 => "it could not connect to the host; try again later",
        503 => "it is overloaded or cannot reach the host; try again later",
        504 => "the host did not answer it in time; try again later",
        _ => "it opened no tunnel",
    };
    let message =
        format!("the {peer} answered {status}{reason} when asked for a connection to {target}: {why}");
    Err(refused(&message).with_http_status(status).with_retryable(matches!(status, 429 | 502..=504)))
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
    while !is_complete(&head) {
        let count = socket.read(&mut chunk)?;
        if count == 0 && head.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..count]);
        if count == 0 || head.len() > MAX_HEAD {
            return Ok(Vec::new());
        }
    }
    Ok(head)
}

/// Whether there is an empty line. Some proxies end their lines with LF alone (RFC 9112, section 2.2).
fn is_complete(head: &[u8]) -> bool {
    head.windows(2).any(|end| end == b"\n\n") || head.windows(3).any(|end| end == b"\n\r\n")
}

/// Status and reason phrase; that one in brackets, where there is one.
fn status(head: &[u8]) -> Option<(u16, String)> {
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next()?);
    let (version, rest) = line.trim().split_once(' ')?;
    let (code, reason) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
    let reason = text::cut(reason.trim(), 100);
    let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
    version.starts_with("HTTP/1.").then_some((code.parse().ok()?, reason))
}

/// What to do about a 407. Only Basic is known here.
fn unauthorized(head: &[u8], peer: &Peer) -> String {
    let head = String::from_utf8_lossy(head);
    let offered = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authenticate").then(|| value.split_ascii_whitespace().next())?
    });
    let offered: Vec<_> = offered.map(|scheme| text::cut(scheme.trim_end_matches(','), 20)).collect();
    if offered.is_empty() || offered.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic")) {
        return format!(
            "the {peer} asks for a user name and password or did not accept the given ones; put them into the proxy \
             URL (http://user:password@host:port)"
        );
    }
    format!(
        "the {peer} asks for {}, and only a user name and password (Basic) are supported; have a helper on this machine \
         log in to it (cntlm, px) and name that one as proxy",
        offered.join(", ")
    )
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Network, "proxy_error", message).with_transport(TransportFailure::Proxy)
}
