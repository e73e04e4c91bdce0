//! Where tokens come from: authorities, clouds, regions, and the endpoint these three make.

mod cloud;
mod detection;
mod endpoint;
mod instance;
mod memory;
mod openid;
mod parse;
mod region;
mod resolver;
mod tenant;
mod webfinger;

pub(crate) use detection::RegionMemory;
pub(crate) use parse::Authority;
pub(crate) use region::RegionSetting;
pub(crate) use resolver::Resolver;
