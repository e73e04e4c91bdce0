//! Where the instance metadata service of this host is (managed_identity spec, section 4.5).

use url::Url;

use super::query::add_query;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};

/// The address of the instance metadata service. Asked through [`Pool::direct`](super::Pool::direct).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imds {
    base: Url,
}

const IMDS: &str = "http://169.254.169.254";

impl Imds {
    /// The link-local address, unless the environment names another one.
    pub(crate) fn from_env(env: &dyn Env) -> Result<Self> {
        let name = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
        let text = env.var(name).unwrap_or_else(|| IMDS.to_owned());
        Ok(Self { base: local_endpoint(name, &text)? })
    }

    /// The URL of `path` with `query`; path and query of the base are replaced.
    pub(crate) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_fragment(None);
        url.set_query(None);
        add_query(&mut url, query);
        url
    }

    /// Where it is, for a person: the name of the variable, not its value.
    pub(crate) fn place(&self) -> &'static str {
        match self.base.as_str().trim_end_matches('/') {
            IMDS => "at 169.254.169.254",
            _ => "at the address in AZURE_POD_IDENTITY_AUTHORITY_HOST",
        }
    }

    /// Tells hosts apart in caches that the whole process shares.
    pub(crate) fn cache_name(&self) -> &str {
        self.base.as_str()
    }
}

/// The URL of a service of this machine, as the environment variable `name` has it.
pub(crate) fn local_endpoint(name: &str, text: &str) -> Result<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(Error::new(
            ErrorKind::InvalidArgument,
            "invalid_managed_identity_endpoint",
            format!("the environment variable {name} is not an http URL"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Does the pod identity host replace the address, and lose its own path and query (section 4.5)?
    #[test]
    fn pod_identity_host() {
        let mut map = HashMap::new();
        let url = Imds::from_env(&map).unwrap().url("/p", &[("a", "b/c d")]);
        assert_eq!(url.as_str(), "http://169.254.169.254/p?a=b%2Fc%20d");
        assert_eq!(Imds::from_env(&map).unwrap().place(), "at 169.254.169.254");
        map.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), "http://127.0.0.1:9/old?x=y".into());
        assert_eq!(Imds::from_env(&map).unwrap().url("/p", &[]).as_str(), "http://127.0.0.1:9/p");
        assert!(Imds::from_env(&map).unwrap().place().ends_with("AZURE_POD_IDENTITY_AUTHORITY_HOST"));
        map.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), "nonsense".into());
        assert_eq!(Imds::from_env(&map).unwrap_err().code(), "invalid_managed_identity_endpoint");
    }
}
