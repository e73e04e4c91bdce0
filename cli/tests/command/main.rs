//! Does the program do what its help says? Each test answers one question, most of them with many runs in one cloud.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod cache;
mod call;
mod certificate;
mod config;
mod devcloud;
mod doctor;
mod exec;
mod generated;
mod input;
mod inspect;
mod proxy;
mod support;
#[path = "../../../devcloud/tests/common/swtpm.rs"]
mod swtpm;
mod token;
mod tpm;
