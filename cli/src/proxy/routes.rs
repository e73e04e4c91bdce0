//! Where a request goes: to one of the upstreams that were named at the start, and below its path.

use hyper::StatusCode;
use hyper::Uri;
use hyper::http::request::Parts;
use mtlspop::TokenRequest;

use crate::server::Refusal;
use crate::{Failure, Result};

/// The upstreams.
pub(super) struct Routes(Vec<Upstream>);

/// One of them.
pub(super) struct Upstream {
    /// `/graph`; none for one that the Host header names.
    prefix: Option<String>,
    /// With its port, where it has one.
    authority: String,
    host: String,
    /// What stands before each path; empty, or `/v1.0`.
    base: String,
    token: TokenRequest,
}

impl Routes {
    /// By the command line, with tokens for `scope` where an upstream has no resource of its own.
    pub(super) fn new(upstreams: &[String], scope: Option<&str>, pop: bool) -> Result<Self> {
        let mut all: Vec<Upstream> = Vec::new();
        for text in upstreams {
            let upstream = Upstream::new(text, scope, pop)
                .map_err(|what| Failure::input(format!("--upstream {text}: {what}")))?;
            let is_same = |other: &Upstream| match (&upstream.prefix, &other.prefix) {
                (None, None) => upstream.host == other.host,
                (ours, theirs) => ours == theirs,
            };
            if all.iter().any(is_same) {
                return Err(Failure::input(format!("--upstream {text}: another is chosen by the same")));
            }
            all.push(upstream);
        }
        Ok(Self(all))
    }

    /// Names that the Host header of clients may have to choose one.
    pub(super) fn hosts(&self, port: u16) -> impl Iterator<Item = String> {
        let named = self.0.iter().filter(|upstream| upstream.prefix.is_none());
        named.flat_map(move |upstream| [upstream.host.clone(), format!("{}:{port}", upstream.host)])
    }

    /// Which one a request is for, and the URL there.
    pub(super) fn choose(&self, head: &Parts) -> Result<(&Upstream, String), Refusal> {
        let path = head.uri.path();
        if !path.starts_with('/') {
            return Err((StatusCode::BAD_REQUEST, "the target of the request is no path"));
        }
        if has_dot_segments(path) {
            return Err((
                StatusCode::BAD_REQUEST,
                "the path has segments . or .., which could lead elsewhere",
            ));
        }
        let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let named = self
            .0
            .iter()
            .find(|upstream| upstream.prefix.is_none() && upstream.host.eq_ignore_ascii_case(host));
        let chosen = named.or_else(|| self.by_prefix(path)).or(match &self.0[..] {
            [only] if only.prefix.is_none() => Some(only),
            _ => None,
        });
        let upstream =
            chosen.ok_or((StatusCode::NOT_FOUND, "no upstream is chosen by this path and host"))?;
        Ok((upstream, upstream.url(path, head.uri.query())))
    }

