//! Where a token request goes: everything that has to be found out first, in its order.

use std::sync::Arc;

use once_cell::race::OnceBox;
use url::Url;

use super::detection::RegionMemory;
use super::instance::{Instances, preferred_network};
use super::parse::{Authority, AuthorityKind};
use super::region::{Region, RegionDetails, RegionOutcome, RegionSetting, RegionSource};
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
    first: OnceBox<Asked>,
}

/// What an endpoint was made from that was asked for before the others: that of most requests.
struct Asked {
    authority: Authority,
    network: Option<String>,
    region: Option<Region>,
    mtls: bool,
    url: Url,
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
        let (known, first) = (PerProcess::new(Known::new), OnceBox::new());
        Self { region, instance_discovery, known, regions, instances, first }
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
        let url = self.endpoint(authority, network, region.used.as_ref(), mtls)?;
        Ok(Endpoint { url, region })
    }

    fn endpoint(
        &self,
        authority: &Authority,
        network: Option<String>,
        region: Option<&Region>,
        mtls: bool,
    ) -> Result<Url> {
        if let Some(first) = self.first.get()
            && (first.mtls, &first.network, first.region.as_ref()) == (mtls, &network, region)
            && first.authority == *authority
        {
            return Ok(first.url.clone());
        }
        let url = authority.aad_endpoint(network.as_deref(), region, mtls)?;
        self.first.get_or_init(|| {
            let (authority, region, url) = (authority.clone(), region.cloned(), url.clone());
            Box::new(Asked { authority, network, region, mtls, url })
        });
        Ok(url)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Does what differs from the first request, in tenant, region, network or mTLS, get its own endpoint, and the first one's
    /// stay the same?
    #[test]
    fn endpoints_beside_the_first() {
        let (regions, instances) = (PerProcess::new(RegionMemory::new), PerProcess::new(Instances::new));
        let resolver = Resolver::new(RegionSetting::Global, true, Arc::new(regions), Arc::new(instances));
        let authority = |tenant| Authority::parse(&format!("https://login.example.com/{tenant}")).unwrap();
        let (one, region) = (authority("one"), Region::parse("westus2").unwrap());
        let network = || Some("sts.example.com".to_owned());
        let ask = |authority: &Authority, network, region, mtls| {
            String::from(resolver.endpoint(authority, network, region, mtls).unwrap())
        };
        for _ in 0..2 {
            let rows = [
                (ask(&one, None, None, false), "https://login.example.com/one"),
                (ask(&authority("two"), None, None, false), "https://login.example.com/two"),
                (ask(&one, network(), None, false), "https://sts.example.com/one"),
                (ask(&one, None, Some(&region), false), "https://westus2.login.example.com/one"),
                (ask(&one, None, None, true), "https://mtlsauth.example.com/one"),
            ];
            for (url, expected) in rows {
                assert_eq!(url, format!("{expected}/oauth2/v2.0/token"));
            }
        }
    }
}
