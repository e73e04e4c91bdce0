//! Which managed identity service this host has (managed_identity spec, section 4.2).

use std::path::Path;

use crate::env::Env;
use crate::error::Result;
use crate::http::Imds;

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

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Imds(Imds),
    /// Another service, which this version detects but does not speak.
    Other(ManagedIdentitySource),
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
}

impl Source {
    /// Which service it is.
    pub(crate) fn kind(&self) -> ManagedIdentitySource {
        match self {
            Self::Imds(_) => ManagedIdentitySource::Imds,
            Self::Other(kind) => *kind,
        }
    }
}

/// Detects the source from the environment alone, without any request.
pub(crate) fn detect(env: &dyn Env) -> Result<Source> {
    let set = |name: &str| env.var(name).is_some();
    let other = if set("IDENTITY_ENDPOINT") && set("IDENTITY_HEADER") {
        match set("IDENTITY_SERVER_THUMBPRINT") {
            true => Some(ManagedIdentitySource::ServiceFabric),
            false => Some(ManagedIdentitySource::AppService),
        }
    } else if set("MSI_ENDPOINT") {
        match set("MSI_SECRET") {
            true => Some(ManagedIdentitySource::MachineLearning),
            false => Some(ManagedIdentitySource::CloudShell),
        }
    } else if (set("IDENTITY_ENDPOINT") && set("IMDS_ENDPOINT"))
        || Path::new("/opt/azcmagent/bin/himds").exists()
    {
        Some(ManagedIdentitySource::AzureArc)
    } else {
        None
    };
    match other {
        Some(kind) => Ok(Source::Other(kind)),
        None => Imds::from_env(env).map(Source::Imds),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn env(names: &[&str]) -> HashMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), "http://x".to_owned())).collect()
    }

    /// The order of section 4.2, row by row.
    #[test]
    fn detection_order() {
        let rows: &[(&[&str], ManagedIdentitySource)] = &[
            (
                &["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"],
                ManagedIdentitySource::ServiceFabric,
            ),
            (&["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT"], ManagedIdentitySource::AppService),
            (&["MSI_ENDPOINT", "MSI_SECRET"], ManagedIdentitySource::MachineLearning),
            (&["MSI_ENDPOINT", "IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], ManagedIdentitySource::CloudShell),
            (&["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], ManagedIdentitySource::AzureArc),
        ];
        for (names, expected) in rows {
            assert_eq!(detect(&env(names)).unwrap(), Source::Other(*expected), "{names:?}");
        }
    }
}
