//! `mtlspop token`: whose token it is, and how it is printed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use devcloud::Cloud;
use devcloud::directory::{
    APP_A_CLIENT_ID, APP_A_SECRET, APP_B_CLIENT_ID, SYSTEM_ASSIGNED_CLIENT_ID, TENANT_ID,
    USER_ASSIGNED_CLIENT_ID, USER_ASSIGNED_OBJECT_ID, USER_ASSIGNED_RESOURCE_ID,
};
use serde_json::json;

use crate::support::{GRAPH, as_app, claims, cloud, fail, feed, header, in_cloud, json, succeed, tool};

/// The client and the thumbprint in the token of a run.
fn whose(command: &mut Command) -> (String, bool) {
    let printed = json(command);
    let claims = claims(printed["accessToken"].as_str().unwrap());
    assert_eq!(printed["x5t#S256"], claims["cnf"]["x5t#S256"]);
    assert_eq!(printed["tokenType"], if claims["cnf"].is_null() { "Bearer" } else { "mtls_pop" });
    (claims["appid"].as_str().unwrap().to_owned(), !claims["cnf"].is_null())
}

/// Is the token that of the identity that the options name, Bearer or bound?
#[test]
fn options_name_the_identity() {
    let cloud = cloud();
    let files = cloud.files();
    let (certificate, key) = (files.sni_certificate(), files.sni_key());
    let app = format!("--tenant {TENANT_ID} --client-id {APP_A_CLIENT_ID}");
    let pem = format!("{app} --certificate {}", files.sni().display());
    let two_files = format!("{app} --certificate {} --key {}", certificate.display(), key.display());
    let federated = format!(
        "--tenant {TENANT_ID} --client-id {APP_B_CLIENT_ID} --federated-token-file {}",
        files.fic_assertion_unbound().display()
    );
    let system = SYSTEM_ASSIGNED_CLIENT_ID;
    let user = USER_ASSIGNED_CLIENT_ID;
    for (options, client, bound) in [
        ("", system, false),
        ("--pop", system, true),
        ("--managed-identity", system, false),
        (&format!("--managed-identity --client-id {user}"), user, false),
        (&format!("--object-id {USER_ASSIGNED_OBJECT_ID}"), user, false),
        (&format!("--pop --resource-id {USER_ASSIGNED_RESOURCE_ID}"), user, true),
        (&pem, APP_A_CLIENT_ID, false),
        (&format!("{pem} --send-certificate-chain --region auto"), APP_A_CLIENT_ID, false),
        (&format!("{two_files} --pop --region eastus"), APP_A_CLIENT_ID, true),
        (&federated, APP_B_CLIENT_ID, false),
    ] {
        let mut command = in_cloud(&cloud, &format!("token --resource {GRAPH} {options}"));
        assert_eq!(whose(&mut command), (client.to_owned(), bound), "{options}");
    }
    let printed =
        json(&mut in_cloud(&cloud, &format!("token --scope {GRAPH}/.default {pem} --region eastus")));
    assert_eq!((&printed["region"], &printed["tenant"]), (&json!("eastus"), &json!(TENANT_ID)));
}

/// Is the chain sent where subject name and issuer are trusted, and only where that is wanted?
#[test]
fn the_chain_is_sent_on_demand() {
    let cloud = cloud();
    let token = format!("token --resource {GRAPH} --certificate {}", cloud.files().sni().display());
    for (option, value, sent) in [
        ("", "", false),
        ("--send-certificate-chain", "", true),
        ("", "true", true),
        ("", "1", true),
        ("", "0", false),
    ] {
        let mut command = as_app(&cloud, &format!("{token} {option}"));
        whose(command.env("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", value));
        let request = cloud.requests().into_iter().rfind(|request| request.path.ends_with("/token")).unwrap();
        let assertion = request.form("client_assertion").unwrap();
        assert_eq!(!header(&assertion)["x5c"].is_null(), sent, "{option} {value}");
    }
}

/// Does the environment name the identity where the options do not, in the order of Azure's own libraries; and is it never
/// mixed up with one that was named?
#[test]
fn environment_names_the_identity() {
    let cloud = cloud();
    let token = format!("token --resource {GRAPH}");
    let asked = |cloud: &Cloud| {
        let request = cloud.requests().into_iter().rfind(|request| request.path.ends_with("/token")).unwrap();
        let sent = ["client_secret", "client_assertion"].map(|name| request.form(name).is_some());
        (request.form("client_id"), sent[0], sent[1])
    };
    let app = Some(APP_A_CLIENT_ID.to_owned());
    let run = |command: &mut Command| {
        whose(command);
        asked(&cloud)
    };
    assert_eq!(run(&mut as_app(&cloud, &token)), (app.clone(), true, false), "the secret first");
    assert_eq!(run(&mut as_app(&cloud, &format!("{token} --pop"))), (app.clone(), false, false));
    assert_eq!(
        run(as_app(&cloud, &token).env_remove("AZURE_CLIENT_SECRET")),
        (app, false, true),
        "then the certificate"
    );
    let mut federated = as_app(&cloud, &token);
    federated.env_remove("AZURE_CLIENT_SECRET").env_remove("AZURE_CLIENT_CERTIFICATE_PATH");
    let b = Some(APP_B_CLIENT_ID.to_owned());
    assert_eq!(run(federated.env("AZURE_CLIENT_ID", APP_B_CLIENT_ID)), (b, false, true), "then the token");

    // With nothing else, the client id is that of a managed identity; where one is asked for, it is not looked at.
    let mut user = in_cloud(&cloud, &token);
    assert_eq!(whose(user.env("AZURE_CLIENT_ID", USER_ASSIGNED_CLIENT_ID)).0, USER_ASSIGNED_CLIENT_ID);
    let mut system = as_app(&cloud, &format!("{token} --managed-identity"));
    assert_eq!(whose(&mut system).0, SYSTEM_ASSIGNED_CLIENT_ID);
    // Half of an app is not a managed identity.
    let said = fail(as_app(&cloud, &token).env_remove("AZURE_TENANT_ID"), 2);
    assert!(said.contains("AZURE_TENANT_ID"), "{said}");
    let mut host = as_app(&cloud, &token);
    whose(host.env("AZURE_AUTHORITY_HOST", "login.microsoftonline.com/"));
    let said =
        fail(as_app(&cloud, &token).env("AZURE_AUTHORITY_HOST", "http://login.microsoftonline.com"), 2);
    assert!(said.contains("https"), "{said}");
}

