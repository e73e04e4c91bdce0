//! The C ABI: the only place that knows C exists. One file per C noun; each export is one call of a guard.
//!
//! The contract is written for C readers in `include/mtlspop.h.in` and ends up on top of `include/mtlspop.h`,
//! as do the comments here: `make header` (the generator is tests/abi/header.rs).
//! In short: handles are owned by who received them, data is borrowed from the handle it came from;
//! no panic leaves; both outs are NULL unless set; a bad pointer is an error where it can be seen.

#![allow(unsafe_code)]
#![allow(non_camel_case_types)]
// Public for the header, which cbindgen makes from this source; nothing in Rust reaches in here.
#![allow(dead_code, unreachable_pub)]
// Every pointer is checked by `handle` and `text`; each function's documentation in the header says
// what a caller owes. Repeating that in a `# Safety` section per export would only double it.
#![allow(clippy::missing_safety_doc)]

mod addition;
mod app;
mod app_credential;
mod app_managed_identity;
mod app_options;
mod assertion;
mod attestation;
mod binding_store;
mod body;
mod buffer;
mod callback;
mod cancel;
mod capabilities;
mod certificate;
mod draft;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
mod handle;
mod http;
mod metric;
mod places;
mod sign;
mod stream;
mod strength;
mod text;
mod token;
mod token_cache;
mod token_request;
mod tpm;
mod version;
