//! AKS identity bindings: a federated token exchanged by the token proxy of the cluster (since_july_2026, section 4).

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use devcloud::{Close, Fault, Service, directory};
use mtlspop::{App, AppOptions, Credential, Error, ErrorKind, RegionOutcome, Secret, Token, TokenRequest};
use serde_json::json;

use crate::support::{GRAPH_SCOPE, SYSTEM, World, authority, bearer};

/// The environment of a pod: that of the cloud, with the token for the proxy in the file, and `changes`; an empty value
/// is none.
fn pod(world: &World, changes: &[(&str, &str)]) -> HashMap<String, String> {
    let mut env = world.env();
    let token = world.cloud.files().identity_binding().display().to_string();
    env.insert("AZURE_FEDERATED_TOKEN_FILE".to_owned(), token);
    env.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

fn options(world: &World, changes: &[(&str, &str)]) -> AppOptions {
    AppOptions::confidential_client(directory::USER_ASSIGNED_CLIENT_ID)
        .with_authority(&authority("login.microsoftonline.com"))
        .with_credential(Credential::FederatedTokenFile(None))
        .with_enable_azure_proxy(true)
        .with_clock(world.clock.clone())
        .with_env(Arc::new(pod(world, changes)))
}

fn app(world: &World, changes: &[(&str, &str)]) -> App {
    App::new(options(world, changes)).unwrap()
}

/// One that no cache answers.
fn fresh() -> TokenRequest {
    bearer(GRAPH_SCOPE).with_force_refresh(true)
}

fn refused(world: &World, changes: &[(&str, &str)]) -> Error {
    app(world, changes).acquire_token(&fresh()).unwrap_err()
}

/// Does the token, and nothing but the token, come by the proxy: below its path, with the query, without a region?
#[test]
fn the_token_comes_by_the_proxy() {
    let world = World::new();
    let settings = options(&world, &[]).with_extra_query_parameter("slice", "a b", false);
    let app = App::new(settings.with_azure_region("eastus")).unwrap();
    let token = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let asked = &world.cloud.requests_to(Service::TokenProxy)[0];
    let path = format!("/identity-binding/{}/oauth2/v2.0/token", directory::TENANT_ID);
    assert_eq!((asked.path.as_str(), asked.query.as_str()), (path.as_str(), "slice=a%20b"));
    assert_eq!(asked.form("client_id").as_deref(), Some(directory::USER_ASSIGNED_CLIENT_ID));
    assert_eq!(world.cloud.requests().len(), 1, "nobody else is asked, and no HTTP proxy");
    assert!(token.token_endpoint().starts_with("https://127.0.0.1:"), "{}", token.token_endpoint());
    assert!(token.token_endpoint().ends_with(&path), "{}", token.token_endpoint());
    assert_eq!((token.region(), token.region_outcome()), (None, RegionOutcome::None));
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(world.cloud.counter("token_proxy"), 1);

    // What is not known of a host is asked of Entra.
    let private = options(&world, &[]).with_authority(&authority("login.devcloud.test"));
    App::new(private).unwrap().acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let discovery = world.cloud.requests_to(Service::Login);
    assert_eq!(discovery[0].operation.as_deref(), Some("instance_discovery"));
    assert_eq!((world.cloud.counter("token_proxy"), world.cloud.counter("token")), (2, 0));
}

/// Is it opt-in, and is nobody bothered by variables without the option, or by the option without variables?
#[test]
fn it_is_opt_in() {
    let world = World::new();
    let unbound = world.cloud.files().fic_assertion_unbound().display().to_string();
    let of_app = |on, changes: &[(&str, &str)]| {
        let changes = [changes, &[("AZURE_FEDERATED_TOKEN_FILE", unbound.as_str())]].concat();
        AppOptions::confidential_client(directory::APP_B_CLIENT_ID)
            .with_authority(&authority("login.microsoftonline.com"))
            .with_credential(Credential::FederatedTokenFile(None))
            .with_enable_azure_proxy(on)
            .with_env(Arc::new(pod(&world, &changes)))
    };
    let broken = [("AZURE_KUBERNETES_TOKEN_PROXY", "no URL"), ("AZURE_KUBERNETES_CA_DATA", "no PEM")];
    let none = [
        ("AZURE_KUBERNETES_TOKEN_PROXY", ""),
        ("AZURE_KUBERNETES_CA_FILE", ""),
        ("AZURE_KUBERNETES_SNI_NAME", ""),
    ];
    for (on, changes) in [(false, &[][..]), (false, &broken), (true, &none)] {
        let token = App::new(of_app(on, changes)).unwrap().acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
        assert!(token.token_endpoint().starts_with("https://login.microsoftonline.com/"));
    }
    assert_eq!(world.cloud.counter("token_proxy"), 0);

    // Who forgets the option has Entra refuse a token that is for the proxy.
    let pods = world.cloud.files().identity_binding().display().to_string();
    let forgotten =
        of_app(false, &[]).with_env(Arc::new(pod(&world, &[("AZURE_FEDERATED_TOKEN_FILE", &pods)])));
    let error = App::new(forgotten).unwrap().acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    assert_eq!(error.aadsts_codes(), [700_212]);
    assert!(error.message().contains("mtlspop_app_options_set_enable_azure_proxy"), "{error}");

    let secret = Credential::Secret(Secret::new(directory::APP_A_SECRET));
    let managed = world.managed_identity_options(SYSTEM).with_enable_azure_proxy(true);
    for (wrong, why) in [
        (options(&world, &[]).with_credential(secret), "takes federated token files only"),
        (managed, "a managed identity app takes no token proxy"),
    ] {
        let error = App::new(wrong).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(why), "{error}");
    }
}

