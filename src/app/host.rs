//! What the apps of a process share: the one global of the library.

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::Lazy;

use super::caches::Caches;
use super::core::Core;
use crate::authority::{Instances, RegionMemory};
use crate::error::{Error, Result};
use crate::http::{Shared, Throttle};
use crate::runtime::{Memory, PerProcess};
use crate::token::TokenCache;

/// Managed identity and region belong to the host, as with MSAL. What services told one app is for those that
/// could have heard it themselves: see [`Pool::neighbours`](crate::http::Pool::neighbours).
pub(super) struct Host {
    pub(super) managed_identity: Arc<PerProcess<Caches>>,
    pub(super) regions: Arc<PerProcess<RegionMemory>>,
    pub(super) instances: Arc<PerProcess<Instances>>,
    /// The token services that are left alone for a while.
    pub(super) throttle: PerProcess<Throttle>,
}

pub(super) static HOST: Lazy<Host> = Lazy::new(|| Host {
    managed_identity: Caches::around(TokenCache::new()),
    regions: Arc::new(PerProcess::new(RegionMemory::new)),
    instances: Arc::new(PerProcess::new(Memory::new)),
    throttle: PerProcess::new(Throttle::default),
});

/// A token request that a service may want to be spared for a while, whoever makes it.
pub(super) struct Spared<'a> {
    core: &'a Core,
    key: Shared,
}

impl Core {
    pub(super) fn spared(&self, client_id: &str, tenant: &str, endpoint: &str, scope: &str) -> Spared<'_> {
        let key = (self.pool.neighbours(&self.clock), [client_id, tenant, endpoint, scope].join("\n"));
        Spared { core: self, key }
    }
}

impl Spared<'_> {
    /// An error where the service is not to be asked now.
    pub(super) fn check(&self) -> Result<()> {
        HOST.throttle.get().check(&self.key, self.core.clock.now())
    }

    /// Takes note of what it answered; `unsaid` counts where it is overloaded and does not say for how long.
    pub(super) fn note(&self, error: &Error, unsaid: Duration) {
        HOST.throttle.get().note(self.key.clone(), error, unsaid, self.core.clock.now());
    }
}
