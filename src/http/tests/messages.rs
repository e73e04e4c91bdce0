//! What goes over the wire, and what comes back as a response or an error.

use super::server::{Answer, answer, header, ok};
use super::*;

/// Are every status and every header handed on, with redirects left to the caller?
#[test]
fn any_status_is_a_response() {
    let server = Server::plain(|seen| match seen.head.split(' ').nth(1).unwrap() {
        "/moved" => answer(302, "Location: /elsewhere\r\n", ""),
        _ => answer(418, "X-Two: a\r\nx-one: c\r\nX-TWO: b\r\n", "short and stout"),
    });
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let response = get(&client, &server.url("/teapot")).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (418, &b"short and stout"[..]));
    assert_eq!(response.header("X-one"), Some("c"));
    let twice = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-two"));
    assert_eq!(twice.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(!format!("{response:?}").contains("stout"));

    let moved = get(&client, &server.url("/moved")).unwrap();
    assert_eq!((moved.status, moved.header("location")), (302, Some("/elsewhere")));
    assert_eq!(server.seen().len(), 2, "nobody went to /elsewhere");
}

/// Is the request what the caller made of it, and nothing more than that?
#[test]
fn requests_carry_what_was_asked() {
    let server = Server::plain(|_| ok());
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let url = server.url("/path?a=b#fragment");
    client.send(&Request::post(&url, b"grant").header("x-it", "grün"), &call()).unwrap();
    let seen = &server.seen()[0];
    assert!(seen.head.starts_with("POST /path?a=b HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(header(&seen.head, "user-agent").unwrap(), concat!("mtlspop/", env!("CARGO_PKG_VERSION")));
    assert_eq!(header(&seen.head, "x-it").as_deref(), Some("grün"));
    assert_eq!(header(&seen.head, "accept-encoding"), None);
    assert_eq!(seen.body, b"grant");
}

/// Do the methods that APIs use work, with a body and without?
#[test]
fn any_method_with_and_without_a_body() {
    let server = Server::plain(|_| answer(204, "", ""));
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let url = server.url("/");
    for name in ["GET", "PUT", "PATCH", "DELETE", "POST", "OPTIONS", "PROPFIND"] {
        let method = message::method(name).unwrap();
        client.send(&Request::new(method.clone(), &url), &call()).unwrap();
        client.send(&Request::new(method, &url).body(b"body"), &call()).unwrap();
        let seen = server.seen();
        let [without, with] = &seen[seen.len() - 2..] else { panic!() };
        assert!(without.head.starts_with(name) && without.body.is_empty(), "{name}: {without:?}");
        assert!(with.head.starts_with(name) && with.body == b"body", "{name}: {with:?}");
        assert_eq!(header(&without.head, "transfer-encoding"), None, "{name}");
    }
    assert!(message::method("CONNECT").is_err() && message::method("G T").is_err());
}

/// Is a header that could smuggle a second request refused, without showing its value?
#[test]
fn header_injection_is_refused() {
    let server = Server::plain(|_| ok());
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let url = server.url("/");
    for (name, value) in [
        ("x-a", "secret\r\nx-b: 1"),
        ("x-a", "secret\n"),
        ("x-a", "secret\0"),
        ("x a", "secret"),
        ("x-a\r\nx-b", "secret"),
        ("", "secret"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "secret"),
    ] {
        let error = client.send(&Request::get(&url).header(name, value), &call()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
        assert!(!error.message().contains("secret"), "{error}");
    }
    assert!(server.seen().is_empty());
}

/// Are more headers than can be kept an error, rather than a panic?
#[test]
fn too_many_headers() {
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let url = "https://localhost:1/".parse().unwrap();
    let request =
        (0..40_000).fold(Request::get(&url), |request, number| request.header(&format!("x-{number}"), "1"));
    let error = client.send(&request, &call()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.message(), "a request cannot have so many headers");
}

/// Is a line of a request that is too long the caller's mistake, by the byte, and named?
#[test]
fn too_long_a_line() {
    let server = Server::plain(|_| ok());
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let (longest, url) = (16 * 1024, server.url("/"));
    let value = "v".repeat(longest - "x-long: \r\n\r\n".len());
    client.send(&Request::get(&url).header("x-long", &value), &call()).unwrap();
    let error = client.send(&Request::get(&url).header("x-long", value + "v"), &call()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.message(), "the header x-long of the request is longer than 16 KiB");
    let path = "p".repeat(longest - "GET / HTTP/1.1\r\n".len());
    client.send(&Request::get(&server.url(&format!("/{path}"))), &call()).unwrap();
    let error = client.send(&Request::get(&server.url(&format!("/{path}p"))), &call()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.message(), "the URL of the request is longer than 16 KiB");
}

/// Is an answer that is too long an error, whether its length was announced or not?
#[test]
fn the_body_is_capped() {
    let server = Server::plain(|seen| match seen.head.split(' ').nth(1).unwrap() {
        "/announced" => answer(200, "", "0123456789"),
        "/chunked" => Answer::Send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n".into(),
        ),
        _ => Answer::SendAndClose("HTTP/1.1 200 OK\r\n\r\n0123456789".into()),
    });
    let client = pool(&Ca::new("ca")).direct().unwrap();
    for path in ["/announced", "/chunked", "/to-the-end"] {
        let url = server.url(path);
        let exact = client.send(&Request::get(&url).max_response_bytes(10), &call()).unwrap();
        assert_eq!(exact.body.as_slice(), b"0123456789", "{path}");
        let error = client.send(&Request::get(&url).max_response_bytes(9), &call()).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::InvalidResponse, "response_too_large"),
            "{path}"
        );
    }
}

