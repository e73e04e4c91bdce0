//! TLS sessions that remember whether their server asked for our certificate.
//!
//! A server asks in a full handshake only. A resumed one goes on with the certificate, or without one,
//! of the handshake its session began with, and so has that one's answer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use once_cell::sync::OnceCell;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

/// As many as rustls keeps where nobody says otherwise.
const SESSIONS: usize = 256;
/// Tickets that may come before the handshake is through. None should: more than these are dropped.
const MOST_EARLY: usize = 8;

/// The sessions of one configuration, by the answer that they began with.
pub(super) struct Sessions {
    asked: ClientSessionMemoryCache,
    not_asked: OnceCell<ClientSessionMemoryCache>,
}

/// The sessions as one connection sees them. It knows the connection's answer once the handshake has
/// ended, and keeps by it what the server issues from then on.
#[derive(Debug)]
pub(super) struct Witness {
    sessions: Arc<Sessions>,
    resume: Resume,
    state: Mutex<State>,
}

/// Which sessions a connection may resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    Any,
    /// Those in which the server asked: what it did not want then, it may want now.
    Asked,
}

#[derive(Default)]
struct State {
    /// The answer that the session which was offered began with.
    offered: Option<bool>,
    /// This connection's answer.
    asked: Option<bool>,
    /// What the server issued before there was one.
    early: Vec<(ServerName<'static>, Session)>,
}

enum Session {
    Tls12(Tls12ClientSessionValue),
    Tls13(Tls13ClientSessionValue),
}

impl Sessions {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { asked: ClientSessionMemoryCache::new(SESSIONS), not_asked: OnceCell::new() })
    }

    fn by(&self, asked: bool) -> &ClientSessionMemoryCache {
        match asked {
            true => &self.asked,
            false => self.not_asked.get_or_init(|| ClientSessionMemoryCache::new(SESSIONS)),
        }
    }

    /// Those that there are, the better ones first.
    fn all(&self) -> impl Iterator<Item = (bool, &ClientSessionMemoryCache)> {
        std::iter::once((true, &self.asked)).chain(self.not_asked.get().map(|sessions| (false, sessions)))
    }

    fn keep(&self, asked: bool, server: ServerName<'static>, session: Session) {
        match session {
            Session::Tls12(session) => {
                // There is one of them, whatever its answer.
                self.all().for_each(|(_, sessions)| sessions.remove_tls12_session(&server));
                self.by(asked).set_tls12_session(server, session);
            }
            Session::Tls13(ticket) => self.by(asked).insert_tls13_ticket(server, ticket),
        }
    }
}

impl Witness {
    pub(super) fn new(sessions: Arc<Sessions>, resume: Resume) -> Self {
        Self { sessions, resume, state: Mutex::default() }
    }

    /// The handshake is through: did the server ask, now or when the session that it resumed began?
    pub(super) fn settle(&self, resumed: bool, asked_now: bool) -> bool {
        let mut state = self.lock();
        let asked = match state.offered {
            Some(asked) if resumed => asked,
            _ => asked_now,
        };
        state.asked = Some(asked);
        for (server, session) in state.early.drain(..) {
            self.sessions.keep(asked, server, session);
        }
        asked
    }

    fn keep(&self, server: ServerName<'static>, session: Session) {
        let mut state = self.lock();
        match state.asked {
            Some(asked) => self.sessions.keep(asked, server, session),
            None if state.early.len() < MOST_EARLY => state.early.push((server, session)),
            None => {}
        }
    }

    fn find<T>(&self, look: impl Fn(&ClientSessionMemoryCache) -> Option<T>) -> Option<T> {
        let suits = |asked: &bool| *asked || self.resume == Resume::Any;
        let (asked, session) = self
            .sessions
            .all()
            .filter(|(asked, _)| suits(asked))
            .find_map(|(asked, sessions)| look(sessions).map(|session| (asked, session)))?;
        self.lock().offered = Some(asked);
        Some(session)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Witness {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.sessions.asked.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.asked.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.keep(server, Session::Tls12(session));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.find(|sessions| sessions.tls12_session(server))
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.sessions.all().for_each(|(_, sessions)| sessions.remove_tls12_session(server));
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.keep(server, Session::Tls13(ticket));
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.find(|sessions| sessions.take_tls13_ticket(server))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("asked", &self.asked).finish_non_exhaustive()
    }
}
