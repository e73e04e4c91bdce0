//! Managed identities: the host vouches for the workload.

mod answer;
mod app_service;
mod azure_arc;
mod capabilities;
mod cloud_shell;
mod expiry;
mod imds_v1;
pub(crate) mod imds_v2;
mod machine_learning;
mod probe;
mod service_fabric;
mod source;

use crate::error::{Error, ErrorKind, Result};

pub use capabilities::ManagedIdentityCapabilities;
pub(crate) use probe::Probed;
pub use source::ManagedIdentitySource;
pub(crate) use source::{Source, detect};

/// What a Bearer token is asked for with.
pub(crate) struct BearerRequest<'a> {
    pub(crate) id: &'a ManagedIdentityId,
    pub(crate) resource: &'a str,
    /// For Service Fabric, as the next.
    pub(crate) client_capabilities: &'a [String],
    /// The SHA-256, in lower-case hexadecimal, of a token that is not to be handed out again.
    pub(crate) token_to_refresh: Option<&'a str>,
    /// What the app adds to the query.
    pub(crate) extra_query: &'a [(&'a str, &'a str)],
}

/// Names in queries that are the library's, whatever the source.
pub(crate) const OUR_QUERY: [&str; 11] = [
    "api-version",
    "cred-api-version",
    "resource",
    "client_id",
    "clientid",
    "object_id",
    "principalId",
    "mi_res_id",
    "msi_res_id",
    "xms_cc",
    "token_sha256_to_refresh",
];

/// Which managed identity of the host is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ManagedIdentityId {
    /// The one identity that belongs to the host.
    SystemAssigned,
    /// A user-assigned one, by its client id.
    ClientId(String),
    /// A user-assigned one, by its object (principal) id.
    ObjectId(String),
    /// A user-assigned one, by its ARM resource id.
    ResourceId(String),
}

impl ManagedIdentityId {
    /// How it is told apart from others in cache keys.
    pub(crate) fn cache_name(&self) -> String {
        match self {
            Self::SystemAssigned => "system".to_owned(),
            Self::ClientId(id) => format!("client:{id}"),
            Self::ObjectId(id) => format!("object:{id}"),
            Self::ResourceId(id) => format!("resource:{id}"),
        }
    }

    /// Refuses a user-assigned one, for a `source` that has none.
    fn only_system_assigned(&self, source: ManagedIdentitySource) -> Result<()> {
        match self {
            Self::SystemAssigned => Ok(()),
            _ => Err(Error::new(
                ErrorKind::NotSupported,
                "user_assigned_managed_identity_not_supported",
                format!("{} has no user-assigned identities; set no id to use the one it has", source.name()),
            )),
        }
    }

    /// The query parameter that names it; the name for resource ids is the one thing in which services differ.
    fn query(&self, resource_name: &'static str) -> Option<(&'static str, &str)> {
        match self {
            Self::SystemAssigned => None,
            Self::ClientId(id) => Some(("client_id", id)),
            Self::ObjectId(id) => Some(("object_id", id)),
            Self::ResourceId(id) => Some((resource_name, id)),
        }
    }
}
