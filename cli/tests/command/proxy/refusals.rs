//! What the proxy refuses, by bytes that no client library would send.

use devcloud::Service;

use super::support::{GRAPH_AND_VAULT, Proxy, statuses};
use crate::support::{GRAPH, as_app, cloud, fail, in_cloud, succeed};

/// Is each request refused that has not the secret, comes from a browser or by another name, leads elsewhere, or wants no plain
/// answer; and does nothing of any reach the API?
#[test]
fn what_is_refused() {
    let cloud = cloud();
    let proxy = Proxy::start(&mut as_app(
        &cloud,
        &format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0 --max-body 10"),
    ));
    let (host, secret) =
        (format!("Host: {}", proxy.address()), format!("X-Mtlspop-Secret: {}", proxy.secret));
    let long = "x".repeat(40_000);
    let many = "X: y\r\n".repeat(200);
    for (status, request) in [
        ("401", format!("GET /graph/x HTTP/1.1\r\n{host}\r\n")),
        ("401", format!("GET /graph/x HTTP/1.1\r\n{host}\r\nX-Mtlspop-Secret: x\r\n")),
        ("401", format!("GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\n{secret}\r\n")),
        ("403", format!("GET /graph/x HTTP/1.1\r\n{secret}\r\n")),
        ("403", format!("GET /graph/x HTTP/1.1\r\nHost: rebound.example\r\n{secret}\r\n")),
        ("403", format!("GET /graph/x HTTP/1.1\r\nHost: mtlstb.graph.microsoft.com\r\n{secret}\r\n")),
        (
            "403",
            format!("GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nOrigin: http://{}\r\n", proxy.address()),
        ),
        ("403", format!("GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nSec-Fetch-Site: cross-site\r\n")),
        ("403", format!("GET https://graph.microsoft.com/x HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        ("403", format!("CONNECT graph.microsoft.com:443 HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        ("405", format!("TRACE /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        (
            "501",
            format!(
                "GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            ),
        ),
        ("400", format!("GET /graph/../vault/x HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        ("400", format!("GET /graph/%2e%2e/vault/x HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        ("400", format!("GET /graph/..%2fvault/x HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        ("400", format!("OPTIONS * HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        ("404", format!("GET /graphs HTTP/1.1\r\n{host}\r\n{secret}\r\n")),
        ("400", format!("GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nX-A: \u{e9}\u{0}\r\n")),
        ("431", format!("GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nX-Long: {long}\r\n")),
        ("431", format!("GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\n{many}")),
        ("413", format!("POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nContent-Length: 11\r\n")),
        // Smugglers.
        (
            "400",
            format!(
                "POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nContent-Length: 3\r\nContent-Length: 5\r\n"
            ),
        ),
        ("400", format!("POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nContent-Length: 3, 5\r\n")),
        ("400", format!("POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nContent-Length: +3\r\n")),
        ("400", format!("POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nContent-Length : 3\r\n")),
        ("400", format!("POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nTransfer-Encoding: identity\r\n")),
        (
            "501",
            format!("POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nTransfer-Encoding: gzip, chunked\r\n"),
        ),
        (
            "400",
            format!("POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nTransfer-Encoding: chunked, gzip\r\n"),
        ),
        (
            "501",
            format!(
                "POST /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n"
            ),
        ),
        ("400", format!("POST /graph/x HTTP/1.0\r\n{host}\r\n{secret}\r\nTransfer-Encoding: chunked\r\n")),
        ("400", format!("GET /graph/x HTTP/1.1\r\n{host}\r\n{secret}\r\nX: y\r\n folded: z\r\n")),
    ] {
        let answer = proxy.ask(&format!("{request}Connection: close\r\n\r\n"));
        assert_eq!(statuses(&answer), [status], "{request}{answer}");
    }
    // Known to be too long only on the way.
    let answer = proxy.ask("PUT /graph/upload HTTP/1.1\r\n$HEADERS\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nmore than 10\r\n0\r\n\r\n");
    assert_eq!(statuses(&answer), ["413"], "{answer}");
    let reached: Vec<_> =
        cloud.requests_to(Service::Graph).into_iter().filter(|request| request.status.is_some()).collect();
    assert!(reached.is_empty(), "{reached:?}");
}

/// Is a request that has both Content-Length and Transfer-Encoding read by its chunks alone, sent on with one length, and
/// nothing that follows it taken for a request?
#[test]
fn smuggled() {
    let cloud = cloud();
    let proxy = Proxy::start(&mut as_app(&cloud, &format!("proxy {GRAPH_AND_VAULT} --listen 127.0.0.1:0")));
    let smuggled = format!(
        "GET /graph/smuggled HTTP/1.1\r\nHost: {}\r\nX-Mtlspop-Secret: {}\r\n\r\n",
        proxy.address(),
        proxy.secret
    );
    let both = [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive",
    ];
    for headers in both {
        cloud.reset();
        let answer = proxy.ask(&format!(
            "POST /graph/echo HTTP/1.1\r\n$HEADERS\r\n{headers}\r\n\r\n1\r\nx\r\n0\r\n\r\n{smuggled}"
        ));
        assert_eq!(statuses(&answer), ["200"], "{answer}");
        assert!(answer.to_lowercase().contains("connection: close\r\n"), "{answer}");
        let reached = cloud.requests_to(Service::Graph);
        assert_eq!(
            (reached.len(), reached[0].path.as_str(), reached[0].body.as_str()),
            (1, "/echo", "x"),
            "{headers}"
        );
        let lengths = ["content-length", "transfer-encoding"].map(|name| reached[0].header(name).is_some());
        assert_ne!(lengths[0], lengths[1], "{headers}");
    }
    // With one length what follows is a request of the same client, which it may send.
    let answer = proxy.ask(&format!(
        "POST /graph/echo HTTP/1.1\r\n$HEADERS\r\nContent-Length: 1\r\n\r\nx{}",
        smuggled.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    ));
    assert_eq!(statuses(&answer), ["200", "200"], "{answer}");
}

/// Is what cannot work said at the start, and is there no place to listen that another host could reach?
#[test]
fn mistakes() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let short = place.path().join("short");
    std::fs::write(&short, "short\n").unwrap();
    let short = short.display();
    let good = format!("--resource {GRAPH} --upstream {GRAPH}");
    for (arguments, status, says) in [
        (format!("{good} --listen 127.0.0.1:0"), 2, "--listen-secret-file"),
        (format!("{good} --listen 127.0.0.1:0 --listen-secret-file {short}"), 6, "16 characters"),
        (
            format!(
                "{good} --listen 127.0.0.1:0 --socket-group 0 --listen-secret-file {}/new",
                place.path().display()
            ),
            2,
            "--socket-group",
        ),
        (format!("{good} --listen unix:/nowhere/socket"), 2, "/nowhere/socket"),
        (format!("{good} --listen unix:{short}"), 2, "in use"),
        (
            format!("{good} --listen unix:{}/s --socket-group no-such-group", place.path().display()),
            2,
            "no-such-group",
        ),
        (format!("--upstream {GRAPH} --listen unix:/nowhere"), 2, "--resource"),
        (format!("{good} --upstream http://graph.microsoft.com --listen unix:/nowhere"), 2, "https://"),
        (format!("{good} --listen unix:/nowhere --certificate /none --tenant a --client-id b"), 6, "/none"),
    ] {
        let said = fail(&mut in_cloud(&cloud, &format!("proxy {arguments}")), status);
        assert!(said.contains(says), "{arguments}: {said}");
        // What only listening tells is no matter of --check.
        if !["/nowhere/socket", "in use"].contains(&says) {
            assert_eq!(fail(&mut in_cloud(&cloud, &format!("proxy --check {arguments}")), status), said);
        }
    }
    for place in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "localhost:80", "8080", "unix:"] {
        let output = in_cloud(&cloud, &format!("proxy {good} --listen {place}")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("--listen"), "{place}: {said}");
    }
}

/// Does --check say that it can start where it can, without a request, a listener or a file of its own?
#[test]
fn checked() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    for listen in ["unix:socket", "127.0.0.1:0 --listen-secret-file secret", "systemd:x"] {
        let mut command = as_app(&cloud, &format!("proxy --check {GRAPH_AND_VAULT} --listen {listen}"));
        assert_eq!(succeed(command.current_dir(place.path())), "it can start with these settings\n");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    assert!(cloud.requests().is_empty());
}
