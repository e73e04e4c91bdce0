//! The room `token`, as far as it is looked at.

mod models;

use crate::runtime::sync::Arc;

pub(crate) use models::MODELS;

mod entry {
    include!(concat!(env!("OUT_DIR"), "/token_entry.rs"));
}

mod shard {
    include!(concat!(env!("OUT_DIR"), "/token_shard.rs"));
}

mod table {
    include!(concat!(env!("OUT_DIR"), "/token_table.rs"));
}

mod shard_does_not_look {
    include!(concat!(env!("OUT_DIR"), "/shard_does_not_look.rs"));
}

/// A token: its number, and what is alive as long as it.
pub(crate) struct AccessToken {
    pub(crate) number: u32,
    pub(crate) alive: Arc<()>,
}

/// A key with this hash, and no other one has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheKey(pub(crate) u64);

impl CacheKey {
    pub(crate) fn bits(self) -> u64 {
        self.0
    }
}
