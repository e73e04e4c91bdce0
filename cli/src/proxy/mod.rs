//! `mtlspop proxy`: a reverse proxy on this host whose requests go out with a token, over mTLS where that is bound.

mod answer;
mod body;
mod exchange;
mod forward;
mod handed;
mod headers;
mod listen;
mod log;
mod metrics;
mod routes;
mod secret;

use std::convert::Infallible;
use std::future::{pending, ready};
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use mtlspop::{App, Secret};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::forward::{Proxy, Target};
use self::handed::Handed;
use self::listen::{Bound, Place};
use self::metrics::Metrics;
use self::routes::Routes;
use crate::identity::Identity;
use crate::output::print;
use crate::server::{Callers, Limits, Listener, serve};
use crate::settings::Settings;
use crate::{Context, Failure, Result};

/// Run a reverse proxy whose requests go out with a token of this identity
///
/// Programs that cannot be changed send plain HTTP to a Unix socket or to loopback; it goes on over TLS with a token, with --pop over
/// mTLS and bound to the certificate. Bodies are streamed both ways. Redirects are returned, not followed.
///
/// On loopback each request needs the header X-Mtlspop-Secret: other users of this host can reach it. A Unix socket is for its owner, and
/// for a group that --socket-group names; a socket of systemd needs no secret where its SocketMode= is 0660 or less.
///
/// Of the client's headers those of the connection, Authorization, Forwarded, X-Forwarded-* and Via go no further. Upgrades, CONNECT, TRACE,
/// paths with dot segments and requests of browsers are refused. SIGHUP has certificates and secrets read anew, those of the identity
/// and that of --listen-secret-file. SIGTERM and SIGINT stop it when what has come is answered; a second one at once.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProxyArgs {
    /// unix:PATH, or an address of loopback: 127.0.0.1:PORT; port 0 is any that is free, and is printed. systemd is the socket that
    /// systemd hands over, systemd:NAME that with this FileDescriptorName= where there are more
    #[arg(long, value_name = "PLACE", help_heading = "Where")]
    listen: Place,
    /// What holds the secret that clients send as X-Mtlspop-Secret; made, with a random one, where it is not there
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    listen_secret_file: Option<PathBuf>,
    /// Group that may connect to the Unix socket, too: a number, or a name of /etc/group
    #[arg(long, value_name = "GROUP", help_heading = "Where")]
    socket_group: Option<String>,
    /// Where requests go to: https://HOST[/PATH], for /PREFIX=https://HOST what is below that; may be given again, and is then chosen by
    /// prefix, or without one by the Host header. Behind a comma its own resource for tokens
    #[arg(long, value_name = "[/PREFIX=]URL[,RESOURCE]", required = true, help_heading = "Where")]
    upstream: Vec<String>,
    /// Requests that are on their way at once
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096), help_heading = "Limits")]
    threads: u16,
    /// Requests that wait for one of these; more are answered with 503
    #[arg(long, value_name = "NUMBER", default_value_t = 1024, help_heading = "Limits")]
    queue: u16,
    /// Connections that are open at once; others wait
    #[arg(long, value_name = "NUMBER", default_value_t = 2048, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    max_connections: u16,
    /// When it is to stop, what has come is answered for so long; container runtimes kill after half a minute
    #[arg(long, value_name = "SECONDS", default_value_t = 25, help_heading = "Limits")]
    shutdown_timeout: u16,
    /// Longest body of a request, in bytes [default: none]
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    max_body: Option<u64>,
    /// Write a line of JSON to stderr for each request
    #[arg(long, help_heading = "Output")]
    access_log: bool,
    /// Tell numbers there, in Prometheus' text format at /metrics: unix:PATH, an address of loopback, or systemd:NAME
    #[arg(long, value_name = "PLACE", help_heading = "Output")]
    metrics: Option<Place>,
    /// Read the settings and what they name, say whether it can start, and end
    #[arg(long, help_heading = "Output")]
    check: bool,
    #[command(flatten)]
    settings: Settings,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop proxy --listen unix:/run/graph.sock --pop \\
      --resource https://graph.microsoft.com \\
      --upstream https://mtlstb.graph.microsoft.com
  curl --unix-socket /run/graph.sock \\
      http://mtlstb.graph.microsoft.com/v1.0/applications
  mtlspop proxy --listen 127.0.0.1:8080 --listen-secret-file secret \\
      --upstream /g=https://graph.microsoft.com,https://graph.microsoft.com \\
      --upstream /vault=https://x.vault.azure.net,https://vault.azure.net
  curl -H \"X-Mtlspop-Secret: $(cat secret)\" \\
      http://127.0.0.1:8080/g/v1.0/applications";