    /// The longest whose segments are all there.
    fn by_prefix(&self, path: &str) -> Option<&Upstream> {
        let matching = self.0.iter().filter(|upstream| {
            let rest = upstream.prefix.as_deref().and_then(|prefix| path.strip_prefix(prefix));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        matching.max_by_key(|upstream| upstream.prefix.as_ref().map(String::len))
    }
}

impl Upstream {
    fn new(text: &str, scope: Option<&str>, pop: bool) -> Result<Self, &'static str> {
        let (target, resource) = match text.split_once(',') {
            Some((target, resource)) => (target, Some(resource)),
            None => (text, None),
        };
        let (prefix, url) = match target.split_once('=') {
            Some((prefix, url)) if prefix.starts_with('/') => (Some(prefix.trim_end_matches('/')), url),
            _ => (None, target),
        };
        if prefix.is_some_and(|prefix| prefix.is_empty() || has_dot_segments(prefix) || prefix.contains("//"))
        {
            return Err("a prefix is one or more whole segments, as /graph");
        }
        let wrong = "it takes an https:// URL, without query, user name and dot segments";
        let url: Uri = url.parse().map_err(|_| wrong)?;
        let (scheme, authority) = (url.scheme_str(), url.authority().ok_or(wrong)?);
        let is_plain =
            url.query().is_none() && !authority.as_str().contains('@') && !authority.host().is_empty();
        if scheme != Some("https") || !is_plain || has_dot_segments(url.path()) {
            return Err(wrong);
        }
        let scope = match (resource, scope) {
            (Some(""), _) => return Err("behind the comma there is no resource"),
            (Some(resource), _) => format!("{resource}/.default"),
            (None, Some(scope)) => scope.to_owned(),
            (None, None) => {
                return Err("what are its tokens for? Give --resource, or the resource behind a comma");
            }
        };
        Ok(Self {
            prefix: prefix.map(str::to_owned),
            authority: authority.to_string(),
            host: authority.host().to_owned(),
            base: url.path().trim_end_matches('/').to_owned(),
            token: TokenRequest::new(&scope).with_mtls_proof_of_possession(pop),
        })
    }

    pub(super) fn token(&self) -> &TokenRequest {
        &self.token
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    fn url(&self, path: &str, query: Option<&str>) -> String {
        let path = match &self.prefix {
            Some(prefix) => path.strip_prefix(prefix.as_str()).unwrap_or(path),
            None => path,
        };
        let slash = if path.is_empty() { "/" } else { "" };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("https://{}{}{path}{slash}{query}", self.authority, self.base)
    }
}

/// Whether whoever decodes and splits it, once or more often, could find a segment that leads upwards.
fn has_dot_segments(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    loop {
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
        // Some servers take what stands behind a semicolon for parameters of the segment.
        let name = |segment: &[u8]| segment.split(|byte| *byte == b';').next().map(<[u8]>::to_vec);
        if segments.any(|segment| matches!(name(segment).as_deref(), Some(b"." | b".."))) {
            return true;
        }
        let decoded = decoded(&path);
        if decoded.len() == path.len() {
            return false;
        }
        path = decoded;
    }
}

/// With each `%2e` and its like in the place of which it stands. What is no such triple stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let triple = (*byte == b'%').then(|| Some(digit(at + 1)? * 16 + digit(at + 2)?)).flatten();
        match triple.and_then(|value| u8::try_from(value).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const GRAPH: &str = "https://graph.microsoft.com";

    fn routes(upstreams: &[&str]) -> Result<Routes> {
        let upstreams: Vec<String> = upstreams.iter().map(|&text| text.to_owned()).collect();
        Routes::new(&upstreams, Some("https://graph.microsoft.com/.default"), true)
    }

    fn choose(routes: &Routes, host: &str, target: &str) -> Result<String, u16> {
        let request = Request::get(target).header("host", host).body(()).unwrap();
        let chosen = routes.choose(&request.into_parts().0);
        chosen.map(|(_, url)| url).map_err(|(status, _)| status.as_u16())
    }

    /// Does a request go to the upstream whose prefix it has in whole segments, the longest of these, or that its host names;
    /// and nowhere else?
    #[test]
    fn choices() {
        let one = routes(&["https://graph.microsoft.com/v1.0/"]).unwrap();
        let many = routes(&["/a=https://one.example", "/a/b/=https://two.example:8443/base", GRAPH]).unwrap();
        for (routes, host, target, answer) in [
            (&one, "127.0.0.1:80", "/x?y=/../z", Ok("https://graph.microsoft.com/v1.0/x?y=/../z")),
            (&one, "127.0.0.1:80", "/", Ok("https://graph.microsoft.com/v1.0/")),
            (
                &one,
                "127.0.0.1:80",
                "//other.example/x",
                Ok("https://graph.microsoft.com/v1.0//other.example/x"),
            ),
            (&many, "127.0.0.1:80", "/a/x%2Fy", Ok("https://one.example/x%2Fy")),
            (&many, "127.0.0.1:80", "/a", Ok("https://one.example/")),
            (&many, "127.0.0.1:80", "/a?b", Ok("https://one.example/?b")),
            (&many, "127.0.0.1:80", "/a/bc", Ok("https://one.example/bc")),
            (&many, "127.0.0.1:80", "/a/b", Ok("https://two.example:8443/base/")),
            (&many, "127.0.0.1:80", "/a/b/c", Ok("https://two.example:8443/base/c")),
            (&many, "127.0.0.1:80", "/ab", Err(404)),
            (&many, "127.0.0.1:80", "/%61/x", Err(404)),
            (&many, "127.0.0.1:80", "/", Err(404)),
            (&many, "Graph.microsoft.com:8080", "/a/x", Ok("https://graph.microsoft.com/a/x")),
            (&many, "two.example", "/", Err(404)),
        ] {
            assert_eq!(choose(routes, host, target), answer.map(str::to_owned), "{host} {target}");
        }
        let hosts: Vec<String> = many.hosts(80).collect();
        assert_eq!(hosts, ["graph.microsoft.com", "graph.microsoft.com:80"]);
    }

    /// Is what leads upwards found, in whatever way it is written?
    #[test]
    fn dot_segments() {
        let routes = routes(&[GRAPH]).unwrap();
        for target in [
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/%2e%2E/b",
            "/.%2e",
            "/%2e",
            "/a%2f..%2fb",
            "/a/..%2fb",
            "/a/..%5Cb",
            "/a\\..\\b",
            "/%252e%252e/b",
            "/a/..;x=y/b",
            "/a/.%2e;/b",
        ] {
            assert_eq!(choose(&routes, "localhost", target), Err(400), "{target}");
        }
        for target in ["/...", "/a..b/.c/d.", "/a/%2ec", "/%", "/a%2", "/a%zz", "/x?../.."] {
            assert!(choose(&routes, "localhost", target).is_ok(), "{target}");
        }
    }

    /// Is what cannot be an upstream said at the start?
    #[test]
    fn mistakes() {
        for upstreams in [
            &["http://graph.microsoft.com"][..],
            &["graph.microsoft.com"],
            &["https://a@graph.microsoft.com"],
            &["https://graph.microsoft.com/?a"],
            &["https://graph.microsoft.com/a/../b"],
            &["/=https://graph.microsoft.com"],
            &["/a/..=https://graph.microsoft.com"],
            &["/a=https://graph.microsoft.com,"],
            &[GRAPH, "https://graph.microsoft.com/v1.0"],
            &["/a=https://one.example", "/a/=https://two.example"],
            &[""],
        ] {
            assert!(routes(upstreams).is_err(), "{upstreams:?}");
        }
        assert!(Routes::new(&[GRAPH.to_owned()], None, true).is_err());
        assert!(Routes::new(&[format!("{GRAPH},{GRAPH}")], None, true).is_ok());
    }
}