/// Are secrets read from a file, stdin, the environment and systemd's credentials, with one line break behind them or none?
#[test]
fn secrets_are_found() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let app = format!("token --resource {GRAPH} --tenant {TENANT_ID} --client-id {APP_A_CLIENT_ID}");
    fs::write(path("secret"), format!("{APP_A_SECRET}\r\n")).unwrap();
    whose(&mut in_cloud(&cloud, &format!("{app} --secret-file {}", path("secret").display())));
    let output = feed(&mut in_cloud(&cloud, &format!("{app} --secret-file -")), APP_A_SECRET.as_bytes());
    assert!(output.status.success(), "{output:?}");

    fs::write(path("mtlspop.client-secret"), APP_A_SECRET).unwrap();
    whose(in_cloud(&cloud, &app).env("CREDENTIALS_DIRECTORY", place.path()));
    fs::remove_file(path("mtlspop.client-secret")).unwrap();

    let pfx = format!(
        "openssl pkcs12 -export -in {} -passout pass:geheim -out mtlspop.certificate",
        cloud.files().sni().display()
    );
    tool(place.path(), &pfx);
    fs::write(path("mtlspop.certificate-password"), "geheim\n").unwrap();
    whose(in_cloud(&cloud, &app).env("CREDENTIALS_DIRECTORY", place.path()));
    let pfx = format!("{app} --certificate {}", path("mtlspop.certificate").display());
    whose(in_cloud(&cloud, &pfx).env("AZURE_CLIENT_CERTIFICATE_PASSWORD", "geheim"));
    let said = fail(in_cloud(&cloud, &pfx).env("AZURE_CLIENT_CERTIFICATE_PASSWORD", "falsch"), 6);
    assert!(said.contains("password") && !said.contains("falsch"), "{said}");
}

/// Is each format what its help says: a table without the token, az's members, a header for curl, variables for a shell; and
/// is the certificate of a bound token written for its owner's eyes, in the place of an older file?
#[test]
fn formats() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let pem = place.path().join("cert.pem");
    let token = format!("token --pop --resource {GRAPH} --output");
    let table = succeed(&mut as_app(&cloud, &format!("{token} table")));
    assert!(
        !table.contains("eyJ") && table.contains("x5t#S256") && table.contains("in 59 minutes"),
        "{table}"
    );

    let printed = json(as_app(&cloud, &format!("{token} json")).env("TZ", "Asia/Tokyo"));
    let text = |name: &str| printed[name].as_str().unwrap();
    // Local time without a zone, as az has it.
    let wanted = format!("TZ=Asia/Tokyo date -d @{} '+%Y-%m-%d %H:%M:%S.000000'", printed["expires_on"]);
    assert_eq!(tool(place.path(), &wanted).trim(), text("expiresOn"));
    assert_eq!(
        (text("tenant"), text("tokenType"), text("bindingStrength")),
        (TENANT_ID, "mtls_pop", "Software")
    );

    let alone = succeed(&mut as_app(&cloud, &format!("{token} token")));
    assert_eq!(claims(alone.strip_suffix('\n').unwrap())["aud"], GRAPH);
    let shell = format!(
        "eval \"$({} {token} env)\"; echo $MTLSPOP_TOKEN_TYPE $MTLSPOP_EXPIRES_ON $MTLSPOP_X5T_S256 $MTLSPOP_ACCESS_TOKEN",
        env!("CARGO_BIN_EXE_mtlspop")
    );
    let said = succeed(&mut as_shell(&cloud, &shell));
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!((words[0], words.len()), ("mtls_pop", 4));
    assert_eq!(claims(words[3])["cnf"]["x5t#S256"], words[2]);

    fs::write(&pem, "older").unwrap();
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o644)).unwrap();
    let export =
        format!("token --managed-identity --pop --resource {GRAPH} --output header --export-certificate");
    let header = succeed(&mut as_app(&cloud, &format!("{export} {}", pem.display())));
    assert_eq!(fs::metadata(&pem).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(place.path().join("header"), header).unwrap();
    let curl = format!(
        "curl -q -sS -o /dev/null -w '%{{http_code}}' --header @{0}/header --cert {0}/cert.pem --cacert \"$SSL_CERT_FILE\" \
         https://mtlstb.graph.microsoft.com/v1.0/applications",
        place.path().display()
    );
    assert_eq!(succeed(&mut as_shell(&cloud, &curl)), "200");
    let said = fail(&mut as_app(&cloud, &format!("token --resource {GRAPH} --export-certificate x")), 2);
    assert!(said.contains("--pop"), "{said}");
}

fn as_shell(cloud: &Cloud, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).envs(cloud.env());
    command
}
