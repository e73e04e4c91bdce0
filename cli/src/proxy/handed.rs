//! Sockets that systemd has opened, and what it is told in return.

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use sd_notify::NotifyState;

use super::listen::{Bound, Listener, Socket};
use crate::{Failure, Result};

/// Those that this process was started with (sd_listen_fds(3)).
pub(super) struct Handed {
    sockets: ListenFd,
    names: Vec<String>,
}

impl Handed {
    pub(super) fn from_env() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self { sockets: ListenFd::from_env(), names: names.split(':').map(str::to_owned).collect() }
    }

    /// The one that has this name, or the only one.
    pub(super) fn take(&mut self, name: Option<&str>) -> Result<(Bound, Listener)> {
        let name_of = |index: usize| self.names.get(index).map_or("", String::as_str);
        let all = 0..self.sockets.len();
        let mut fitting = all.clone().filter(|index| name.is_none_or(|name| name_of(*index) == name));
        let index = match (fitting.next(), fitting.next()) {
            (Some(index), None) => index,
            _ if all.is_empty() => {
                return Err(Failure::input(
                    "systemd handed over no socket: a unit has some by one of the same name that ends in .socket",
                ));
            }
            _ => {
                let there: Vec<&str> = all.map(name_of).collect();
                return Err(Failure::input(format!(
                    "of the sockets that systemd handed over ({}) systemd:NAME must name one, by its FileDescriptorName=",
                    there.join(", ")
                )));
            }
        };
        let failed = |error| Failure::input(format!("the socket of systemd cannot be used: {error}"));
        if let Ok(Some(listener)) = self.sockets.take_unix_listener(index) {
            listens(&listener)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let bound = Bound::Unix(unix(&listener).map_err(failed)?);
            return Ok((bound, Listener::Unix(listener)));
        }
        let listener = self.sockets.take_tcp_listener(index).map_err(failed)?;
        let listener =
            listener.ok_or_else(|| Failure::input("one socket of systemd cannot be two places"))?;
        listens(&listener)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            return Err(Failure::input(format!(
                "the socket of systemd is on {address}, and only addresses of loopback are listened on"
            )));
        }
        Ok((Bound::Tcp(address), Listener::Tcp(listener)))
    }
}

/// One without a name, or whose mode lets others in, is for everybody on this host.
fn unix(listener: &UnixListener) -> io::Result<Socket> {
    let address = listener.local_addr()?;
    Ok(match address.as_pathname() {
        Some(path) => {
            let is_open = fs::metadata(path).map_or(true, |there| there.permissions().mode() & 0o002 != 0);
            Socket::of_others(path, is_open)
        }
        None => Socket::of_others("@".as_ref(), true),
    })
}

fn listens(socket: impl AsFd) -> Result<()> {
    match socket_acceptconn(socket) {
        Ok(true) => Ok(()),
        _ => Err(Failure::input("the socket of systemd takes no connections: Accept= must be no")),
    }
}

/// It can be reached.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its files, and says when that is done by `ready`.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It will end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Nothing where nobody wants to know.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        Failure::output("what systemd wants to know", &error).report();
    }
}
