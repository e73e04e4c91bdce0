//! Bearer tokens from IMDSv1 (managed_identity spec, section 6.1).

use url::Url;

use super::answer::{self, IssuedToken};
use super::{BearerRequest, ManagedIdentitySource};
use crate::error::Result;
use crate::http::{Client, Imds, Request};
use crate::runtime::Call;

const PATH: &str = "/metadata/identity/oauth2/token";

pub(super) fn endpoint(imds: &Imds) -> Url {
    imds.url(PATH, &[])
}

pub(super) fn acquire(
    imds: &Imds,
    client: &Client,
    bearer: &BearerRequest<'_>,
    call: &Call,
) -> Result<IssuedToken> {
    let mut query = vec![("api-version", "2018-02-01"), ("resource", bearer.resource)];
    query.extend(bearer.id.query("msi_res_id"));
    query.extend(bearer.extra_query);
    let url = imds.url(PATH, &query);
    let request = Request::get(&url)
        .header("Metadata", "true")
        .header("x-ms-client-request-id", call.correlation_id.as_str())
        .header("x-client-SKU", "mtlspop")
        .header("x-client-Ver", env!("CARGO_PKG_VERSION"))
        .header("Accept", "application/json");
    answer::acquire(ManagedIdentitySource::Imds, client, &request, &url, call)
}
