//! Whose host a program finds itself on: which of the variables that name identities are in its environment.

use clap::ValueEnum;
use serde::Deserialize;

use crate::directory::{APP_A_CLIENT_ID, APP_A_SECRET, APP_B_CLIENT_ID, TENANT_ID};
use crate::files::Files;

/// A host, by the credential that its programs are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// That of every other at once, which no host has: AZURE_CLIENT_ID is application A, AZURE_FEDERATED_TOKEN_FILE
    /// application B's
    #[default]
    All,
    /// Application A with its client secret
    Secret,
    /// Application A with its certificate
    Certificate,
    /// Application B with the token of a pod, as Kubernetes' workload identity has it
    Workload,
    /// A machine with managed identities: IMDS, or what --source says
    ManagedIdentity,
}

/// Variables that clients prefer to those we set; they would lead around the cloud.
const IN_THE_WAY: [&str; 12] = [
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_DIR",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "DEFAULT_IDENTITY_CLIENT_ID",
];

/// Every variable that credentials of the SDKs read: what is none of a host is not there, not even from outside.
const OF_IDENTITIES: [&str; 11] = [
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_KUBERNETES_TOKEN_PROXY",
    "AZURE_KUBERNETES_CA_FILE",
    "AZURE_KUBERNETES_SNI_NAME",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
];

/// Where the managed identities of a machine are asked for, besides the variables of a source.
pub(crate) const IMDS: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const USER_ASSIGNED: &str = "USER_ASSIGNED_";

impl Profile {
    /// Which variables have to go before the cloud's are set.
    pub fn in_the_way(self) -> Vec<&'static str> {
        let of_others: &[&str] = if self == Self::All { &[] } else { &OF_IDENTITIES };
        IN_THE_WAY.iter().chain(of_others).copied().collect()
    }

    /// Whether there are managed identities.
    pub(crate) fn has_sources(self) -> bool {
        matches!(self, Self::All | Self::ManagedIdentity)
    }

    /// What is left of `all` on this host.
    pub(crate) fn of(self, all: Vec<(String, String)>, files: &Files) -> Vec<(String, String)> {
        if self == Self::All {
            return all;
        }
        let certificate = files.sni().display().to_string();
        let token = files.fic_assertion_unbound().display().to_string();
        let own: &[(&str, &str)] = match self {
            Self::All | Self::ManagedIdentity => &[],
            Self::Secret => &[("AZURE_CLIENT_ID", APP_A_CLIENT_ID), ("AZURE_CLIENT_SECRET", APP_A_SECRET)],
            // The issuer is trusted with a subject name: a registered thumbprint would do without the chain.
            Self::Certificate => &[
                ("AZURE_CLIENT_ID", APP_A_CLIENT_ID),
                ("AZURE_CLIENT_CERTIFICATE_PATH", &certificate),
                ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true"),
            ],
            Self::Workload => &[
                ("AZURE_CLIENT_ID", APP_B_CLIENT_ID),
                ("AZURE_FEDERATED_TOKEN_FILE", &token),
                ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
            ],
        };
        let tenant = (!own.is_empty()).then_some(("AZURE_TENANT_ID", TENANT_ID));
        let managed = self == Self::ManagedIdentity;
        let kept = all.into_iter().filter(|(name, _)| match &**name {
            IMDS => managed,
            name if name.starts_with(USER_ASSIGNED) => managed,
            name => ROADS.contains(&name) || name.starts_with("DEVCLOUD_") && (managed || name != ARC),
        });
        let own = own.iter().copied().chain(tenant);
        kept.chain(own.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
    }
}

/// How hosts are reached, and which roots are trusted: the same on every host.
const ROADS: [&str; 7] = [
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_ENV_PROXY",
];
const ARC: &str = "DEVCLOUD_ARC_ENDPOINT";
