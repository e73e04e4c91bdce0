//! What two requests must have in common to share a token, and to lie in one partition of a store.

use std::borrow::Cow;
use std::hash::Hasher;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use once_cell::race::OnceBox;
use siphasher::sip128::{Hasher128, SipHasher24};
use uuid::Uuid;

/// 128 bits for the parts of a key, by a hash (SipHash-2-4) under a secret that each process draws for itself: without that nobody
/// can find two lists of parts with the same bits, nor choose some that lie in one bucket; by chance it does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey(u64, u64);

/// Collects the parts of a [`CacheKey`], joined so that no two different lists of them give the same text.
///
/// A *component* separates whole partitions: who asks, where, and everything else that must never
/// mix. A *part* tells apart the tokens within a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuilder {
    components: String,
    parts: String,
}

/// A key without the value of its last part, the scopes: many requests differ in nothing else.
pub(crate) struct KeyStem(SipHasher24);

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
        let mut hasher = hasher();
        hasher.write(self.text().as_bytes());
        with_length(SCOPES, &mut |piece| hasher.write(piece.as_bytes()));
        hasher.write(b":");
        KeyStem(hasher)
    }

    pub(crate) fn build(self) -> CacheKey {
        CacheKey::of_text(&self.text())
    }

    /// All of the key, as an external store has it.
    pub(crate) fn text(&self) -> String {
        self.prefix() + &self.parts
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
        let mut hasher = self.0;
        with_length(scopes, &mut |piece| hasher.write(piece.as_bytes()));
        hasher.write(b";");
        CacheKey::of(&hasher)
    }
}

impl Partition {
    /// Whether the key with this text belongs here.
    pub(crate) fn holds(&self, key: &str) -> bool {
        key.starts_with(&self.prefix)
    }
}

impl CacheKey {
    /// That of a [`KeyBuilder`] with this text.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut hasher = hasher();
        hasher.write(text.as_bytes());
        Self::of(&hasher)
    }

    fn of(hasher: &SipHasher24) -> Self {
        let hash = hasher.finish128();
        Self(hash.h1, hash.h2)
    }

    /// As many bits of it as a table needs.
    #[inline(always)]
    pub(crate) fn bits(self) -> u64 {
        self.0
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

/// The hash under the secret of this process. Without a lock, which a forked child could inherit as another thread had it.
fn hasher() -> SipHasher24 {
    static SECRET: OnceBox<[u8; 16]> = OnceBox::new();
    SipHasher24::new_with_key(SECRET.get_or_init(|| {
        let (one, other) = (Uuid::new_v4().as_u128(), Uuid::new_v4().as_u128());
        // Six bits of a random UUID are always the same, and not at the ends.
        Box::new((one ^ other.rotate_left(64)).to_le_bytes())
    }))
}

/// Names may be the caller's, too: the lengths in front keep `a` + `bc` apart from `ab` + `c`.
fn append(text: &mut String, name: &str, value: &str) {
    text.reserve(name.len() + value.len() + "123:".len() * 2 + ":;".len());
    with_length(name, &mut |piece| text.push_str(piece));
    text.push(':');
    with_length(value, &mut |piece| text.push_str(piece));
    text.push(';');
}

/// The length in decimal, a colon, the text. Without the machinery of `format!`: many keys are made for one look.
fn with_length(text: &str, put: &mut impl FnMut(&str)) {
    fn decimal(number: usize, put: &mut impl FnMut(&str)) {
        if number > 9 {
            decimal(number / 10, put);
        }
        put(&"0123456789"[number % 10..=number % 10]);
    }
    decimal(text.len(), put);
    put(":");
    put(text);
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
            let (text, stem) = (builder().scopes(&scopes).text(), builder().stem());
            assert_eq!(
                text,
                format!("1:c:{length}:{value};|1:p:{length}:{value};6:scopes:{length}:{scopes};")
            );
            assert_eq!(stem.key(&scopes), CacheKey::of_text(&text));
            assert_eq!(stem.key(&scopes), builder().scopes(&scopes).build(), "once more");
        }
    }

    /// Do keys differ in all of their bits, and can nobody who knows the library tell them in advance?
    #[test]
    fn nobody_else_knows_the_hash() {
        let keys = ["a", "b", "c"].map(CacheKey::of_text);
        for pair in [[0, 1], [1, 2], [2, 0]] {
            let [one, other] = pair.map(|index| keys[index]);
            assert!(one.0 != other.0 && one.1 != other.1);
        }
        assert_eq!(keys[0], CacheKey::of_text("a"));
        let mut known = SipHasher24::new();
        known.write(b"a");
        assert_ne!(keys[0], CacheKey::of(&known));
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
        let (key, other) = (small.clone().part("s", "1").text(), large.clone().part("s", "1").text());
        let (small, large) = (small.partition("", "a", ""), large.partition("", "a", ""));
        assert!(small.holds(&key) && large.holds(&other));
        assert!(!small.holds(&other) && !large.holds(&key));
    }
}
