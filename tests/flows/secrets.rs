//! Is anything secret in what the library says of itself: log lines, metrics, errors, `Debug`?

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use devcloud::{Close, Fault, Options, Source, directory};
use mtlspop::{
    App, AppOptions, BindingStore, Credential, HttpRequest, LogLevel, Logger, Metric, Secret, SecretBytes,
    Token, TokenRequest,
};

use crate::support::{GRAPH, GRAPH_SCOPE, Provider, SYSTEM, World, bearer, pop};

const PROXY_PASSWORD: &str = "a-password-of-the-proxy";
const STORE_SECRET: &str = "a-secret-of-the-binding-store";
const WRONG_SECRET: &str = "a-secret-that-is-wrong";

/// Everything that was said, in one text.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn add(&self, what: &dyn Debug) {
        let mut said = self.0.lock().unwrap();
        said.push_str(&format!("{what:?}\n"));
    }

    fn heard_from(&self, options: AppOptions) -> AppOptions {
        let (lines, metrics) = (self.clone(), self.clone());
        let log = Logger::new(LogLevel::Verbose, Arc::new(move |_, target, line| lines.add(&(target, line))));
        let options =
            options.with_logger(log).with_metrics(Arc::new(move |metric: &Metric<'_>| metrics.add(metric)));
        self.add(&options);
        options
    }
}

/// Are neither tokens nor what got them in a log line of any level, a metric, an error or `Debug`, where all goes well and
/// where each step goes wrong?
#[test]
fn nothing_secret_is_said() {
    let world =
        World::with(Options { proxy_auth: Some(format!("user:{PROXY_PASSWORD}")), ..Options::default() });
    let place = tempfile::tempdir().unwrap();
    let said = Said::default();
    let secret = |text| Credential::Secret(Secret::new(text));
    let fic = |bound| {
        let answer = world.fic_answer(bound);
        world.fic_options(Provider(move |_: &mtlspop::AssertionRequest<'_>| Ok(answer.clone())))
    };
    let store =
        BindingStore::encrypted(place.path().join("store").to_str().unwrap(), SecretBytes::new(STORE_SECRET));
    let mut app_service = world.env();
    app_service.extend(world.cloud.source_env(Source::AppService));
    let runs: Vec<(AppOptions, TokenRequest, &str)> = vec![
        (world.app_a_options(world.sni_credential()), pop(GRAPH_SCOPE), "token"),
        (world.app_a_options(world.sni_credential()), bearer(GRAPH_SCOPE), "token"),
        (world.app_a_options(secret(directory::APP_A_SECRET)), bearer(GRAPH_SCOPE), "token"),
        (world.app_a_options(secret(WRONG_SECRET)), bearer(GRAPH_SCOPE), "token"),
        (fic(true), pop(GRAPH_SCOPE), "token"),
        (fic(false), bearer(GRAPH_SCOPE), "token"),
        (world.managed_identity_options(SYSTEM).with_binding_store(store), pop(GRAPH), "token"),
        (world.managed_identity_options(SYSTEM), bearer(GRAPH), "imds_token"),
        (
            world.managed_identity_options(SYSTEM).with_env(Arc::new(app_service)),
            bearer(GRAPH),
            "app_service",
        ),
    ];
    let mut tokens = Vec::new();
    for (options, request, operation) in runs {
        let app = App::new(said.heard_from(options)).unwrap();
        said.add(&request);
        let mut ask = |request: &TokenRequest| match app.acquire_token(request) {
            Ok(token) => {
                call(&app, &token, request, &said);
                tokens.push(token.access_token().to_owned());
            }
            Err(error) => said.add(&(error.to_string(), &error)),
        };
        ask(&request);
        let anew = request.with_force_refresh(true);
        for fault in [
            Fault { times: 9, ..Fault::status(operation, 503) },
            Fault { body: Some("<html>no answer".to_owned()), ..Fault::on(operation) },
            Fault::set(
                operation,
                serde_json::json!({ "token_type": "pop", "expires_in": "soon", "expires_on": "soon" }),
            ),
            Fault { close: Some(Close::MidResponse), times: 9, ..Fault::on(operation) },
        ] {
            world.cloud.fault(fault).unwrap();
            ask(&anew);
            world.cloud.clear_faults();
        }
    }
    assert_eq!(tokens.len(), 8, "one for each way in that is right");

    let mut secrets = tokens;
    secrets.extend([PROXY_PASSWORD, STORE_SECRET, WRONG_SECRET, directory::APP_A_SECRET].map(str::to_owned));
    for request in world.cloud.requests() {
        secrets.extend(["client_secret", "client_assertion"].iter().filter_map(|name| request.form(name)));
        let headers = ["authorization", "proxy-authorization", "x-identity-header", "secret"];
        let values = headers.iter().filter_map(|name| request.header(name));
        secrets.extend(values.map(|value| value.rsplit(' ').next().unwrap().to_owned()));
    }
    let sni = std::fs::read_to_string(world.cloud.files().sni_key()).unwrap();
    secrets.extend(sni.lines().filter(|line| line.len() == 64).map(str::to_owned));
    // A part of a token that is enough to know it again.
    let parts: Vec<&str> = secrets.iter().flat_map(|secret| secret.split('.')).collect();
    let said = said.0.lock().unwrap();
    assert!(said.len() > 10_000 && said.contains("503"), "the test heard nothing: {said}");
    let heard: Vec<_> = parts.iter().filter(|part| part.len() > 12 && said.contains(**part)).collect();
    assert!(heard.is_empty(), "{heard:#?}");
}

/// Calls an API that takes the token, one that wants claims, one that breaks off.
fn call(app: &App, token: &Token, request: &TokenRequest, said: &Said) {
    said.add(token);
    let host = match token.binding_certificate() {
        Some(certificate) => {
            said.add(&certificate);
            "mtlstb.graph.microsoft.com"
        }
        None => "graph.microsoft.com",
    };
    for path in ["v1.0/applications", "claims-challenge", "status/401", "status/503"] {
        let call = HttpRequest::new("GET", &format!("https://{host}/{path}"));
        said.add(&call);
        match app.send_answering_claims(token, request, &call) {
            Ok(response) => said.add(&response),
            Err(error) => said.add(&(error.to_string(), &error)),
        }
    }
}
