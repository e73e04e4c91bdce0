//! What an app remembers between its calls, each in a room of its own; managed identities share theirs.

use std::sync::Arc;

use super::core::Identity;
use super::host::HOST;
use super::rejected::Rejected;
use crate::attestation::AttestationCache;
use crate::binding::BindingCaches;
use crate::managed_identity::Probed;
use crate::runtime::{Flights, PerProcess};
use crate::token::{CacheKey, CachedToken, TokenCache};

pub(super) struct Caches {
    pub(super) tokens: TokenCache,
    /// The fetches under way for tokens.
    pub(super) flights: Flights<CacheKey, Arc<CachedToken>>,
    pub(super) bindings: BindingCaches,
    /// What probes of the instance metadata service found.
    pub(super) probed: Probed,
    pub(super) attestations: AttestationCache,
    /// The APIs that want none of its tokens.
    pub(super) rejected: Rejected,
}

impl Caches {
    /// Those of an app with this identity, which was given `tokens`.
    pub(super) fn of(identity: &Identity, tokens: TokenCache) -> Arc<PerProcess<Self>> {
        match identity {
            // Certificates keep their signer, so those of one are not for other apps, and end with their own.
            Identity::ManagedIdentity(identity) if identity.home.is_elsewhere() => {
                Self::around(TokenCache::new())
            }
            Identity::ManagedIdentity(_) => HOST.managed_identity.clone(),
            Identity::ConfidentialClient(_) => Self::around(tokens),
        }
    }

    /// Those that each process makes for itself, around `tokens`.
    pub(super) fn around(tokens: TokenCache) -> Arc<PerProcess<Self>> {
        Arc::new(PerProcess::new(move || Self::new(tokens.clone())))
    }

    fn new(tokens: TokenCache) -> Self {
        Self {
            tokens,
            flights: Flights::new(),
            bindings: BindingCaches::new(),
            probed: Probed::new(),
            attestations: AttestationCache::new(),
            rejected: Rejected::new(),
        }
    }
}
