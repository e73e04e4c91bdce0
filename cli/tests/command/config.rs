//! Profiles, and `mtlspop config`, which tells which settings count.

use std::fs;
use std::process::Command;

use devcloud::directory::{APP_A_CLIENT_ID, SYSTEM_ASSIGNED_CLIENT_ID, TENANT_ID};

use crate::support::{GRAPH, as_app, bare, claims, cloud, fail, in_cloud, json, succeed};

/// Do settings count in their order: options, the profile that is named, the environment, the default profile; is each shown with
/// its place, and of secrets only that; and is what is wrong in the file named with its line?
#[test]
fn profiles() {
    let cloud = cloud();
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join(".config/mtlspop");
    fs::create_dir_all(&directory).unwrap();
    let write = |text: &str| fs::write(directory.join("config.toml"), text).unwrap();
    fs::copy(cloud.files().sni(), directory.join("app.pem")).unwrap();
    write(&format!(
        "[default]\nresource = \"{GRAPH}\"\nmanaged-identity = true\n\n[app]\nresource = \"{GRAPH}\"\npop = true\n\
         tenant = \"{TENANT_ID}\"\nclient-id = \"{APP_A_CLIENT_ID}\"\ncertificate = \"app.pem\"\n"
    ));
    let with = |command: Command| {
        let mut command = command;
        command.env("HOME", home.path());
        command
    };
    let whose = |mut command: Command| {
        let token = json(&mut command);
        let claims = claims(token["accessToken"].as_str().unwrap());
        (claims["appid"].as_str().unwrap().to_owned(), token["tokenType"].as_str().unwrap().to_owned())
    };
    let system = (SYSTEM_ASSIGNED_CLIENT_ID.to_owned(), "Bearer".to_owned());
    let app = |kind: &str| (APP_A_CLIENT_ID.to_owned(), kind.to_owned());
    assert_eq!(whose(with(in_cloud(&cloud, "token"))), system, "the default one");
    assert_eq!(whose(with(as_app(&cloud, "token"))), app("Bearer"), "the environment comes before it");
    assert_eq!(whose(with(in_cloud(&cloud, "token --profile app"))), app("mtls_pop"));
    // Not the secret of the environment, with which the token could not be bound.
    assert_eq!(whose(with(as_app(&cloud, "--profile app token"))), app("mtls_pop"));
    let mut by_variable = with(in_cloud(&cloud, "token"));
    by_variable.env("MTLSPOP_PROFILE", "app");
    assert_eq!(whose(by_variable), app("mtls_pop"));
    let options = format!("--profile app token --managed-identity --resource {GRAPH}");
    assert_eq!(whose(with(as_app(&cloud, &options))).0, SYSTEM_ASSIGNED_CLIENT_ID);

    let shown = json(&mut with(as_app(&cloud, "config --profile app")));
    assert_eq!(shown["profiles"], serde_json::json!(["app", "default"]));
    let from = |name: &str| shown["settings"][name]["from"].as_str().unwrap();
    assert_eq!((from("certificate"), from("federated-token-file")), ("profile app", "environment"));
    assert_eq!(shown["settings"]["secret-file"]["value"], "$AZURE_CLIENT_SECRET");
    let table = succeed(&mut with(as_app(&cloud, "config --output table")));
    assert!(table.contains(&format!("{APP_A_CLIENT_ID} (environment)")), "{table}");
    assert!(!table.contains("devcloud~secret"), "{table}");

    let said = fail(&mut with(bare("token --profile other")), 2);
    assert!(said.contains("no profile other in") && said.contains("there: app, default"), "{said}");
    fail(with(bare("config")).env("MTLSPOP_PROFILE", "other"), 2);
    let said = fail(&mut bare("token --profile other"), 2);
    assert!(said.contains("HOME is not set"), "{said}");
    let said = fail(bare("token --profile other").env("HOME", "/nowhere"), 2);
    assert!(said.contains("/nowhere/.config/mtlspop/config.toml has none, or is not there"), "{said}");
    write("[app]\nclient-idd = \"x\"\n");
    let said = fail(&mut with(bare("config")), 2);
    assert!(said.contains("config.toml:2: unknown field `client-idd`"), "{said}");
    write("[app]\nsecret-file = \"x\"\ncertificate = \"y\"\n");
    let said = fail(&mut with(bare("token --resource x --profile app")), 2);
    assert!(said.contains("the profile app has both"), "{said}");
    fs::write(directory.join("config.toml"), b"\xff").unwrap();
    let said = fail(&mut with(bare("config")), 2);
    assert!(said.contains("config.toml cannot be read"), "{said}");
}
