//! The flows end to end, through the Rust API, against devcloud: real sockets, TLS, CSRs and tokens.

#![allow(unreachable_pub, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acceptance;
mod answers;
#[path = "../support/apache.rs"]
mod apache;
mod asked;
mod attestation;
mod authority;
mod binding_certificate;
mod binding_store;
mod cache;
mod cached_token;
mod capabilities;
mod challenge;
mod clock_jumps;
mod confidential_client;
mod credentials;
mod error_metadata;
mod federation;
mod identity_binding;
mod imds_v2_switch;
mod isolation;
mod managed_identity;
mod managed_identity_claims;
mod managed_identity_errors;
mod managed_identity_time;
mod memory;
mod refresh;
mod refreshed;
mod region;
mod rejected;
mod renegotiation;
mod replacement;
mod request_over_mtls;
mod resource;
mod rotation;
mod secrets;
mod signer;
mod sources;
mod streaming;
mod strength;
mod support;
#[path = "../../devcloud/tests/common/swtpm.rs"]
mod swtpm;
mod token_cache;
mod tpm;
mod tpm_identity;
mod tpm_store;
mod vault;
mod wire;