/// In lower case, as hyper has names.
const SECRET_HEADER: &str = "x-mtlspop-secret";
/// What is much longer the library could not send.
const LONGEST_HEAD: usize = 15 * 1024;
const MOST_SCRAPERS: usize = 16;
/// An idle connection is kept that long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &ProxyArgs, context: &Context) -> Result<ExitCode> {
    // It changes the environment, which is for who is alone.
    let mut handed = Handed::from_env();
    let identity = Identity::new(&args.settings, context)?;
    let stdin_is_taken = identity.reads_stdin();
    let group = args.listen.group(args.socket_group.as_deref())?;
    let counts = Arc::default();
    let (app, routes) = app(args, identity, &counts)?;
    if args.check {
        return check(args);
    }
    let failed = |error| Failure::output("the proxy", &error);
    raise_descriptors();
    let (bound, listener) = args.listen.bind(group, &mut handed)?;
    let metrics = args.metrics.as_ref().map(|place| place.bind(None, &mut handed)).transpose()?;
    let secret = match &args.listen_secret_file {
        Some(path) => Some(secret::read_or_make(path, stdin_is_taken)?),
        None if bound.is_open() => {
            return Err(open_to_all());
        }
        None => None,
    };
    let callers = callers(&bound, &routes, secret.as_ref());
    let target = Target { app, routes, callers };
    let threads = usize::from(args.threads);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(threads)
        .enable_all()
        .build()
        .map_err(failed)?;
    let stopped = runtime.block_on(async {
        let proxy = Arc::new(Proxy::new(target, counts.clone(), args));
        let listener = listener.into_async().map_err(failed)?;
        let (mut terminate, mut interrupt, mut hangup) = (
            signal(SignalKind::terminate()).map_err(failed)?,
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::hangup()).map_err(failed)?,
        );
        let limits =
            Limits { connections: usize::from(args.max_connections), head: LONGEST_HEAD, patience: PATIENCE };
        let answering = proxy.clone();
        let service = service_fn(move |request| answering.clone().answer(request));
        // From here on it can be reached.
        print(&format!("{bound}\n"))?;
        if let Some((bound, listener)) = metrics {
            print(&format!("{bound}/metrics\n"))?;
            let callers = Arc::new(bound.callers(|_| iter::empty()));
            tokio::spawn(serve_metrics(
                listener.into_async().map_err(failed)?,
                bound,
                callers,
                proxy.clone(),
            ));
        }
        handed::ready();
        let (stop, mut stopping) = watch::channel(false);
        let served = serve(listener, limits, service, async move {
            // An error says that the sender is gone, and then this is, too.
            let _ = stopping.wait_for(|stop| *stop).await;
        });
        let signals = async {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            loop {
                tokio::select! {
                    () = next() => break,
                    _ = hangup.recv() => {
                        handed::reloading();
                        match reloaded(args, context, &bound, secret.as_ref(), &counts) {
                            Ok(target) => proxy.replace(target),
                            Err(failure) => {
                                failure.hint("it goes on with what was read before").report();
                            }
                        }
                        handed::ready();
                    }
                }
            }
            stop.send_replace(true);
            handed::stopping();
            let patience = Duration::from_secs(args.shutdown_timeout.into());
            let _ = tokio::time::timeout(patience, next()).await;
        };
        tokio::select! {
            () = async { served.await; proxy.rest().await } => {}
            () = signals => {}
        }
        Ok(ExitCode::SUCCESS)
    });
    // What is still on its way has nobody left to go to.
    runtime.shutdown_background();
    drop(bound);
    stopped
}

/// What can be told without listening, and was not yet.
fn check(args: &ProxyArgs) -> Result<ExitCode> {
    match (&args.listen_secret_file, &args.listen) {
        (Some(path), _) => secret::check(path)?,
        (None, Place::Tcp(_)) => return Err(open_to_all()),
        (None, Place::Unix(_) | Place::Systemd(_)) => {}
    }
    print("it can start with these settings\n")?;
    Ok(ExitCode::SUCCESS)
}

fn open_to_all() -> Failure {
    Failure::input(
        "other users of this host could connect: --listen-secret-file names what holds, or will hold, a secret; \
         or listen on unix:PATH, or on a socket of systemd with SocketMode=0600",
    )
}

/// Answers scrapers for ever.
async fn serve_metrics(listener: Listener, bound: Bound, callers: Arc<Callers>, proxy: Arc<Proxy>) {
    let limits = Limits { connections: MOST_SCRAPERS, head: LONGEST_HEAD, patience: PATIENCE };
    let service = service_fn(move |request: Request<Incoming>| {
        let (head, _) = request.into_parts();
        ready(Ok::<_, Infallible>(proxy.tell(&callers, &head)))
    });
    serve(listener, limits, service, pending()).await;
    drop(bound);
}

fn app(args: &ProxyArgs, mut identity: Identity, counts: &Arc<Metrics>) -> Result<(App, Routes)> {
    let routes = Routes::new(&args.upstream, identity.scope(), identity.is_bound())?;
    if args.metrics.is_some() {
        let counts = counts.clone();
        identity = identity.with_metrics(Arc::new(move |metric| counts.measure(metric)));
    }
    let (app, _) = identity.answering_claims().into_app()?;
    Ok((app, routes))
}

fn callers(bound: &Bound, routes: &Routes, secret: Option<&Secret>) -> Callers {
    let callers = bound.callers(|port| routes.hosts(port));
    match secret {
        Some(secret) => callers.with_secret(
            SECRET_HEADER,
            secret.clone(),
            "the header X-Mtlspop-Secret is not there once with the secret",
        ),
        None => callers,
    }
}

/// Reads what proves the identity anew, and what clients have to know: all of it or nothing. Requests that are on their way end with
/// what they began with.
fn reloaded(
    args: &ProxyArgs,
    context: &Context,
    bound: &Bound,
    known: Option<&Secret>,
    counts: &Arc<Metrics>,
) -> Result<Target> {
    let (app, routes) = app(args, Identity::new(&args.settings, context)?, counts)?;
    let secret = match (&args.listen_secret_file, known) {
        (Some(path), Some(known)) => Some(secret::read_again(path, known)?),
        _ => None,
    };
    let callers = callers(bound, &routes, secret.as_ref());
    Ok(Target { app, routes, callers })
}

/// Each client is a descriptor, and each request under way another: as many as this process may have.
fn raise_descriptors() {
    let limits = getrlimit(Resource::Nofile);
    // Where it may not, it has those that it has, and clients wait.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits });
}
