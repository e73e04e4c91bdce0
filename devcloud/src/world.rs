//! The state that all services share, and what tests may do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcgen::KeyPair;
use rustls::crypto::CryptoProvider;
use serde_json::Value;

use crate::attest::{self, Challenges};
use crate::clock::Clock;
use crate::cloud::Options;
use crate::cluster::Cluster;
use crate::fault::{Fault, Faults};
use crate::jwt::{Keys, SigningKey};
use crate::oidc::{self, Assertion};
use crate::pki::{self, Pki};
use crate::record::{Log, Open, ReceivedRequest};
use crate::source::Sources;
use crate::trust::Trust;
use crate::vault::TokenBinding;

pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    /// The machine's time at the start.
    pub(crate) started: i64,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) pki: Pki,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) trust: Trust,
    pub(crate) keys: Keys,
    pub(crate) log: Log,
    pub(crate) faults: Faults,
    pub(crate) sources: Sources,
    pub(crate) challenges: Challenges,
    connections: AtomicU64,
    pub(crate) open: Open,
    token_binding: Mutex<TokenBinding>,
    /// `x5t#S256` of the certificates that IMDS issued for attested keys.
    attested: Mutex<BTreeSet<String>>,
}

impl World {
    pub(crate) fn new(options: Options, arc_tokens: PathBuf) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let clock = Clock::default();
        let started = clock.now();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let [sni, rotated, fic, sts, oidc, attest] = rsa_keys()?;
        let pki = Pki::new(started, [sni, rotated, fic])?;
        Ok(World {
            token_binding: Mutex::new(options.token_binding),
            attested: Mutex::default(),
            options,
            clock,
            started,
            trust: Trust::new(&pki, &provider)?,
            provider,
            pki,
            cluster: Arc::new(Cluster::new(started)?),
            keys: Keys {
                sts: SigningKey::new(&sts)?,
                oidc: SigningKey::new(&oidc)?,
                attest: SigningKey::new(&attest)?,
            },
            log: Log::default(),
            faults: Faults::default(),
            sources: Sources::new(arc_tokens),
            challenges: Challenges::new()?,
            connections: AtomicU64::new(0),
            open: Open::default(),
        })
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The policy of the vaults.
    pub(crate) fn token_binding(&self) -> TokenBinding {
        *self.token_binding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_token_binding(&self, policy: TokenBinding) {
        *self.token_binding.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Remembers that the key of a certificate has been attested.
    pub(crate) fn note_attested(&self, x5t_s256: String) {
        self.attested.lock().unwrap_or_else(PoisonError::into_inner).insert(x5t_s256);
    }

    pub(crate) fn is_attested(&self, x5t_s256: &str) -> bool {
        self.attested.lock().unwrap_or_else(PoisonError::into_inner).contains(x5t_s256)
    }

    /// One line on stderr, if the owner wants to hear.
    pub(crate) fn say(&self, line: &str) {
        if self.options.log_to_stderr {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(std::io::stderr(), "devcloud: {line}");
        }
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.log.requests()
    }

    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        self.log.counters()
    }

    pub(crate) fn reset(&self) {
        self.log.clear();
        self.faults.clear();
    }

    pub(crate) fn fault(&self, fault: Fault) -> Result<(), String> {
        self.faults.add(fault)
    }

    pub(crate) fn mint_assertion(&self, assertion: &Assertion) -> Result<String, String> {
        oidc::mint(self, assertion)
    }

    pub(crate) fn mint_attestation(&self, jwk: &Value) -> Result<String, String> {
        attest::token(self, jwk, None)
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
