//! Are the documents true, and do the examples work? Each test answers one question.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod contrib;
mod demo;
mod make;
mod markdown;
mod names;
mod reference;
mod releasing;
mod resources;
mod samples;
mod security;
#[path = "../../devcloud/tests/common/swtpm.rs"]
mod swtpm;
