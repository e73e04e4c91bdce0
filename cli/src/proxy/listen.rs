//! Where the proxy listens: a Unix socket for its owner, loopback, or what systemd has opened; nowhere that another host could reach.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Mode, chown};
use rustix::process::{Gid, umask};

use super::handed::Handed;
use crate::server::{self, Callers};
use crate::{Failure, Result};

/// What the command line says.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
    /// Opened by systemd: by its name, or the only one.
    Systemd(Option<String>),
}

/// Where clients find it. Dropped, it takes its socket away.
pub(super) enum Bound {
    Unix(Socket),
    Tcp(SocketAddr),
}

/// A socket in the file system: this one, and not another that took its place.
pub(super) struct Socket {
    path: PathBuf,
    /// None where another takes it away.
    inode: Option<u64>,
    is_open: bool,
}

/// Before there is a runtime.
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: is followed by a path".to_owned()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        match text.strip_prefix("systemd") {
            Some("") => return Ok(Self::Systemd(None)),
            Some(name) if name.len() > 1 && name.starts_with(':') => {
                return Ok(Self::Systemd(Some(name[1..].to_owned())));
            }
            _ => {}
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Ok(_) => Err("only addresses of loopback are listened on, as 127.0.0.1".to_owned()),
            Err(_) => Err("it is unix:PATH, 127.0.0.1:PORT or systemd:NAME".to_owned()),
        }
    }
}

impl Place {
    /// The one that may connect, too, where that is said here.
    pub(super) fn group(&self, group: Option<&str>) -> Result<Option<Gid>> {
        match (self, group) {
            (_, None) => Ok(None),
            (Self::Unix(_), Some(group)) => gid(group).map(Some),
            (Self::Tcp(_), Some(_)) => Err(Failure::input("--socket-group is for unix:PATH")),
            (Self::Systemd(_), Some(_)) => Err(Failure::input(
                "--socket-group is for unix:PATH: of a socket of systemd, SocketGroup= in its unit",
            )),
        }
    }

    /// `handed` are those of systemd.
    pub(super) fn bind(&self, group: Option<Gid>, handed: &mut Handed) -> Result<(Bound, Listener)> {
        match self {
            Self::Systemd(name) => handed.take(name.as_deref()),
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address).and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    Ok((Bound::Tcp(listener.local_addr()?), Listener::Tcp(listener)))
                });
                listener.map_err(|error| Failure::input(format!("{address} cannot be listened on: {error}")))
            }
            Self::Unix(path) => bind(path, group).map_err(|error| {
                Failure::input(format!("{} cannot be listened on: {error}", path.display()))
            }),
        }
    }
}

impl Listener {
    pub(super) fn into_async(self) -> io::Result<server::Listener> {
        Ok(match self {
            Self::Unix(listener) => server::Listener::Unix(tokio::net::UnixListener::from_std(listener)?),
            Self::Tcp(listener) => server::Listener::Tcp(tokio::net::TcpListener::from_std(listener)?),
        })
    }
}

impl Bound {
    /// Whether other users of this host can connect.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Unix(socket) => socket.is_open,
            Self::Tcp(_) => true,
        }
    }

    /// Those who come by its own name; or by one of `hosts`, which are told the port.
    pub(super) fn callers<H: Iterator<Item = String>>(&self, hosts: impl FnOnce(u16) -> H) -> Callers {
        match self {
            Self::Tcp(address) => {
                let own = [address.to_string(), format!("localhost:{}", address.port())];
                Callers::by_names(own.into_iter().chain(hosts(address.port())).collect())
            }
            Self::Unix(_) => Callers::of_a_socket(),
        }
    }
}

impl Socket {
    /// One that somebody else made, and takes away.
    pub(super) fn of_others(path: &Path, is_open: bool) -> Self {
        Self { path: path.to_owned(), inode: None, is_open }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.inode.is_some() && self.inode == inode(&self.path) {
            // Nobody is left who could be told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// At no time can anybody connect who may not.
fn bind(path: &Path, group: Option<Gid>) -> io::Result<(Bound, Listener)> {
    remove_left_over(path)?;
    // Nothing else of this process makes files just now.
    let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    let socket = Socket { path: path.to_owned(), inode: inode(path), is_open: false };
    listener.set_nonblocking(true)?;
    if group.is_some() {
        chown(path, None, group)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    }
    Ok((Bound::Unix(socket), Listener::Unix(listener)))
}

/// A socket where nobody listens is one that was killed.
fn remove_left_over(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket());
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    match is_socket && UnixStream::connect(path).as_ref().is_err_and(refused) {
        true => fs::remove_file(path),
        false => Ok(()),
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|there| there.ino())
}

fn gid(group: &str) -> Result<Gid> {
    let number = group.parse().ok().or_else(|| {
        let groups = fs::read_to_string("/etc/group").ok()?;
        groups.lines().find_map(|line| {
            let mut members = line.split(':');
            (members.next() == Some(group)).then(|| members.nth(1)?.parse().ok()).flatten()
        })
    });
    let number: u32 = number.filter(|number| *number != u32::MAX).ok_or_else(|| {
        Failure::input(format!("there is no group {group} in /etc/group, and it is no number"))
    })?;
    Ok(Gid::from_raw(number))
}
