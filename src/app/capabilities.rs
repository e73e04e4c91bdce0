//! What this host's managed identity can do: for who asks, and for requests that set a floor.

use std::time::Duration;

use uuid::Uuid;

use super::managed_identity::{Attestation, ManagedIdentity};
use super::{App, Caches, Core, Identity, TokenRequest};
use crate::error::{Error, Result};
use crate::key::MtlsBindingStrength;
use crate::managed_identity::{ManagedIdentityCapabilities, Source};
use crate::runtime::{Call, Cancel};
use crate::token::{KeyBuilder, TokenType};

impl App {
    /// Which service vouches for this host's managed identity, and how strong the binding of its tokens can
    /// be. Acquires nothing.
    ///
    /// Where the environment does not name the source, the instance metadata service is probed. That it
    /// has IMDSv2 is remembered as long as the process lives, anything less for a minute. Acquiring tokens
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
            .capabilities(&self.core, &self.core.caches.get(), &call)
            .map_err(|error| error.with_correlation_id(&call.correlation_id))
    }
}

impl ManagedIdentity {
    /// The higher floor of the app and the request; Bearer tokens have none.
    fn floor(&self, request: &TokenRequest) -> MtlsBindingStrength {
        match request.token_type() {
            TokenType::MtlsPop => self.min_strength.max(request.min_strength()),
            TokenType::Bearer => MtlsBindingStrength::None,
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
            floor => {
                // What stands in the way of any key says more than that there is none.
                self.home.check(&call.wait())?;
                self.capabilities(core, caches, call)?.check(floor)
            }
        }
    }

    /// How strong the keys of this app are at best, and why they are not stronger.
    fn strength_of_keys(&self, call: &Call) -> Result<(MtlsBindingStrength, String)> {
        if let Err(error) = self.home.check(&call.wait()) {
            call.check()?;
            return Ok((MtlsBindingStrength::None, error.message().to_owned()));
        }
        let strength = match (self.home.strength(), &self.attestation) {
            (MtlsBindingStrength::Hardware, Attestation::Callback(_) | Attestation::Tpm { .. }) => {
                MtlsBindingStrength::Attested
            }
            (strength, _) => strength,
        };
        Ok((strength, self.home.limit().to_owned()))
    }

    fn capabilities(&self, core: &Core, caches: &Caches, call: &Call) -> Result<ManagedIdentityCapabilities> {
        match &self.source {
            Source::Imds(imds) => {
                let client = core.pool.direct()?;
                let host = caches.probed.capabilities(imds, &client, &self.id, core.probe_timeout, call)?;
                let (strength, limit) = self.strength_of_keys(call)?;
                Ok(host.with_keys(strength, limit))
            }
            other => Ok(ManagedIdentityCapabilities::of_environment(other.kind())),
        }
    }
}
