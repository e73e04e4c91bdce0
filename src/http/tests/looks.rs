//! Looks at the way to a server: what is seen of it, also where it cannot be gone.

use super::server::{Server, ok};
use super::*;

/// Is each look a handshake of its own, in which the server's certificates are seen and whether it asks for ours; and are
/// those seen, too, that are not trusted?
#[test]
fn certificates_are_seen() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let (pool, certificate) = (pool(&ca), clients.client());
    let server = Server::mtls(&ca, &clients, &TLS13, |_| ok());
    for shown in [Some(&certificate), Some(&certificate)] {
        let sight = pool.look(&server.url("/"), shown, &call());
        assert_eq!(sight.chain.len(), 1);
        let response = sight.response.unwrap();
        assert!(response.status == 200 && response.tls.unwrap().certificate_requested);
        assert_eq!(sight.addresses.unwrap().unwrap().len(), 1);
    }
    assert_eq!(server.connections(), 2);
    let stranger = Server::tls(&Ca::new("stranger"), |_| ok());
    let sight = pool.look(&stranger.url("/"), None, &call());
    assert_eq!((sight.chain.len(), sight.response.unwrap_err().code()), (1, "tls_error"));
}

/// Is it told which proxy leads to a host, by whose word, or why none does; and what is wrong with it?
#[test]
fn ways_are_told() {
    let ca = Ca::new("ca");
    let url = Url::parse("https://host.invalid/").unwrap();
    let short = || call_with(&Cancel::new(), Some(Duration::from_millis(200)));
    let look = |env: &[(&str, &str)]| pool_with(&ca, |_| {}, env).look(&url, None, &short());
    let nobody = Nobody::new().address.to_string();
    for (env, proxy, why) in [
        (&[("https_proxy", &*nobody)][..], Some(&*nobody), "https_proxy names it, and NO_PROXY does not"),
        (&[("https_proxy", &*nobody), ("no_proxy", "invalid")], None, "NO_PROXY excepts the host"),
        (&[], None, "none of https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY is set"),
    ] {
        let sight = look(env);
        let route = sight.route.unwrap();
        assert_eq!(route.proxy.as_deref(), proxy);
        assert!(route.why.contains(why), "{}", route.why);
        assert_eq!(sight.addresses.is_some(), proxy.is_none());
        assert!(sight.response.is_err() && sight.chain.is_empty());
    }
    assert!(look(&[("ALL_PROXY", "socks5://x")]).route.unwrap_err().message().contains("SOCKS"));
    let pool = pool_with(
        &ca,
        |_| {},
        &[("NO_PROXY", "a.test, https://b.test,10.0.0.0/8,10.0.0.0/99 c.test:x http://me:hunter2@d.test:1/")],
    );
    assert_eq!(pool.meaningless_exceptions(), ["https://b.test", "10.0.0.0/99", "c.test:x", "d.test:1/"]);
}
