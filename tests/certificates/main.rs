//! Certificates that OpenSSL wrote are read, and OpenSSL reads what is exported.

#![allow(clippy::unwrap_used)]

mod advice;
mod chain;
mod encoding;
mod export;
mod found;
mod hostile;
mod pem;
mod pfx;
mod pkcs12;
mod signer;
mod workshop;