/// Is what the environment lacks, or has twice, an error when the app is made?
#[test]
fn settings_are_checked_first() {
    let world = World::new();
    let wrong = |changes: &[(&str, &str)]| App::new(options(&world, changes)).err().unwrap();
    let pem = world.cloud.ca_pem();
    let rows = [
        (
            &[("AZURE_KUBERNETES_TOKEN_PROXY", "")][..],
            "invalid_argument",
            "AZURE_KUBERNETES_TOKEN_PROXY is not",
        ),
        (&[("AZURE_KUBERNETES_TOKEN_PROXY", "http://127.0.0.1")], "invalid_argument", "is not an https URL"),
        (&[("AZURE_KUBERNETES_CA_DATA", pem.as_str())], "invalid_argument", "both set"),
        (&[("AZURE_KUBERNETES_CA_FILE", "/nowhere")], "invalid_trusted_roots", "/nowhere"),
        (&[("AZURE_KUBERNETES_CA_FILE", "/dev/null")], "invalid_trusted_roots", "is empty"),
        (
            &[("AZURE_KUBERNETES_CA_FILE", ""), ("AZURE_KUBERNETES_CA_DATA", "no PEM")],
            "invalid_trusted_roots",
            "AZURE_KUBERNETES_CA_DATA",
        ),
    ];
    for (changes, code, why) in rows {
        let error = wrong(changes);
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidArgument, code), "{error}");
        assert!(error.message().contains(why), "{error}");
    }
    assert!(world.cloud.requests().is_empty());
}

/// Do the authorities of the variables replace the usual ones for the proxy, and are these asked where there are none;
/// and does its name come from the variable?
#[test]
fn who_is_believed() {
    let world = World::new();
    let usual = world.cloud.ca_pem_path().display().to_string();
    let own = fs::read_to_string(world.cloud.files().cluster_ca()).unwrap();
    let data = [("AZURE_KUBERNETES_CA_FILE", ""), ("AZURE_KUBERNETES_CA_DATA", own.as_str())];
    app(&world, &data).acquire_token(&fresh()).unwrap();
    let without = [("AZURE_KUBERNETES_CA_FILE", "")];
    let with_roots = options(&world, &without).with_trusted_roots_file(world.cloud.files().cluster_ca());
    App::new(with_roots).unwrap().acquire_token(&fresh()).unwrap();
    assert_eq!(world.cloud.counter("token_proxy"), 2);

    for (changes, why) in [
        (&[("AZURE_KUBERNETES_CA_FILE", usual.as_str())][..], "devcloud cluster CA"),
        (&without, "devcloud cluster CA"),
        (&[("AZURE_KUBERNETES_SNI_NAME", "other.ests.aks")], "devcloud.ests.aks"),
        (&[("AZURE_KUBERNETES_SNI_NAME", "")], "devcloud.ests.aks"),
    ] {
        let error = refused(&world, changes);
        println!("{changes:?} | {} | {error}", error.code());
        assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "tls_error"), "{error}");
        let message = error.message();
        assert!(
            message.starts_with("the token proxy of the cluster (for which ") && message.contains(why),
            "{error}"
        );
    }
    assert_eq!(world.cloud.counter("token_proxy"), 2, "nothing is sent to who could be anybody");
}

