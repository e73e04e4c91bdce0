//! The one way through the cloud: read a request, record it, apply faults, judge it, answer.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::exchange::{Answer, Connection, Request};
use crate::fault::{Close, Fault, merge};
use crate::hosts::{Service, host_name};
use crate::pki::thumbprint;
use crate::record::{OpenConnection, ReceivedRequest, Who};
use crate::stream::{Given, Stream};
use crate::world::World;
use crate::{attest, cluster, failure, imds, resource, stream, vault};

const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";

/// The socket once more, for faults that reset it: who reads and writes has it to himself.
pub(crate) fn socket(world: &World, stream: &TcpStream) -> Option<Arc<OwnedFd>> {
    let socket = stream.as_fd().try_clone_to_owned();
    socket.inspect_err(|error| world.say(&format!("a connection was not taken: {error}"))).ok().map(Arc::new)
}

/// Serves HTTP/1.1 on a connection until it ends.
pub(crate) async fn connection<S>(world: Arc<World>, connection: Connection, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let open = Mutex::new(None);
    count(&world, &connection, &open);
    let service = service_fn(|request| respond(&world, &connection, &open, request));
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        world.say(&format!("connection {} ended: {error}", connection.id));
    }
}

/// Counts the connection among those that are open with its certificate, once it has one.
fn count<'a>(world: &'a World, connection: &Connection, open: &Mutex<Option<OpenConnection<'a>>>) {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    if open.is_none() {
        *open = connection.client_certificates.first().map(|first| world.open.enter(thumbprint(first)));
    }
}

/// `Err` cuts the connection.
async fn respond<'a>(
    world: &'a World,
    connection: &Connection,
    open: &Mutex<Option<OpenConnection<'a>>>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<AnswerBody>, io::Error> {
    let (head, body) = request.into_parts();
    let headers = header_map(&head.headers);
    let host = host_name(headers.get("host").map(String::as_str).unwrap_or_default());
    let mut connection = connection.clone();
    let asks = vault::asks(world.resources.policy.get(), &connection, &headers);
    // A client that waits to be told to continue has not sent the body: that comes over the new handshake.
    let late = asks && headers.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    let upload = resource::is_upload(connection.service, head.uri.path());
    let (before, mut after) = if late || upload { (None, Some(body)) } else { (Some(body), None) };
    let body = read(before).await?;
    let fault = if asks { world.faults.take("vault", &Who::of_token(&headers)) } else { None };
    let shown = vault::look(&mut connection, asks, fault.as_ref(), (&world.faults, &world.log)).await;
    count(world, &connection, open);
    let body = if shown.is_ok() && late { read(after.take()).await? } else { body };
    let mut request = Request {
        connection: &connection,
        method: head.method.as_str(),
        host: &host,
        path: path(connection.service, head.uri.path()),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        body: &body,
        fault: None,
    };
    let operation = operation(&request);
    let who = Who::of(&request, &world.tenants);
    let seq = world.log.add(received(&request, head.uri.path(), operation, &who));
    let line =
        format!("{seq} {} {} {}{}", connection.service.name(), request.method, request.host, head.uri.path());
    if let Err(error) = shown {
        world.say(&format!("{line} cut: {error}"));
        return Err(error);
    }
    let fault = fault.or_else(|| world.faults.take(operation?, &who));
    request.fault = fault.as_ref();

    let answered = match &fault {
        Some(fault) if matches!(fault.close, Some(Close::BeforeResponse | Close::Reset)) => None,
        Some(fault) if fault.status.is_some() || fault.body.is_some() => {
            Some(bend(canned(fault, &request, world.clock.now()), fault))
        }
        Some(fault) => Some(bend(judge(world, &request), fault)),
        None => Some(judge(world, &request)),
    };
    let delay = fault.as_ref().map_or(0, |fault| fault.delay_ms);
    let delay =
        Duration::from_millis(delay) + answered.as_ref().map_or(Duration::ZERO, |answer| answer.delay);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let Some(answer) = answered else {
        if fault.is_some_and(|fault| fault.close == Some(Close::Reset)) {
            // Whoever closes it then, closes it without a farewell.
            set_socket_linger(&connection.socket, Some(Duration::ZERO))?;
        }
        world.say(&format!("{line} cut"));
        return Err(io::Error::other("a fault cut the connection"));
    };
    let answer = match (answer.stream, after) {
        (Stream::Take, Some(body)) => {
            let taken = stream::take(body).await?;
            if answer.status == 200 { Answer::json(200, &taken) } else { answer }
        }
        _ => answer,
    };
    world.log.answered(seq, answer.status);
    world.say(&format!("{line} {}", answer.status));
    let cut = fault.is_some_and(|fault| fault.close == Some(Close::MidResponse));
    Ok(response(answer, cut))
}

