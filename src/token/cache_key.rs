//! What two requests must have in common to share a token, and to lie in one partition of a store.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use once_cell::race::OnceBox;
use uuid::Uuid;

/// The parts of a key, joined so that no two different lists of parts give the same text, and hashed once. Clones
/// share the text.
#[derive(Clone, Debug)]
pub(crate) struct CacheKey {
    text: Arc<str>,
    hash: u64,
}

/// Collects the parts of a [`CacheKey`].
///
/// A *component* separates whole partitions: who asks, where, and everything else that must never
/// mix. A *part* tells apart the tokens within a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuilder {
    components: String,
    parts: String,
}

/// A key without its last part, the scopes: many requests differ in nothing else.
#[derive(Debug)]
pub(crate) struct KeyStem(Box<str>);

/// The tokens that lie in an external store together.
#[derive(Debug)]
pub(crate) struct Partition {
    /// What the store knows it by, see [`KeyBuilder::partition`].
    pub(crate) key: String,
    /// How the text of each of its keys starts.
    prefix: String,
}

/// The name of the last part.
const SCOPES: &str = "scopes";

impl KeyBuilder {
    /// Adds a component under its name.
    pub(crate) fn component(mut self, name: &str, value: &str) -> Self {
        append(&mut self.components, name, value);
        self
    }

    /// Adds a part under its name.
    pub(crate) fn part(mut self, name: &str, value: &str) -> Self {
        append(&mut self.parts, name, value);
        self
    }

    /// Adds the last part: scopes as [`scopes`] writes them, or a resource.
    pub(crate) fn scopes(self, scopes: &str) -> Self {
        self.part(SCOPES, scopes)
    }

    /// What there is, to be given scopes again and again.
    pub(crate) fn stem(self) -> KeyStem {
        KeyStem((self.prefix() + &self.parts).into_boxed_str())
    }

    pub(crate) fn build(self) -> CacheKey {
        CacheKey::from_text(self.prefix() + &self.parts)
    }

    /// The partition, named as MSAL names it (confidential_client spec, section 5.1):
    /// `{key id}{client}_{tenant}_{ext}_AppTokenCache`, the key id being the certificate's `x5t#S256`.
    ///
    /// `ext` is the base64url SHA-256 of all components, the cloud included, each with its length in
    /// front. MSAL.NET hashes names and values run together, so that `a` + `bc` and `ab` + `c` would
    /// share tokens; and a store that both use sees different names, as it must: so do the bytes.
    pub(crate) fn partition(&self, key_id: &str, client_id: &str, tenant: &str) -> Partition {
        let ext = URL_SAFE_NO_PAD.encode(digest(&SHA256, self.components.as_bytes()));
        Partition { key: format!("{key_id}{client_id}_{tenant}_{ext}_AppTokenCache"), prefix: self.prefix() }
    }

    /// The components, ended: those of one partition are never the beginning of another's.
    fn prefix(&self) -> String {
        format!("{}|", self.components)
    }
}

impl KeyStem {
    /// The key that [`KeyBuilder::scopes`] leads to.
    pub(crate) fn key(&self, scopes: &str) -> CacheKey {
        let mut text = String::with_capacity(self.0.len() + length(SCOPES, scopes));
        text.push_str(&self.0);
        append(&mut text, SCOPES, scopes);
        CacheKey::from_text(text)
    }
}

impl Partition {
    /// Whether the key with this text belongs here.
    pub(crate) fn holds(&self, key: &str) -> bool {
        key.starts_with(&self.prefix)
    }
}

impl CacheKey {
    /// A key whose text was written down earlier.
    pub(crate) fn from_text(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let hash = SeedableRandomState::with_seed(0, seed()).hash_one(&text);
        Self { text, hash }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn hash_value(&self) -> u64 {
        self.hash
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Scopes as one value; neither order nor case nor repetition matters to the service, so not here either.
pub(crate) fn scopes<'a>(scopes: &[&'a str]) -> Cow<'a, str> {
    if let [scope] = scopes
        && !scope.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        return Cow::Borrowed(scope);
    }
    let mut sorted: Vec<String> = scopes.iter().map(|scope| scope.to_ascii_lowercase()).collect();
    sorted.sort_unstable();
    sorted.dedup();
    Cow::Owned(sorted.join(" "))
}

/// Another one in each process: parts of keys may be chosen by who means harm, and could else all lie in one bucket.
/// Without a lock, which a forked child could inherit as another thread had it.
fn seed() -> &'static SharedSeed {
    static SEED: OnceBox<SharedSeed> = OnceBox::new();
    SEED.get_or_init(|| Box::new(SharedSeed::from_u64(Uuid::new_v4().as_u64_pair().1)))
}

