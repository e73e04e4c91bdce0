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
//! Where things are: `serve` is the one way through; `imds`, `source`, `sts`, `resource`, `attest` and
//! `oidc` judge requests; `cluster` has a token proxy of its own; `proxy` and `tls` bring them in; `control` and `cloud` are for tests.

mod attest;
mod clock;
mod cloud;
mod cluster;
mod control;
mod csr;
mod der;
pub mod directory;
mod exchange;
mod fault;
mod files;
mod hosts;
mod imds;
mod jwt;
mod oidc;
mod pki;
mod proxy;
mod record;
mod renegotiation;
mod resource;
mod serve;
mod source;
mod stream;
mod sts;
mod tls;
mod trust;
mod vault;
mod world;

pub use cloud::{Cloud, Options};
pub use fault::{Close, Fault, OPERATIONS};
pub use files::Files;
pub use hosts::Service;
pub use oidc::Assertion;
pub use record::ReceivedRequest;
pub use source::{ArcAgent, Source};
pub use vault::{TokenBinding, TokenBindingMode, TokenBindingStrength};
