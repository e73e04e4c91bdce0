//! What apps and requests can be told besides: does it reach the wire, and what came of it the caller?

use std::collections::BTreeSet;
use std::fs;

use devcloud::{Cloud, Options};

use super::runtimes::Runtime;
use super::{root, sources, test, test_in};

/// Are parameters, header fields and claims sent, and is what the service said besides told?
#[test]
fn parameters() {
    test("Parameters", |cloud| {
        let requests = cloud.requests();
        let sent = requests.iter().find(|request| request.operation.as_deref() == Some("token")).unwrap();
        assert_eq!(sent.query("of_app").as_deref(), Some("1"));
        assert_eq!(sent.query("slice").as_deref(), Some("a b"));
        assert_eq!(sent.query("dc").as_deref(), Some("x"));
        assert_eq!(sent.header("x-demo"), Some("header"));
        assert_eq!(sent.form("demo").as_deref(), Some("body"));
        assert_eq!(sent.form("claims").as_deref(), Some(r#"{"demo":1}"#));
        assert_eq!(sent.form("fmi_path").as_deref(), Some("some/workload"));
        assert!(!format!("{sent:?}").contains("contoso"), "a partition key is not sent");
    });
}

/// Does an agent identity get a token by what its blueprint's token says of it?
#[test]
fn agent_identity() {
    test("AgentIdentity", |cloud| assert_eq!(cloud.counter("token"), 2));
}

/// Is the token endpoint of an OpenID provider discovered?
#[test]
fn oidc() {
    test("Oidc", |cloud| assert_eq!(cloud.counter("openid_configuration"), 1));
}

/// Is TLS 1.2 spoken, in which a server may ask for the certificate late, where the app or the handler says so?
#[test]
fn renegotiation() {
    test("Renegotiation", |cloud| assert_eq!(cloud.counter("graph"), 4));
}

/// Is a federated token read from the file that is named, or that the environment names, and exchanged by the cluster's
/// proxy where that is enabled?
#[test]
fn token_file() {
    test("TokenFile", |cloud| {
        assert_eq!((cloud.counter("token"), cloud.counter("token_proxy")), (2, 1));
    });
}

/// Do proxy and roots of an app replace those of the environment?
#[test]
fn own_network() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let (proxy, roots) = (cloud.proxy_url(), cloud.ca_pem_path().display().to_string());
        let own = [("PROXY", proxy.as_str()), ("ROOTS", roots.as_str())];
        let wrong = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("SSL_CERT_FILE", "/nowhere")];
        test_in(&cloud, runtime, "OwnNetwork", &[own, wrong].concat());
    }
}

/// Is it told what the host can do, and does a floor that it does not reach stop the request?
#[test]
fn capabilities() {
    test("Capabilities", |cloud| assert_eq!(cloud.counter("issuecredential"), 1));
}

/// Does a second process have the certificate that the first one stored?
#[test]
fn stored() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let store = cloud.state_dir().join("store");
        for _ in 0..2 {
            test_in(&cloud, runtime, "Stored", &[("STORE", store.to_str().unwrap())]);
        }
        assert_eq!((cloud.counter("issuecredential"), cloud.counter("token")), (1, 2));
    }
}

/// Does a cache find what another one stored, and do calls go on without a store that fails?
#[test]
fn token_store() {
    test("TokenStore", |cloud| assert_eq!(cloud.counter("token"), 2));
}

/// Are calls measured under MSAL's names, and do measurements that are not taken fail nothing?
#[test]
fn metrics() {
    test("Metrics", |cloud| assert_eq!(cloud.counter("token"), 1));
}

/// Is a token that an API rejected, and no other, kept from being served?
#[test]
fn rejected() {
    test("Rejected", |cloud| assert_eq!(cloud.counter("token"), 2));
}

/// Is every function of the library used by the assembly, but for those that .NET has itself, and those that the
/// page of the assembly says are not there yet?
#[test]
fn everything_is_reachable() {
    // By how their names begin, and why they are not called.
    let exceptions = [
        ("mtlspop_certificate_", "X509Certificate2 has it; keys in a TPM are for managed identities only"),
        ("mtlspop_status_name", "the kind of the exception says it"),
        ("mtlspop_http_response_claims", "a caller of HttpClient reads WWW-Authenticate"),
        ("mtlspop_http_response_header", "headers are read by number"),
        (
            "mtlspop_http_request_set_token_request",
            "a caller of HttpClient answers challenges with WithClaims",
        ),
        ("mtlspop_app_send", "HttpClient makes a whole response of a stream"),
        ("mtlspop_http_response_body", "the same"),
        ("mtlspop_http_request_set_max_response_bytes", "HttpClient has MaxResponseContentBufferSize"),
        ("mtlspop_http_request_set_body", "every content is read by a callback"),
        ("mtlspop_assertion_op_", "delegates have a CancellationToken"),
        ("mtlspop_attestation_op_", "the same"),
        ("mtlspop_sign_op_digest", "RSA.SignData takes the message"),
        ("mtlspop_token_authorization", "CreateAuthorizationHeader"),
        ("mtlspop_token_request_set_timeout_ms", "a CancellationToken with a delay"),
        ("mtlspop_app_options_set_connect_timeout_ms", "not there yet"),
        ("mtlspop_app_options_set_probe_timeout_ms", "not there yet"),
        ("mtlspop_app_options_set_trusted_roots_pem", "WithTrustedRootsFile"),
        ("mtlspop_app_options_set_binding_store_with_callback", "WithBindingStore"),
        ("mtlspop_app_options_set_key_signer", "not there yet"),
        ("mtlspop_app_options_set_min_strength", "PoPOptions of each request"),
        ("mtlspop_app_token_cache", "WithTokenCache, for those who want statistics"),
        ("mtlspop_secret_op_", "WithBindingStore"),
        ("mtlspop_tpm_options_set_", "persistent handles, owner's value and callbacks are not there yet"),
    ];
    let files = sources("src").into_iter().filter(|file| !file.ends_with("Native.g.cs"));
    let text: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    let used: BTreeSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let symbols = fs::read_to_string(root().join("abi/symbols.txt")).unwrap();
    let unused: Vec<&str> = symbols.lines().filter(|symbol| !used.contains(symbol)).collect();
    for symbol in &unused {
        assert!(exceptions.iter().any(|(name, _)| symbol.starts_with(name)), "bind {symbol}");
    }
    for (name, _) in exceptions {
        assert!(unused.iter().any(|symbol| symbol.starts_with(name)), "{name} is bound now");
    }
}
