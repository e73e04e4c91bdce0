//! Bearer tokens from Cloud Shell (managed_identity spec, section 6.5).

use url::{Url, form_urlencoded};

use super::answer::{self, IssuedToken};
use super::{BearerRequest, ManagedIdentityId, ManagedIdentitySource};
use crate::env::Env;
use crate::error::Result;
use crate::http::{Client, Request};
use crate::runtime::Call;

/// The endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloudShell {
    pub(super) endpoint: Url,
}

const FORM: &str = "application/x-www-form-urlencoded";

impl CloudShell {
    pub(super) fn from_env(env: &dyn Env) -> Result<Self> {
        Ok(Self { endpoint: answer::endpoint(env, "MSI_ENDPOINT")? })
    }

    pub(super) fn check(id: &ManagedIdentityId) -> Result<()> {
        id.only_system_assigned(ManagedIdentitySource::CloudShell)
    }

    pub(super) fn acquire(
        &self,
        client: &Client,
        bearer: &BearerRequest<'_>,
        call: &Call,
    ) -> Result<IssuedToken> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.append_pair("resource", bearer.resource).finish();
        let url = answer::with_query(&self.endpoint, bearer.extra_query);
        let request = Request::post(&url, body.as_bytes())
            .header("Metadata", "true")
            // MSAL sends this one too, which is no header of HTTP.
            .header("ContentType", FORM)
            .header("Content-Type", FORM)
            .header("Accept", "application/json")
            .repeatable(true);
        answer::acquire(ManagedIdentitySource::CloudShell, client, &request, &self.endpoint, call)
    }
}
