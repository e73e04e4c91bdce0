//! The clients of one app: one without a certificate, one for this machine, one per certificate.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::client::{Client, Schemes};
use super::connector::{Connector, Tls};
use super::failure::Presented;
use super::look::{Route, Shown};
use super::neighbours::{Neighbours, Way, way};
use super::observed::Observer;
use super::older::OlderServers;
use super::pin::Thumbprint;
use super::proxy::{Proxy, ProxySettings};
use super::renegotiation::RenegotiatingHosts;
use super::roots::Roots;
use super::tls::TlsClient;
use super::token_proxy::TokenProxy;
use crate::binding::Certificate;
use crate::clock::Clock;
use crate::env::Env;
use crate::error::Result;
use crate::log::Logger;
use crate::runtime::PerProcess;
use crate::secret::Secret;

/// What answers on this machine or its link takes a connection at once; off Azure nobody does, and the
/// caller should not wait long to hear that.
const LOCAL_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How an app reaches the network.
#[derive(Clone)]
pub(crate) struct TransportOptions {
    /// The URL of an HTTP proxy, or `none`; the environment decides where this is not given.
    pub(crate) proxy: Option<Secret>,
    /// Roots to trust instead of those of the environment or the platform, as PEM text.
    pub(crate) roots_pem: Option<Vec<u8>>,
    /// The same, in a file.
    pub(crate) roots_file: Option<PathBuf>,
    /// For name look-up, TCP, proxy and TLS together.
    pub(crate) connect_timeout: Duration,
    /// Who may ask for a certificate in a TLS renegotiation, beside those that are known.
    pub(crate) renegotiating: RenegotiatingHosts,
    /// For what is not used of the roots.
    pub(crate) log: Logger,
    /// Who is told of each request.
    pub(crate) observer: Observer,
}

/// Hands out clients. Connections and TLS sessions of a certificate live as long as the certificate:
/// when its last clone goes, they are closed.
pub(crate) struct Pool {
    /// Under which the clients hang on the certificates, until it goes.
    owner: Arc<u64>,
    proxy: Arc<ProxySettings>,
    way: Way,
    connect_timeout: Duration,
    renegotiating: RenegotiatingHosts,
    observer: Observer,
    state: PerProcess<State>,
}

/// Connections, TLS sessions and their locks: a child process starts with none of them.
struct State {
    roots: Arc<Roots>,
    older: Arc<OlderServers>,
    plain: OnceCell<Arc<Client>>,
    direct: OnceCell<Arc<Client>>,
    /// The one that was asked for last: a host has one such server.
    pinned: Mutex<Option<(Thumbprint, Arc<Client>)>>,
    /// With the authorities that it was made with, which change while the app runs.
    token_proxy: Mutex<Option<(Vec<u8>, Arc<Client>)>>,
    certified: Mutex<Certified>,
}

/// By SHA-256 of the certificate, so that two values of one certificate share a client.
#[derive(Default)]
struct Certified {
    clients: HashMap<[u8; 32], Weak<Client>>,
    /// How many were alive when the dead ones were last swept out.
    alive: usize,
}

impl Pool {
    /// Fails where the proxy of the options cannot be used. That of the environment fails the requests that would
    /// go through it.
    pub(crate) fn new(options: TransportOptions, env: Arc<dyn Env>) -> Result<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let way = way(&options, &*env);
        let proxy = ProxySettings::new(options.proxy.as_ref().map(Secret::expose), &*env)?;
        let TransportOptions { roots_pem, roots_file, connect_timeout, renegotiating, log, observer, .. } =
            options;
        let make = move || State {
            roots: Arc::new(Roots::new(roots_pem.clone(), roots_file.clone(), env.clone(), log.clone())),
            older: Arc::new(OlderServers::new()),
            plain: OnceCell::new(),
            direct: OnceCell::new(),
            pinned: Mutex::default(),
            token_proxy: Mutex::default(),
            certified: Mutex::default(),
        };
        Ok(Self {
            owner: Arc::new(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            proxy: Arc::new(proxy),
            way,
            connect_timeout,
            renegotiating,
            observer,
            state: PerProcess::new(make),
        })
    }

    /// With whom an app of these connections and this clock shares what services told it.
    pub(crate) fn neighbours(&self, clock: &Arc<dyn Clock>) -> Neighbours {
        Neighbours::new(self.way, clock)
    }

    /// Whether this host may ask for the certificate of a bound token in a TLS renegotiation.
    pub(crate) fn may_renegotiate(&self, host: &str) -> bool {
        self.renegotiating.has(host)
    }

    /// For https servers that are not shown a certificate.
    pub(crate) fn plain(&self) -> Result<Arc<Client>> {
        let state = self.state.get();
        let make = || self.https_client(state, None).map(Arc::new);
        state.plain.get_or_try_init(make).cloned()
    }

    /// For IMDS and the endpoints of this machine: never through a proxy, and plain http is allowed.
    pub(crate) fn direct(&self) -> Result<Arc<Client>> {
        let state = self.state.get();
        let make = || self.local_client(state, Tls::OnDemand(state.roots.clone()));
        Ok(state.direct.get_or_init(make).clone())
    }

