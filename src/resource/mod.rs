//! Calling an API with a token: with the certificate it is bound to, or not at all.

mod challenge;
mod client;
mod key_vault;
mod parameters;
mod stream;

#[cfg(any(test, fuzzing))]
pub(crate) use challenge::claims as claims_in;
pub(crate) use client::open;
pub use client::{HttpRequest, HttpResponse};
pub(crate) use key_vault::{is_not_validated, repeat_not_validated};
#[cfg(any(test, fuzzing))]
pub(crate) use parameters::Parameters;
pub use stream::HttpStream;
