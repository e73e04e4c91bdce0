//! Where tokens come from: authorities, clouds, regions, and the endpoint these three make.

mod audience;
mod cloud;
mod detection;
mod endpoint;
mod instance;
mod openid;
mod parse;
mod region;
mod region_names;
mod resolver;
mod tenant;
mod webfinger;

pub(crate) use audience::AUDIENCES;
pub use audience::federated_credential_audience;
pub(crate) use cloud::is_mtls_host;
pub(crate) use detection::RegionMemory;
pub(crate) use instance::Instances;
pub(crate) use parse::Authority;
pub use region::RegionOutcome;
pub(crate) use region::{Region, RegionDetails, RegionSetting};
pub(crate) use resolver::{Endpoint, Resolver};
