//! Servers that ask for our certificate in TLS 1.2 only, remembered for an hour.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

/// How long a server is taken for what it was; by then it may have learnt to ask in TLS 1.3, too.
const FOR: Duration = Duration::from_secs(3600);
/// Servers that are remembered; the least recently used one goes first.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// How to connect to a server that did not ask for our certificate in TLS 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Older {
    /// With TLS 1.2 only.
    Only,
    /// As to any other: it does not speak TLS 1.2.
    Never,
}

/// What an app knows of such servers, by host and port. An app has one set of roots and one proxy, and a
/// server behind another proxy may be another one.
#[derive(Debug)]
pub(super) struct OlderServers(Mutex<LruCache<(String, u16), (Older, Instant)>>);

impl OlderServers {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::sparse(MOST)))
    }

    /// What was learnt of this server in the hour before `now`.
    pub(super) fn get(&self, host: &str, port: u16, now: Instant) -> Option<Older> {
        let mut servers = self.lock();
        let (older, until) = *servers.get(&(host.to_owned(), port))?;
        (now < until).then_some(older)
    }

    pub(super) fn learn(&self, host: &str, port: u16, older: Older, now: Instant) {
        if let Some(until) = now.checked_add(FOR) {
            self.lock().put((host.to_owned(), port), (older, until));
        }
    }

    pub(super) fn forget(&self, host: &str, port: u16) {
        self.lock().pop(&(host.to_owned(), port));
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(String, u16), (Older, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is a server remembered for an hour, by host and port, and how many of them?
    #[test]
    fn an_hour_and_so_many() {
        let (servers, now) = (OlderServers::new(), Instant::now());
        servers.learn("a", 443, Older::Only, now);
        servers.learn("b", 443, Older::Never, now);
        let second = Duration::from_secs(1);
        assert_eq!(servers.get("a", 443, now + FOR - second), Some(Older::Only));
        assert_eq!(servers.get("b", 443, now), Some(Older::Never));
        assert_eq!((servers.get("a", 443, now + FOR), servers.get("a", 444, now)), (None, None));
        for n in 0..2 * MOST.get() {
            servers.learn(&n.to_string(), 443, Older::Only, now);
        }
        assert_eq!(servers.lock().len(), MOST.get());
    }
}
