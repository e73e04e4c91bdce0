//! Does Key Vault ask for the client certificate as the real one does, and take no token that its policy refuses?
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::*;
use devcloud::directory::*;
use devcloud::{
    Close, Cloud, Fault, ReceivedRequest, Service, TokenBinding, TokenBindingMode as Mode,
    TokenBindingStrength as Strength,
};
use rcgen::PublicKeyData as _;
use serde_json::json;

const SECRET: &str = "https://a.vault.azure.net/secrets/demo?api-version=7.4";
const SCOPE: (&str, &str) = ("scope", "https://vault.azure.net/.default");
const ANNOUNCED: &str = "x-ms-tokenboundauth: true";
const NO_CERTIFICATE: &str = "Client certificate required for using MTLS_POP token";

/// Is the certificate asked for when a request with a bound token has been read, once, and in TLS 1.2?
#[test]
fn the_certificate_comes_in_a_renegotiation() {
    let cloud = start();
    let (bearer, pop) = (bearer_token(&cloud), pop_token(&cloud));
    on_one_connection(&cloud, &[&[&bearer], &[&pop, ANNOUNCED], &[&pop, ANNOUNCED]]);
    let requests = requests(&cloud);
    assert_eq!(requests.iter().map(|r| r.status).collect::<Vec<_>>(), [Some(200); 3], "{requests:?}");
    assert!(requests.iter().all(|r| r.connection == requests[0].connection), "{requests:?}");
    assert!(requests.iter().all(|r| r.tls_version.as_deref() == Some("TLSv1_2")), "{requests:?}");
    let handshakes =
        requests.iter().map(|r| (r.handshake.as_deref().unwrap(), r.client_certificate.is_some()));
    assert_eq!(
        handshakes.collect::<Vec<_>>(),
        [("Full", false), ("Renegotiated", true), ("Renegotiated", true)]
    );
    assert_eq!(cloud.counter("renegotiations"), 1);
}

/// Is a bound token worth nothing without its certificate, and nobody asked who did not announce one?
#[test]
fn a_bound_token_needs_its_certificate() {
    let cloud = start();
    let (pop, files) = (pop_token(&cloud), cloud.files());
    let refused = |headers: &[&str], certificate: Option<&Path>, says: &str, asked: u64| {
        let reply = get(&cloud, headers, certificate);
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (401, &json!("Unauthorized")), "{reply:?}");
        assert!(error["message"].as_str().unwrap().contains(says), "{reply:?}");
        assert!(reply.head.contains("www-authenticate: bearer authorization="), "{reply:?}");
        assert_eq!(cloud.counter("renegotiations"), asked, "{says}");
    };
    let sni = files.sni();
    refused(&[&pop], Some(&sni), NO_CERTIFICATE, 0);
    refused(&[&pop, "x-ms-tokenboundauth: false"], Some(&sni), NO_CERTIFICATE, 0);
    refused(&[&pop, ANNOUNCED], None, NO_CERTIFICATE, 1);
    let wrong = "[MtlsCnfClaimRequestDataValidationFailed]";
    refused(&[&pop, ANNOUNCED], Some(&files.sni_rotated()), wrong, 2);
    let unbound = pop.replace("mtls_pop", "Bearer");
    refused(&[&unbound, ANNOUNCED], Some(&sni), "Cnf claim not supported over Bearer protocol.", 2);
    // Schemes have no case: MSAL for Java writes this one in capitals.
    let reply = get(&cloud, &[&pop.replace("mtls_pop", "MTLS_POP"), ANNOUNCED], Some(&sni));
    assert_eq!((reply.status, cloud.counter("renegotiations")), (200, 3), "{reply:?}");
}

/// Is a Managed HSM like a vault, with tokens of its own?
#[test]
fn a_managed_hsm_has_an_audience_of_its_own() {
    let cloud = start();
    let get = |scope: &str| {
        let (form, sni) = ([("client_id", APP_A_CLIENT_ID), ("scope", scope), POP], cloud.files().sni());
        let token = token(&cloud, "mtlsauth.microsoft.com", Some(&sni), &form).token();
        let authorization = format!("authorization: mtls_pop {token}");
        let url = "https://a.managedhsm.azure.net/keys/k?api-version=7.4";
        curl(&cloud, &["-H", &authorization, "-H", ANNOUNCED, "--cert", &sni.display().to_string(), url])
    };
    let refused = get("https://vault.azure.net/.default");
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("resource=\"https://managedhsm.azure.net\""), "{refused:?}");
    assert_eq!(get("https://managedhsm.azure.net/.default").status, 200);
    assert_eq!(cloud.counter("renegotiations"), 2);
}

