//! `mtlspop proxy`: programs that know nothing of tokens, and call APIs with bound ones.

mod limits;
mod listening;
mod refusals;
mod support;
mod systemd;

use std::collections::BTreeSet;
use std::fs;

use devcloud::{Fault, Service};
use rustix::process::Signal;
use serde_json::Value;

use self::support::{GRAPH_AND_VAULT, Proxy};
use crate::support::{GRAPH, as_app, claims, cloud, in_cloud};

/// Do requests of curl arrive at Graph and at a vault over mTLS with a token that is bound to the certificate of the connection, on a kept
/// connection, and with none of the headers that are the client's own?
#[test]
fn requests_go_out_bound() {
    let cloud = cloud();
    let proxy =
        Proxy::start(&mut as_app(&cloud, &format!("proxy --pop {GRAPH_AND_VAULT} --listen 127.0.0.1:0")));
    let printed = proxy.curl(
        "-w ' %{num_connects}\\n' -H 'Authorization: Bearer of-the-client' -H 'Forwarded: for=x' -H 'Via: 1.1 x' \
         -H 'X-Forwarded-For: x' -H 'X-Forwarded-Anything: x' -H 'Connection: keep-alive, X-Named' -H 'X-Named: x' -H 'X-Own: 1' \
         $URL/graph/v1.0/applications?a=%20b $URL/graph/echo $URL/vault/secrets/demo?api-version=7.4",
    );
    let answers: Vec<(Value, &str)> = printed
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(body, connects)| (serde_json::from_str(body).unwrap(), connects))
        .collect();
    let [(graph, first), (echo, second), (vault, third)] = &answers[..] else { panic!("{printed}") };
    assert_eq!((*first, *second, *third), ("1", "0", "0"), "{printed}");
    assert_eq!(graph["token_type"], "mtls_pop", "{printed}");
    assert!(vault["id"].as_str().is_some_and(|id| id.contains("/secrets/demo/")), "{printed}");
    assert_eq!((&graph["path"], &echo["method"]), (&"/v1.0/applications".into(), &"GET".into()));
    assert_eq!(echo["headers"]["x-own"], "1");

    let (graph, vault) = (cloud.requests_to(Service::Graph), cloud.requests_to(Service::Vault));
    assert_eq!((graph.len(), vault.len()), (2, 1));
    assert_eq!((graph[0].host.as_str(), graph[0].query.as_str()), ("mtlstb.graph.microsoft.com", "a=%20b"));
    assert_eq!(vault[0].header("x-ms-tokenboundauth"), Some("true"));
    for request in graph.iter().chain(&vault) {
        let token = request.header("authorization").unwrap().strip_prefix("mtls_pop ").unwrap();
        let bound_to = &claims(token)["cnf"]["x5t#S256"];
        assert_eq!(bound_to.as_str(), request.client_certificate.as_deref());
        assert!(bound_to.is_string());
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-anything",
            "x-named",
            "connection",
            "x-mtlspop-secret",
        ] {
            assert_eq!(request.header(name), None, "{name}");
        }
    }
    assert_eq!(cloud.counter("token"), 2, "one for each API");
}

/// Do other methods, bodies, statuses and redirects pass as they are; is a claims challenge answered; and is the token Bearer where no other was
/// asked for?
#[test]
fn what_passes() {
    let cloud = cloud();
    let proxy = Proxy::start(&mut in_cloud(
        &cloud,
        &format!("proxy --managed-identity --resource {GRAPH} --upstream {GRAPH}/ --listen 127.0.0.1:0"),
    ));
    for (options, method, body) in [
        ("-d a=b", "POST", "a=b"),
        ("-X PATCH -d x -H Transfer-Encoding:chunked", "PATCH", "x"),
        ("-X POST", "POST", ""),
        ("-X DELETE", "DELETE", ""),
        // As Node's fetch and Java's client have it.
        ("-H 'Sec-Fetch-Mode: cors'", "GET", ""),
        ("-H 'Connection: Upgrade, HTTP2-Settings' -H 'Upgrade: h2c' -H 'HTTP2-Settings: AAEA'", "GET", ""),
    ] {
        let echo: Value = serde_json::from_str(&proxy.curl(&format!("{options} $URL/echo"))).unwrap();
        assert_eq!((&echo["method"], &echo["body"]), (&method.into(), &body.into()), "{options}");
        assert!(echo["headers"]["authorization"].as_str().unwrap().starts_with("Bearer "), "{echo}");
    }
    let echo: Value =
        serde_json::from_str(&proxy.curl("-d {} -H 'Content-Type: application/json' $URL/echo")).unwrap();
    assert_eq!(echo["headers"]["content-type"], "application/json");
    assert!(proxy.curl("-I $URL/big/5").to_lowercase().contains("content-length: 5\r\n"));
    let redirected = proxy.curl("-i $URL/redirect");
    assert!(
        redirected.starts_with("HTTP/1.1 302") && redirected.contains("\r\nlocation: https://devcloud.vault"),
        "{redirected}"
    );
    assert_eq!(proxy.curl("-w ' %{http_code}' $URL/status/404"), "{\"status\":404} 404");
    assert!(proxy.curl("--http1.0 $URL/x").contains("\"path\":\"/x\""));
    let long = "x".repeat(14_000);
    let echo: Value = serde_json::from_str(&proxy.curl(&format!("-H X-Long:{long} $URL/echo"))).unwrap();
    assert_eq!(echo["headers"]["x-long"], long);

    let listen = format!("proxy --resource {GRAPH} --upstream {GRAPH} --listen 127.0.0.1:0");
    let proxy = Proxy::start(&mut as_app(&cloud, &listen));
    assert!(proxy.curl("-d short $URL/claims-challenge").contains("\"path\":\"/claims-challenge\""));
}

