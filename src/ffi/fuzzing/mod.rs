//! What a fuzzer asks of the C ABI: any calls in any order on live handles, with any arguments, callbacks included.
//!
//! Not among them: handles that were freed or are of another type, and lengths that are not those of their bytes, which are
//! undefined in C; and calls that the header forbids to a callback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arguments;
mod callbacks;
mod machine;
mod table;
mod world;

use crate::http::scripted;

/// Each two bytes name a function, those behind them its arguments.
pub(crate) fn calls(data: &[u8]) {
    scripted([], || {
        let live = machine::Live::default();
        let mut machine = machine::Machine::new(data, &live, true);
        machine.run();
        machine.free_all();
        live.wait_for_destroys();
    });
    world::clean_up();
}