/// Does a large body arrive whole, before the renegotiation, after it, and where the client waits to send it?
#[test]
fn bodies_arrive_whole() {
    let cloud = start();
    let (pop, sni) = (pop_token(&cloud), sni(&cloud));
    let body = cloud.state_dir().join("body");
    std::fs::write(&body, "x".repeat(3_000_000)).unwrap();
    let body = format!("@{}", body.display());
    for expect in ["Expect:", "Expect: 100-continue"] {
        let headers = ["-H", &pop, "-H", ANNOUNCED, "-H", expect, "-H", "content-type: text/plain"];
        let post = ["--cert", &sni, "--data-binary", &body, "https://a.vault.azure.net/echo"];
        let reply = curl(&cloud, &[&headers[..], &post[..]].concat());
        assert_eq!(reply.status, 200, "{expect}: {}", reply.head);
        let received = requests(&cloud).pop().unwrap();
        assert_eq!((received.body.len(), received.handshake.as_deref()), (3_000_000, Some("Renegotiated")));
    }
    assert_eq!(cloud.counter("renegotiations"), 2);
}

/// Do the rules for client certificates hold in a renegotiation: whose they may be, and the faults for them?
#[test]
fn client_certificates_are_judged_as_elsewhere() {
    let cloud = start();
    let (pop, files) = (pop_token(&cloud), cloud.files());
    let strange = get(&cloud, &[&pop, ANNOUNCED], Some(&files.localhost()));
    assert_eq!(strange.status, 0, "{strange:?}");
    assert!(strange.error.contains("bad certificate"), "{strange:?}");
    cloud.fault(Fault::on("tls_client_certificate")).unwrap();
    let revoked = get(&cloud, &[&pop, ANNOUNCED], Some(&files.sni()));
    assert!(revoked.error.contains("certificate revoked"), "{revoked:?}");
    let received = requests(&cloud);
    assert!(received.iter().all(|r| r.status.is_none() && r.client_certificate.is_none()), "{received:?}");
    assert_eq!(get(&cloud, &[&pop, ANNOUNCED], Some(&files.sni())).status, 200);
}

/// What becomes of a client that does not renegotiate, as Go's and rustls' do not?
#[test]
fn who_does_not_renegotiate_loses_the_connection() {
    let cloud = start();
    let proxy = cloud.proxy_url().replace("http://", "");
    let request = format!(
        "GET /secrets/s HTTP/1.1\r\nHost: a.vault.azure.net\r\n{}\r\n{ANNOUNCED}\r\n\r\n",
        pop_token(&cloud)
    );
    let client = std::process::Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-no_renegotiation",
            "-connect",
            "a.vault.azure.net:443",
            "-proxy",
            &proxy,
        ])
        .args(["-servername", "a.vault.azure.net", "-cert", &sni(&cloud), "-CAfile"])
        .arg(cloud.ca_pem_path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut client.stdin.as_ref().unwrap(), request.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("alert handshake failure"), "{said}");
    assert_eq!(cloud.counter("renegotiations"), 1);
}

/// Are tokens taken and refused as the vault's policy has it, in each of its modes?
#[test]
fn the_policy_says_which_tokens_are_taken() {
    let cloud = start();
    let (bearer, pop, sni) = (bearer_token(&cloud), pop_token(&cloud), cloud.files().sni());
    for (mode, takes_bearer, takes_bound, says) in [
        (Mode::Enabled, 200, 200, ""),
        (Mode::Disabled, 200, 401, "Token binding is not enabled for this vault"),
        (Mode::Enforced, 401, 200, "Token binding is enforced for this vault"),
    ] {
        cloud.set_token_binding(TokenBinding { mode, ..TokenBinding::default() });
        let replies = [get(&cloud, &[&bearer], Some(&sni)), get(&cloud, &[&pop, ANNOUNCED], Some(&sni))];
        assert_eq!([replies[0].status, replies[1].status], [takes_bearer, takes_bound], "{mode:?}");
        let refused = replies.iter().find(|reply| reply.status == 401);
        assert!(refused.is_none_or(|reply| reply.body.contains(says)), "{mode:?}: {refused:?}");
    }
}

/// Is a token refused whose key is not attested well enough, and does the answer say so?
#[test]
fn the_policy_says_how_strong_the_binding_must_be() {
    let cloud = start();
    let call = |attested: bool, minimum_token_binding_strength: Strength| {
        let (token, certificate) = managed_identity(&cloud, attested);
        let mode = Mode::Enforced;
        cloud.set_token_binding(TokenBinding { mode, minimum_token_binding_strength });
        get(&cloud, &[&token, ANNOUNCED], Some(&certificate))
    };
    assert_eq!(call(false, Strength::Unattested).status, 200);
    let weak = call(false, Strength::AttestedTrustedLaunch);
    assert_eq!(weak.status, 401);
    let says = "The strength of the token binding is Unattested, this vault wants AttestedTrustedLaunch.";
    assert_eq!(weak.json()["error"]["message"], says);
    assert_eq!(call(true, Strength::AttestedTrustedLaunch).status, 200);
    assert_eq!(call(true, Strength::AttestedConfidential).status, 401);
    let confidential = json!({ "devcloud_binding_strength": "AttestedConfidential" });
    cloud.fault(Fault::claims("token", confidential)).unwrap();
    assert_eq!(call(true, Strength::AttestedConfidential).status, 200);
}

