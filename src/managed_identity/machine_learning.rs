//! Bearer tokens from Machine Learning (managed_identity spec, section 6.6).

use url::Url;

use super::answer::{self, IssuedToken};
use super::{BearerRequest, ManagedIdentityId, ManagedIdentitySource};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Request};
use crate::runtime::Call;
use crate::secret::Secret;

/// The endpoint, what proves that the caller runs in this workspace, and whom it is for by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MachineLearning {
    pub(super) endpoint: Url,
    secret: Secret,
    default_client_id: Option<String>,
}

impl MachineLearning {
    pub(super) fn from_env(env: &dyn Env) -> Result<Self> {
        Ok(Self {
            endpoint: answer::endpoint(env, "MSI_ENDPOINT")?,
            secret: Secret::new(env.var("MSI_SECRET").unwrap_or_default()),
            default_client_id: env.var("DEFAULT_IDENTITY_CLIENT_ID"),
        })
    }

    /// An identity has to be named here, and by its client id. That there is no default one is no matter of what this
    /// host can do: tokens are refused then.
    pub(super) fn check(&self, id: &ManagedIdentityId) -> Result<()> {
        match id {
            ManagedIdentityId::SystemAssigned => Ok(()),
            id => self.client_id(id).map(drop),
        }
    }

    /// An error where it cannot be asked for a token of `id`, so that this is said before a cache is looked into.
    pub(super) fn check_for_token(&self, id: &ManagedIdentityId) -> Result<()> {
        self.client_id(id).map(drop)
    }

    pub(super) fn acquire(
        &self,
        client: &Client,
        bearer: &BearerRequest<'_>,
        call: &Call,
    ) -> Result<IssuedToken> {
        let mut query = vec![
            ("api-version", "2017-09-01"),
            ("resource", bearer.resource),
            ("clientid", self.client_id(bearer.id)?),
        ];
        query.extend(bearer.extra_query);
        let url = answer::with_query(&self.endpoint, &query);
        let request = Request::get(&url)
            .header("Metadata", "true")
            .header("secret", self.secret.expose())
            .header("Accept", "application/json");
        answer::acquire(ManagedIdentitySource::MachineLearning, client, &request, &self.endpoint, call)
    }

    fn client_id<'a>(&'a self, id: &'a ManagedIdentityId) -> Result<&'a str> {
        let text = match (id, &self.default_client_id) {
            (ManagedIdentityId::ClientId(id), _) | (ManagedIdentityId::SystemAssigned, Some(id)) => {
                return Ok(id);
            }
            (ManagedIdentityId::SystemAssigned, None) => {
                "DEFAULT_IDENTITY_CLIENT_ID is not set, so Machine Learning cannot be asked for its default \
                 identity; set it, or name a user-assigned identity by its client id"
            }
            _ => "Machine Learning knows user-assigned identities by their client id only; give that instead",
        };
        Err(Error::new(ErrorKind::NotSupported, "invalid_managed_identity_id_type", text))
    }
}
