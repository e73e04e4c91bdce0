//! `mtlspop exec`: a program with an identity endpoint of its own, so that Azure's libraries in it need no change.

mod child;
mod current;
mod endpoint;
mod judge;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use self::child::Child;
use self::current::Current;
use self::endpoint::Endpoint;
use self::judge::Judge;
use crate::identity::Identity;
use crate::layers::Layers;
use crate::settings::Settings;
use crate::{Context, Failure, Result};

/// Run a program whose Azure libraries get tokens of this identity
///
/// The program finds the identity endpoint of App Service in its environment (IDENTITY_ENDPOINT, IDENTITY_HEADER), on loopback and behind a
/// random secret, so that DefaultAzureCredential and MSAL in it get Bearer tokens of the identity that is proven here by a
/// certificate, a key in a TPM, a secret or a federated token. The endpoint lives as long as the program. What the libraries would try
/// first, credentials in the environment, is taken out of it; from a program that looks for them nothing is hidden that its user may read.
///
/// Files that prove the identity are read anew when they have changed; where they cannot be used, it goes on as before.
///
/// Signals and the exit status pass through. 127: the program was not found, 126: it could not be run.
#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    override_usage = "mtlspop exec [OPTIONS] -- PROGRAM [ARGUMENTS]...",
    mut_arg("resource", |arg| arg.hide(true)),
    mut_arg("scope", |arg| arg.hide(true)),
    mut_arg("pop", |arg| arg.hide(true))
)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    settings: Settings,
    /// Give tokens for this API only; may be given again [default: for all that are asked for]
    #[arg(long, value_name = "URI", help_heading = "What for")]
    allow_resource: Vec<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop exec --certificate app.pem --tenant contoso.com --client-id ID \\
      -- python3 report.py
  mtlspop exec --profile reports --allow-resource https://vault.azure.net \\
      -- ./collector --config collector.yaml";

pub(crate) fn run(args: &ExecArgs, context: &Context) -> Result<ExitCode> {
    if args.settings.resource.is_some() || args.settings.scope.is_some() {
        return Err(Failure::input("the program says what its tokens are for: --allow-resource limits it"));
    }
    let (settings, context) = (args.settings.clone(), context.clone());
    let verbose = context.verbose;
    let files = Layers::new(&settings, &context)?.files();
    let current = Current::new(files, move || identity(&settings, &context))?;
    let failed = |error| Failure::output("the identity endpoint", &error);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(endpoint::MOST_AT_ONCE)
        .enable_all()
        .build()
        .map_err(failed)?;
    let ended = runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let judge = Judge::new(address, current.ids().clone(), &args.allow_resource);
        let mut child = Child::spawn(&args.command, &judge)?;
        let endpoint = Arc::new(Endpoint::new(current, judge, verbose));
        tokio::spawn(endpoint.serve(listener));
        child.wait().await
    });
    // A token that is just being fetched has nobody left to go to.
    runtime.shutdown_background();
    ended
}

fn identity(settings: &Settings, context: &Context) -> Result<Identity> {
    let identity = Identity::new(settings, context)?;
    match identity.is_bound() {
        true => Err(Failure::input(
            "the identity endpoint of App Service gives Bearer tokens, which --pop does not want",
        )),
        false => Ok(identity),
    }
}
