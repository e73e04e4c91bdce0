//! Every order in which a few threads can meet (loom) when they are interrupted three times at most, in the library's
//! own files: the token cache, flights, claims.
//!
//! `make loom` runs it, and so does `make test`. Each model is also run against a copy with a mistake in it
//! (`build.rs`), which it has to find: else it would look at nothing.

#![allow(
    dead_code,
    unused_imports,
    clippy::unit_arg,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout
)]

mod clock;
mod error;
mod flights;
mod runtime;
mod token;

use std::process::{Command, ExitCode, Stdio};

/// Its name, whether a mistake is to be found, and what it runs.
type Model = (&'static str, bool, fn());

const MODELS: [&[Model]; 2] = [&flights::MODELS, &token::MODELS];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let all = || MODELS.into_iter().flatten();
    if let Some((_, _, run)) = all().find(|(name, _, _)| Some(*name) == wanted.as_deref()) {
        let mut builder = loom::model::Builder::new();
        builder.max_branches = 100_000;
        // More than three interruptions, and it would not end.
        builder.preemption_bound = Some(3);
        builder.check(run);
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    let of = |name: &str| wanted.as_ref().is_none_or(|wanted| name.contains(wanted));
    for (name, mistaken, _) in all().filter(|(name, _, _)| of(name)) {
        // In a process of its own: a model that fails leaves nothing in order.
        let mut command = Command::new(std::env::current_exe().unwrap());
        if *mistaken {
            command.stderr(Stdio::null());
        }
        let succeeded = command.arg(name).status().unwrap().success();
        let right = succeeded != *mistaken;
        failed += u32::from(!right);
        println!("model {name} ... {}", if right { "ok" } else { "FAILED" });
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
