//! Which managed identity service this host has (managed_identity spec, section 4.2).

use url::Url;

use super::answer::IssuedToken;
use super::app_service::AppService;
use super::azure_arc::AzureArc;
use super::cloud_shell::CloudShell;
use super::machine_learning::MachineLearning;
use super::service_fabric::ServiceFabric;
use super::{BearerRequest, ManagedIdentityId, imds_v1};
use crate::env::Env;
use crate::error::Result;
use crate::http::{Imds, Pool};
use crate::runtime::Call;

/// The services that vouch for managed identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManagedIdentitySource {
    /// Azure App Service and Azure Functions.
    AppService,
    /// Azure Arc: a server outside of Azure.
    AzureArc,
    /// Azure Cloud Shell.
    CloudShell,
    /// The instance metadata service of a virtual machine, or what stands in for it.
    Imds,
    /// Azure Machine Learning.
    MachineLearning,
    /// Azure Service Fabric.
    ServiceFabric,
}

/// Where to ask, and what to show there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    AppService(AppService),
    AzureArc(AzureArc),
    CloudShell(CloudShell),
    Imds(Imds),
    MachineLearning(MachineLearning),
    ServiceFabric(ServiceFabric),
}

impl ManagedIdentitySource {
    /// As it is called in texts for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::AppService => "App Service",
            Self::AzureArc => "Azure Arc",
            Self::CloudShell => "Cloud Shell",
            Self::Imds => "IMDS",
            Self::MachineLearning => "Machine Learning",
            Self::ServiceFabric => "Service Fabric",
        }
    }

    /// What answers, as the subject of a sentence.
    pub(super) fn peer(self) -> &'static str {
        match self {
            Self::AppService => "App Service's identity endpoint",
            Self::AzureArc => "Azure Arc's agent",
            Self::CloudShell => "Cloud Shell's identity endpoint",
            Self::Imds => "the instance metadata service",
            Self::MachineLearning => "Machine Learning's identity endpoint",
            Self::ServiceFabric => "Service Fabric's identity endpoint",
        }
    }

    /// What the host says in its environment about this service.
    pub(super) fn variables(self) -> &'static str {
        match self {
            Self::AppService => "IDENTITY_ENDPOINT and IDENTITY_HEADER",
            Self::AzureArc => "IDENTITY_ENDPOINT",
            Self::CloudShell => "MSI_ENDPOINT",
            Self::Imds => "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            Self::MachineLearning => "MSI_ENDPOINT and MSI_SECRET",
            Self::ServiceFabric => "IDENTITY_ENDPOINT, IDENTITY_HEADER and IDENTITY_SERVER_THUMBPRINT",
        }
    }
}

impl Source {
    /// Which service it is.
    pub(crate) fn kind(&self) -> ManagedIdentitySource {
        match self {
            Self::AppService(_) => ManagedIdentitySource::AppService,
            Self::AzureArc(_) => ManagedIdentitySource::AzureArc,
            Self::CloudShell(_) => ManagedIdentitySource::CloudShell,
            Self::Imds(_) => ManagedIdentitySource::Imds,
            Self::MachineLearning(_) => ManagedIdentitySource::MachineLearning,
            Self::ServiceFabric(_) => ManagedIdentitySource::ServiceFabric,
        }
    }

    /// Tells hosts apart in caches that the whole process shares.
    pub(crate) fn cache_name(&self) -> String {
        match self {
            Self::Imds(imds) => imds.cache_name().to_owned(),
            other => format!("{} {}", other.kind().name(), other.token_endpoint()),
        }
    }

    /// Refuses an identity that this service cannot be asked for.
    pub(crate) fn check(&self, id: &ManagedIdentityId) -> Result<()> {
        match self {
            Self::AppService(_) | Self::AzureArc(_) | Self::Imds(_) => Ok(()),
            Self::CloudShell(_) => CloudShell::check(id),
            Self::MachineLearning(source) => source.check(id),
            Self::ServiceFabric(_) => ServiceFabric::check(id),
        }
    }

    /// Refuses one that it cannot be asked for a token of, as things are.
    pub(crate) fn check_for_token(&self, id: &ManagedIdentityId) -> Result<()> {
        match self {
            Self::MachineLearning(source) => source.check_for_token(id),
            _ => Ok(()),
        }
    }

    /// Asks for a Bearer token.
    pub(crate) fn acquire_bearer(
        &self,
        pool: &Pool,
        bearer: &BearerRequest<'_>,
        call: &Call,
    ) -> Result<IssuedToken> {
        let client = pool.direct()?;
        let issued = match self {
            Self::AppService(source) => source.acquire(&client, bearer, call),
            Self::AzureArc(source) => source.acquire(&client, bearer, call),
            Self::CloudShell(source) => source.acquire(&client, bearer, call),
            Self::Imds(imds) => imds_v1::acquire(imds, &client, bearer, call),
            Self::MachineLearning(source) => source.acquire(&client, bearer, call),
            Self::ServiceFabric(source) => source.acquire(pool, bearer, call),
        };
        issued.map_err(|error| error.with_token_endpoint(&self.token_endpoint()))
    }

