//! What the home of a key costs: signatures and full mutual TLS handshakes with an OpenSSL server, for a key in
//! memory and one in a (software) TPM.

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use devcloud::Cloud;
use mtlspop::{App, AppOptions, HttpRequest, ManagedIdentityId, Token, TpmOptions};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::measure::times;
use crate::report::Report;
use crate::swtpm::Swtpm;
use crate::{GRAPH, environment, pop, tool};

/// `openssl s_server`, which asks for a client certificate and shows a page.
struct OpenSsl {
    child: Child,
    port: u16,
    certificate: String,
    _files: TempDir,
}

pub(crate) fn homes(report: &mut Report, cloud: &Cloud) {
    report.section(
        "Where the key lives",
        "Rust API. Full mutual handshakes with `openssl s_server`, a new app each time, with a key in memory and one in a (software) \
         TPM.",
    );
    let servers = [("TLS 1.3", OpenSsl::start("-tls1_3")), ("TLS 1.2", OpenSsl::start("-tls1_2"))];
    let swtpm = match missing() {
        Some(missing) => {
            report.skip("a key in a TPM", &format!("there is no {missing}"));
            None
        }
        None => Some(Swtpm::start()),
    };
    let tpm = swtpm.as_ref().map(|swtpm| TpmOptions::new().with_tcti(&swtpm.tcti()));
    let mut medians = Vec::new();
    let homes = [Some(("in memory", None)), tpm.map(|tpm| ("in the TPM (swtpm)", Some(tpm)))];
    for (name, tpm) in homes.into_iter().flatten() {
        let options = |roots: &str| {
            let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned)
                .with_env(Arc::new(past_the_proxy(cloud)))
                .with_trusted_roots_pem(format!("{}{roots}", cloud.ca_pem()));
            match &tpm {
                Some(tpm) => options.with_tpm(tpm.clone()),
                None => options,
            }
        };
        let app = App::new(options("")).expect("options are right");
        let token = app.acquire_token(&pop(GRAPH)).expect("a token");
        let certificate = token.binding_certificate().expect("its certificate");
        let sign = || drop(certificate.sign("PS256", b"message").expect("a signature"));
        report.row(&format!("key {name}, limit: one PS256 signature"), &times(100, sign));
        for (version, server) in &servers {
            let cost = times(100, || handshake(options(&server.certificate), &token, server.port));
            report.row(&format!("key {name}: full mutual {version} handshake and a page"), &cost);
            medians.push(cost.median);
        }
    }
    if let [memory13, memory12, tpm13, tpm12] = medians[..] {
        let ratios = format!("{:.1} and {:.1} times", tpm13 / memory13, tpm12 / memory12);
        report.value("in the TPM over in memory, TLS 1.3 and 1.2", ratios);
    }
}

/// What a key in a TPM would need here.
fn missing() -> Option<&'static str> {
    let swtpm = tool("swtpm");
    let plugin =
        std::env::current_exe().is_ok_and(|bench| bench.with_file_name("libmtlspop_tpm.so").exists());
    match (swtpm, plugin) {
        (true, true) => None,
        (false, _) => Some("swtpm (Debian, Ubuntu: apt-get install swtpm)"),
        (true, false) => {
            Some("libmtlspop_tpm.so, which takes libtss2-dev (Debian, Ubuntu: apt-get install libtss2-dev)")
        }
    }
}

/// A new app has no connection and no TLS session yet.
fn handshake(options: AppOptions, token: &Token, port: u16) {
    let app = App::new(options).expect("options are right");
    let request = HttpRequest::new("GET", &format!("https://localhost:{port}/"));
    assert_eq!(app.send(token, &request).expect("a page").status(), 200);
}

fn past_the_proxy(cloud: &Cloud) -> HashMap<String, String> {
    let mut env = environment(cloud);
    env.insert("NO_PROXY".to_owned(), "localhost".to_owned());
    env
}

impl OpenSsl {
    fn start(version: &str) -> Self {
        let files = TempDir::new().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        let file = |name: &str| files.path().join(name);
        std::fs::write(file("cert"), &certificate).expect("a file");
        std::fs::write(file("key"), key.serialize_pem()).expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        drop(listener);
        let child = Command::new("openssl")
            .args(["s_server", "-www", "-quiet", "-Verify", "1", version, "-naccept", "100000"])
            .args(["-port", &port.to_string(), "-cert"])
            .arg(file("cert"))
            .arg("-key")
            .arg(file("key"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, certificate, _files: files }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
