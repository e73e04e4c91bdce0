//! What two requests must have in common to share a token.

use std::fmt::Write;
use std::hash::{BuildHasher, Hash, Hasher};

/// The parts of a key, joined so that no two different lists of parts give the same text, and hashed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheKey {
    text: Box<str>,
    hash: u64,
}

/// Collects the parts of a [`CacheKey`].
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuilder {
    text: String,
}

impl KeyBuilder {
    /// Adds a part under its name. The length in front keeps `a` + `bc` apart from `ab` + `c`.
    pub(crate) fn part(mut self, name: &str, value: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{name}:{}:{value};", value.len());
        self
    }

    /// Adds scopes; neither order nor case nor repetition matters to the service, so not here either.
    pub(crate) fn scopes(self, scopes: &[String]) -> Self {
        let mut sorted: Vec<String> = scopes.iter().map(|scope| scope.to_lowercase()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        self.part("scopes", &sorted.join(" "))
    }

    pub(crate) fn build(self) -> CacheKey {
        let hash = foldhash::fast::FixedState::default().hash_one(&self.text);
        CacheKey { text: self.text.into_boxed_str(), hash }
    }
}

impl CacheKey {
    pub(crate) fn hash_value(&self) -> u64 {
        self.hash
    }
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &[&str]) -> CacheKey {
        let list: Vec<String> = list.iter().map(|s| (*s).to_owned()).collect();
        KeyBuilder::default().scopes(&list).build()
    }

    /// Do requests for the same scopes share, whatever order they are written in?
    #[test]
    fn scopes_are_a_set() {
        assert_eq!(scopes(&["b", "A"]), scopes(&["a", "B", "b"]));
        assert_ne!(scopes(&["a"]), scopes(&["a", "b"]));
    }

    /// Can a crafted value imitate other parts (isolation of the cache, confidential_client spec, 5.2)?
    #[test]
    fn parts_cannot_run_together() {
        let honest = KeyBuilder::default().part("a", "x").part("b", "y").build();
        let crafted = KeyBuilder::default().part("a", "x;b:1:y").build();
        assert_ne!(honest, crafted);
        let shifted = KeyBuilder::default().part("a", "xb").part("b", "").build();
        assert_ne!(honest, shifted);
    }
}
