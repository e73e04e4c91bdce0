//! Where a token request goes: everything that has to be found out first, in its order.

use std::sync::Arc;

use url::Url;

use super::detection::RegionMemory;
use super::instance::{Instances, preferred_network};
use super::parse::{Authority, AuthorityKind};
use super::region::{RegionDetails, RegionOutcome, RegionSetting, RegionSource};
use super::{openid, webfinger};
use crate::error::{Error, Result};
use crate::http::Pool;
use crate::runtime::{Call, Memory, PerProcess};

/// The settings of one app, and what it has found out.
pub(crate) struct Resolver {
    region: RegionSetting,
    instance_discovery: bool,
    known: PerProcess<Known>,
    regions: Arc<PerProcess<RegionMemory>>,
    instances: Arc<PerProcess<Instances>>,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    pub(crate) region: RegionDetails,
}

struct Known {
    /// The AD FS hosts that were validated.
    federations: Memory<()>,
    /// By the authority of an OpenID provider.
    token_endpoints: Memory<Url>,
}

impl Endpoint {
    /// `error`, which came of asking here, with what is known of this endpoint; unless a credential that asks for a
    /// token itself failed elsewhere: this region is not that endpoint's.
    pub(crate) fn told_by(&self, error: Error) -> Error {
        match error.token_endpoint() {
            Some(_) => error,
            None => self.region.told_by(error.with_token_endpoint(&self.url)),
        }
    }
}

impl Resolver {
    /// `regions` and `instances` are what the apps of this host share.
    pub(crate) fn new(
        region: RegionSetting,
        instance_discovery: bool,
        regions: Arc<PerProcess<RegionMemory>>,
        instances: Arc<PerProcess<Instances>>,
    ) -> Self {
        Self { region, instance_discovery, known: PerProcess::new(Known::new), regions, instances }
    }

    /// Whether a request may not choose another host of its cloud.
    pub(crate) fn has_region(&self) -> bool {
        self.region != RegionSetting::Global
    }

    /// The token endpoint of `authority` (section 1.7). What can be refused without traffic is
    /// refused first; the certificate of an mTLS request is shown to nobody here.
    pub(crate) fn resolve(
        &self,
        authority: &Authority,
        mtls: bool,
        pool: &Pool,
        call: &Call,
    ) -> Result<Endpoint> {
        if authority.kind == AuthorityKind::Aad {
            return self.resolve_aad(authority, mtls, pool, call);
        }
        let known = self.known.get();
        let url = match authority.kind {
            AuthorityKind::Generic => {
                let ask = || openid::token_endpoint(authority, &*pool.plain()?, call);
                known.token_endpoints.get(authority.environment(), call, ask)?
            }
            AuthorityKind::Adfs if self.instance_discovery => {
                let ask = || webfinger::validate(authority, &*pool.plain()?, call);
                known.federations.get(authority.environment(), call, ask)?;
                authority.own_endpoint()?
            }
            _ => authority.own_endpoint()?,
        };
        Ok(Endpoint { url, region: RegionDetails::default() })
    }

    fn resolve_aad(&self, authority: &Authority, mtls: bool, pool: &Pool, call: &Call) -> Result<Endpoint> {
        if mtls {
            authority.require_mtls_host()?;
        }
        let network = match authority.cloud() {
            None if self.instance_discovery => {
                preferred_network(self.instances.get(), authority, pool, call)?
            }
            _ => None,
        };
        let region = self.region(pool, call)?;
        call.log.verbose("authority", || {
            format!("region: {:?}, from {:?} [{}]", region.outcome, region.source, call.correlation_id)
        });
        let url = authority.aad_endpoint(network.as_deref(), region.used.as_ref(), mtls)?;
        Ok(Endpoint { url, region })
    }

    fn region(&self, pool: &Pool, call: &Call) -> Result<RegionDetails> {
        let (region, outcome, source) = match &self.region {
            RegionSetting::Global => return Ok(RegionDetails::default()),
            RegionSetting::Explicit(region) => (region, RegionOutcome::UserProvided, RegionSource::None),
            RegionSetting::Environment(region) => {
                (region, RegionOutcome::AutodetectSuccess, RegionSource::EnvVariable)
            }
            RegionSetting::Detect(imds) => return self.regions.get().detect(imds, pool, call),
        };
        Ok(RegionDetails { used: Some(region.clone()), outcome, source, error: None })
    }
}

impl Known {
    fn new() -> Self {
        Self { federations: Memory::new(), token_endpoints: Memory::new() }
    }
}
