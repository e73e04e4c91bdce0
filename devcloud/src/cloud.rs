//! A running cloud, as Rust tests hold it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

use crate::endpoints::Endpoints;
use crate::exchange::Connection;
use crate::fault::Fault;
use crate::files::Files;
use crate::hosts::Service;
use crate::oidc::Assertion;
use crate::options::Options;
use crate::pki::{sha1_thumbprint, thumbprint};
use crate::record::ReceivedRequest;
use crate::rsa_key::RsaKey;
use crate::server_certificates::ServerCertificates;
use crate::source::Source;
use crate::tls::{self, Tls};
use crate::vault::TokenBinding;
use crate::world::World;
use crate::{cluster, control, proxy, serve};

/// A running cloud. It stops when dropped.
pub struct Cloud {
    world: Arc<World>,
    endpoints: Endpoints,
    // Dropped in Drop, before the directory: nothing serves files that are gone.
    runtime: Option<Runtime>,
    _temporary: Option<TempDir>,
}

impl Cloud {
    /// Starts a cloud of its own on free ports of 127.0.0.1, with keys of its own.
    pub fn start(options: Options) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (directory, temporary) = match &options.state_dir {
            Some(directory) => (std::path::absolute(directory)?, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("devcloud-").tempdir()?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        let files = Files { directory };
        let arc_tokens = arc_tokens(&options, &files)?;
        let world = Arc::new(World::new(&options, arc_tokens)?);
        files.write(&world.pki, &world.oidc, &world.cluster.ca_pem())?;

        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("devcloud").enable_all().build()?;
        let entered = runtime.enter();
        let imds = listen_for_imds(options.imds_address)?;
        let (token_proxy, proxy, control) = (listen()?, listen()?, listen()?);
        let mut sources = Vec::new();
        for source in Source::ALL {
            let listener = listen()?;
            let scheme = if source == Source::ServiceFabric { "https" } else { "http" };
            let origin = format!("{scheme}://{}", listener.local_addr()?);
            let fabric = &world.pki.fabric.certificate;
            sources.push((source, source.env(&origin, &world.sources, &sha1_thumbprint(fabric))));
            let (shared, service) = (world.clone(), source.service());
            if source == Source::ServiceFabric {
                let acceptor = tls::fabric(&world.pki.fabric, &world.provider, &world.clock)?;
                runtime.spawn(accept(listener, move |stream| {
                    tls_client(shared.clone(), acceptor.clone(), service, stream)
                }));
            } else {
                runtime.spawn(accept(listener, move |stream| http_client(shared.clone(), service, stream)));
            }
        }
        let endpoints = Endpoints {
            imds: imds.local_addr()?,
            token_proxy: token_proxy.local_addr()?,
            proxy: proxy.local_addr()?,
            control: control.local_addr()?,
            files,
            sources,
            source: options.source,
            profile: options.profile,
            proxy_auth: options.proxy_auth,
        };
        let certificates = Arc::new(ServerCertificates::new(world.pki.clone(), world.started)?);
        let tls = Arc::new(Tls::new(&world.provider, &world.clock, certificates, world.door.clone())?);
        let shared = world.clone();
        runtime.spawn(accept(imds, move |stream| http_client(shared.clone(), Service::Imds, stream)));
        let (shared, acceptor) =
            (world.clone(), cluster::acceptor(&world.cluster, &world.provider, &world.clock)?);
        runtime.spawn(accept(token_proxy, move |stream| {
            tls_client(shared.clone(), acceptor.clone(), Service::TokenProxy, stream)
        }));
        let shared = world.clone();
        runtime.spawn(accept(proxy, move |stream| proxy::client(shared.clone(), tls.clone(), stream)));
        let (shared, places) = (world.clone(), endpoints.clone());
        runtime.spawn(accept(control, move |stream| control::client(shared.clone(), places.clone(), stream)));
        drop(entered);
        Ok(Cloud { world, endpoints, runtime: Some(runtime), _temporary: temporary })
    }

    /// The environment that points a program at this cloud.
    pub fn env(&self) -> Vec<(String, String)> {
        self.endpoints.env()
    }

    /// What makes a host one that has this service for its managed identities, beside [`Cloud::env`]. A
    /// client finds the keys of Azure Arc in [`Files::arc_tokens`], although they are named as those of the real agent.
    pub fn source_env(&self, source: Source) -> Vec<(String, String)> {
        self.endpoints.source_env(source)
    }

    /// The ready object: `{"event":"ready", ...}`.
    pub fn ready(&self) -> Value {
        self.endpoints.ready()
    }

    /// The proxy, with its credentials if it asks for any.
    pub fn proxy_url(&self) -> String {
        self.endpoints.proxy_url()
    }

    /// IMDS: the value of `AZURE_POD_IDENTITY_AUTHORITY_HOST`.
    pub fn imds_url(&self) -> String {
        format!("http://{}", self.endpoints.imds)
    }

    /// The control port.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.endpoints.control)
    }

    /// The root certificate to trust, in PEM.
    pub fn ca_pem(&self) -> String {
        self.world.pki.server_ca.pem()
    }

    /// The file that the root certificate is in.
    pub fn ca_pem_path(&self) -> PathBuf {
        self.files().ca()
    }

    /// Where the files are.
    pub fn state_dir(&self) -> &Path {
        &self.files().directory
    }

    /// The files, by what they are.
    pub fn files(&self) -> &Files {
        &self.endpoints.files
    }

