//! Which public host name is which service. A name that is not here is refused by the proxy.

use serde::{Deserialize, Serialize};

use crate::directory::FEDERATED_ISSUER_HOST;

/// Below these are authorities of other kinds, one label each.
pub(crate) const DSTS_DOMAIN: &str = "dsts.core.azure-test.net";
pub(crate) const CIAM_DOMAIN: &str = "ciamlogin.com";
pub(crate) const B2C_DOMAIN: &str = "b2clogin.com";
pub(crate) const ADFS_HOST: &str = "adfs.devcloud.test";
pub(crate) const OPENID_PROVIDER_HOST: &str = "idp.devcloud.test";
/// A provider below a path, whose configuration names an issuer that is somebody else.
pub(crate) const FOREIGN_PROVIDER_HOST: &str = "idp2.devcloud.test";

/// The services of the cloud, by the name the request log gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The instance metadata service of the virtual machine.
    Imds,
    /// App Service's endpoint for managed identities.
    AppService,
    /// Azure Arc's.
    Arc,
    /// Cloud Shell's.
    CloudShell,
    /// Machine Learning's.
    MachineLearning,
    /// Service Fabric's.
    ServiceFabric,
    /// The STS on its `login.` hosts.
    Login,
    /// The STS on its `mtlsauth.` hosts: TLS needs a client certificate.
    Mtlsauth,
    /// Authorities that are not Entra's own: dSTS, CIAM, B2C, ADFS and plain OpenID providers.
    Authority,
    /// Microsoft Graph.
    Graph,
    /// Azure Key Vault, and Managed HSM.
    Vault,
    /// Azure Blob Storage.
    Storage,
    /// Microsoft Azure Attestation.
    Attest,
    /// The federated issuer.
    Oidc,
    /// The token proxy in the cluster, which is no HTTP proxy.
    TokenProxy,
    /// The HTTP proxy itself.
    Proxy,
}

/// What TLS asks of the client in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ClientCertificate {
    NotRequested,
    Requested,
    Required,
}

/// A cloud that clients cannot know without asking: `login.devcloud.test`, also named `sts.devcloud.test`.
const PRIVATE_DOMAIN: &str = "devcloud.test";
const PRIVATE_ALIAS: &str = "sts.devcloud.test";
/// A cloud that instance discovery does not know either.
const UNKNOWN_DOMAIN: &str = "unknown.test";

/// Login hosts without a region: `login.` in the place of `mtlsauth.`, both also below `{region}.`.
const DOMAINS: [&str; 7] = [
    PRIVATE_DOMAIN,
    UNKNOWN_DOMAIN,
    "microsoftonline.us",
    "partner.microsoftonline.cn",
    "sovcloud-identity.fr",
    "sovcloud-identity.de",
    "sovcloud-identity.sg",
];

