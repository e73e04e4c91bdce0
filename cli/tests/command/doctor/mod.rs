//! `mtlspop doctor`: what is well is found well, and each planted fault is found, with what to do about it.

mod live;
mod way;

use std::fs;
use std::ops::Range;
use std::process::Command;

use devcloud::directory::{APP_A_CLIENT_ID, APP_B_CLIENT_ID, TENANT_ID};
use devcloud::{Assertion, Cloud, Source};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{as_app, cloud, in_cloud, succeed, tool};

const API: &str = "https://mtlstb.graph.microsoft.com/v1.0/applications";

/// What a doctor found who ends with this status, and says no secret of the environment.
fn found(command: &mut Command, status: i32) -> Vec<Value> {
    let output = command.output().unwrap();
    let (printed, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{command:?}: {printed} {said}");
    for (name, value) in command.get_envs() {
        let name = name.to_string_lossy();
        if ["SECRET", "PASSWORD", "HEADER"].iter().any(|part| name.contains(part)) {
            let value = value.unwrap_or_default().to_string_lossy();
            assert!(
                value.is_empty() || !printed.contains(&*value) && !said.contains(&*value),
                "{name}: {printed} {said}"
            );
        }
    }
    let report: Value = serde_json::from_str(&printed).unwrap();
    let checks = report["checks"].as_array().unwrap().clone();
    let faults = checks.iter().filter(|check| check["status"] == "fault").count();
    assert_eq!((report["faults"].as_u64(), faults > 0), (Some(faults as u64), status == 1), "{printed}");
    checks
}

/// Asserts that one check of this name has this status, and says and advises this.
fn finds(checks: &[Value], name: &str, status: &str, says: &str, advises: &str) {
    let text = |check: &Value, member: &str| check[member].as_str().unwrap_or_default().to_owned();
    let found = checks.iter().any(|check| {
        check["name"] == name
            && check["status"] == status
            && text(check, "detail").contains(says)
            && text(check, "advice").contains(advises)
    });
    assert!(found, "no {status} {name:?} with {says:?} and {advises:?}: {checks:#?}");
}

fn state<'a>(checks: &'a [Value], name: &str, host: &str) -> &'a str {
    let check = checks.iter().find(|check| check["name"] == name && check["host"] == host);
    check.unwrap_or_else(|| panic!("no {name} of {host}: {checks:#?}"))["status"].as_str().unwrap()
}

/// Is nothing at fault where all is well, for a certificate, a managed identity and a federated credential; does the doctor look
/// at each server that is asked; and does none of them get a token, a secret or an assertion?
#[test]
fn the_healthy() {
    let cloud = cloud();
    let certificate = found(&mut as_app(&cloud, &format!("doctor --json --pop {API}")), 0);
    for host in ["login.microsoftonline.com", "mtlsauth.microsoft.com", "mtlstb.graph.microsoft.com"] {
        for name in ["proxy", "connection", "tls", "client-certificate", "clock"] {
            assert_eq!(state(&certificate, name, host), "ok");
        }
    }
    assert_eq!(state(&certificate, "tenant", "login.microsoftonline.com"), "ok");
    finds(&certificate, "certificate-chain", "ok", "devcloud SN/I issuer", "");
    finds(&certificate, "environment", "ok", "AZURE_CLIENT_CERTIFICATE_PATH", "");

    let managed = found(&mut in_cloud(&cloud, &format!("doctor --json --pop {API}")), 0);
    finds(&managed, "source", "ok", "IMDSv2 answered", "");
    finds(&managed, "environment", "ok", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "");
    let mut federated = in_cloud(&cloud, "doctor --json --region auto");
    federated.env("AZURE_CLIENT_ID", APP_B_CLIENT_ID).env("AZURE_TENANT_ID", TENANT_ID);
    let federated =
        found(federated.env("AZURE_FEDERATED_TOKEN_FILE", cloud.files().fic_assertion_unbound()), 0);
    finds(&federated, "federated-token", "ok", "valid until", "");
    finds(&federated, "region", "ok", "eastus", "");
    assert_eq!(state(&federated, "answer", "eastus.login.microsoft.com"), "ok");

    for request in cloud.requests() {
        assert!(!request.headers.contains_key("authorization") && request.body.is_empty(), "{request:?}");
    }
    let text = succeed(&mut as_app(&cloud, "doctor"));
    assert!(text.lines().all(|line| line.starts_with("ok ") || line.starts_with("skipped ")), "{text}");
}

struct World {
    cloud: Cloud,
    place: TempDir,
}

