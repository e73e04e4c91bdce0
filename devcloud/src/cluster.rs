//! The Kubernetes cluster that the machine is a node of, with AKS identity bindings: the token proxy in it, and the
//! authority that vouches for that one and nobody else.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::sign;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::directory::TOKEN_PROXY_NAME;
use crate::exchange::Request;
use crate::pki::ClusterIdentity;

/// What stands before the paths of the token service.
pub(crate) const TOKEN_PROXY_PATH: &str = "/identity-binding";
/// The cloud that the cluster is in.
const ENTRA: &str = "login.microsoftonline.com";

/// The certificates of the cluster, which it replaces while it runs.
pub(crate) struct Cluster {
    current: Mutex<Current>,
}

struct Current {
    ca_pem: String,
    certified: Arc<CertifiedKey>,
}

impl Cluster {
    pub(crate) fn new(now: i64) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self { current: Mutex::new(Current::new(now)?) })
    }

    /// The authority, in PEM.
    pub(crate) fn ca_pem(&self) -> String {
        self.lock().ca_pem.clone()
    }

    /// Makes another authority, and has it vouch for the proxy from now on.
    pub(crate) fn rotate(&self, now: i64) -> Result<String, Box<dyn Error + Send + Sync>> {
        let next = Current::new(now)?;
        let pem = next.ca_pem.clone();
        *self.lock() = next;
        Ok(pem)
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn new(now: i64) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let ClusterIdentity { ca_pem, certificate } = ClusterIdentity::new(TOKEN_PROXY_NAME, &key, now)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified = Arc::new(CertifiedKey::new(vec![certificate], sign::any_ecdsa_type(&key)?));
        Ok(Self { ca_pem, certified })
    }
}

/// The TLS end of the token proxy. It shows its one certificate to everybody, by whatever name they ask.
pub(crate) fn acceptor(
    cluster: &Arc<Cluster>,
    provider: &Arc<CryptoProvider>,
    clock: &Clock,
) -> Result<TlsAcceptor, Box<dyn Error + Send + Sync>> {
    let config = ServerConfig::builder_with_details(provider.clone(), Arc::new(clock.clone()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Certificates(cluster.clone())));
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The request that the token proxy hands on to Entra, as its own: it does nothing but that.
pub(crate) fn forwarded<'a>(request: &Request<'a>) -> Option<Request<'a>> {
    let path = request.path.strip_prefix(TOKEN_PROXY_PATH)?;
    let is_token = request.method == "POST" && path.ends_with("/oauth2/v2.0/token");
    is_token.then_some(Request { host: ENTRA, path, ..*request })
}

struct Certificates(Arc<Cluster>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.lock().certified.clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}
