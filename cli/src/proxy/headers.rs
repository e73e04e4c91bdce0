//! Which headers go through the proxy, and which are of one side alone.

use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::SECRET_HEADER;
use crate::server::Refusal;

/// Those of one connection (RFC 9110, section 7.6.1), beside what `Connection` names.
const OF_THE_CONNECTION: [HeaderName; 10] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];
/// Those in the place of which the library sets its own, or that say from where a request came.
const OF_THE_CLIENT: [HeaderName; 6] = [AUTHORIZATION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, VIA];

/// Refuses requests that want something else than an answer, or could be read in two ways.
pub(super) fn check(head: &Parts) -> Result<(), Refusal> {
    match head.method {
        Method::CONNECT => return Err((StatusCode::METHOD_NOT_ALLOWED, "there are no tunnels here")),
        // Its answer is the request, with the token in it.
        Method::TRACE => return Err((StatusCode::METHOD_NOT_ALLOWED, "TRACE would show the token")),
        _ => {}
    }
    let mut upgrades = head.headers.get_all(UPGRADE).iter();
    // Clients that could speak HTTP/2 offer that with any request, and do not mind.
    if upgrades.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"h2c")) {
        return Err((StatusCode::NOT_IMPLEMENTED, "connections are not upgraded here"));
    }
    // Where a Content-Length was there, too, hyper goes by this alone, and closes the connection (RFC 9112, section 6.3).
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if is_chunked(coding) => Ok(()),
        _ => Err((StatusCode::NOT_IMPLEMENTED, "the only Transfer-Encoding here is chunked")),
    }
}

/// What of a client's headers goes on.
pub(super) fn of_request(headers: &HeaderMap) -> Result<Vec<(&str, &str)>, Refusal> {
    let named = named(headers);
    let passes = |name: &HeaderName| {
        let text = name.as_str();
        passes_on(name, &named)
            && !OF_THE_CLIENT.contains(name)
            && text != SECRET_HEADER
            && !text.starts_with("x-forwarded-")
    };
    let passing = headers.iter().filter(|(name, _)| passes(name));
    passing
        .map(|(name, value)| {
            let value = std::str::from_utf8(value.as_bytes());
            let value = value.map_err(|_| (StatusCode::BAD_REQUEST, "a header is not UTF-8"))?;
            Ok((name.as_str(), value))
        })
        .collect()
}

/// What of an upstream's headers goes back.
pub(super) fn of_response(headers: &[(String, String)]) -> HeaderMap {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    });
    let mut all = HeaderMap::with_capacity(headers.len());
    for (name, value) in pairs {
        all.append(name, value);
    }
    let named = named(&all);
    let gone: Vec<HeaderName> = all.keys().filter(|name| !passes_on(name, &named)).cloned().collect();
    for name in gone {
        all.remove(name);
    }
    all
}

/// In lower case.
fn named(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn passes_on(name: &HeaderName, named: &[String]) -> bool {
    !OF_THE_CONNECTION.contains(name) && !named.iter().any(|other| other == name.as_str())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    /// Does of a client's headers only that go on which is for the API?
    #[test]
    fn requests() {
        let request = Request::get("/")
            .header("Accept", "a")
            .header("Accept", "b")
            .header("Connection", "keep-alive, X-One")
            .header("Connection", "x-two")
            .header("X-One", "1")
            .header("X-TWO", "2")
            .header("X-Three", "3")
            .header("X-Forwarded-For", "x")
            .header("X-Forwarded-Anything", "x")
            .header("X-Mtlspop-Secret", "x");
        let gone = OF_THE_CONNECTION.into_iter().chain(OF_THE_CLIENT);
        let request = gone.fold(request, |request, name| request.header(name, "x"));
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(of_request(&head.headers).unwrap(), [("accept", "a"), ("accept", "b"), ("x-three", "3")]);
    }

    /// Does the same go for what comes back, whose length is the client's to know?
    #[test]
    fn responses() {
        let headers = [
            ("Content-Length", "3"),
            ("Set-Cookie", "a"),
            ("set-cookie", "b"),
            ("Connection", "close, x-one"),
            ("X-One", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Keep-Alive", "timeout=5"),
            ("Location", "https://x.example/\u{e9}"),
        ];
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let passed = of_response(&headers);
        let names: Vec<&str> = passed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-length", "set-cookie", "set-cookie", "location"]);
    }

    /// Are requests refused that want no answer, or that two servers could read in two ways?
    #[test]
    fn refused() {
        for (method, header, value, status) in [
            ("GET", "x", "y", None),
            ("CONNECT", "x", "y", Some(405)),
            ("TRACE", "x", "y", Some(405)),
            ("GET", "upgrade", "websocket", Some(501)),
            ("GET", "upgrade", "h2c", None),
            ("POST", "transfer-encoding", "Chunked", None),
            ("POST", "transfer-encoding", "gzip, chunked", Some(501)),
            ("POST", "transfer-encoding", "chunked, chunked", Some(501)),
        ] {
            let request = Request::builder().method(method).uri("/").header(header, value).body(()).unwrap();
            let answer = check(&request.into_parts().0);
            assert_eq!(answer.err().map(|(status, _)| status.as_u16()), status, "{method} {header}: {value}");
        }
    }
}
