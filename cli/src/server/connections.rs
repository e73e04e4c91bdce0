//! Connections of a server: so many and no more, with heads of a bounded size, which end well when it stops.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where connections come from.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Whoever else is on this host must not fill the memory.
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// The longest head of a request, in bytes.
    pub(crate) head: usize,
    /// How long a connection may be without the head of a request.
    pub(crate) patience: Duration,
}

/// Answers until `stop`, and then until those requests are answered that have come.
pub(crate) async fn serve<S>(listener: Listener, limits: Limits, service: S, stop: impl Future<Output = ()>)
where
    S: HttpService<Incoming, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    S::ResBody: Send + 'static,
    <S::ResBody as Body>::Data: Send,
    <S::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.patience);
    http.max_buf_size(limits.head).max_header_size(limits.head);
    let open = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let connection = open.watch(http.serve_connection(stream, service.clone()));
                tokio::spawn(async move {
                    // That a client goes is its own affair.
                    let _ = connection.await;
                    drop(place);
                });
            }
            // No descriptor is free just now.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    open.shutdown().await;
}

/// A stream of either kind.
trait Stream: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Stream for T {}

async fn accept(
    listener: &Listener,
    room: &Arc<Semaphore>,
) -> io::Result<(Box<dyn Stream>, OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let stream: Box<dyn Stream> = match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            // What is written is whole: nothing is gained by waiting for more.
            let _ = stream.set_nodelay(true);
            Box::new(TokioIo::new(stream))
        }
        Listener::Unix(listener) => Box::new(TokioIo::new(listener.accept().await?.0)),
    };
    Ok((stream, place))
}
