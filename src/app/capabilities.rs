//! What this host's managed identity can do: for who asks, and for requests that set a floor.

use std::time::Duration;

use uuid::Uuid;

use super::caches::Caches;
use super::core::{Core, Identity};
use super::managed_identity::{Attestation, ManagedIdentity};
use super::{App, TokenRequest};
use crate::error::{Error, Result};
use crate::key::MtlsBindingStrength;
use crate::managed_identity::{ManagedIdentityCapabilities, Source};
use crate::runtime::{Call, Cancel};
use crate::token::KeyBuilder;

impl App {
    /// Which service vouches for this host's managed identity, and how strong the binding of its tokens can
    /// be. Acquires nothing.
    ///
    /// Where the environment does not name the source, the instance metadata service is probed. That it
    /// has IMDSv2 is remembered as long as the process lives, anything less for a minute. While it is turned off
    /// (`MSAL_MI_DISABLE_IMDS_V2`) it is not probed, and there is no strength. Acquiring tokens
    /// does not depend on it: that neither probes nor looks at what a probe found, unless
    /// [`TokenRequest::with_min_strength`] asks for it.
    pub fn managed_identity_capabilities(
        &self,
        timeout: Option<Duration>,
        cancel: Option<Cancel>,
    ) -> Result<ManagedIdentityCapabilities> {
        let Identity::ManagedIdentity(identity) = &self.core.identity else {
            return Err(Error::argument(
                "the app is a confidential client; ask one that is made for a managed identity",
            ));
        };
        let (clock, log) = (self.core.clock.clone(), self.core.log.clone());
        let call = Call::new(clock, cancel.unwrap_or_default(), log, Uuid::new_v4().to_string(), timeout);
        call.check()?;
        identity
            .capabilities(&self.core, self.core.caches.get(), &call)
            .map(|(capabilities, _)| capabilities)
            .map_err(|error| error.with_correlation_id(&call.correlation_id))
    }
}

impl ManagedIdentity {
    /// The higher floor of the app and the request; what IMDSv1 and its like give has none.
    fn floor(&self, request: &TokenRequest) -> MtlsBindingStrength {
        match request.is_over_mtls() {
            true => self.min_strength.max(request.min_strength()),
            false => MtlsBindingStrength::None,
        }
    }

    /// Tokens of different floors do not mix (section 5.13).
    pub(super) fn strength_in_key(&self, key: KeyBuilder, request: &TokenRequest) -> KeyBuilder {
        match self.floor(request) {
            MtlsBindingStrength::None => key,
            floor => key.component("min_strength", floor.name()),
        }
    }

    /// Refuses a floor that this host does not reach (managed_identity spec, section 4.9). Without a floor
    /// nothing is asked.
    pub(super) fn check_strength(
        &self,
        core: &Core,
        caches: &Caches,
        request: &TokenRequest,
        call: &Call,
    ) -> Result<()> {
        match self.floor(request) {
            MtlsBindingStrength::None => Ok(()),
            floor => match self.capabilities(core, caches, call)? {
                // What stands in the way of any key says more than that there is none.
                (_, Some(error)) => Err(error),
                (capabilities, None) => capabilities.check(floor),
            },
        }
    }

    /// How strong the keys of this app are at best.
    fn strength_of_keys(&self) -> MtlsBindingStrength {
        match &self.attestation {
            Attestation::None => self.home.strength(),
            Attestation::Callback(_) | Attestation::Tpm { .. } => self.home.strength().attested(),
        }
    }

    /// What host and app can do together, and why there are no keys, where there are none.
    fn capabilities(
        &self,
        core: &Core,
        caches: &Caches,
        call: &Call,
    ) -> Result<(ManagedIdentityCapabilities, Option<Error>)> {
        let Source::Imds(imds) = &self.source else {
            return Ok((ManagedIdentityCapabilities::of_environment(self.source.kind()), None));
        };
        let client = core.pool.direct()?;
        if self.imds_v2.is_off(&core.log) {
            let probed = &caches.probed;
            let found = probed.capabilities_without_v2(imds, &client, &self.id, core.probe_timeout, call)?;
            return Ok((found, None));
        }
        let host = caches.probed.capabilities(imds, &client, &self.id, core.probe_timeout, call)?;
        let missing = self.home.check(&call.wait()).err();
        call.check()?;
        let (strength, limit) = match &missing {
            None => (self.strength_of_keys(), self.home.limit()),
            Some(error) => (MtlsBindingStrength::None, error.message()),
        };
        Ok((host.with_keys(strength, limit.to_owned()), missing))
    }
}
