//! Bearer tokens from Service Fabric (managed_identity spec, sections 6.4 and 6.8).

use url::Url;

use super::answer::{self, IssuedToken};
use super::{BearerRequest, ManagedIdentityId, ManagedIdentitySource};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result, TransportFailure};
use crate::http::{Pool, Request, Thumbprint};
use crate::runtime::Call;
use crate::secret::Secret;

/// The endpoint, what proves that the caller runs in this application, and the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceFabric {
    pub(super) endpoint: Url,
    header: Secret,
    thumbprint: Thumbprint,
}

impl ServiceFabric {
    pub(super) fn from_env(env: &dyn Env) -> Result<Self> {
        let thumbprint = env.var("IDENTITY_SERVER_THUMBPRINT").unwrap_or_default();
        let thumbprint = Thumbprint::parse(&thumbprint).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "invalid_managed_identity_endpoint",
                "the environment variable IDENTITY_SERVER_THUMBPRINT is not the SHA-1 of a certificate in \
                 hexadecimal (40 digits)",
            )
        })?;
        let header = Secret::new(env.var("IDENTITY_HEADER").unwrap_or_default());
        Ok(Self { endpoint: answer::endpoint(env, "IDENTITY_ENDPOINT")?, header, thumbprint })
    }

    pub(super) fn check(id: &ManagedIdentityId) -> Result<()> {
        match id {
            ManagedIdentityId::SystemAssigned | ManagedIdentityId::ObjectId(_) => Ok(()),
            ManagedIdentityId::ClientId(_) | ManagedIdentityId::ResourceId(_) => Err(Error::new(
                ErrorKind::NotSupported,
                "user_assigned_managed_identity_not_configurable_at_runtime",
                "Service Fabric gives an application the user-assigned identity of its manifest; set no id, or \
                 name the identity by its object id",
            )),
        }
    }

    pub(super) fn acquire(
        &self,
        pool: &Pool,
        bearer: &BearerRequest<'_>,
        call: &Call,
    ) -> Result<IssuedToken> {
        let mut query = vec![("api-version", "2020-05-01"), ("resource", bearer.resource)];
        if let ManagedIdentityId::ObjectId(id) = bearer.id {
            query.push(("principalId", id));
        }
        let capabilities = bearer.client_capabilities.join(",");
        if !capabilities.is_empty() {
            query.push(("xms_cc", &capabilities));
        }
        query.extend(bearer.token_to_refresh.map(|hash| ("token_sha256_to_refresh", hash)));
        query.extend(bearer.extra_query);
        let url = answer::with_query(&self.endpoint, &query);
        let request =
            Request::get(&url).header("secret", self.header.expose()).header("Accept", "application/json");
        let client = pool.pinned(self.thumbprint)?;
        answer::acquire(ManagedIdentitySource::ServiceFabric, &client, &request, &self.endpoint, call)
            .map_err(|error| match error.transport() {
                Some(TransportFailure::ServerTls) => error.context(
                    "the server is neither trusted nor the one that IDENTITY_SERVER_THUMBPRINT names",
                ),
                _ => error,
            })
    }
}
