//! Managed identities: the host vouches for the workload.

mod capabilities;
pub(crate) mod imds_v1;
pub(crate) mod imds_v2;
mod probe;
mod source;

pub use capabilities::ManagedIdentityCapabilities;
pub(crate) use probe::Probed;
pub use source::ManagedIdentitySource;
pub(crate) use source::{Source, detect};

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

    /// The query parameter that names it; `resource_name` is the one thing in which v1 and v2 differ.
    fn query(&self, resource_name: &'static str) -> Option<(&'static str, &str)> {
        match self {
            Self::SystemAssigned => None,
            Self::ClientId(id) => Some(("client_id", id)),
            Self::ObjectId(id) => Some(("object_id", id)),
            Self::ResourceId(id) => Some((resource_name, id)),
        }
    }
}
