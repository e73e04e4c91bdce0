//! Attestation tokens in memory, by service and key (managed_identity spec, section 5.6.1).

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lru::LruCache;
use serde_json::Value;

use crate::secret::Secret;

/// Shared by all managed identity apps of a process. Whose identity a key is for makes no difference.
pub(crate) struct AttestationCache(Mutex<LruCache<Name, Attested>>);

/// The service and the SHA-256 of the public key.
pub(super) type Name = (String, Vec<u8>);

struct Attested {
    token: Secret,
    expires_on: i64,
}

/// A host has one key for each identity, or one in all.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// Seconds before its end from which on a token is not reused.
const MARGIN: i64 = 5 * 60;

pub(super) fn name(endpoint: &str, public_key: &[u8]) -> Name {
    let endpoint = endpoint.trim_end_matches('/').to_ascii_lowercase();
    (endpoint, digest(&SHA256, public_key).as_ref().to_vec())
}

impl AttestationCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::sparse(CAPACITY)))
    }

    pub(super) fn get(&self, name: &Name, now: i64) -> Option<Secret> {
        let mut tokens = self.lock();
        let found = tokens.get(name)?;
        if found.expires_on.saturating_sub(MARGIN) > now {
            return Some(found.token.clone());
        }
        tokens.pop(name);
        None
    }

    /// Keeps `token` unless it does not tell its end.
    pub(super) fn put(&self, name: Name, token: &Secret) {
        if let Some(expires_on) = expiry(token.expose()) {
            self.lock().put(name, Attested { token: token.clone(), expires_on });
        }
    }

    pub(super) fn forget(&self, name: &Name) {
        self.lock().pop(name);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Name, Attested>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `exp`, a number or the text of one. Nothing is verified: that is for who is sent the token.
fn expiry(jwt: &str) -> Option<i64> {
    let payload = URL_SAFE_NO_PAD.decode(jwt.trim().split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    match claims.get("exp")? {
        // As a float it may have a fraction, or an exponent.
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn jwt(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
    }

    fn until(exp: i64) -> Secret {
        jwt(&format!(r#"{{"exp":{exp}}}"#))
    }

    /// Is a token reused until 5 minutes before its end, and gone then (section 5.6.1)?
    #[test]
    fn margin() {
        let (cache, key) = (AttestationCache::new(), name("https://a/", b"key"));
        cache.put(key.clone(), &until(NOW + 301));
        assert_eq!(cache.get(&key, NOW), Some(until(NOW + 301)));
        assert_eq!(cache.get(&key, NOW + 1), None);
        assert_eq!(cache.get(&key, NOW), None, "a stale one was dropped");
    }

    /// Which forms of `exp` are read; and is a token without a readable one never reused (section 5.6.1)?
    #[test]
    fn forms_of_exp() {
        let number = format!(r#"{{"exp":{}}}"#, NOW + 3600);
        let fraction = format!(r#"{{"exp":{}.5}}"#, NOW + 3600);
        let text = format!(r#"{{"exp":"{}"}}"#, NOW + 3600);
        for (token, reused) in [
            (jwt(&number), true),
            (jwt(&fraction), true),
            (jwt(&text), true),
            (jwt("{}"), false),
            (jwt(r#"{"exp":"soon"}"#), false),
            (jwt(r#"{"exp":null}"#), false),
            (jwt("no JSON"), false),
            (Secret::new("no-jwt"), false),
            (Secret::new("a.!.b"), false),
        ] {
            let (cache, key) = (AttestationCache::new(), name("https://a", b"key"));
            cache.put(key.clone(), &token);
            assert_eq!(cache.get(&key, NOW).is_some(), reused, "{}", token.expose());
        }
    }

    /// Is one service the same however it is written, and each key another one (section 5.6.1)?
    #[test]
    fn names() {
        assert_eq!(name("https://A.attest/", b"key"), name("https://a.attest", b"key"));
        assert_ne!(name("https://a.attest", b"key"), name("https://b.attest", b"key"));
        assert_ne!(name("https://a.attest", b"key"), name("https://a.attest", b"other"));
    }

    /// Can a token be forgotten, and does the cache stay small?
    #[test]
    fn forgotten_and_bounded() {
        let (cache, key) = (AttestationCache::new(), name("https://a", b"key"));
        cache.put(key.clone(), &until(NOW + 3600));
        cache.forget(&key);
        assert_eq!(cache.get(&key, NOW), None);
        for number in 0..200_u8 {
            cache.put(name("https://a", &[number]), &until(NOW + 3600));
        }
        assert_eq!(cache.lock().len(), CAPACITY.get());
    }
}
