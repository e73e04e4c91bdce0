//! Bearer tokens from App Service and Functions (managed_identity spec, section 6.2).

use url::Url;

use super::answer::{self, IssuedToken};
use super::{BearerRequest, ManagedIdentitySource};
use crate::env::Env;
use crate::error::Result;
use crate::http::{Client, Request};
use crate::runtime::Call;
use crate::secret::Secret;

/// The endpoint, and what proves that the caller runs in this app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppService {
    pub(super) endpoint: Url,
    header: Secret,
}

impl AppService {
    pub(super) fn from_env(env: &dyn Env) -> Result<Self> {
        let header = Secret::new(env.var("IDENTITY_HEADER").unwrap_or_default());
        Ok(Self { endpoint: answer::endpoint(env, "IDENTITY_ENDPOINT")?, header })
    }

    pub(super) fn acquire(
        &self,
        client: &Client,
        bearer: &BearerRequest<'_>,
        call: &Call,
    ) -> Result<IssuedToken> {
        let mut query = vec![("api-version", "2019-08-01"), ("resource", bearer.resource)];
        query.extend(bearer.id.query("mi_res_id"));
        query.extend(bearer.extra_query);
        let url = answer::with_query(&self.endpoint, &query);
        let request = Request::get(&url)
            .header("X-IDENTITY-HEADER", self.header.expose())
            .header("Accept", "application/json");
        answer::acquire(ManagedIdentitySource::AppService, client, &request, &self.endpoint, call)
    }
}
