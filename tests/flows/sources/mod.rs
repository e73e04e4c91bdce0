//! The sources of Bearer tokens other than IMDS: hosts that have one, and apps on them.

mod answers;
mod arc_user_assigned;
mod azure_arc;
mod requests;
mod retries;
mod service_fabric;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use devcloud::{ReceivedRequest, Service, Source};
use mtlspop::{App, AppOptions, Env, Error, ManagedIdentityId, Token};

use crate::support::{GRAPH, SYSTEM, World, bearer};

const CLAIMS: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;

/// A host with one of the sources. Its well-known places are below a directory of the test's own.
#[derive(Debug)]
struct Host {
    variables: HashMap<String, String>,
    keys: PathBuf,
}

impl Env for Host {
    fn var(&self, name: &str) -> Option<String> {
        self.variables.var(name)
    }

    fn host_path(&self, path: &str) -> PathBuf {
        match path {
            "/var/opt/azcmagent/tokens" => self.keys.clone(),
            other => self.variables.host_path(other),
        }
    }
}

fn host(world: &World, source: Source) -> Host {
    let mut variables = world.env();
    variables.extend(world.cloud.source_env(source));
    Host { variables, keys: world.cloud.files().arc_tokens() }
}

fn options(world: &World, source: Source, id: ManagedIdentityId) -> AppOptions {
    world.managed_identity_options(id).with_env(Arc::new(host(world, source)))
}

/// An app on a host that a test has changed.
fn app_on(world: &World, host: Host) -> mtlspop::Result<App> {
    App::new(world.managed_identity_options(SYSTEM).with_env(Arc::new(host)))
}

fn app(world: &World, source: Source) -> App {
    App::new(options(world, source, SYSTEM)).unwrap()
}

/// What a new app gets when it asks for Graph.
fn ask(world: &World, source: Source, id: ManagedIdentityId) -> Result<Token, Error> {
    App::new(options(world, source, id))?.acquire_token(&bearer(GRAPH))
}

fn service(source: Source) -> Service {
    match source {
        Source::AppService => Service::AppService,
        Source::AzureArc => Service::Arc,
        Source::CloudShell => Service::CloudShell,
        Source::MachineLearning => Service::MachineLearning,
        Source::ServiceFabric => Service::ServiceFabric,
    }
}

fn operation(source: Source) -> &'static str {
    service(source).name()
}

/// The requests that the source has received; nobody else has received any.
fn received(world: &World, source: Source) -> Vec<ReceivedRequest> {
    let all = world.cloud.requests();
    assert!(all.iter().all(|request| request.service == service(source)), "{all:?}");
    all
}

/// The names of the parameters, in their order.
fn parameters(request: &ReceivedRequest) -> Vec<String> {
    let pairs = request.query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split('=').next().unwrap().to_owned()).collect()
}