impl Service {
    /// The service behind a public host name.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        match host {
            "login.microsoftonline.com" | "login.windows.net" | "sts.windows.net" | PRIVATE_ALIAS => {
                return Some(Service::Login);
            }
            "login.usgovcloudapi.net" | "login.chinacloudapi.cn" => return Some(Service::Login),
            "graph.microsoft.com" | "mtlstb.graph.microsoft.com" => return Some(Service::Graph),
            FEDERATED_ISSUER_HOST => return Some(Service::Oidc),
            ADFS_HOST | OPENID_PROVIDER_HOST | FOREIGN_PROVIDER_HOST => return Some(Service::Authority),
            _ => {}
        }
        let is = |name: &str| host == name || one_label_below(host, name);
        if is("login.microsoft.com") {
            return Some(Service::Login);
        }
        if is("mtlsauth.microsoft.com") {
            return Some(Service::Mtlsauth);
        }
        for domain in DOMAINS {
            if is(&format!("login.{domain}")) {
                return Some(Service::Login);
            }
            if is(&format!("mtlsauth.{domain}")) {
                return Some(Service::Mtlsauth);
            }
        }
        if [DSTS_DOMAIN, CIAM_DOMAIN, B2C_DOMAIN].iter().any(|domain| one_label_below(host, domain)) {
            return Some(Service::Authority);
        }
        if ["vault.azure.net", "managedhsm.azure.net"].iter().any(|domain| one_label_below(host, domain)) {
            return Some(Service::Vault);
        }
        if one_label_below(host, "blob.core.windows.net") {
            return Some(Service::Storage);
        }
        let attest = host.strip_suffix(".attest.azure.net")?;
        attest.split('.').all(is_label).then_some(Service::Attest)
    }

    pub(crate) fn client_certificate(self) -> ClientCertificate {
        match self {
            Service::Mtlsauth => ClientCertificate::Required,
            Service::Graph | Service::Authority => ClientCertificate::Requested,
            _ => ClientCertificate::NotRequested,
        }
    }

    /// The name in the request log.
    pub fn name(self) -> &'static str {
        match self {
            Service::Imds => "imds",
            Service::AppService => "app_service",
            Service::Arc => "arc",
            Service::CloudShell => "cloud_shell",
            Service::MachineLearning => "machine_learning",
            Service::ServiceFabric => "service_fabric",
            Service::Login => "login",
            Service::Mtlsauth => "mtlsauth",
            Service::Authority => "authority",
            Service::Graph => "graph",
            Service::Vault => "vault",
            Service::Storage => "storage",
            Service::Attest => "attest",
            Service::Oidc => "oidc",
            Service::TokenProxy => "token_proxy",
            Service::Proxy => "proxy",
        }
    }
}

/// Whether instance discovery vouches for a login host of ours.
pub(crate) fn is_valid_instance(host: &str) -> bool {
    Service::of_host(host) == Some(Service::Login) && !host.ends_with(UNKNOWN_DOMAIN)
}

/// Where the cloud of a login host has its token endpoint for mutual TLS. Older names have those of newer ones.
pub(crate) fn mtlsauth(login: &str) -> String {
    match login {
        "login.microsoftonline.com" | "login.windows.net" | "sts.windows.net" => {
            "mtlsauth.microsoft.com".to_owned()
        }
        "login.usgovcloudapi.net" => "mtlsauth.microsoftonline.us".to_owned(),
        "login.chinacloudapi.cn" => "mtlsauth.partner.microsoftonline.cn".to_owned(),
        PRIVATE_ALIAS => format!("mtlsauth.{PRIVATE_DOMAIN}"),
        login => login.replacen("login.", "mtlsauth.", 1),
    }
}

/// A host without its port.
pub(crate) fn host_name(host: &str) -> String {
    host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase()
}

pub(crate) fn one_label_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).and_then(|rest| rest.strip_suffix('.')).is_some_and(is_label)
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_names_are_known() {
        for (host, service) in [
            ("eastus.login.microsoft.com", Some(Service::Login)),
            ("mtlsauth.microsoft.com", Some(Service::Mtlsauth)),
            ("westus2.mtlsauth.partner.microsoftonline.cn", Some(Service::Mtlsauth)),
            ("sharedeus.eus.attest.azure.net", Some(Service::Attest)),
            ("a.vault.azure.net", Some(Service::Vault)),
            ("a.managedhsm.azure.net", Some(Service::Vault)),
            ("a.blob.core.windows.net", Some(Service::Storage)),
            ("a.ciamlogin.com", Some(Service::Authority)),
            ("eastus.login.devcloud.test", Some(Service::Login)),
            ("sts.windows.net", Some(Service::Login)),
            ("login.usgovcloudapi.net", Some(Service::Login)),
            ("eastus.sts.windows.net", None),
            ("mtlsauth.devcloud.test", Some(Service::Mtlsauth)),
            ("sts.devcloud.test", Some(Service::Login)),
            ("login.unknown.test", Some(Service::Login)),
            ("eastus.sts.devcloud.test", None),
            ("devcloud.test", None),
            ("vault.azure.net", None),
            ("a.b.mtlsauth.microsoft.com", None),
            (".mtlsauth.microsoft.com", None),
            ("evil-mtlsauth.microsoft.com", None),
            ("login.microsoftonline.com.evil.test", None),
            ("example.com", None),
        ] {
            assert_eq!(Service::of_host(host), service, "{host}");
        }
    }
}