/// Names may be the caller's, too: the lengths in front keep `a` + `bc` apart from `ab` + `c`.
fn append(text: &mut String, name: &str, value: &str) {
    text.reserve(length(name, value));
    append_number(text, name.len());
    text.push(':');
    text.push_str(name);
    text.push(':');
    append_number(text, value.len());
    text.push(':');
    text.push_str(value);
    text.push(';');
}

/// How long that is.
fn length(name: &str, value: &str) -> usize {
    let digits = |number: usize| 1 + number.checked_ilog10().unwrap_or(0) as usize;
    digits(name.len()) + name.len() + digits(value.len()) + value.len() + ":::;".len()
}

/// In decimal, without the machinery of `format!`: a request that is used once has its key made for one look.
fn append_number(text: &mut String, number: usize) {
    if number > 9 {
        append_number(text, number / 10);
    }
    text.push(char::from(b"0123456789"[number % 10]));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Do requests for the same scopes share, whatever order they are written in?
    #[test]
    fn scopes_are_a_set() {
        assert_eq!(scopes(&["b", "A"]), scopes(&["a", "B", "b"]));
        assert_eq!(scopes(&["A"]), scopes(&["a"]));
        assert_ne!(scopes(&["a"]), scopes(&["a", "b"]));
    }

    /// Is it all one whether a key is made in one go, or of what requests have in common? Also with lengths of more
    /// than one digit, which are written by hand here.
    #[test]
    fn stems_lead_to_the_same_keys() {
        for length in [0, 1, 9, 10, 99, 100, 1005] {
            let (value, scopes) = ("x".repeat(length), "s".repeat(length));
            let builder = || KeyBuilder::default().component("c", &value).part("p", &value);
            let key = builder().stem().key(&scopes);
            assert_eq!(key, builder().scopes(&scopes).build());
            assert_eq!(
                key.text(),
                format!("1:c:{length}:{value};|1:p:{length}:{value};6:scopes:{length}:{scopes};")
            );
        }
    }

    /// Can somebody who knows the library find keys that lie in one bucket, to make each look a long one?
    #[test]
    fn nobody_else_knows_the_hash() {
        let key = KeyBuilder::default().part("a", "x").build();
        assert_eq!(key.hash_value(), CacheKey::from_text(key.text()).hash_value());
        assert_ne!(key.hash_value(), SeedableRandomState::fixed().hash_one(key.text()));
        let known = SeedableRandomState::with_seed(0, SharedSeed::global_fixed());
        assert_ne!(key.hash_value(), known.hash_one(key.text()));
    }

    /// Can a crafted value imitate other parts (isolation of the cache, confidential_client spec, 5.2)?
    #[test]
    fn parts_cannot_run_together() {
        let honest = KeyBuilder::default().part("a", "x").part("b", "y").build();
        let crafted = KeyBuilder::default().part("a", "x;b:1:y").build();
        assert_ne!(honest, crafted);
        let named = KeyBuilder::default().part("a:1:x;1:b", "y").build();
        assert_ne!(honest, named);
        let shifted = KeyBuilder::default().part("a", "xb").part("b", "").build();
        assert_ne!(honest, shifted);
        let component = KeyBuilder::default().component("a", "x").part("b", "y").build();
        assert_ne!(honest, component);
    }

    /// Is a partition named as section 5.1 says, by everything that keeps partitions apart, and by nothing else?
    #[test]
    fn partitions_have_their_names() {
        let builder = |cloud, extra: &[(&str, &str)]| {
            let builder = KeyBuilder::default().component("cloud", cloud).part("scopes", "any");
            extra.iter().fold(builder, |builder, (name, value)| builder.component(name, value))
        };
        let name = |builder: &KeyBuilder| builder.partition("thumbprint", "client", "tenant").key;
        let plain = name(&builder("public", &[]));
        // printf '5:cloud:6:public;' | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(
            plain,
            "thumbprintclient_tenant_6Xg9_tZlOlDmCe2Y6VblwmXK2Z8mvs10Iu3a8KK1BJQ_AppTokenCache"
        );
        assert_eq!(plain, name(&builder("public", &[]).part("more", "parts")));
        assert_ne!(plain, name(&builder("us", &[])));
        assert_ne!(plain, name(&builder("public", &[("x", "y")])));
        assert_ne!(name(&builder("public", &[("a", "bc")])), name(&builder("public", &[("ab", "c")])));
    }

    /// Does a partition hold its own keys only, also where another one has more components?
    #[test]
    fn partitions_hold_their_own_keys() {
        let small = KeyBuilder::default().component("client", "a");
        let large = small.clone().component("path", "b");
        let (key, other) = (small.clone().part("s", "1").build(), large.clone().part("s", "1").build());
        let (small, large) = (small.partition("", "a", ""), large.partition("", "a", ""));
        assert!(small.holds(key.text()) && large.holds(other.text()));
        assert!(!small.holds(other.text()) && !large.holds(key.text()));
    }
}