    /// Every request received so far, oldest first (the last 10,000).
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.world.log.requests()
    }

    /// The requests of one service.
    pub fn requests_to(&self, service: Service) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(|request| request.service == service).collect()
    }

    /// The counters by name; one that has counted nothing is absent.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.world.counters()
    }

    /// How often an operation was asked for, whether it was refused or not.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters().get(name).copied().unwrap_or_default()
    }

    /// How many connections are open now whose client certificate has this `x5t#S256`.
    pub fn open_connections(&self, x5t_s256: &str) -> u64 {
        self.world.open.with(x5t_s256)
    }

    /// Forgets requests, counters and faults. The clock stays where it is.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Adds a fault. An operation that does not exist is an error.
    pub fn fault(&self, fault: Fault) -> Result<(), String> {
        self.world.faults.add(fault)
    }

    /// Forgets the faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Puts the cloud's clock forward: tokens and certificates age.
    pub fn advance_clock(&self, by: Duration) {
        self.world.clock.advance(by.as_secs() as i64);
    }

    /// Changes which tokens the vaults take.
    pub fn set_token_binding(&self, policy: TokenBinding) {
        self.world.resources.policy.set(policy);
    }

    /// The cloud's time, in seconds since the epoch.
    pub fn now(&self) -> i64 {
        self.world.clock.now()
    }

    /// A federated assertion of `oidc.devcloud.test`.
    pub fn mint_assertion(&self, assertion: &Assertion) -> Result<String, String> {
        self.world.oidc.mint(assertion)
    }

    /// An attestation token for a key (RSAPublicKey, DER: PKCS#1), as if the key had been attested.
    pub fn mint_attestation(&self, rsa_public_key: &[u8]) -> Result<String, String> {
        self.world.attest.token(&RsaKey::from_der(rsa_public_key)?.jwk(), None)
    }

    /// The certificate (DER) of a TPM's attestation key (RSAPublicKey, DER: PKCS#1), as Azure writes it into the
    /// virtual TPM of a trusted-launch machine. Whoever asks must know that the key is restricted and in a TPM.
    pub fn certify_attestation_key(
        &self,
        rsa_public_key: &[u8],
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.world.pki.issue_attestation_key(rsa_public_key, self.now())?.to_vec())
    }

    /// An SN/I certificate of application A for its key (RSAPublicKey, DER: PKCS#1), and the intermediate, in PEM.
    pub fn certify_sni_key(&self, rsa_public_key: &[u8]) -> Result<String, Box<dyn Error + Send + Sync>> {
        Ok(self.world.pki.issue_sni(rsa_public_key, self.now())?)
    }

    /// Has another authority vouch for the cluster's token proxy from now on, and gives it in PEM. The file of the
    /// authority stays as it is.
    pub fn rotate_cluster_authority(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        self.world.cluster.rotate(self.now())
    }

    /// `x5t#S256` of a certificate in DER.
    pub fn thumbprint(certificate: &[u8]) -> String {
        thumbprint(certificate)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn http_client(world: Arc<World>, service: Service, stream: TcpStream) {
    let Some(socket) = serve::socket(&world, &stream) else { return };
    let connection = Connection {
        id: world.next_connection(),
        service,
        host: String::new(),
        client_certificates: Vec::new(),
        tls_version: None,
        handshake: None,
        socket,
        renegotiation: None,
    };
    serve::connection(world, connection, stream).await;
}

async fn tls_client(world: Arc<World>, acceptor: TlsAcceptor, service: Service, stream: TcpStream) {
    let Some(socket) = serve::socket(&world, &stream) else { return };
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            world.log.count("tls_failures");
            return world.say(&format!("TLS with {} failed: {error}", service.name()));
        }
    };
    let (_, session) = stream.get_ref();
    let connection = Connection {
        id: world.next_connection(),
        service,
        host: String::new(),
        client_certificates: Vec::new(),
        tls_version: session.protocol_version().map(|version| format!("{version:?}")),
        handshake: session.handshake_kind().map(|kind| format!("{kind:?}")),
        socket,
        renegotiation: None,
    };
    serve::connection(world, connection, stream).await;
}

/// A listener on a free port of loopback, and nowhere else.
fn listen() -> io::Result<TcpListener> {
    bind((Ipv4Addr::LOCALHOST, 0).into())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Nobody else may be answered for IMDS: on loopback, or at its own address where that is this machine's, as in a network
/// namespace that was made for it.
fn listen_for_imds(address: Option<SocketAddr>) -> Result<TcpListener, Box<dyn Error + Send + Sync>> {
    let Some(address) = address else { return Ok(listen()?) };
    if !address.ip().is_loopback() && address.ip() != Ipv4Addr::new(169, 254, 169, 254) {
        return Err(format!("IMDS is served on 127.0.0.1 or 169.254.169.254, not on {address}").into());
    }
    bind(address).map_err(|error| {
        format!(
            "IMDS cannot be served on {address}: {error}. The address has to be this machine's: make a network namespace \
             for it (`unshare --net`; in it `ip link set lo up` and `ip addr add 169.254.169.254/32 dev lo`)"
        )
        .into()
    })
}

/// Where the keys of Azure Arc go: a directory that can be written to, which is found out now and not at the first challenge.
fn arc_tokens(options: &Options, files: &Files) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    let Some(directory) = &options.arc_tokens_dir else { return Ok(files.arc_tokens()) };
    let usable = || {
        std::fs::create_dir_all(directory)?;
        tempfile::NamedTempFile::new_in(directory).map(drop)
    };
    usable().map_err(|error| {
        let directory = directory.display();
        format!("Azure Arc's keys cannot be written to {directory}: {error}. Real clients look in /var/opt/azcmagent/tokens, which root may make")
    })?;
    Ok(directory.clone())
}

/// Accepts for ever; `serve` makes the task for each connection.
async fn accept<F, T>(listener: TcpListener, serve: F)
where
    F: Fn(TcpStream) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it small answers may wait for an acknowledgement; nothing else depends on it.
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
            // Out of file descriptors, most likely: give them time to come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
