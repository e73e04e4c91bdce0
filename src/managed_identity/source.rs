//! Which managed identity service this host has (managed_identity spec, section 4.2).

use std::path::Path;

use crate::env::Env;
use crate::error::Result;
use crate::http::Imds;

/// A managed identity service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The instance metadata service of a virtual machine, or of what stands in for it.
    Imds(Imds),
    /// Another service, which this version detects but does not speak.
    Other(&'static str),
}

/// Detects the source from the environment alone, without any request.
pub(crate) fn detect(env: &dyn Env) -> Result<Source> {
    let set = |name: &str| env.var(name).is_some();
    let other = if set("IDENTITY_ENDPOINT") && set("IDENTITY_HEADER") {
        match set("IDENTITY_SERVER_THUMBPRINT") {
            true => Some("Service Fabric"),
            false => Some("App Service"),
        }
    } else if set("MSI_ENDPOINT") {
        match set("MSI_SECRET") {
            true => Some("Machine Learning"),
            false => Some("Cloud Shell"),
        }
    } else if (set("IDENTITY_ENDPOINT") && set("IMDS_ENDPOINT"))
        || Path::new("/opt/azcmagent/bin/himds").exists()
    {
        Some("Azure Arc")
    } else {
        None
    };
    match other {
        Some(name) => Ok(Source::Other(name)),
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
        let rows: &[(&[&str], &str)] = &[
            (&["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"], "Service Fabric"),
            (&["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT"], "App Service"),
            (&["MSI_ENDPOINT", "MSI_SECRET"], "Machine Learning"),
            (&["MSI_ENDPOINT", "IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], "Cloud Shell"),
            (&["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"], "Azure Arc"),
        ];
        for (names, expected) in rows {
            assert_eq!(detect(&env(names)).unwrap(), Source::Other(expected), "{names:?}");
        }
    }
}