    /// Where a Bearer token is asked for.
    pub(crate) fn token_endpoint(&self) -> Url {
        match self {
            Self::Imds(imds) => imds_v1::endpoint(imds),
            Self::AppService(source) => source.endpoint.clone(),
            Self::AzureArc(source) => source.endpoint.clone(),
            Self::CloudShell(source) => source.endpoint.clone(),
            Self::MachineLearning(source) => source.endpoint.clone(),
            Self::ServiceFabric(source) => source.endpoint.clone(),
        }
    }
}

/// Detects the source from the environment alone, without any request.
pub(crate) fn detect(env: &dyn Env) -> Result<Source> {
    let set = |name: &str| env.var(name).is_some();
    if set("IDENTITY_ENDPOINT") && set("IDENTITY_HEADER") {
        return match set("IDENTITY_SERVER_THUMBPRINT") {
            true => ServiceFabric::from_env(env).map(Source::ServiceFabric),
            false => AppService::from_env(env).map(Source::AppService),
        };
    }
    if set("MSI_ENDPOINT") {
        return match set("MSI_SECRET") {
            true => MachineLearning::from_env(env).map(Source::MachineLearning),
            false => CloudShell::from_env(env).map(Source::CloudShell),
        };
    }
    if (set("IDENTITY_ENDPOINT") && set("IMDS_ENDPOINT")) || AzureArc::is_installed(env) {
        return AzureArc::from_env(env).map(Source::AzureArc);
    }
    Imds::from_env(env).map(Source::Imds)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::PathBuf;

    use super::*;

    const THUMBPRINT: &str = "00112233445566778899AABBCCDDEEFF00112233";

    fn env(names: &[&str]) -> HashMap<String, String> {
        let value = |name: &str| if name.ends_with("THUMBPRINT") { THUMBPRINT } else { "http://x" };
        names.iter().map(|name| ((*name).to_owned(), value(name).to_owned())).collect()
    }

    /// A host with nothing but the agent of Azure Arc.
    #[derive(Debug)]
    struct Arc;

    impl Env for Arc {
        fn var(&self, _: &str) -> Option<String> {
            None
        }

        fn host_path(&self, path: &str) -> PathBuf {
            PathBuf::from(if path == "/opt/azcmagent/bin/himds" { "/dev/null" } else { path })
        }
    }

    /// The order of section 4.2, row by row.
    #[test]
    fn detection_order() {
        use ManagedIdentitySource::*;
        let rows: &[(&[&str], ManagedIdentitySource)] = &[
            (
                &["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT"],
                ServiceFabric,
            ),
            (&["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET"], AppService),
            (&["MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], MachineLearning),
            (&["MSI_ENDPOINT", "IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], CloudShell),
            (&["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], AzureArc),
            (&["IDENTITY_ENDPOINT"], Imds),
            (&["IDENTITY_HEADER", "MSI_SECRET", "IMDS_ENDPOINT"], Imds),
            (&[], Imds),
        ];
        for (names, expected) in rows {
            assert_eq!(detect(&env(names)).unwrap().kind(), *expected, "{names:?}");
        }
        let source = detect(&Arc).unwrap();
        assert_eq!(source.kind(), AzureArc);
        assert!(source.cache_name().contains("http://127.0.0.1:40342/metadata/identity/oauth2/token"));
    }

    /// Is an endpoint that is no URL told about, by the name of its variable (rows "Bad endpoint" of section 6)?
    #[test]
    fn bad_endpoints() {
        let rows: &[(&[&str], &str)] = &[
            (&["IDENTITY_ENDPOINT", "IDENTITY_HEADER"], "IDENTITY_ENDPOINT"),
            (&["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"], "IDENTITY_ENDPOINT"),
            (&["MSI_ENDPOINT", "MSI_SECRET"], "MSI_ENDPOINT"),
            (&["MSI_ENDPOINT"], "MSI_ENDPOINT"),
            (&["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], "IDENTITY_ENDPOINT"),
        ];
        for (names, variable) in rows {
            for wrong in ["nonsense", "ftp://x/", "http://"] {
                let mut env = env(names);
                env.insert((*variable).to_owned(), wrong.to_owned());
                let error = detect(&env).unwrap_err();
                assert_eq!(error.code(), "invalid_managed_identity_endpoint", "{names:?}");
                assert!(error.message().contains(variable), "{error}");
            }
        }
        let mut env = env(rows[1].0);
        env.insert("IDENTITY_SERVER_THUMBPRINT".to_owned(), "too short".to_owned());
        assert!(detect(&env).unwrap_err().message().contains("IDENTITY_SERVER_THUMBPRINT"));
    }
}
