//! Where tokens come from: authorities, clouds, regions, and the endpoint these three make.

mod cloud;
mod endpoint;
mod region;

pub(crate) use endpoint::Authority;
pub(crate) use region::Region;
