//! Which apps of a process share what one of them was told: those with the same roots, proxies and clock.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use aws_lc_rs::digest::{Context, SHA256};

use super::pool::TransportOptions;
use crate::clock::Clock;
use crate::env::Env;
use crate::secret::Secret;

/// What an app must have in common with another one to believe it. Who asked through another proxy, or trusted
/// other roots, may have talked to somebody else; what lasts until a time by another clock may last for ever.
#[derive(Clone)]
pub(crate) struct Neighbours {
    way: Way,
    /// Keeps the address of a clock that is gone from becoming that of another one.
    clock: Weak<dyn Clock>,
}

/// The name of something that neighbours share.
pub(crate) type Shared = (Neighbours, String);

/// A digest of where roots and proxies come from; a proxy's password may be in it.
pub(super) type Way = [u8; 32];

/// Every variable that roots and proxies come from.
const VARIABLES: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

impl Neighbours {
    pub(super) fn new(way: Way, clock: &Arc<dyn Clock>) -> Self {
        Self { way, clock: Arc::downgrade(clock) }
    }

    /// Whether there can be any.
    pub(super) fn exist(&self) -> bool {
        self.clock.strong_count() > 0
    }

    fn clock(&self) -> *const () {
        self.clock.as_ptr().cast()
    }
}

impl PartialEq for Neighbours {
    fn eq(&self, other: &Self) -> bool {
        (self.way, self.clock()) == (other.way, other.clock())
    }
}

impl Eq for Neighbours {}

impl Hash for Neighbours {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.way, self.clock()).hash(state);
    }
}

/// The same for all apps that are given the same roots and proxies, by options or by their environment.
pub(super) fn way(options: &TransportOptions, env: &dyn Env) -> Way {
    let mut digest = Context::new(&SHA256);
    let mut add = |part: Option<&[u8]>| {
        digest.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        digest.update(part.unwrap_or_default());
    };
    add(options.roots_pem.as_deref());
    add(options.roots_file.as_ref().map(|path| path.as_os_str().as_encoded_bytes()));
    add(options.proxy.as_ref().map(|proxy| Secret::expose(proxy).as_bytes()));
    for name in VARIABLES {
        add(env.var(name).as_deref().map(str::as_bytes));
    }
    let mut way = Way::default();
    way.copy_from_slice(digest.finish().as_ref());
    way
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;
    use crate::clock::{SystemClock, system_clock};
    use crate::http::Pool;

    fn pool(options: TransportOptions, variables: &[(&str, &str)]) -> Pool {
        let env: HashMap<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Pool::new(options, Arc::new(env)).unwrap()
    }

    fn options() -> TransportOptions {
        TransportOptions::default()
    }

    /// Do apps share with those that have the same roots, proxies and clock, and with no others?
    #[test]
    fn who_shares() {
        let clock = system_clock();
        let usual = pool(options(), &[]).neighbours(&clock);
        assert!(pool(options(), &[("HOME", "x")]).neighbours(&system_clock()) == usual);
        let proxy = |url: &str| TransportOptions { proxy: Some(Secret::new(url)), ..options() };
        let file = |path: &str| TransportOptions { roots_file: Some(PathBuf::from(path)), ..options() };
        let pem = |text: &str| TransportOptions { roots_pem: Some(text.into()), ..options() };
        let mut all = vec![
            usual,
            pool(options(), &[]).neighbours(&(Arc::new(SystemClock) as Arc<dyn Clock>)),
            pool(proxy("http://a:1"), &[]).neighbours(&clock),
            pool(proxy("http://user:one@a:1"), &[]).neighbours(&clock),
            pool(proxy("http://user:two@a:1"), &[]).neighbours(&clock),
            pool(file("a"), &[]).neighbours(&clock),
            pool(file("b"), &[]).neighbours(&clock),
            pool(pem("a"), &[]).neighbours(&clock),
        ];
        all.extend(VARIABLES.map(|name| pool(options(), &[(name, "http://a:1")]).neighbours(&clock)));
        for (n, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(n), "the {n}th shares with another");
        }
    }

    /// Is a clock never taken for one that was at its address before?
    #[test]
    fn no_clock_is_another_one() {
        let mut known = Vec::new();
        for _ in 0..100 {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let neighbours = Neighbours::new(Way::default(), &clock);
            assert!(neighbours.exist() && !known.contains(&neighbours));
            known.push(neighbours);
        }
        assert!(!known.iter().any(Neighbours::exist));
    }

    /// Is there no variable that decides about roots or proxies, and is not looked at here?
    #[test]
    fn every_variable_counts() {
        #[derive(Debug, Default)]
        struct Spy(Mutex<BTreeSet<String>>);
        impl Env for Spy {
            fn var(&self, name: &str) -> Option<String> {
                self.0.lock().unwrap().insert(name.to_owned());
                None
            }
        }
        let spy = Arc::new(Spy::default());
        way(&options(), &*spy);
        let counted = std::mem::take(&mut *spy.0.lock().unwrap());
        let _ = Pool::new(options(), spy.clone()).unwrap().plain();
        let read = spy.0.lock().unwrap();
        assert!(read.contains("SSL_CERT_FILE") && read.is_subset(&counted), "{read:?}");
    }
}
