//! Tokens in a store of the caller's, which a fleet may share: what is written there, and what of it is believed.

use std::mem::take;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::cache_key::Partition;
use super::refresh::{MARGIN, SLACK};
use super::{AccessToken, LONGEST_LIFE, Origin, Texts, TokenType, is_token, short_seconds};
use crate::authority::RegionDetails;
use crate::binding::Certificate;
use crate::clock::{from_unix_seconds, unix_seconds};
use crate::error::Result;
use crate::runtime::Call;
use crate::secret::Secret;

/// Keeps bytes by the key of a partition, for example in Redis. Called on the thread of the caller,
/// inside the call, with no lock held. A failure is logged and costs a token request, never the call.
///
/// The bytes are this library's, may change with its version, and hold tokens: protect them. Private
/// keys are never in them.
pub trait TokenStore: Send + Sync {
    /// What was saved under `partition_key`; `None` where there is nothing.
    fn load(&self, partition_key: &str) -> Result<Option<Vec<u8>>>;

    /// Keeps `data` in place of what was there. Nothing of it is worth keeping after `suggested_expiry`.
    fn save(&self, partition_key: &str, data: &[u8], suggested_expiry: SystemTime) -> Result<()>;
}

/// One partition of a store, for one call.
pub(crate) struct StoredPartition<'a> {
    pub(crate) store: &'a dyn TokenStore,
    pub(crate) partition: Partition,
    /// The text of the key that the call is for.
    pub(crate) key: String,
    /// What bound tokens of this partition must be bound to: the app's own certificate.
    pub(crate) certificate: Option<Certificate>,
    pub(crate) call: &'a Call,
}

/// Another version is not read, and is overwritten.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    tokens: Vec<Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    /// All of the key, so that no token is ever found by another one.
    key: String,
    token_type: String,
    token: Zeroizing<String>,
    /// 0 in what older versions wrote.
    #[serde(default)]
    received_on: i64,
    expires_on: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_on: Option<i64>,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    endpoint: String,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    response_parameters: Vec<(String, String)>,
}

impl StoredPartition<'_> {
    /// The tokens that are good, with the texts of their keys.
    pub(crate) fn load(&self) -> Vec<(String, AccessToken)> {
        let now = unix_seconds(self.call.clock.now());
        self.entries(now)
            .into_iter()
            .filter_map(|mut entry| {
                Some((take(&mut entry.key), entry.into_token(self.certificate.as_ref())?))
            })
            .collect()
    }

    /// Adds `token`, in place of an earlier one of the same key. Others may have added theirs meanwhile, so
    /// what is there is read first; what has expired is left out.
    pub(crate) fn save(&self, token: &AccessToken) {
        let now = unix_seconds(self.call.clock.now());
        let mut tokens = self.entries(now);
        tokens.retain(|entry| entry.key != self.key);
        tokens.push(Entry::new(&self.key, token));
        let latest = tokens.iter().map(|entry| entry.expires_on).max().unwrap_or(now);
        if latest <= now + MARGIN {
            return;
        }
        // Long enough from the start, so that no copy of a token is left behind by growing.
        let length = tokens.iter().map(Entry::length).sum();
        let mut data = Zeroizing::new(Vec::with_capacity(length));
        if serde_json::to_writer(&mut *data, &Content { version: VERSION, tokens }).is_err() {
            return;
        }
        let saved = self.timed(|| self.store.save(&self.partition.key, &data, from_unix_seconds(latest)));
        if let Err(error) = saved {
            self.warn(&format!("cannot be written: {error}"));
        }
    }

    /// What is there, as far as it can be read, belongs here and is of use at `now`. Nothing that was written here
    /// lives longer than any token does.
    fn entries(&self, now: i64) -> Vec<Entry> {
        let data = match self.timed(|| self.store.load(&self.partition.key)) {
            Ok(Some(data)) => Zeroizing::new(data),
            Ok(None) => return Vec::new(),
            Err(error) => {
                self.warn(&format!("cannot be read: {error}"));
                return Vec::new();
            }
        };
        let content = match serde_json::from_slice::<Content>(&data) {
            Ok(content) if content.version == VERSION => content,
            Ok(content) => {
                self.warn(&format!("holds tokens of another version, {}", content.version));
                return Vec::new();
            }
            // Not the parser's words: they may quote a token.
            Err(_) => {
                self.warn("holds something that is not of this library, or damaged");
                return Vec::new();
            }
        };
        let mut tokens = content.tokens;
        let ends = now + MARGIN + 1..=now.saturating_add(LONGEST_LIFE + MARGIN);
        tokens.retain(|entry| {
            self.partition.holds(&entry.key)
                && ends.contains(&entry.expires_on)
                && entry.received_on <= now.saturating_add(SLACK)
        });
        tokens
    }

    fn timed<T>(&self, body: impl FnOnce() -> T) -> T {
        let started = self.call.clock.monotonic();
        let result = body();
        self.call.spent().add_cache(self.call.clock.monotonic().saturating_duration_since(started));
        result
    }

    fn warn(&self, what: &str) {
        self.call.log.warn("token", || format!("the token store {what} [{}]", self.call.correlation_id));
    }
}

