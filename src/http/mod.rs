//! HTTP/1.1 over TLS for everything above: one client per certificate, proxies, roots and retries.
//!
//! A request goes [`Pool`] -> [`Client`] -> `connector` (`socket`, `tunnel`, `tls`), on the caller's
//! thread. `exchange` is how a connection deep inside ureq finds the call that may interrupt it.

mod body;
mod buffers;
mod client;
mod connector;
mod descriptor;
mod early;
mod exchange;
mod failure;
mod imds;
mod incoming;
mod json;
mod look;
mod message;
mod neighbours;
mod observed;
mod older;
mod page;
mod pin;
mod pool;
mod proxy;
mod query;
mod refusal;
mod renegotiation;
mod repeated;
mod retry;
mod roots;
#[cfg(any(test, fuzzing))]
mod scripted;
mod sessions;
mod socket;
mod throttle;
mod tls;
mod token_proxy;
mod trust;
mod tunnel;
mod verify;
mod words;

#[cfg(test)]
mod tests;

pub use body::BodyReader;
pub(crate) use body::StreamBody;
pub(crate) use client::{Client, check_header};
pub(crate) use descriptor::descriptor_body;
pub(crate) use imds::{Imds, local_endpoint};
pub(crate) use incoming::Incoming;
pub(crate) use look::Sight;
pub use message::TlsVersion;
pub(crate) use message::{HeaderName, Request, Response, TlsDetails, https_url, method};
pub(crate) use neighbours::Shared;
pub(crate) use observed::Observer;
pub use observed::{ObservedAnswer, ObservedRequest, RequestObserverFn};
pub(crate) use pin::Thumbprint;
pub(crate) use pool::{Pool, TransportOptions};
pub(crate) use query::add_query;
pub(crate) use refusal::Refusal;
pub(crate) use renegotiation::{Renegotiation, is_key_vault};
pub(crate) use repeated::without_secrets;
pub(crate) use retry::{Policy, retry_after, send_with_retry};
#[cfg(any(test, fuzzing))]
pub(crate) use scripted::{answer_next, scripted};
pub(crate) use throttle::Throttle;
pub(crate) use token_proxy::TokenProxy;

/// What we call ourselves towards servers and proxies.
const USER_AGENT: &str = concat!("mtlspop/", env!("CARGO_PKG_VERSION"));