/// Can a test in another language set the policy, and read it?
#[test]
fn the_policy_is_on_the_control_port() {
    let cloud = start();
    let url = format!("{}/token-binding", cloud.control_url());
    let strict = json!({ "mode": "Enforced", "minimumTokenBindingStrength": "AttestedConfidential" });
    assert_eq!(
        curl(&cloud, &[&url]).json(),
        json!({ "mode": "Enabled", "minimumTokenBindingStrength": "NoValidation" })
    );
    assert_eq!(curl(&cloud, &["-d", &strict.to_string(), &url]).status, 200);
    assert_eq!(curl(&cloud, &[&url]).json(), strict);
    assert_eq!(curl(&cloud, &["-d", r#"{"mode":"Sometimes"}"#, &url]).status, 400);
}

/// Does a vault misbehave on demand: asking twice or never, refusing what it asked for, hanging up in the middle?
#[test]
fn vaults_misbehave() {
    let cloud = start();
    let (pop, sni) = (pop_token(&cloud), cloud.files().sni());
    let with = |fault: Fault| {
        cloud.fault(fault).unwrap();
        let before = cloud.counter("renegotiations");
        let reply = get(&cloud, &[&pop, ANNOUNCED], Some(&sni));
        let received = requests(&cloud).pop().unwrap();
        (reply, cloud.counter("renegotiations") - before, received.client_certificate.is_some())
    };
    let (reply, asked, shown) = with(Fault { renegotiations: Some(2), ..Fault::on("vault") });
    assert_eq!((reply.status, asked, shown), (200, 2, true), "{reply:?}");
    let (reply, asked, shown) = with(Fault { renegotiations: Some(0), ..Fault::on("vault") });
    assert_eq!((reply.status, asked, shown), (401, 0, false), "{reply:?}");
    let (reply, asked, shown) = with(Fault::on("tls_certificate_request"));
    assert_eq!((reply.status, asked, shown), (401, 0, false), "{reply:?}");
    let (reply, asked, shown) = with(Fault::status("vault", 401));
    assert_eq!((reply.status, asked, shown), (401, 1, true), "{reply:?}");
    let (reply, _, shown) = with(Fault { close: Some(Close::InRenegotiation), ..Fault::on("vault") });
    assert_eq!((reply.status, shown), (0, false), "{reply:?}");
}

/// Has curl send GET requests with these header fields, one after another, with a certificate that it may show.
fn on_one_connection(cloud: &Cloud, requests: &[&[&str]]) {
    let (proxy, ca, sni) = (cloud.proxy_url(), cloud.ca_pem_path().display().to_string(), sni(cloud));
    let mut arguments = Vec::new();
    for headers in requests {
        arguments.extend([
            "--next",
            "-sSiw",
            "\n%{http_code}",
            "--proxy",
            &proxy,
            "--cacert",
            &ca,
            "--cert",
            &sni,
            SECRET,
        ]);
        arguments.extend(headers.iter().flat_map(|header| ["-H", header]));
    }
    curl(cloud, &arguments[1..]);
}

/// Has curl get a secret, with a certificate that it may show.
fn get(cloud: &Cloud, headers: &[&str], certificate: Option<&Path>) -> Reply {
    let path = certificate.map(|path| path.display().to_string());
    let mut arguments = vec![SECRET];
    arguments.extend(headers.iter().flat_map(|header| ["-H", header]));
    arguments.extend(path.iter().flat_map(|path| ["--cert", path]));
    curl(cloud, &arguments)
}

/// The header that carries a token of the system-assigned identity, and where its certificate is.
fn managed_identity(cloud: &Cloud, attested: bool) -> (String, PathBuf) {
    let key = rsa_key();
    let attestation = attested.then(|| cloud.mint_attestation(key.der_bytes()).unwrap());
    let issued = issue(cloud, SYSTEM_ASSIGNED_CLIENT_ID, &key, attestation.as_deref()).json();
    let certificate = issued["certificate"].as_str().unwrap();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n{}",
        key.serialize_pem()
    );
    let path = cloud.state_dir().join("identity.pem");
    std::fs::write(&path, pem).unwrap();
    let form = [("client_id", SYSTEM_ASSIGNED_CLIENT_ID), SCOPE, POP];
    let token = token(cloud, "mtlsauth.microsoft.com", Some(&path), &form).token();
    (format!("authorization: mtls_pop {token}"), path)
}

fn requests(cloud: &Cloud) -> Vec<ReceivedRequest> {
    cloud.requests_to(Service::Vault)
}

fn sni(cloud: &Cloud) -> String {
    cloud.files().sni().display().to_string()
}

/// The header that carries a Bearer token for Key Vault.
fn bearer_token(cloud: &Cloud) -> String {
    let form = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), SCOPE];
    format!("authorization: Bearer {}", token(cloud, "login.microsoftonline.com", None, &form).token())
}

/// The header that carries one that is bound to app A's certificate.
fn pop_token(cloud: &Cloud) -> String {
    let form = [("client_id", APP_A_CLIENT_ID), SCOPE, POP];
    let sni = cloud.files().sni();
    format!("authorization: mtls_pop {}", token(cloud, "mtlsauth.microsoft.com", Some(&sni), &form).token())
}
