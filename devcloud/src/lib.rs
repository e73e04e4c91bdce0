//! devcloud: Microsoft Entra, IMDS and Graph on loopback, real where it matters. A developer's tool.
//!
//! ```no_run
//! let cloud = devcloud::Cloud::start(devcloud::Options::default())?;
//! for (name, value) in cloud.env() {
//!     println!("{name}={value}");
//! }
//! assert_eq!(cloud.counter("token"), 0);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! Where things are, from the top: `cloud` and `control` are for tests; `proxy` and `tls` bring requests in, and `serve`
//! is the one way through. `world` holds the services and gives each what it needs: `imds`, `source`, `sts`, `resource`,
//! `attest` and `oidc` judge requests and know nothing of each other, `cluster` hands them on. Below is what they share.

mod attest;
mod clock;
mod cloud;
mod cluster;
mod control;
mod csr;
mod der;
pub mod directory;
mod endpoints;
mod exchange;
mod failure;
mod fault;
mod files;
mod hosts;
mod imds;
mod issuer;
mod jwt;
mod oidc;
mod options;
mod pki;
mod profile;
mod proxy;
mod record;
mod registry;
mod renegotiation;
mod resource;
mod rsa_key;
mod serve;
mod server_certificates;
mod source;
mod stream;
mod sts;
mod tenants;
mod tls;
mod trust;
mod vault;
mod who;
mod world;

pub use cloud::Cloud;
pub use fault::{Close, Fault, OPERATIONS};
pub use files::Files;
pub use hosts::Service;
pub use issuer::TokenBindingStrength;
pub use oidc::Assertion;
pub use options::Options;
pub use profile::Profile;
pub use record::ReceivedRequest;
pub use registry::{Config, Resource};
pub use source::{ArcAgent, Source};
pub use vault::{TokenBinding, TokenBindingMode};
