//! Calls with a bound token to a vault, which asks for the certificate by renegotiation, beside Graph, which asks at once, and
//! each beside curl.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use devcloud::Cloud;
use mtlspop::{App, AppOptions, HttpRequest, ManagedIdentityId, Token};

use crate::measure::times;
use crate::report::Report;
use crate::{environment, pop, tool};

pub(crate) fn of_a_vault(report: &mut Report, cloud: &Cloud) {
    report.section(
        "Key Vault, which renegotiates",
        "Rust API. A managed identity's bound token at Graph, which asks for the certificate in the TLS 1.3 handshake, and at Key Vault, \
         which asks in a TLS 1.2 renegotiation; each beside the command curl, whose time has its process in it.",
    );
    for (name, resource, host) in [
        ("Graph", "https://graph.microsoft.com", "https://graph.microsoft.com"),
        ("Key Vault", "https://vault.azure.net", "https://demo.vault.azure.net"),
    ] {
        let (small, big) = (format!("{host}/secrets/demo"), format!("{host}/big/16777216"));
        let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned);
        let options = options.with_env(Arc::new(environment(cloud)));
        let kept = App::new(options.clone()).expect("options are right");
        let token = kept.acquire_token(&pop(resource)).expect("a token");
        // An app of its own has connections of its own.
        let new = || get(&App::new(options.clone()).expect("options are right"), &token, &small);
        report.row(&format!("{name}: new app: proxy, handshakes, call"), &times(20, new));
        get(&kept, &token, &small);
        report.row(
            &format!("{name}: same app: call on the kept connection"),
            &times(40, || get(&kept, &token, &small)),
        );
        report.row(&format!("{name}: same app: answer of 16 MiB"), &times(10, || get(&kept, &token, &big)));
        if !tool("curl") {
            report.skip("calls by curl", "there is no curl");
            continue;
        }
        let place = tempfile::tempdir().expect("a directory");
        let curl = Curl::new(cloud, &token, place.path());
        report.row(
            &format!("{name}: curl, with its process: handshakes, call"),
            &times(20, || curl.get(&small)),
        );
        report
            .row(&format!("{name}: curl, with its process: answer of 16 MiB"), &times(10, || curl.get(&big)));
    }
}

fn get(app: &App, token: &Token, url: &str) {
    let request = HttpRequest::new("GET", url).with_max_response_bytes(32 << 20);
    assert_eq!(app.send(token, &request).expect("an answer").status(), 200);
}

/// The same call by the command, with certificate and key in a file.
struct Curl {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Curl {
    fn new(cloud: &Cloud, token: &Token, place: &Path) -> Self {
        let certificate = token.binding_certificate().expect("a bound token");
        let key = certificate.private_key_pem().expect("a key in software");
        let file = place.join("certificate.pem");
        std::fs::write(&file, format!("{}{}", certificate.chain_pem(), key.expose())).expect("a file");
        let (ca, file) = (cloud.ca_pem_path().display().to_string(), file.display().to_string());
        let authorization = format!("Authorization: {}", token.authorization());
        let arguments = ["--silent", "--fail", "--output", "/dev/null", "--cacert", &ca, "--cert", &file]
            .into_iter()
            .chain(["--header", "x-ms-tokenboundauth: true", "--header", &authorization]);
        let arguments = arguments.map(str::to_owned).collect();
        Self { arguments, environment: cloud.env().into_iter().collect() }
    }

    fn get(&self, url: &str) {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let status = Command::new("curl").args(&self.arguments).envs(environment).arg(url).status();
        assert!(status.expect("curl runs").success());
    }
}
