//! Is every error that the library raises explained, and nothing else? Each test answers one question.
//!
//! With MTLSPOP_UPDATE=1 (`make errors`) docs/ERRORS.md is rewritten instead of compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

// The library's own table, which it shows to nobody.
#[allow(dead_code)]
#[path = "../../src/error/aadsts.rs"]
mod aadsts;
mod codes;
mod document;
mod never;
mod raised;
