//! Calling an API with a token: with the certificate it is bound to, or not at all.

mod challenge;
mod client;
mod parameters;

pub(crate) use client::send;
pub use client::{HttpRequest, HttpResponse};