/// Is an answer that breaks off or is not HTTP told apart from a good one?
#[test]
fn broken_answers_are_errors() {
    let server = Server::plain(|seen| match seen.head.split(' ').nth(1).unwrap() {
        "/cut" => Answer::SendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234".into()),
        "/reset" => Answer::Reset,
        "/nothing" => Answer::SendAndClose(String::new()),
        _ => Answer::SendAndClose("SSH-2.0-OpenSSH_9.6\r\n\r\n".into()),
    });
    let client = pool(&Ca::new("ca")).direct().unwrap();
    for path in ["/cut", "/reset", "/nothing"] {
        let error = get(&client, &server.url(path)).unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::Reset), "{path}: {error}");
        assert!(error.is_retryable() && error.correlation_id() == Some("the-id"));
    }
    let error = get(&client, &server.url("/ssh")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    assert_eq!(server.seen().len(), 4, "a fresh connection that fails is not tried again");
}

/// A body without a length ends with its connection: is a connection that anybody may have cut, by a FIN
/// without `close_notify` or by a reset, no proof that the answer is complete?
#[test]
fn a_cut_connection_is_not_the_end_of_an_answer() {
    let ca = Ca::new("ca");
    let half = || "HTTP/1.1 200 OK\r\n\r\n{\"a\":1".to_owned();
    let by_fin = Server::tls(&ca, move |_| Answer::SendAndClose(half()));
    let by_reset = Server::tls(&ca, move |_| Answer::SendAndReset(half()));
    let plain = Server::plain(move |_| Answer::SendAndReset(half()));
    let pool = pool(&ca);
    let (https, http) = (pool.plain().unwrap(), pool.direct().unwrap());
    for (client, server) in [(&https, &by_fin), (&https, &by_reset), (&http, &plain)] {
        let error = get(client, &server.url("/")).unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::Reset), "{error}");
    }
}

/// Does each way of not getting a connection say which one it was?
#[test]
fn failures_to_connect_are_told_apart() {
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let nobody = Nobody::new();
    let error = get(&client, &Url::parse(&format!("http://{}/", nobody.address)).unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.transport()), (ErrorKind::Network, Some(TransportFailure::Connect)));
    let host = impossible_host();
    let error = get(&client, &Url::parse(&format!("http://{host}/")).unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.transport()), (ErrorKind::Network, Some(TransportFailure::Dns)));
    assert!(error.message().contains(&host), "{error}");
}

/// Is plain http possible only for the endpoints of this machine?
#[test]
fn plain_http_is_for_the_direct_client() {
    let server = Server::plain(|_| ok());
    let ca = Ca::new("ca");
    let pool = pool(&ca);
    for client in [pool.plain().unwrap(), pool.for_certificate(&ca.client()).unwrap()] {
        let error = get(&client, &server.url("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    let with_password = Url::parse("http://user:hunter2@localhost/").unwrap();
    let error = get(&pool.direct().unwrap(), &with_password).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && !error.message().contains("hunter2"));
    assert_eq!(server.connections(), 0);
}