impl Entry {
    fn new(key: &str, token: &AccessToken) -> Self {
        Self {
            key: key.to_owned(),
            token_type: token.token_type().as_str().to_owned(),
            token: Zeroizing::new(token.text().to_owned()),
            received_on: token.received_on.into(),
            expires_on: token.expires_on,
            refresh_on: token.refresh_on.map(|on| on.get().into()),
            scopes: token.scopes().map(str::to_owned).collect(),
            tenant: token.origin.tenant.clone(),
            endpoint: token.origin.endpoint.clone(),
            x5t_s256: token.certificate.as_ref().map(|certificate| certificate.x5t_s256().to_owned()),
            response_parameters: token.origin.response_parameters.clone(),
        }
    }

    /// No less than its length in JSON.
    fn length(&self) -> usize {
        let lists =
            self.scopes.iter().chain(self.response_parameters.iter().flat_map(|(name, value)| [name, value]));
        let lists: usize = lists.map(|text| 6 * text.len() + 8).sum();
        1024 + 6 * (self.key.len() + self.endpoint.len()) + self.token.len() + lists
    }

    /// The token, unless it is none, or bound to a certificate that is not at hand.
    fn into_token(self, own: Option<&Certificate>) -> Option<AccessToken> {
        if !is_token(&self.token) {
            return None;
        }
        let token_type = [TokenType::Bearer, TokenType::MtlsPop]
            .into_iter()
            .find(|token_type| token_type.as_str() == self.token_type)?;
        let certificate = match (token_type, self.x5t_s256) {
            // In a partition of bound tokens a Bearer token would be less than what is asked for.
            (TokenType::Bearer, None) if own.is_none() => None,
            (TokenType::MtlsPop, Some(x5t_s256)) => {
                Some(own.filter(|own| own.x5t_s256() == x5t_s256)?.clone())
            }
            _ => return None,
        };
        Some(AccessToken {
            texts: Texts::new(token_type, &Secret::new(self.token.as_str()), &self.scopes.join(" ")),
            received_on: short_seconds(self.received_on),
            refresh_on: self
                .refresh_on
                .and_then(|refresh_on| NonZeroU32::new(short_seconds(refresh_on.min(self.expires_on)))),
            expires_on: self.expires_on,
            origin: Arc::new(Origin {
                tenant: self.tenant,
                endpoint: self.endpoint,
                region: RegionDetails::default(),
                response_parameters: self.response_parameters,
                tls: None,
            }),
            certificate,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;
    use crate::clock::SystemClock;
    use crate::error::Error;
    use crate::log::Logger;
    use crate::runtime::Cancel;
    use crate::token::KeyBuilder;
    use crate::token::test::bearer;

    #[derive(Default)]
    struct Map(Mutex<HashMap<String, (Vec<u8>, i64)>>);

    impl TokenStore for Map {
        fn load(&self, key: &str) -> Result<Option<Vec<u8>>> {
            Ok(self.0.lock().unwrap().get(key).map(|(data, _)| data.clone()))
        }

        fn save(&self, key: &str, data: &[u8], expiry: SystemTime) -> Result<()> {
            self.0.lock().unwrap().insert(key.to_owned(), (data.to_vec(), unix_seconds(expiry)));
            Ok(())
        }
    }

    struct Broken;

    impl TokenStore for Broken {
        fn load(&self, _: &str) -> Result<Option<Vec<u8>>> {
            Err(Error::argument("down"))
        }

        fn save(&self, _: &str, _: &[u8], _: SystemTime) -> Result<()> {
            Err(Error::argument("down"))
        }
    }

    fn call() -> Call {
        Call::new(Arc::new(SystemClock), Cancel::new(), Logger::default(), "id".into(), None)
    }

    fn builder(client: &str) -> KeyBuilder {
        KeyBuilder::default().component("client", client)
    }

    fn key(client: &str, scope: &str) -> String {
        builder(client).part("scopes", scope).text()
    }

    /// For the scope "s".
    fn stored<'a>(store: &'a dyn TokenStore, client: &str, call: &'a Call) -> StoredPartition<'a> {
        let partition = builder(client).partition("", client, "t");
        StoredPartition { store, partition, key: key(client, "s"), certificate: None, call }
    }

    fn lasting(text: &str, seconds: i64) -> AccessToken {
        AccessToken { expires_on: unix_seconds(SystemTime::now()) + seconds, ..bearer(text) }
    }

    /// Does a token come back as it was, with those of its partition, and is what has expired dropped?
    #[test]
    fn round_trip() {
        let (store, call) = (Map::default(), call());
        let partition = stored(&store, "a", &call);
        let other = |scope| StoredPartition { key: key("a", scope), ..stored(&store, "a", &call) };
        assert!(partition.load().is_empty());
        partition.save(&lasting("one", 1000));
        other("s2").save(&lasting("two", 2000));
        partition.save(&lasting("three", 3000));
        let found = partition.load();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].0, key("a", "s"));
        assert_eq!(found[1].1.authorization(), "Bearer three");
        let expiry = store.0.lock().unwrap().values().next().unwrap().1;
        assert_eq!(expiry, found[1].1.expires_on, "the latest");
        other("s3").save(&lasting("short", 300));
        assert_eq!(partition.load().len(), 2, "what ends within five minutes is no use to anybody");
    }

    /// Is a token that lies in a foreign partition, be it by mistake or by malice, not believed?
    #[test]
    fn foreign_entries_are_not_believed() {
        let (store, call) = (Map::default(), call());
        stored(&store, "a", &call).save(&lasting("one", 1000));
        let (of_b, data) = {
            let content = store.0.lock().unwrap();
            (stored(&store, "b", &call).partition.key, content.values().next().unwrap().clone())
        };
        store.0.lock().unwrap().insert(of_b, data);
        assert!(stored(&store, "b", &call).load().is_empty());
    }

    /// Is a bound token kept without its key, and believed only where the app brings that certificate?
    #[test]
    fn bound_tokens_need_their_certificate() {
        let (store, call) = (Map::default(), call());
        let entry = |token_type: &str, x5t: Option<&str>| Entry {
            token_type: token_type.to_owned(),
            x5t_s256: x5t.map(str::to_owned),
            ..Entry::new(&key("a", "s"), &lasting("one", 1000))
        };
        let partition = stored(&store, "a", &call);
        for (entry, believed) in [
            (entry("Bearer", None), true),
            (entry("Bearer", Some("x")), false),
            (entry("mtls_pop", None), false),
            (entry("mtls_pop", Some("x")), false),
            (entry("PoP", None), false),
        ] {
            let content = serde_json::to_vec(&Content { version: VERSION, tokens: vec![entry] }).unwrap();
            store.save(&partition.partition.key, &content, SystemTime::now()).unwrap();
            assert_eq!(partition.load().len(), usize::from(believed));
        }
    }

    /// Is nothing believed that never came from here: what would end a header, and what lives for ever?
    #[test]
    fn tokens_that_are_none() {
        let (store, call) = (Map::default(), call());
        let partition = stored(&store, "a", &call);
        let entry = |token: &str, seconds: i64| Entry::new(&key("a", "s"), &lasting(token, seconds));
        for (entry, believed) in [
            (entry("one", 1000), true),
            (entry("one", LONGEST_LIFE), true),
            (entry("one\r\nX: y", 1000), false),
            (entry("one\0", 1000), false),
            (entry("\u{e4}", 1000), false),
            (entry("", 1000), false),
            (entry("one", LONGEST_LIFE + 1000), false),
            (Entry { expires_on: i64::MAX, ..entry("one", 1000) }, false),
            (Entry { expires_on: i64::MIN, ..entry("one", 1000) }, false),
            (Entry { refresh_on: Some(i64::MAX), ..entry("one", 1000) }, true),
            (Entry { received_on: unix_seconds(SystemTime::now()), ..entry("one", 1000) }, true),
            (Entry { received_on: unix_seconds(SystemTime::now()) + 1000, ..entry("one", 1000) }, false),
        ] {
            let content = serde_json::to_vec(&Content { version: VERSION, tokens: vec![entry] }).unwrap();
            store.save(&partition.partition.key, &content, SystemTime::now()).unwrap();
            let found = partition.load();
            assert_eq!(found.len(), usize::from(believed), "{}", String::from_utf8_lossy(&content));
            assert!(
                found.iter().all(|(_, token)| token
                    .refresh_on
                    .is_none_or(|at| i64::from(at.get()) <= token.expires_on))
            );
        }
    }

    /// Two versions of the library with one store: is what the first one wrote believed, and what a later one adds passed
    /// over?
    #[test]
    fn versions_share_a_store() {
        let (store, call) = (Map::default(), call());
        let partition = stored(&store, "a", &call);
        let first = serde_json::json!({
            "key": key("a", "s"), "token_type": "Bearer", "token": "one",
            "expires_on": unix_seconds(SystemTime::now()) + 1000, "scopes": ["s"], "endpoint": "https://e.test/",
        });
        let mut later = first.clone();
        later["received_on"] = unix_seconds(SystemTime::now()).into();
        later["kept_by"] = "mtlspop 9.9".into();
        for entry in [first, later] {
            let content =
                serde_json::json!({ "version": 1, "written_by": "x", "tokens": [entry] }).to_string();
            store.save(&partition.partition.key, content.as_bytes(), SystemTime::now()).unwrap();
            assert_eq!(partition.load()[0].1.authorization(), "Bearer one", "{content}");
        }
    }

    /// Is a Bearer token in a partition of bound ones not believed, so that no request for one is answered
    /// with the other?
    #[test]
    fn no_bearer_among_bound_tokens() {
        let (store, call) = (Map::default(), call());
        let mut partition = stored(&store, "a", &call);
        partition.save(&lasting("one", 1000));
        assert_eq!(partition.load().len(), 1);
        let own = rcgen::generate_simple_self_signed(vec!["own.test".into()]).unwrap();
        let pem = own.cert.pem() + &own.signing_key.serialize_pem();
        partition.certificate = Some(Certificate::from_pem(pem.as_bytes(), None, None).unwrap());
        assert!(partition.load().is_empty());
    }

    /// Is everything else that may lie there passed over, and overwritten by the next token?
    #[test]
    fn damage_costs_a_request_only() {
        let (store, call) = (Map::default(), call());
        let partition = stored(&store, "a", &call);
        for data in
            [b"".as_slice(), b"{", b"\xff", b"[]", br#"{"version":2,"tokens":[]}"#, br#"{"version":1}"#]
        {
            store.save(&partition.partition.key, data, SystemTime::now()).unwrap();
            assert!(partition.load().is_empty());
            partition.save(&lasting("one", 1000));
            assert_eq!(partition.load().len(), 1);
        }
        let broken = stored(&Broken, "a", &call);
        broken.save(&lasting("one", 1000));
        assert!(broken.load().is_empty());
        assert!(!call.spent().in_cache().is_zero());
    }
}
