//! All services, each with what it needs, and what the way to them shares: log, faults, clock.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rcgen::KeyPair;
use rustls::crypto::CryptoProvider;

use crate::attest::Attest;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::fault::Faults;
use crate::imds::Imds;
use crate::issuer::Issuer;
use crate::jwt::SigningKey;
use crate::oidc::Oidc;
use crate::options::Options;
use crate::pki::{self, Pki};
use crate::record::{Log, Open};
use crate::registry::Registry;
use crate::resource::{Blobs, Resources, Secrets};
use crate::source::Sources;
use crate::sts::Sts;
use crate::tenants::Tenants;
use crate::trust::{Door, Trust};
use crate::vault::Policy;

pub(crate) struct World {
    pub(crate) clock: Clock,
    /// The machine's time at the start.
    pub(crate) started: i64,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) pki: Arc<Pki>,
    pub(crate) door: Arc<Door>,
    pub(crate) log: Log,
    pub(crate) faults: Arc<Faults>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) open: Open,
    pub(crate) imds: Imds,
    pub(crate) sources: Sources,
    pub(crate) sts: Sts,
    pub(crate) resources: Resources,
    pub(crate) attest: Attest,
    pub(crate) oidc: Oidc,
    pub(crate) cluster: Arc<Cluster>,
    /// `user:password` that the proxy asks for.
    pub(crate) proxy_auth: Option<String>,
    log_to_stderr: bool,
    connections: AtomicU64,
}

impl World {
    pub(crate) fn new(options: &Options, arc_tokens: PathBuf) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let clock = Clock::default();
        let started = clock.now();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let [sni, rotated, fic, sts, oidc, attest] = rsa_keys()?;
        let signing_key = |key| Ok::<_, Box<dyn Error + Send + Sync>>(Arc::new(SigningKey::new(key)?));
        let (sts_key, oidc_key, attest_key) =
            (signing_key(&sts)?, signing_key(&oidc)?, signing_key(&attest)?);
        let pki = Arc::new(Pki::new(started, [sni, rotated, fic])?);
        let trust = Arc::new(Trust::new(&pki, &provider)?);
        let issuer = Arc::new(Issuer::new(clock.clone(), sts_key.clone(), options.token_seconds));
        let registry = Arc::new(Registry(options.config.clone()));
        let tenants = Arc::<Tenants>::default();
        let faults = Arc::<Faults>::default();
        Ok(World {
            imds: Imds {
                clock: clock.clone(),
                pki: pki.clone(),
                issuer: issuer.clone(),
                registry: registry.clone(),
                attestation_key: attest_key.clone(),
                require_attestation: options.require_attestation,
                require_tpm_attestation: options.require_tpm_attestation,
            },
            sources: Sources::new(
                clock.clone(),
                (issuer.clone(), registry.clone()),
                options.arc_agent,
                arc_tokens,
            ),
            sts: Sts {
                clock: clock.clone(),
                trust: trust.clone(),
                issuer,
                registry,
                tenants: tenants.clone(),
                key: sts_key.clone(),
                federated_key: oidc_key.clone(),
                registered: pki.sni.certificate.clone(),
                refresh_in: options.refresh_in,
            },
            resources: Resources {
                clock: clock.clone(),
                key: sts_key,
                policy: Policy::new(options.token_binding),
                secrets: Secrets::new(clock.clone()),
                blobs: Blobs::new(clock.clone()),
            },
            attest: Attest::new(clock.clone(), attest_key, pki.clone(), options.require_aik_certificate)?,
            oidc: Oidc { clock: clock.clone(), key: oidc_key },
            cluster: Arc::new(Cluster::new(started)?),
            door: Arc::new(Door { trust, clock: clock.clone(), faults: faults.clone() }),
            log: Log::default(),
            faults,
            tenants,
            open: Open::default(),
            proxy_auth: options.proxy_auth.clone(),
            log_to_stderr: options.log_to_stderr,
            connections: AtomicU64::new(0),
            clock,
            started,
            provider,
            pki,
        })
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// One line on stderr, if the owner wants to hear.
    pub(crate) fn say(&self, line: &str) {
        if self.log_to_stderr {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(std::io::stderr(), "devcloud: {line}");
        }
    }

    /// How often what was done, and which faults that have a name have struck.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        self.log.counters().into_iter().chain(self.faults.struck()).collect()
    }

    /// Forgets what was received, and the faults to come.
    pub(crate) fn reset(&self) {
        self.log.clear();
        self.faults.reset();
    }
}

/// RSA keys are slow to make: they are made side by side.
fn rsa_keys<const N: usize>() -> Result<[KeyPair; N], Box<dyn Error + Send + Sync>> {
    let makers: [_; N] = std::array::from_fn(|_| thread::spawn(pki::rsa_key));
    let mut keys = Vec::with_capacity(N);
    for maker in makers {
        keys.push(maker.join().map_err(|_| "making an RSA key panicked")??);
    }
    keys.try_into().map_err(|_| "some RSA keys are missing".into())
}
