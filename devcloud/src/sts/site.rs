//! Where a token endpoint is: the path it has on each kind of authority, and what goes for it there.

use crate::exchange::Request;
use crate::hosts::{
    ADFS_HOST, B2C_DOMAIN, CIAM_DOMAIN, DSTS_DOMAIN, FOREIGN_PROVIDER_HOST, OPENID_PROVIDER_HOST, Service,
    one_label_below,
};

/// A token endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The tenant in the path, where there is one that matters.
    pub(crate) tenant: Option<&'a str>,
    /// Client assertions must be signed with RS256 and name their certificate by `x5t`: not with PS256 and `x5t#S256`.
    pub(crate) rs256: bool,
}

impl<'a> Site<'a> {
    /// The token endpoint that the request is for, if it is for one.
    pub(crate) fn of(request: &Request<'a>) -> Option<Self> {
        let host = request.host;
        let below = |domain| one_label_below(host, domain);
        let of_tenant = |tenant, rs256| Some(Site { tenant: Some(tenant), rs256 });
        let segments: Vec<&'a str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.connection.service, &segments[..]) {
            (
                Service::Login | Service::Mtlsauth | Service::TokenProxy,
                [tenant, "oauth2", "v2.0", "token"],
            ) => of_tenant(*tenant, false),
            (Service::Authority, [tenant, "oauth2", "v2.0", "token"]) if below(CIAM_DOMAIN) => {
                of_tenant(*tenant, false)
            }
            (Service::Authority, ["tfp", tenant, _, "oauth2", "v2.0", "token"]) if below(B2C_DOMAIN) => {
                of_tenant(*tenant, false)
            }
            (Service::Authority, ["dstsv2", "common" | "organizations", "oauth2", "v2.0", "token"])
                if below(DSTS_DOMAIN) =>
            {
                Some(Site { tenant: None, rs256: true })
            }
            (Service::Authority, ["dstsv2", tenant, "oauth2", "v2.0", "token"]) if below(DSTS_DOMAIN) => {
                of_tenant(*tenant, true)
            }
            (Service::Authority, ["adfs", "oauth2", "token"]) if host == ADFS_HOST => {
                Some(Site { tenant: None, rs256: true })
            }
            (Service::Authority, ["oauth2", "token"]) if host == OPENID_PROVIDER_HOST => {
                Some(Site { tenant: None, rs256: true })
            }
            (Service::Authority, ["tenant-x", "oauth2", "token"]) if host == FOREIGN_PROVIDER_HOST => {
                Some(Site { tenant: None, rs256: true })
            }
            _ => None,
        }
    }
}
