//! The certificate a token is bound to, and the key that proves its possession.

mod cache;
mod certificate;
mod export;
mod fips;
mod lifetime;
mod load;
mod request;
mod store;
mod summary;

use std::time::{Duration, Instant, SystemTime};

use url::Url;

pub(crate) use cache::{BindingCache, BindingCaches, REPLACEMENT_PAUSE};
pub use certificate::Certificate;
pub use export::Pkcs12Format;
pub(crate) use export::hex;
use export::pkcs12_password;
pub(crate) use lifetime::{Lifetime, lifetime, renewal_time};
pub(crate) use request::{Signature, encoding, signed_request};
#[cfg(any(test, fuzzing))]
pub(crate) use store::fuzz_entry;
pub use store::{BindingStore, FileLock, StoreSecretFn};
pub(crate) use store::{Directory, Problem, cipher};
pub use summary::CertificateSummary;

use crate::clock::Clock;

/// An issued certificate with what belongs to it. They travel together and never change.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) certificate: Certificate,
    /// `https://{region}.mtlsauth.microsoft.com/{tenant}`: where tokens for it come from, and the
    /// only host of the token service it is ever presented to.
    pub(crate) endpoint: Url,
    pub(crate) client_id: String,
    pub(crate) tenant_id: String,
    /// When it was issued to us, by our clock.
    pub(crate) minted: SystemTime,
    /// The same by the one that never jumps, where this process was there.
    pub(crate) minted_here: Option<Instant>,
    /// When to get the next one, although this one is good for longer.
    pub(crate) renew_on: SystemTime,
}

impl Binding {
    /// Whether it is the same certificate: bindings that were read from a store are other values.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.certificate.sha256() == other.certificate.sha256()
    }

    /// How long ago it was issued: what each of the clocks has seen of it, as one may have been set back, and the other
    /// stands still while the host is suspended.
    pub(crate) fn age(&self, clock: &dyn Clock) -> Duration {
        let by_wall = clock.now().duration_since(self.minted).unwrap_or_default();
        let here = self.minted_here.map(|minted| clock.monotonic().saturating_duration_since(minted));
        here.map_or(by_wall, |here| here.max(by_wall))
    }
}
