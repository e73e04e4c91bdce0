//! What runs a call: its deadline and cancellation, the background thread, and life after `fork`.

mod background;
mod call;
mod cancel;
mod claim;
mod flight;
mod fork;
mod gate;
mod limit;
mod memory;
mod striped;
pub(crate) mod sync;
mod wait;

pub(crate) use background::Background;
pub(crate) use call::Call;
pub use cancel::Cancel;
pub(crate) use cancel::Registration;
pub(crate) use claim::{Claim, Claimed, Claims};
pub(crate) use flight::Flights;
pub(crate) use fork::{OwnProcess, PerProcess};
#[cfg(test)]
pub(crate) use gate::{has_left, times_entered};
pub(crate) use gate::{outside, undisturbed};
pub(crate) use limit::Limit;
pub(crate) use memory::Memory;
pub(crate) use striped::{Counts, Shared, Stripe, Striped};
pub(crate) use wait::{Promise, Wait};
