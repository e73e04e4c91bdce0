//! What a caller adds to token requests beyond what the library knows: query, form and header fields.

use crate::error::{Error, Result};
use crate::http::check_header;
use crate::token::{CallerSdk, KeyBuilder};

/// Additions to a token request. Names are unique: the last value of a name counts.
#[derive(Clone, Default)]
pub(crate) struct Parameters {
    query: Vec<Query>,
    body: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

#[derive(Clone)]
struct Query {
    name: String,
    value: String,
    in_cache_key: bool,
}

/// Fields of the form that the library sets; a request for a bound token must stay one.
const OUR_FIELDS: [&str; 13] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "resource",
    "grant_type",
    "token_type",
    "req_cnf",
    "client_info",
    "claims",
    "fmi_path",
    "refresh_token",
];
/// Headers that say what the message is or which call it belongs to.
const OUR_HEADERS: [&str; 4] = ["content-type", "accept", "client-request-id", "return-client-request-id"];

impl Parameters {
    pub(super) const NONE: Self = Self { query: Vec::new(), body: Vec::new(), headers: Vec::new() };

    pub(crate) fn set_query(&mut self, name: &str, value: &str, in_cache_key: bool) {
        self.query.retain(|known| known.name != name);
        self.query.push(Query { name: name.to_owned(), value: value.to_owned(), in_cache_key });
    }

    pub(crate) fn set_body(&mut self, name: &str, value: &str) {
        set(&mut self.body, name, value, |known| known == name);
    }

    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        set(&mut self.headers, name, value, |known| known.eq_ignore_ascii_case(name));
    }

    /// The same, with tokens told apart by each query parameter.
    pub(crate) fn all_in_cache_key(mut self) -> Self {
        self.query.iter_mut().for_each(|query| query.in_cache_key = true);
        self
    }

    /// The parameters of `request` on top of these.
    pub(crate) fn overlaid(&self, request: &Self) -> Self {
        let mut both = self.clone();
        for Query { name, value, in_cache_key } in &request.query {
            both.set_query(name, value, *in_cache_key);
        }
        for (name, value) in &request.body {
            both.set_body(name, value);
        }
        for (name, value) in &request.headers {
            both.set_header(name, value);
        }
        both
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.query.is_empty() && self.body.is_empty() && self.headers.is_empty()
    }

    pub(crate) fn has_body_or_headers(&self) -> bool {
        !self.body.is_empty() || !self.headers.is_empty()
    }

    /// Refuses names that are missing or the library's own, and headers that cannot be sent.
    pub(crate) fn check(&self) -> Result<()> {
        let names = self.query.iter().map(|query| &query.name);
        let mut names = names.chain(self.body.iter().chain(&self.headers).map(|(name, _)| name));
        if names.any(|name| name.trim().is_empty()) {
            return Err(Error::argument("an extra parameter or header has no name"));
        }
        let ours = |list: &[(String, String)], ours: &[&str]| {
            let known = |name: &str| ours.iter().any(|ours| ours.eq_ignore_ascii_case(name));
            list.iter().map(|(name, _)| name.clone()).find(|name| known(name))
        };
        match (ours(&self.body, &OUR_FIELDS), ours(&self.headers, &OUR_HEADERS)) {
            (Some(name), _) => {
                Err(Error::argument(format!("the body parameter {name} is set by the library")))
            }
            (_, Some(name)) => Err(Error::argument(format!("the header {name} is set by the library"))),
            _ => self.headers.iter().try_for_each(|(name, value)| check_header(name, value)),
        }
    }

    /// What tells tokens apart: everything in the body, and the query parameters that were marked.
    pub(crate) fn cache_key(&self, mut key: KeyBuilder) -> KeyBuilder {
        let query =
            self.query.iter().filter(|query| query.in_cache_key).map(|q| ("query", &q.name, &q.value));
        let body = self.body.iter().map(|(name, value)| ("body", name, value));
        let mut parts: Vec<_> = query.chain(body).collect();
        parts.sort_unstable();
        for (place, name, value) in parts {
            key = key.component(&format!("{place} {name}"), value);
        }
        key
    }

    /// The query parameters that go onto the wire.
    pub(crate) fn query(&self) -> Vec<(&str, &str)> {
        let pairs = self.query.iter().map(|query| (query.name.as_str(), query.value.as_str()));
        pairs.filter(|(name, _)| !CallerSdk::default().take(name, "")).collect()
    }

    /// Who calls, according to those that do not (section 4.2).
    pub(crate) fn caller<'a>(&'a self, mut caller: CallerSdk<'a>) -> CallerSdk<'a> {
        for query in &self.query {
            caller.take(&query.name, &query.value);
        }
        caller
    }

    pub(crate) fn body(&self) -> impl Iterator<Item = (&str, &str)> {
        self.body.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

fn set(list: &mut Vec<(String, String)>, name: &str, value: &str, same: impl Fn(&str) -> bool) {
    list.retain(|(known, _)| !same(known));
    list.push((name.to_owned(), value.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parameters: &Parameters) -> crate::token::CacheKey {
        parameters.cache_key(KeyBuilder::default()).build()
    }

    /// Which additions make another token of it (confidential_client spec, section 5.2)?
    #[test]
    fn what_is_part_of_the_cache_key() {
        let plain = Parameters::default();
        let with = |change: fn(&mut Parameters)| {
            let mut parameters = Parameters::default();
            change(&mut parameters);
            key(&parameters)
        };
        assert_eq!(with(|p| p.set_query("dc", "x", false)), key(&plain));
        assert_eq!(with(|p| p.set_header("h", "x")), key(&plain));
        assert_ne!(with(|p| p.set_query("dc", "x", true)), key(&plain));
        assert_ne!(with(|p| p.set_body("dc", "x")), key(&plain));
        assert_ne!(with(|p| p.set_body("dc", "x")), with(|p| p.set_query("dc", "x", true)));
        let both = |first: &str, second: &str| {
            let mut parameters = Parameters::default();
            parameters.set_body(first, first);
            parameters.set_body(second, second);
            key(&parameters)
        };
        assert_eq!(both("a", "b"), both("b", "a"));
    }

    /// Can a caller turn the request into another one?
    #[test]
    fn fields_of_the_library_are_refused() {
        for name in OUR_FIELDS.into_iter().chain(["Token_Type", " "]) {
            let mut parameters = Parameters::default();
            parameters.set_body(name, "x");
            assert!(parameters.check().is_err(), "{name:?}");
        }
        for (name, value) in [
            ("Client-Request-Id", "x"),
            ("Host", "x"),
            ("content-length", "1"),
            ("", "x"),
            ("two words", "x"),
            ("new\nline", "x"),
            ("good", "new\r\nline"),
            ("good", "\0"),
        ] {
            let mut parameters = Parameters::default();
            parameters.set_header(name, value);
            assert!(parameters.check().is_err(), "{name:?}: {value:?}");
        }
        let mut parameters = Parameters::default();
        parameters.set_header("good", "a value, also empty or ü");
        parameters.check().unwrap();
    }
}
