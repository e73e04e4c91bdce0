//! The HTTP CONNECT proxy: the way to every public host name, and to nothing else.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::exchange::{Answer, Connection, base64};
use crate::hosts::{ClientCertificate, Service, host_name};
use crate::record::ReceivedRequest;
use crate::serve::{self, AnswerBody};
use crate::tls::Tls;
use crate::world::World;

/// Serves one client of the proxy.
pub(crate) async fn client(world: Arc<World>, tls: Arc<Tls>, stream: TcpStream) {
    let Some(socket) = serve::socket(&world, &stream) else { return };
    let id = world.next_connection();
    let service = service_fn(|request| {
        let (world, tls, socket) = (world.clone(), tls.clone(), socket.clone());
        async move { Ok::<_, Infallible>(respond(world, tls, socket, id, request)) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        world.say(&format!("proxy connection {id} ended: {error}"));
    }
}

fn respond(
    world: Arc<World>,
    tls: Arc<Tls>,
    socket: Arc<OwnedFd>,
    id: u64,
    request: hyper::Request<Incoming>,
) -> hyper::Response<AnswerBody> {
    let headers = serve::header_map(request.headers());
    let method = request.method().to_string();
    let target = request.uri().authority().map(|authority| authority.to_string()).unwrap_or_default();
    let host = host_name(&target);
    let judged = judge(&world, &method, &target, &host, headers.get("proxy-authorization"));
    let answer = judged.as_ref().err().cloned().unwrap_or_else(|| Answer::text(200, ""));
    let seq = world.log.add(ReceivedRequest {
        seq: 0,
        service: Service::Proxy,
        operation: (method == "CONNECT").then(|| "connect".to_owned()),
        tenant: None,
        client_id: None,
        method: method.clone(),
        host: host.clone(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
        body: String::new(),
        client_certificate: None,
        connection: id,
        tls_version: None,
        handshake: None,
        status: Some(answer.status),
    });
    world.say(&format!("{seq} proxy {method} {target} {}", answer.status));
    if let Ok(service) = judged {
        tokio::spawn(async move {
            match hyper::upgrade::on(request).await {
                Ok(stream) => tunnel(world, &tls, service, host, socket, stream).await,
                Err(error) => world.say(&format!("no tunnel to {host}: {error}")),
            }
        });
    }
    serve::response(answer, false)
}

/// The service behind the target, or the answer that refuses it.
fn judge(
    world: &World,
    method: &str,
    target: &str,
    host: &str,
    authorization: Option<&String>,
) -> Result<Service, Answer> {
    if method != "CONNECT" {
        return Err(
            Answer::text(405, "devcloud's proxy does CONNECT and nothing else.\n").header("allow", "CONNECT")
        );
    }
    if let Some(credentials) = &world.proxy_auth {
        let wanted = format!("Basic {}", base64(credentials.as_bytes()));
        if authorization.is_none_or(|given| *given != wanted) {
            return Err(Answer::text(407, "devcloud's proxy was started with --proxy-auth.\n")
                .header("proxy-authenticate", "Basic realm=\"devcloud\""));
        }
    }
    if let Some(fault) = world.faults.take_any("connect") {
        let mut answer = Answer::text(fault.status.unwrap_or(502), fault.body.unwrap_or_default());
        for (name, value) in &fault.headers {
            answer = answer.header(name, value);
        }
        return Err(answer);
    }
    let service = Service::of_host(host).filter(|_| target.ends_with(":443"));
    service.ok_or_else(|| {
        let message = format!("{target} is not part of devcloud; it refuses every name but those of Microsoft's cloud that it plays itself.\n");
        Answer::text(403, message)
    })
}

async fn tunnel(
    world: Arc<World>,
    tls: &Tls,
    service: Service,
    host: String,
    socket: Arc<OwnedFd>,
    stream: Upgraded,
) {
    let stranger = world.faults.take_any("tls_server_certificate").is_some();
    if service == Service::Vault && !stranger {
        return renegotiating(world, tls, service, host, socket, stream).await;
    }
    let asks = match service.client_certificate() {
        ClientCertificate::NotRequested => ClientCertificate::NotRequested,
        _ if world.faults.take_any("tls_certificate_request").is_some() => ClientCertificate::NotRequested,
        asks => asks,
    };
    let acceptor = if stranger { tls.stranger(&host) } else { Ok(tls.acceptor(asks)) };
    let accepted = match acceptor {
        Ok(acceptor) => acceptor.accept(TokioIo::new(stream)).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    let stream = match accepted {
        Ok(stream) => stream,
        Err(error) => {
            world.log.count("tls_failures");
            return world.say(&format!("TLS with {host} failed: {error}"));
        }
    };
    let (_, session) = stream.get_ref();
    if session.server_name() != Some(&host) {
        world.log.count("tls_failures");
        return world.say(&format!("TLS named {:?}, CONNECT {host}", session.server_name()));
    }
    let connection = Connection {
        id: world.next_connection(),
        service,
        client_certificates: session
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|c| c.clone().into_owned())
            .collect(),
        tls_version: session.protocol_version().map(|version| format!("{version:?}")),
        handshake: session.handshake_kind().map(|kind| format!("{kind:?}")),
        socket,
        renegotiation: None,
        host,
    };
    world.log.count("connections");
    serve::connection(world, connection, stream).await;
}

/// A tunnel to a host that asks for the certificate when it has read a request.
async fn renegotiating(
    world: Arc<World>,
    tls: &Tls,
    service: Service,
    host: String,
    socket: Arc<OwnedFd>,
    stream: Upgraded,
) {
    let stream = match tls.renegotiating.accept(&host, TokioIo::new(stream)).await {
        Ok(stream) => stream,
        Err(error) => {
            world.log.count("tls_failures");
            return world.say(&format!("TLS with {host} failed: {error}"));
        }
    };
    let connection = Connection {
        id: world.next_connection(),
        service,
        host,
        client_certificates: Vec::new(),
        tls_version: Some("TLSv1_2".to_owned()),
        handshake: Some("Full".to_owned()),
        socket,
        renegotiation: Some(stream.clone()),
    };
    world.log.count("connections");
    serve::connection(world, connection, stream).await;
}
