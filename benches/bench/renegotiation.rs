//! Calls with a bound token to a vault, which asks for the certificate by renegotiation, beside Graph, which asks at once, and
//! each beside curl.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use devcloud::Cloud;
use mtlspop::{App, AppOptions, HttpRequest, ManagedIdentityId, Token};

use super::{microseconds, pop, row};

pub(super) fn of_a_vault(cloud: &Cloud) {
    for (name, resource, host) in [
        (
            "Graph, mtls_pop: asked at once, TLS 1.3",
            "https://graph.microsoft.com",
            "https://graph.microsoft.com",
        ),
        (
            "Key Vault, mtls_pop: renegotiated, TLS 1.2",
            "https://vault.azure.net",
            "https://demo.vault.azure.net",
        ),
    ] {
        println!("{name}");
        let (small, big) = (format!("{host}/secrets/x"), format!("{host}/big/16777216"));
        let env: HashMap<String, String> = cloud.env().into_iter().collect();
        let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned).with_env(Arc::new(env));
        let kept = App::new(options.clone()).expect("options are right");
        let token = kept.acquire_token(&pop(resource)).expect("a token");
        // An app of its own has connections of its own.
        let new = || get(&App::new(options.clone()).expect("options are right"), &token, &small);
        row("  new app: proxy, handshakes, call", &microseconds(20, new));
        get(&kept, &token, &small);
        row("  same app: call on the kept connection", &microseconds(40, || get(&kept, &token, &small)));
        row("  same app: answer of 16 MiB", &microseconds(10, || get(&kept, &token, &big)));
        let place = tempfile::tempdir().expect("a directory");
        let curl = Curl::new(cloud, &token, place.path());
        row("  curl, with its process: handshakes, call", &microseconds(20, || curl.get(&small)));
        row("  curl, with its process: answer of 16 MiB", &microseconds(10, || curl.get(&big)));
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
