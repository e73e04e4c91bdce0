//! Certificates that OpenSSL wrote are read, and OpenSSL reads what is exported.

#![allow(clippy::unwrap_used)]

mod chain;
mod encoding;
mod export;
mod found;
mod pem;
mod pkcs12;
mod signer;
mod workshop;
