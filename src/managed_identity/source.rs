//! Which managed identity service this host has (managed_identity spec, sections 4.2 and 4.5).

use std::path::Path;

use url::Url;

use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};

/// A managed identity service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The instance metadata service of a virtual machine, or of what stands in for it.
    Imds(Imds),
    /// Another service, which this version detects but does not speak.
    Other(&'static str),
}

/// Where the instance metadata service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imds {
    base: Url,
}

const IMDS: &str = "http://169.254.169.254";

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

impl Imds {
    fn from_env(env: &dyn Env) -> Result<Self> {
        let text = env.var("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| IMDS.to_owned());
        match Url::parse(&text) {
            Ok(base) if matches!(base.scheme(), "http" | "https") && base.has_host() => Ok(Self { base }),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                "invalid_managed_identity_endpoint",
                "the environment variable AZURE_POD_IDENTITY_AUTHORITY_HOST is not an http URL",
            )),
        }
    }

    /// The URL of `path` with `query`; the path of the base is replaced.
    pub(crate) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_fragment(None);
        url.query_pairs_mut().clear().extend_pairs(query);
        url
    }

    /// Tells hosts apart in cache keys that the whole process shares.
    pub(crate) fn cache_name(&self) -> &str {
        self.base.as_str()
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

    /// Does the pod identity host replace the address, and lose its own path (section 4.5)?
    #[test]
    fn pod_identity_host() {
        let mut map = HashMap::new();
        let Source::Imds(imds) = detect(&map).unwrap() else { panic!("IMDS is the fallback") };
        let url = imds.url("/p", &[("a", "b/c d")]);
        assert_eq!(url.as_str(), "http://169.254.169.254/p?a=b%2Fc+d");
        map.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), "http://127.0.0.1:9/old?x=y".into());
        let Source::Imds(imds) = detect(&map).unwrap() else { panic!("still IMDS") };
        assert_eq!(imds.url("/p", &[]).as_str(), "http://127.0.0.1:9/p?");
        map.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), "nonsense".into());
        assert_eq!(detect(&map).unwrap_err().code(), "invalid_managed_identity_endpoint");
    }
}