async fn read(body: Option<Incoming>) -> io::Result<Bytes> {
    match body {
        Some(body) => Ok(body.collect().await.map_err(io::Error::other)?.to_bytes()),
        None => Ok(Bytes::new()),
    }
}

fn judge(world: &World, request: &Request<'_>) -> Answer {
    let connection = request.connection;
    if !connection.host.is_empty() && connection.host != request.host {
        let message = format!("The connection is to {}, the request for {}.", connection.host, request.host);
        return Answer::text(421, message);
    }
    match connection.service {
        Service::Imds => world.imds.answer(request),
        Service::AppService
        | Service::Arc
        | Service::CloudShell
        | Service::MachineLearning
        | Service::ServiceFabric => world.sources.answer(request),
        Service::Login | Service::Mtlsauth | Service::Authority => world.sts.answer(request),
        Service::Graph | Service::Vault | Service::Storage => world.resources.answer(request),
        Service::Attest => world.attest.answer(request),
        Service::Oidc => world.oidc.answer(request),
        Service::TokenProxy => match cluster::forwarded(request) {
            Some(forwarded) => world.sts.answer(&forwarded),
            None => Answer::not_found(request),
        },
        Service::Proxy => Answer::not_found(request),
    }
}

/// The path that is judged. Services of identities take a slash after it, which MSAL for Node has there.
fn path(service: Service, sent: &str) -> &str {
    let api = matches!(service, Service::Graph | Service::Vault | Service::Storage | Service::Proxy);
    sent.strip_suffix('/').filter(|path| !api && !path.is_empty()).unwrap_or(sent)
}

/// The operation that a request is counted as, and that faults name.
fn operation(request: &Request<'_>) -> Option<&'static str> {
    match request.connection.service {
        Service::Imds => match request.path {
            "/metadata/identity/oauth2/token" => Some("imds_token"),
            "/metadata/identity/getplatformmetadata" => Some("metadata"),
            "/metadata/identity/issuecredential" => Some("issuecredential"),
            "/metadata/instance/compute" => Some("compute"),
            _ => None,
        },
        Service::Login | Service::Mtlsauth => match request.path {
            "/common/discovery/instance" => Some("instance_discovery"),
            path if path.ends_with("/oauth2/v2.0/token") => Some("token"),
            path if path.ends_with(OPENID_CONFIGURATION) => Some("openid_configuration"),
            _ => None,
        },
        Service::Authority => match request.path {
            "/.well-known/webfinger" => Some("webfinger"),
            path if path.ends_with("/token") => Some("token"),
            path if path.ends_with(OPENID_CONFIGURATION) => Some("openid_configuration"),
            _ => None,
        },
        service @ (Service::AppService
        | Service::Arc
        | Service::CloudShell
        | Service::MachineLearning
        | Service::ServiceFabric) => Some(service.name()),
        Service::Graph => Some("graph"),
        Service::Vault => Some("vault"),
        Service::Storage => Some("storage"),
        Service::Attest => Some(attest::operation(request)),
        Service::Oidc => Some("oidc"),
        Service::TokenProxy => Some("token_proxy"),
        Service::Proxy => None,
    }
}

/// The answer that a fault gives in the place of the service.
fn canned(fault: &Fault, request: &Request<'_>, now: i64) -> Answer {
    let status = fault.status.unwrap_or(200);
    let answer = match &fault.body {
        Some(body) if body.starts_with(['{', '[']) => {
            Answer::text(status, body.clone()).header("content-type", "application/json")
        }
        Some(body) => Answer::text(status, body.clone()),
        None if status < 400 => Answer::text(status, ""),
        None => Answer::json(status, &failure::body(status, request, now)),
    };
    match request.connection.service {
        Service::Imds => answer.header("server", imds::SERVER),
        _ => answer,
    }
}

fn bend(mut answer: Answer, fault: &Fault) -> Answer {
    if !fault.set.is_empty()
        && let Ok(mut body) = serde_json::from_slice(&answer.body)
    {
        merge(&mut body, &fault.set);
        answer.body = body.to_string().into_bytes();
    }
    for (name, value) in &fault.headers {
        answer = answer.header(name, value);
    }
    answer.over = Duration::from_millis(fault.body_ms);
    if fault.blanks > 0 {
        answer.stream = Stream::Blanks(fault.blanks);
    }
    answer
}

fn received(request: &Request<'_>, path: &str, operation: Option<&str>, who: &Who) -> ReceivedRequest {
    let connection = request.connection;
    ReceivedRequest {
        seq: 0,
        service: connection.service,
        operation: operation.map(str::to_owned),
        tenant: who.tenant.clone(),
        client_id: who.client_id.clone(),
        method: request.method.to_owned(),
        host: request.host.to_owned(),
        path: path.to_owned(),
        query: request.query.to_owned(),
        headers: request.headers.clone(),
        body: String::from_utf8_lossy(request.body).into_owned(),
        client_certificate: request.client_certificate().map(|certificate| thumbprint(certificate)),
        connection: connection.id,
        tls_version: connection.tls_version.clone(),
        handshake: connection.handshake.clone(),
        status: None,
    }
}

/// Lower-cased names; repeated fields are joined.
pub(crate) fn header_map(headers: &hyper::HeaderMap) -> BTreeMap<String, String> {
    let mut map = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        map.entry(name.as_str().to_owned())
            .and_modify(|joined| *joined = format!("{joined}, {value}"))
            .or_insert_with(|| value.into_owned());
    }
    map
}

