//! TLS handshakes with OpenSSL, and keys that it and the library made for each other.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mtlspop::{App, HttpRequest, Token};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use super::{Workshop, credential, reach};
use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, World, assert_bound, bearer, pop};
use crate::swtpm::Swtpm;

/// `openssl s_server`, which wants a certificate of the authority in `issuer.pem` and answers with a page about
/// the connection. It ends when dropped.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    /// Its own certificate is in `server.pem` then. (With Ed25519, which OpenSSL's TPM provider does not know, so
    /// that it leaves the server's signature alone.)
    fn start(workshop: &Workshop, options: &str) -> Self {
        workshop.run("openssl genpkey -algorithm ed25519 -out server.key");
        let key = String::from_utf8(workshop.read("server.key")).unwrap();
        let key = KeyPair::from_pem(&key).unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        workshop.write("server.pem", params.self_signed(&key).unwrap().pem());
        let mut child = workshop
            .command(&format!(
                "openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key -www -Verify 1 \
                 -verify_return_error -CAfile issuer.pem -partial_chain {options}"
            ))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| Some(line.unwrap().strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.to_owned()));
        // It has nothing more to say there.
        Self { child, port: port.expect("OpenSSL says where it listens") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn assert_says(page: &[u8], lines: &[&str]) {
    // Signatures have TLS 1.3's names in later versions of OpenSSL (3.5).
    let page = String::from_utf8_lossy(page).replace("rsa_pss_rsae_sha256", "RSA-PSS");
    let page = page.replace("rsa_pkcs1_sha256", "RSA").replace("rsa_pkcs1_sha512", "RSA");
    for line in lines {
        assert!(page.contains(line), "{line:?} is not in {page}");
    }
}

fn call(app: &App, token: &Token, server: &Server) -> Vec<u8> {
    let request = HttpRequest::new("GET", &format!("https://localhost:{}/", server.port));
    app.send(token, &request).unwrap().body().to_vec()
}

/// A key that OpenSSL made in the TPM: does the library get both kinds of token with it, and call devcloud's and
/// OpenSSL's servers over mTLS, by TLS 1.3 and 1.2 with PSS, and with PKCS#1 v1.5 where a server knows no PSS?
#[test]
fn with_a_key_of_openssl() {
    let (swtpm, world) = (Swtpm::start(), World::new());
    let workshop = Workshop::with_sni_key(&swtpm, &world);
    let certificate = workshop.certificate(reach(&swtpm)).unwrap();
    let issuer = &certificate.chain_pem()[certificate.pem().len()..];
    workshop.write("issuer.pem", issuer);
    for (options, said) in [
        ("-tls1_3", ["Protocol  : TLSv1.3", "Peer signature type: RSA-PSS"]),
        ("-tls1_2", ["Protocol  : TLSv1.2", "Peer signature type: RSA-PSS"]),
        ("-tls1_2 -client_sigalgs RSA+SHA256", ["Protocol  : TLSv1.2", "Peer signature type: RSA\n"]),
        ("-tls1_2 -client_sigalgs RSA+SHA512", ["Protocol  : TLSv1.2", "Peer signing digest: SHA512"]),
    ] {
        let server = Server::start(&workshop, options);
        let roots = [world.cloud.ca_pem().into_bytes(), workshop.read("server.pem")].concat();
        let options = world.app_a_options(credential(&certificate)).with_trusted_roots_pem(roots);
        let app = App::new(options).unwrap();
        let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
        assert_eq!(assert_bound(&token), certificate.x5t_s256());
        let graph = HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me");
        assert_eq!(app.send(&token, &graph).unwrap().status(), 200);
        let page = call(&app, &token, &server);
        assert_says(&page, &said);
        assert_says(
            &page,
            &["Verify return code: 0 (ok)", "Client certificate", devcloud::directory::APP_A_SUBJECT_NAME],
        );

        let token = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
        assert_eq!(app.send(&token, &graph).unwrap().status(), 200);
        let assertion = world.last_token_request().form("client_assertion").unwrap();
        let header = URL_SAFE_NO_PAD.decode(assertion.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["alg"], "PS256");
    }
    assert!(!certificate.is_exportable());
    certificate.private_key_pem().unwrap_err();
    workshop.write("again.pem", certificate.tpm_key_pem().unwrap());
    assert_eq!(workshop.run_in_tpm("openssl pkey -in again.pem -pubout"), workshop.read("public.pem"));
}

/// A key that the library made: does OpenSSL sign with the file of it, verifiably with the public key that the
/// certificate has, and speak mTLS by TLS 1.3 and 1.2?
#[test]
fn with_a_key_of_the_library() {
    let (swtpm, world) = (Swtpm::start(), World::new());
    let app = App::new(world.managed_identity_options(SYSTEM).with_tpm(reach(&swtpm))).unwrap();
    let token = app.acquire_token(&pop(GRAPH)).unwrap();
    let certificate = token.binding_certificate().unwrap();
    let workshop = Workshop::new(&swtpm);
    workshop.write("key.pem", certificate.tpm_key_pem().unwrap());
    workshop.write("chain.pem", certificate.chain_pem());
    workshop.write("message", "a message");
    workshop.run("openssl x509 -in chain.pem -noout -pubkey -out public.pem");
    for padding in ["pss -pkeyopt rsa_pss_saltlen:digest", "pkcs1"] {
        let rest = format!("-rawin -digest sha256 -in message -pkeyopt rsa_padding_mode:{padding}");
        workshop.run_in_tpm(&format!("openssl pkeyutl -sign -inkey key.pem {rest} -out signature"));
        workshop.run(&format!("openssl pkeyutl -verify -pubin -inkey public.pem {rest} -sigfile signature"));
    }

    workshop.write("issuer.pem", certificate.pem());
    for (options, protocol) in [("-tls1_3", "Protocol  : TLSv1.3"), ("-tls1_2", "Protocol  : TLSv1.2")] {
        let server = Server::start(&workshop, options);
        workshop.write("request", "GET / HTTP/1.0\r\n\r\n");
        let mut client = workshop.command(&format!(
            "openssl s_client -connect localhost:{} -CAfile server.pem -cert chain.pem -key key.pem -quiet \
             -verify_return_error",
            server.port
        ));
        let request = std::fs::File::open(workshop.path("request")).unwrap();
        client.env("OPENSSL_CONF", workshop.path("tpm.cnf")).stdin(request);
        let page = super::succeed(&mut client);
        assert_says(
            &page,
            &[protocol, "Peer signature type: RSA-PSS", "Verify return code: 0 (ok)", "Client certificate"],
        );
    }
}