impl World {
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.place.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// A certificate that is, was or will be valid in these years, with its key.
    fn of_years(&self, name: &str, years: Range<i32>) -> String {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.file(name, &format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    fn pem(&self, name: &str) -> String {
        fs::read_to_string(self.cloud.files().directory.join(name)).unwrap()
    }
}

/// Is each fault of an identity found, in the credential or in the host, with what to do; and are servers looked at all the
/// same?
#[test]
fn faults_of_the_identity() {
    let world = World { cloud: cloud(), place: tempfile::tempdir().unwrap() };
    let (cloud, files) = (&world.cloud, world.cloud.files());
    let sni = files.sni().display().to_string();
    let leaf =
        world.pem("sni-cert.pem").split_inclusive("-----END CERTIFICATE-----\n").next().unwrap().to_owned();
    let alone = world.file("alone.pem", &format!("{leaf}{}", world.pem("sni-key.pem")));
    tool(world.place.path(), &format!("openssl pkcs12 -export -in {sni} -passout pass:geheim -out app.pfx"));
    let (old, new) = (world.of_years("old", 2020..2021), world.of_years("new", 2099..2100));
    let at = |name: &str| world.place.path().join(name).display().to_string();
    let wrong = world.file("wrong", "falsch");
    let other_key = format!("--key {}", files.sni_rotated().display());
    let old_token = world.file(
        "old.jwt",
        &cloud.mint_assertion(&Assertion { expires_in: -60, ..Assertion::default() }).unwrap(),
    );
    let other = Assertion { audience: "api://other".to_owned(), ..Assertion::default() };
    let other_token = world.file("other.jwt", &cloud.mint_assertion(&other).unwrap());
    let id = world.file("id", "00000000-0000-4000-8000-000000000000");
    let issuers = "certificates of the issuers";
    let (from_file, token) = ("--secret-file", "--federated-token-file");
    let pfx = format!("--certificate {} --certificate-password-file {wrong}", at("app.pfx"));
    let of = |path: &str| format!("--certificate {path}");
    for (options, name, status, says, advises) in [
        (pfx, "certificate", "fault", "password", "belong together"),
        (of(&at("nowhere.pem")), "certificate", "fault", "No such file", "may read them"),
        (of(&format!("{sni} {other_key}")), "certificate", "fault", "private key", "belong together"),
        (of(&old), "certificate-dates", "fault", "2021-01-01", "renew it"),
        (of(&new), "certificate-dates", "fault", "2099-01-01", "clock"),
        (of(&alone), "certificate-chain", "warning", "CN=devcloud SN/I issuer, is not there", issuers),
        (
            of(&format!("{alone} --send-certificate-chain")),
            "certificate-chain",
            "fault",
            "not there",
            issuers,
        ),
        (format!("{from_file} {}", at("nothing")), "secret", "fault", "No such file", "may read it"),
        (format!("{from_file} {id}"), "secret", "warning", "the id of a secret", "the value"),
        (format!("{token} {}", at("nothing")), "federated-token", "fault", "No such file", "may read it"),
        (format!("{token} {wrong}"), "federated-token", "fault", "no JWT", "Kubernetes"),
        (format!("{token} {old_token}"), "federated-token", "fault", "expired", "compare the clocks"),
        (format!("{token} {other_token}"), "federated-token", "fault", "api://other", "AzureADTokenExchange"),
    ] {
        let app = format!("doctor --json --tenant {TENANT_ID} --client-id {APP_A_CLIENT_ID} {options}");
        let checks = found(&mut in_cloud(cloud, &app), i32::from(status == "fault"));
        finds(&checks, name, status, says, advises);
        assert_eq!(state(&checks, "tenant", "login.microsoftonline.com"), "ok");
    }
    // A half of an app has no authority that could be asked.
    let checks = found(&mut in_cloud(cloud, "doctor --json --client-id a --secret-file -"), 1);
    finds(&checks, "settings", "fault", "AZURE_TENANT_ID", "mtlspop config");

    let api = format!("doctor --json --managed-identity {API} --timeout 1");
    let closed = "http://127.0.0.1:1";
    let app_service = cloud.source_env(Source::AppService);
    let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let imds = |value: &str| one("AZURE_POD_IDENTITY_AUTHORITY_HOST", value);
    let away = [one("IDENTITY_ENDPOINT", closed), one("IDENTITY_HEADER", "geheim-header")].concat();
    let nobody = "--client-id 00000000-0000-4000-8000-000000000000";
    for (options, env, name, says, advises) in [
        ("", imds(closed), "source", "refused", "169.254.169.254"),
        ("", imds("nonsense"), "settings", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "variable"),
        ("--pop", one("MSAL_MI_DISABLE_IMDS_V2", "1"), "bound-tokens", "MSAL_MI_DISABLE_IMDS_V2", "IMDSv2"),
        ("--pop", app_service, "bound-tokens", "App Service", "without --pop"),
        ("", away, "connection", "refused", "firewall"),
        (nobody, vec![], "identity", "Identity not found", "assign"),
    ] {
        let mut command = in_cloud(cloud, &format!("{api} {options}"));
        let checks = found(command.envs(env), 1);
        finds(&checks, name, "fault", says, advises);
        if name != "settings" {
            assert_eq!(state(&checks, "tls", "mtlstb.graph.microsoft.com"), "ok");
        }
    }
    let mut tpm = in_cloud(cloud, &format!("{api} --tpm"));
    let checks =
        found(tpm.env("TPM2TOOLS_TCTI", "swtpm:host=127.0.0.1,port=1").env("TSS2_LOG", "all+none"), 1);
    finds(&checks, "tpm", "fault", "TPM", "/dev/tpmrm0");
}
