//! What the servers of this program share: who may ask, and how many connections there are.

mod callers;
mod connections;

pub(crate) use self::callers::{Callers, Refusal};
pub(crate) use self::connections::{Limits, Listener, serve};