/// Do requests one after another, of whatever kind, go out on one connection, and is nothing said to have gone wrong?
#[test]
fn connections_are_kept() {
    let cloud = cloud();
    let listen = format!("proxy --pop {GRAPH_AND_VAULT} --listen 127.0.0.1:0 --access-log");
    let proxy = Proxy::start(&mut as_app(&cloud, &listen));
    for options in ["", "-I", "-X DELETE", "-d x", "-H 'X: y' --http1.0"] {
        proxy.curl(&format!("{options} $URL/graph/[1-9] $URL/graph/big/[1-4]0000 $URL/graph/big/0"));
    }
    proxy.curl("$URL/graph/stream/[1-9]?chunked");
    let chunks =
        proxy.curl("-o /dev/null -w '%{num_connects}' -d x -H Transfer-Encoding:chunked $URL/graph/x?[1-4]");
    assert_eq!(chunks, "1000");
    let connections: BTreeSet<u64> =
        cloud.requests_to(Service::Graph).iter().map(|request| request.connection).collect();
    assert_eq!(connections.len(), 1);
    proxy.signal(Signal::TERM);
    let log = String::from_utf8(proxy.wait().stderr).unwrap();
    assert_eq!(log.lines().count(), 5 * 14 + 9 + 4);
    assert!(
        log.lines().all(|line| line.contains("\"error\":null") && line.contains("\"status\":200")),
        "{log}"
    );
}

/// Do bodies that do not fit into memory pass both ways, in a bounded part of it, also while others are not taken?
#[test]
fn bodies_are_streamed() {
    const SIZE: u64 = 40_000_000;
    let cloud = cloud();
    let proxy = Proxy::start(&mut as_app(
        &cloud,
        &format!("proxy --resource {GRAPH} --upstream {GRAPH} --listen 127.0.0.1:0"),
    ));
    let lazy = ["1", "2", "3", "4"].map(|number| {
        let stream = proxy.send(&format!("GET /stream/{SIZE}?{number} HTTP/1.1\r\n$HEADERS\r\n\r\n"));
        stream.peek(&mut [0]).unwrap();
        stream
    });
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    proxy.curl(&format!("-o {0} $URL/stream/{SIZE}", file.display()));
    assert_eq!(fs::metadata(&file).unwrap().len(), SIZE);
    for options in ["", "-H Transfer-Encoding:chunked"] {
        let sent = proxy.curl(&format!("{options} -T {} $URL/upload", file.display()));
        assert_eq!(serde_json::from_str::<Value>(&sent).unwrap()["length"], SIZE, "{options}");
    }
    let peak = proxy.peak_memory();
    assert!(peak < 30_000_000, "{peak} bytes");
    drop(lazy);
    let chunked = proxy.curl("-w ' %{size_download}' -o /dev/null $URL/stream/1000000?chunked");
    assert_eq!(chunked, " 1000000");
}

/// Is what the token service, the network or the credential says an answer that tells of it, with a status that says whether to try again?
#[test]
fn failures() {
    let cloud = cloud();
    let places = format!("--upstream {GRAPH} --upstream /nowhere=https://localhost:1 --listen 127.0.0.1:0");
    let proxy = Proxy::start(&mut as_app(&cloud, &format!("proxy --resource {GRAPH} {places}")));
    let headers = [("retry-after".to_owned(), "77".to_owned())].into();
    cloud.fault(Fault { headers, ..Fault::status("token", 429) }).unwrap();
    let said = proxy.curl("-i -H 'Host: graph.microsoft.com' $URL/x");
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("retry-after: 77"), "{said}");
    drop(proxy);

    let mut wrong = as_app(&cloud, &format!("proxy --resource {GRAPH} {places}"));
    wrong.env("AZURE_CLIENT_SECRET", "wrong~but.looks-like-one");
    let said = Proxy::start(&mut wrong).curl("-i $URL/nowhere");
    assert!(said.starts_with("HTTP/1.1 502") && said.contains("AADSTS7000215"), "{said}");
    let proxy = Proxy::start(&mut as_app(&cloud, &format!("proxy --resource {GRAPH} {places}")));
    let said = proxy.curl("-i $URL/nowhere");
    assert!(said.starts_with("HTTP/1.1 502") && said.contains("localhost"), "{said}");
}
