//! The Entra clouds whose hosts are known without asking (confidential_client spec, section 1.2).

use url::Url;

use super::audience;

/// One cloud: the names it answers to and the one to use on the network.
pub(crate) struct Cloud {
    /// Every host name of the cloud's token service.
    pub(crate) aliases: &'static [&'static str],
    /// The alias that requests without a region go to.
    pub(crate) preferred_network: &'static str,
    /// What federated credentials have as their audience there; `None` for the one that is closed.
    pub(super) federated_credential_audience: Option<&'static str>,
}

const CLOUDS: &[Cloud] = &[
    Cloud {
        aliases: &[
            "login.microsoftonline.com",
            "login.windows.net",
            "login.microsoft.com",
            "sts.windows.net",
        ],
        preferred_network: "login.microsoftonline.com",
        federated_credential_audience: Some(audience::PUBLIC),
    },
    Cloud {
        aliases: &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
        preferred_network: "login.partner.microsoftonline.cn",
        federated_credential_audience: Some(audience::CHINA),
    },
    Cloud {
        aliases: &["login.microsoftonline.de"],
        preferred_network: "login.microsoftonline.de",
        federated_credential_audience: None,
    },
    Cloud {
        aliases: &["login.microsoftonline.us", "login.usgovcloudapi.net"],
        preferred_network: "login.microsoftonline.us",
        federated_credential_audience: Some(audience::US_GOVERNMENT),
    },
    Cloud {
        aliases: &["login-us.microsoftonline.com"],
        preferred_network: "login-us.microsoftonline.com",
        federated_credential_audience: Some(audience::PUBLIC),
    },
    Cloud {
        aliases: &["login.windows-ppe.net", "sts.windows-ppe.net", "login.microsoft-ppe.com"],
        preferred_network: "login.windows-ppe.net",
        federated_credential_audience: Some(audience::TEST),
    },
    Cloud {
        aliases: &["login.sovcloud-identity.fr"],
        preferred_network: "login.sovcloud-identity.fr",
        federated_credential_audience: Some(audience::FRANCE),
    },
    Cloud {
        aliases: &["login.sovcloud-identity.de"],
        preferred_network: "login.sovcloud-identity.de",
        federated_credential_audience: Some(audience::GERMANY),
    },
    Cloud {
        aliases: &["login.sovcloud-identity.sg"],
        preferred_network: "login.sovcloud-identity.sg",
        federated_credential_audience: Some(audience::SINGAPORE),
    },
];

/// Whether this is an mTLS endpoint of some cloud's token service, with a region or without one.
pub(crate) fn is_mtls_host(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.split('.').take(2).any(|label| label == "mtlsauth"))
}

impl Cloud {
    /// The cloud that `host` (lower case) belongs to.
    pub(crate) fn of_host(host: &str) -> Option<&'static Cloud> {
        CLOUDS.iter().find(|cloud| cloud.aliases.contains(&host))
    }

    /// Whether this is the public cloud, whose regional and mTLS hosts have names of their own.
    pub(crate) fn is_public(&self) -> bool {
        self.preferred_network == "login.microsoftonline.com"
    }

    /// Whether this is the cloud in which Entra tries itself out.
    pub(crate) fn is_test(&self) -> bool {
        self.preferred_network == "login.windows-ppe.net"
    }
}