    /// The same for one whose server may also show the certificate of this thumbprint.
    pub(crate) fn pinned(&self, leaf: Thumbprint) -> Result<Arc<Client>> {
        let state = self.state.get();
        // Read from disk, once: not with the lock.
        let roots = state.roots.trusted();
        let mut pinned = state.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*pinned
            && *known == leaf
        {
            return Ok(client.clone());
        }
        // Roots that could not be loaded may be there the next time.
        let lasting = roots.is_ok();
        let client = self.local_client(state, Tls::Ready(Arc::new(TlsClient::pinned(leaf, roots)?)));
        if lasting {
            *pinned = Some((leaf, client.clone()));
        }
        Ok(client)
    }

    /// For the token proxy of a cluster, the same one in each call. Its authorities are looked at each time: others
    /// than before get new connections and TLS sessions, and where there are none now, those of before count on.
    pub(crate) fn token_proxy(&self, proxy: &TokenProxy) -> Result<Arc<Client>> {
        let state = self.state.get();
        let now = proxy.authorities()?;
        let pem = now.as_deref().unwrap_or_default();
        let mut token_proxy = state.token_proxy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*token_proxy
            && (pem.is_empty() || pem == known)
        {
            return Ok(client.clone());
        }
        let pem = if pem.is_empty() { proxy.first_authorities() } else { pem };
        let trusted = match now {
            Some(_) => Arc::new(state.roots.pem_roots(pem, proxy.origin())?),
            None => state.roots.trusted()?,
        };
        let tls = TlsClient::new(trusted, None)?.named(proxy.name.as_deref());
        let client = Arc::new(self.client(state, tls, None));
        // The one before ends with the last request that it is in use for.
        *token_proxy = Some((pem.to_vec(), client.clone()));
        Ok(client)
    }

    /// For https servers that are shown `certificate`.
    pub(crate) fn for_certificate(&self, certificate: &Certificate) -> Result<Arc<Client>> {
        certificate.attachment(&self.owner, || {
            let state = self.state.get();
            let mut certified = state.certified.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(present) = certified.clients.get(certificate.sha256()).and_then(Weak::upgrade) {
                return Ok(present);
            }
            let made = Arc::new(self.https_client(state, Some(certificate))?);
            certified.insert(*certificate.sha256(), Arc::downgrade(&made));
            Ok(made)
        })
    }

    /// For one look at an https server, which is shown `certificate`: what it shows in turn is kept.
    pub(super) fn watched(&self, certificate: Option<&Certificate>, shown: Arc<Shown>) -> Result<Client> {
        let state = self.state.get();
        Ok(self.client(state, TlsClient::watched(state.roots.trusted()?, certificate, shown)?, certificate))
    }

    /// How a host is reached.
    pub(super) fn route(&self, host: &str, port: u16) -> Result<Route> {
        let proxy = self.proxy.route(host, port)?.map(Proxy::address);
        Ok(Route { proxy, why: self.proxy.why(host, port) })
    }

    /// What of `NO_PROXY` means nothing.
    pub(crate) fn meaningless_exceptions(&self) -> &[String] {
        self.proxy.meaningless()
    }

    /// How many roots are trusted for servers, and whose they are.
    pub(crate) fn roots(&self) -> Result<(usize, String)> {
        let roots = &self.state.get().roots;
        Ok((roots.trusted()?.store.len(), roots.origin()))
    }

    fn local_client(&self, state: &State, tls: Tls) -> Arc<Client> {
        let connector = Connector { proxy: Arc::default(), tls, presented: None, older: state.older.clone() };
        let timeout = self.connect_timeout.min(LOCAL_CONNECT_TIMEOUT);
        Arc::new(Client::new(connector, Schemes::HttpAndHttps, timeout, self.observer.clone()))
    }

    fn https_client(&self, state: &State, certificate: Option<&Certificate>) -> Result<Client> {
        let tls = TlsClient::new(state.roots.trusted()?, certificate)?;
        Ok(self.client(state, tls, certificate))
    }

    fn client(&self, state: &State, tls: TlsClient, certificate: Option<&Certificate>) -> Client {
        let connector = Connector {
            proxy: self.proxy.clone(),
            tls: Tls::Ready(Arc::new(tls)),
            presented: certificate.map(|certificate| Arc::new(Presented::new(certificate))),
            older: state.older.clone(),
        };
        Client::new(connector, Schemes::HttpsOnly, self.connect_timeout, self.observer.clone())
    }
}

impl Certified {
    fn insert(&mut self, sha256: [u8; 32], client: Weak<Client>) {
        // Sweeping when the map has doubled keeps it bounded, at a constant price per insertion.
        if self.clients.len() > 2 * self.alive + 8 {
            self.clients.retain(|_, client| client.strong_count() > 0);
            self.alive = self.clients.len();
        }
        self.clients.insert(sha256, client);
    }
}

impl Drop for Pool {
    /// A certificate may outlive the app; the app's connections do not.
    fn drop(&mut self) {
        let state = self.state.get();
        let certified = state.certified.lock().unwrap_or_else(PoisonError::into_inner);
        for client in certified.clients.values().filter_map(Weak::upgrade) {
            client.close();
        }
    }
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            proxy: None,
            roots_pem: None,
            roots_file: None,
            connect_timeout: Duration::from_secs(10),
            renegotiating: RenegotiatingHosts::default(),
            log: Logger::default(),
            observer: Observer::default(),
        }
    }
}

impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL of a proxy may hold a password.
        f.debug_struct("TransportOptions")
            .field("roots_file", &self.roots_file)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