/// The authority rotates while the app runs: is the file looked at for each request, a new one believed on a new
/// connection, and the known one kept for as long as the file is empty?
#[test]
fn authorities_rotate() {
    let world = World::new();
    let file = world.cloud.state_dir().join("rotating.pem");
    let write = |pem: &str| fs::write(&file, pem).unwrap();
    let first = fs::read_to_string(world.cloud.files().cluster_ca()).unwrap();
    write(&first);
    let changes = [("AZURE_KUBERNETES_CA_FILE", file.to_str().unwrap())];
    let (app, late) = (app(&world, &changes), app(&world, &changes));
    let ask = || app.acquire_token(&fresh());
    // The next request needs another connection.
    let cut = || {
        let close = Some(Close::BeforeResponse);
        world.cloud.fault(Fault { close, ..Fault::on("token_proxy") }).unwrap();
    };
    let connection = || world.cloud.requests_to(Service::TokenProxy).last().unwrap().connection;
    ask().unwrap();
    let before = connection();
    ask().unwrap();
    assert_eq!(connection(), before, "the same file, the same connection");

    for nothing in ["", " \n"] {
        write(nothing);
        cut();
        ask().unwrap();
    }
    let second = world.cloud.rotate_cluster_authority().unwrap();
    // Without a TLS session to resume.
    let error = late.acquire_token(&fresh()).unwrap_err();
    println!("rotated, file empty | {} | {error}", error.code());
    assert_eq!(error.code(), "tls_error", "the known authority does not vouch for it: {error}");
    write(&second);
    ask().unwrap();
    late.acquire_token(&fresh()).unwrap();
    let after = connection();
    write(&format!("{first}{second}"));
    ask().unwrap();
    assert_ne!(connection(), after, "other authorities, another connection");

    for (content, code) in [(first.as_str(), "tls_error"), ("no PEM", "invalid_trusted_roots")] {
        write(content);
        let error = ask().unwrap_err();
        println!("{:?} | {} | {error}", content.lines().next(), error.code());
        assert_eq!(error.code(), code, "{error}");
    }
    fs::remove_file(&file).unwrap();
    let error = ask().unwrap_err();
    println!("no file | {} | {error}", error.code());
    assert!(error.message().contains("rotating.pem") && error.code() == "invalid_trusted_roots", "{error}");
    write(&second);
    ask().unwrap();
}

/// Does the HTTP proxy of the environment lead there, too, where `NO_PROXY` does not name it, as for the Azure SDKs?
#[test]
fn an_http_proxy_is_another_matter() {
    let world = World::new();
    let error = refused(&world, &[("NO_PROXY", "")]);
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "proxy_error"), "{error}");
    let connect = world.cloud.requests_to(Service::Proxy);
    assert_eq!((connect.len(), connect[0].host.as_str()), (1, "127.0.0.1"));
}

/// Is an answer that is none of a token endpoint's refused in words, without the pod's token in them?
#[test]
fn a_proxy_that_lies() {
    let world = World::new();
    let app = app(&world, &[]);
    let pods = fs::read_to_string(world.cloud.files().identity_binding()).unwrap();
    let answer = |status: u16, body: &str| Fault {
        status: Some(status),
        body: Some(body.to_owned()),
        times: 2,
        ..Fault::on("token_proxy")
    };
    let redirect = Fault {
        headers: [("location".to_owned(), "https://login.microsoftonline.com/x".to_owned())].into(),
        ..answer(302, "")
    };
    let bent = |members| Fault::set("token_proxy", members);
    let oauth = json!({ "error": "invalid_client", "error_description": format!("you sent {pods}") });
    let rows = [
        ("a page", answer(200, "<html><title>Welcome</title>"), ErrorKind::InvalidResponse),
        ("nothing", answer(200, ""), ErrorKind::InvalidResponse),
        ("JSON without a token", answer(200, "{}"), ErrorKind::InvalidResponse),
        ("a redirect", redirect, ErrorKind::InvalidResponse),
        ("another type", bent(json!({ "token_type": "mtls_pop" })), ErrorKind::InvalidResponse),
        ("no end", bent(json!({ "expires_in": "soon" })), ErrorKind::InvalidResponse),
        ("a line break in the token", bent(json!({ "access_token": "a\r\nb" })), ErrorKind::InvalidResponse),
        ("a gateway's error", answer(502, "<html><title>502 Bad Gateway</title>"), ErrorKind::Rejected),
        (
            "an error of IMDS",
            answer(400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#),
            ErrorKind::Rejected,
        ),
        ("what it was sent", answer(401, &oauth.to_string()), ErrorKind::Rejected),
    ];
    for (what, fault, kind) in rows {
        world.cloud.reset();
        world.cloud.fault(fault).unwrap();
        let error = app.acquire_token(&fresh()).unwrap_err();
        println!("{what} | {} | {error}", error.code());
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.message().starts_with("the token proxy of the cluster: "), "{error}");
        assert!(!error.message().contains(pods.trim()), "{error}");
        assert_eq!(world.cloud.requests_to(Service::Login).len(), 0, "nobody else is asked");
    }
}

/// Does what Entra says behind the proxy come through as it is?
#[test]
fn what_entra_says_comes_through() {
    let world = World::new();
    let unbound = world.cloud.files().fic_assertion_unbound().display().to_string();
    let error = refused(&world, &[("AZURE_FEDERATED_TOKEN_FILE", unbound.as_str())]);
    println!("{error}");
    assert_eq!((error.code(), error.aadsts_codes()), ("invalid_client", [700_212].as_slice()));
    assert!(error.message().starts_with("AADSTS700212: "), "{error}");
    assert!(error.token_endpoint().unwrap().contains("/identity-binding/"));
    let app_b = options(&world, &[]);
    let token: Result<Token, Error> = App::new(app_b).unwrap().acquire_token(&fresh());
    assert_eq!(token.unwrap().tenant_id(), Some(directory::TENANT_ID));
}
