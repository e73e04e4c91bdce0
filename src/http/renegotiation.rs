//! Which servers may ask for our certificate in a TLS 1.2 renegotiation, and for which request.

use aws_lc_rs::digest::{SHA256, digest};
use url::Host;

use crate::error::{Error, Result};

/// The Key Vaults and Managed HSMs of each cloud: the name below which each of them has its own. Key Vault asks for
/// the certificate of a bound token once it has read the request (Azure SDK for .NET, issue 62546).
const KNOWN: &[&str] = &[
    // "Data-plane endpoint base URL" in https://learn.microsoft.com/azure/key-vault/keys/about-keys
    "vault.azure.net",
    "managedhsm.azure.net",
    // keyvault_dns and mhsm_dns in src/azure-cli-core/azure/cli/core/cloud.py of github.com/Azure/azure-cli
    "vault.usgovcloudapi.net",
    "managedhsm.usgovcloudapi.net",
    "vault.azure.cn",
    "managedhsm.azure.cn",
    // https://docs.azure.cn/en-us/key-vault/keys/about-keys
    "managedhsm.chinacloudapi.cn",
    // AzureKeyVaultPublicDomainNames in Constants.cs of the AzureKeyVaultProvider, github.com/dotnet/SqlClient: France
    // (Bleu), Germany (Delos), and the Germany of before
    "vault.sovcloud-api.fr",
    "managedhsm.sovcloud-api.fr",
    "vault.sovcloud-api.de",
    "managedhsm.sovcloud-api.de",
    "vault.microsoftazure.de",
    "managedhsm.microsoftazure.de",
    // The pattern of a key's URL in the validators of github.com/Azure/azure-cli, command group vm
    "vault.cloudapi.eaglex.ic.gov",
    "vault.cloudapi.microsoft.scloud",
];

/// Whether `host`, as it stands in a URL, is a Key Vault or Managed HSM.
pub(crate) fn is_key_vault(host: &str) -> bool {
    KNOWN.iter().any(|domain| is_below(plain(host), domain))
}

/// The token that a server sees in a request, by its SHA-256.
pub(super) type TokenHash = [u8; 32];

/// What a server may do that wants to renegotiate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Renegotiation {
    /// Nothing, whoever it is: the request carries no bound token.
    #[default]
    Never,
    /// Nothing, though it is a request with a bound token: nobody has named the server, or allowed it.
    NotAllowed,
    /// Ask for the certificate of this token.
    For(TokenHash),
}

/// The hosts that may, as the caller of an app names them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RenegotiatingHosts(Vec<Named>);

#[derive(Clone, Debug)]
enum Named {
    Host(String),
    Below(String),
}

impl Renegotiation {
    /// With what a request shows in its header `Authorization`.
    pub(crate) fn with_token(authorization: impl AsRef<[u8]>) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, authorization.as_ref()).as_ref());
        Self::For(hash)
    }

    /// An error where this build cannot do what a request to `host` allows.
    pub(crate) fn check_available(host: &str) -> Result<()> {
        match cfg!(all(feature = "renegotiation", not(feature = "fips"))) {
            true => Ok(()),
            false => Err(Error::argument(format!(
                "{host} may ask for the certificate of the token in a TLS renegotiation, which this build of the library is \
                 without, as FIPS builds are; a request that does not allow it is sent all the same \
                 (mtlspop_http_request_set_allow_renegotiation)"
            ))),
        }
    }

    /// What to do about a server whose renegotiation was declined: what follows "it asks for the certificate in a
    /// renegotiation, ".
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::NotAllowed => {
                "which is declined unless you allow it: name the host as one that renegotiates when the app is made \
                 (mtlspop_app_options_add_renegotiating_host), or allow it for this request \
                 (mtlspop_http_request_set_allow_renegotiation)"
            }
            Self::Never | Self::For(_) => "which is done for APIs and bound tokens only",
        }
    }
}

impl RenegotiatingHosts {
    /// Adds a host by its name, or with `*.` in front all that are below a name.
    pub(crate) fn add(&mut self, name: &str) -> Result<()> {
        let (below, host) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let bad = || {
            let name = name.escape_debug();
            Error::argument(format!(
                "{name} is not the name of a host: give one without https:// and port (vault.contoso.com), or \
                 *.contoso.com for all below a name"
            ))
        };
        let parsed = Host::parse(host).ok().filter(|_| !host.contains('*')).ok_or_else(bad)?;
        if below && !matches!(&parsed, Host::Domain(domain) if domain.contains('.')) {
            return Err(bad());
        }
        let host = plain(&parsed.to_string()).to_owned();
        self.0.push(if below { Named::Below(host) } else { Named::Host(host) });
        Ok(())
    }

    /// Whether `host`, as it stands in a URL, is one of them, or one that is known without being named.
    pub(crate) fn has(&self, host: &str) -> bool {
        let host = plain(host);
        is_key_vault(host)
            || self.0.iter().any(|named| match named {
                Named::Host(name) => host == name,
                Named::Below(domain) => is_below(host, domain),
            })
    }
}

/// Without the dot that a full name may end with.
fn plain(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|label| label.len() > 1 && label.ends_with('.'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Are the vaults of each cloud known, each by a name of its own below the table's, and nobody who only
    /// looks like one?
    #[test]
    fn vaults_are_known() {
        let none = RenegotiatingHosts::default();
        for domain in KNOWN {
            assert!(none.has(&format!("contoso.{domain}")) && none.has(&format!("contoso.{domain}.")));
            for other in [domain.to_string(), format!("contoso{domain}"), format!("a.{domain}.evil.test")] {
                assert!(!none.has(&other), "{other}");
            }
        }
        assert!(!none.has("graph.microsoft.com") && !none.has("") && !none.has(".vault.azure.net"));
    }

    /// Does a host that was named count in any spelling that a URL makes one, a name with a star for all below
    /// it and not for itself, and is what is no host refused?
    #[test]
    fn hosts_that_are_named() {
        let mut hosts = RenegotiatingHosts::default();
        for name in ["Vault.Contoso.com", "*.internal.test", "192.0.2.1", "[::1]", "bücher.test."] {
            hosts.add(name).unwrap();
        }
        for url in [
            "https://vault.contoso.com",
            "https://a.b.internal.test",
            "https://192.0.2.1:8443",
            "https://[::1]",
            "https://BÜCHER.test",
        ] {
            assert!(hosts.has(url::Url::parse(url).unwrap().host_str().unwrap()), "{url}");
        }
        for other in ["contoso.com", "x.vault.contoso.com", "internal.test", "192.0.2.2"] {
            assert!(!hosts.has(other), "{other}");
        }
        for bad in ["", "*", "*.", "*.com", "*.1.2.3.4", "https://a.test", "a.test:443", "a.test/x", "a b"] {
            let error = hosts.add(bad).unwrap_err();
            assert!(error.message().contains("not the name of a host"), "{bad}: {error}");
        }
    }

    /// Are two tokens told apart, and is the token itself not kept?
    #[test]
    fn tokens_by_their_hash() {
        let of = Renegotiation::with_token;
        assert_eq!(of("mtls_pop a"), of("mtls_pop a"));
        assert_ne!(of("mtls_pop a"), of("mtls_pop b"));
        assert!(!format!("{:?}", of("secret")).contains("secret"));
    }
}
