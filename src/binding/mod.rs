//! The certificate a token is bound to, and the key that proves its possession.

mod certificate;

pub use certificate::Certificate;
