//! Calling an API with a token: with the certificate it is bound to, or not at all.

mod challenge;
mod client;
mod parameters;
mod stream;

pub(crate) use client::open;
pub use client::{HttpRequest, HttpResponse};
pub use stream::HttpStream;
