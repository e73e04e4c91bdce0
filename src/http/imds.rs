//! Where the instance metadata service of this host is (managed_identity spec, section 4.5).

use url::Url;

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

    /// The URL of `path` with `query`; path and query of the base are replaced.
    pub(crate) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_fragment(None);
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Does the pod identity host replace the address, and lose its own path and query (section 4.5)?
    #[test]
    fn pod_identity_host() {
        let mut map = HashMap::new();
        let url = Imds::from_env(&map).unwrap().url("/p", &[("a", "b/c d")]);
        assert_eq!(url.as_str(), "http://169.254.169.254/p?a=b%2Fc+d");
        assert_eq!(Imds::from_env(&map).unwrap().place(), "at 169.254.169.254");
        map.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), "http://127.0.0.1:9/old?x=y".into());
        assert_eq!(Imds::from_env(&map).unwrap().url("/p", &[]).as_str(), "http://127.0.0.1:9/p");
        assert!(Imds::from_env(&map).unwrap().place().ends_with("AZURE_POD_IDENTITY_AUTHORITY_HOST"));
        map.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), "nonsense".into());
        assert_eq!(Imds::from_env(&map).unwrap_err().code(), "invalid_managed_identity_endpoint");
    }
}