/// An answer as hyper sends it; with `cut`, the connection breaks in the middle of the body.
pub(crate) fn response(answer: Answer, cut: bool) -> hyper::Response<AnswerBody> {
    let length = answer.body.len();
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    if cut {
        response = response.header("content-length", length);
    }
    // Only a header field that a fault made up can be unfit for HTTP.
    response.body(AnswerBody::new(answer, cut)).unwrap_or_else(|error| {
        let mut response = hyper::Response::new(AnswerBody::new(Answer::text(500, error.to_string()), false));
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// The body of an answer, whole or cut.
pub(crate) struct AnswerBody {
    left: Bytes,
    /// What follows.
    given: Given,
    slowly: Option<Slowly>,
    cut: bool,
    flushed: bool,
}

/// A body in pieces, and the pause before the next one.
struct Slowly {
    piece: usize,
    every: Duration,
    pause: Pin<Box<Sleep>>,
}

/// In so many.
const PIECES: u32 = 10;

impl AnswerBody {
    fn new(answer: Answer, cut: bool) -> Self {
        let length = if cut { answer.body.len() / 2 } else { answer.body.len() };
        let every = answer.over / PIECES;
        let slowly = || Slowly {
            piece: length.div_ceil(PIECES as usize),
            every,
            pause: Box::pin(sleep_until(Instant::now() + every)),
        };
        Self {
            left: Bytes::from(answer.body).slice(..length),
            given: Given::new(answer.stream),
            slowly: (!every.is_zero()).then(slowly),
            cut,
            flushed: false,
        }
    }

    /// What is to be sent of the body itself.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let Some(slowly) = self.slowly.as_mut().filter(|_| !self.left.is_empty()) else {
            return Poll::Ready(std::mem::take(&mut self.left));
        };
        ready!(slowly.pause.as_mut().poll(context));
        slowly.pause.as_mut().reset(Instant::now() + slowly.every);
        Poll::Ready(self.left.split_to(slowly.piece.min(self.left.len())))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = ready!(self.poll_piece(context));
        let next = Some(piece).filter(|bytes| !bytes.is_empty()).or_else(|| self.given.next());
        if next.is_none() && self.given.stalls {
            return Poll::Pending;
        }
        Poll::Ready(match next {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            // hyper sends what it holds when a body has nothing to give; an error would make it drop that.
            None if self.cut && !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            None if self.cut => Some(Err(io::Error::other("a fault cut the connection"))),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self.given.known() {
            Some(more) if !self.cut => SizeHint::with_exact(self.left.len() as u64 + more),
            _ => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.left.is_empty() && self.given.known() == Some(0)
    }
}
