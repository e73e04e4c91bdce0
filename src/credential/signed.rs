//! Assertions that were signed already: reusable until they expire, which spares a signature per token request.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Ask;
use super::client_assertion::{self, Signed};
use crate::binding::Certificate;
use crate::clock::unix_seconds;
use crate::error::Result;
use crate::runtime::{Call, PerProcess};
use crate::secret::Secret;

/// The assertions of one app, for the endpoints it used last.
pub(crate) struct SignedAssertions {
    kept: PerProcess<Mutex<LruCache<Key, Signed>>>,
}

/// What an assertion says, but for its times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    sha256: [u8; 32],
    send_x5c: bool,
    audience: String,
    extra_claims: Option<String>,
}

/// Endpoints are few, but an app may serve many tenants, and each has its own.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Seconds before its end in which an assertion is not used any more: it has yet to get there, and the
/// clock there may be ahead of ours.
const MARGIN: i64 = 120;

impl SignedAssertions {
    pub(crate) fn new() -> Self {
        Self { kept: PerProcess::new(|| Mutex::new(LruCache::sparse(CAPACITY))) }
    }

    /// An assertion of `certificate` for the endpoint that is asked: a kept one, or a new one.
    pub(super) fn get(
        &self,
        certificate: &Certificate,
        send_x5c: bool,
        ask: &Ask<'_>,
        call: &Call,
    ) -> Result<Secret> {
        let key = Key {
            sha256: *certificate.sha256(),
            send_x5c,
            audience: ask.audience().to_owned(),
            extra_claims: ask.extra_assertion_claims.map(str::to_owned),
        };
        let now = unix_seconds(call.clock.now());
        // A clock that was set back makes one that is not valid yet.
        let usable =
            |signed: &&Signed| (now + MARGIN..=now + client_assertion::LIFETIME).contains(&signed.expires_on);
        if let Some(signed) = self.lock(|kept| kept.get(&key).filter(usable).map(|signed| signed.jwt.clone()))
        {
            return Ok(signed);
        }
        // Signed without the lock: the key may be slow, or call back.
        let signed = client_assertion::sign(certificate, send_x5c, ask, call)?;
        let jwt = signed.jwt.clone();
        let replaced = self.lock(|kept| kept.push(key, signed));
        drop(replaced);
        Ok(jwt)
    }

    /// Forgets them all: the service did not like one, so the next request brings a new one.
    pub(crate) fn clear(&self) {
        self.lock(LruCache::clear);
    }

    fn lock<T>(&self, body: impl FnOnce(&mut LruCache<Key, Signed>) -> T) -> T {
        let process = self.kept.get();
        let mut kept: MutexGuard<'_, _> = process.lock().unwrap_or_else(PoisonError::into_inner);
        body(&mut kept)
    }
}
