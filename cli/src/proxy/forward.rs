//! A request on its way through the proxy: looked at, given a place and a thread, and answered.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use mtlspop::{App, Cancel, HttpRequest};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::{Answer, Failed};
use super::body::{StopOnDrop, Upload, piece};
use super::exchange::Exchange;
use super::log::Entry;
use super::metrics::Metrics;
use super::routes::Routes;
use super::{ProxyArgs, headers};
use crate::server::Callers;

/// What is the same for all requests.
pub(super) struct Proxy {
    target: RwLock<Arc<Target>>,
    /// One for each thread: the library waits on it.
    threads: Arc<Semaphore>,
    thread_count: u32,
    queue: Semaphore,
    queue_length: usize,
    metrics: Arc<Metrics>,
    longest_body: u64,
    access_log: bool,
}

/// What is read anew by a reload.
pub(super) struct Target {
    pub(super) app: App,
    pub(super) routes: Routes,
    pub(super) callers: Callers,
}

/// Longer waits are for another day.
const QUEUE_PATIENCE: Duration = Duration::from_secs(30);
/// What is not longer is read before it is sent: then it can be sent again, with another token.
const SHORT: u64 = 64 * 1024;
/// A body may take as long as it takes.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

impl Proxy {
    pub(super) fn new(target: Target, metrics: Arc<Metrics>, args: &ProxyArgs) -> Self {
        Self {
            target: RwLock::new(Arc::new(target)),
            threads: Arc::new(Semaphore::new(usize::from(args.threads))),
            thread_count: args.threads.into(),
            queue: Semaphore::new(usize::from(args.queue)),
            queue_length: usize::from(args.queue),
            metrics,
            longest_body: args.max_body.unwrap_or(u64::MAX),
            access_log: args.access_log,
        }
    }

    /// Requests that come from now on go there.
    pub(super) fn replace(&self, target: Target) {
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(target);
    }

    fn target(&self) -> Arc<Target> {
        self.target.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until no thread has anything to do.
    pub(super) async fn rest(&self) {
        // It is never closed.
        let _ = self.threads.acquire_many(self.thread_count).await;
    }

    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let (head, body) = request.into_parts();
        let mut entry = Some(Entry::new(self.access_log, self.metrics.clone(), &head));
        let answer = self.forward(&head, body, &mut entry).await;
        Ok(answer.unwrap_or_else(|failed| {
            if let Some(entry) = &mut entry {
                entry.status = failed.status.as_u16();
                entry.error = Some(failed.code.clone());
            }
            failed.answer()
        }))
    }

    /// What a scraper is answered, who is one of `callers`.
    pub(super) fn tell(&self, callers: &Callers, head: &Parts) -> Response<Full<Bytes>> {
        let threads = self.thread_count as usize;
        let on_their_way = threads.saturating_sub(self.threads.available_permits());
        let waiting = self.queue_length.saturating_sub(self.queue.available_permits());
        self.metrics.answer(callers, head, on_their_way, waiting)
    }

    /// Takes `entry` where the request goes on to a thread.
    async fn forward(
        &self,
        head: &Parts,
        body: Incoming,
        entry: &mut Option<Entry>,
    ) -> Result<Answer, Failed> {
        let target = self.target();
        target.callers.check(head)?;
        headers::check(head)?;
        let (upstream, url) = target.routes.choose(head)?;
        let passing = headers::of_request(&head.headers)?;
        if body.size_hint().lower() > self.longest_body {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than --max-body allows").into());
        }
        if let Some(entry) = entry {
            entry.upstream = Some(upstream.host().to_owned());
        }
        let place = self.place().await?;
        let Some(mut entry) = entry.take() else { return Err(Failed::busy()) };
        entry.queued = Some(entry.since_start());

        let stop = StopOnDrop(Cancel::new());
        let mut request = HttpRequest::new(head.method.as_str(), &url).with_cancel(stop.0.clone());
        request = match self.body(request, body, &entry).await {
            Ok(request) => request,
            Err(error) => {
                let failed = Failed::from(error);
                entry.status = failed.status.as_u16();
                entry.error = Some(failed.code.clone());
                return Err(failed);
            }
        };
        for (name, value) in passing {
            request = request.with_header(name, value);
        }
        let token = upstream.token().clone().with_cancel(stop.0.clone());
        let (answer, answered) = oneshot::channel();
        let is_head = head.method == Method::HEAD;
        let exchange = Exchange { request, is_head, token, stop, entry, answer, runtime: Handle::current() };
        spawn_blocking(move || {
            exchange.run(&target.app);
            drop(place);
        });
        answered
            .await
            .unwrap_or_else(|_| Err((StatusCode::INTERNAL_SERVER_ERROR, "the proxy is going away").into()))
    }

    /// A thread, at once or in turn. Who goes while it waits leaves its turn.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Failed> {
        if let Ok(place) = self.threads.clone().try_acquire_owned() {
            return Ok(place);
        }
        let _turn = self.queue.try_acquire().map_err(|_| Failed::busy())?;
        match timeout(QUEUE_PATIENCE, self.threads.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Failed::busy()),
        }
    }

    async fn body(
        &self,
        request: HttpRequest,
        mut body: Incoming,
        entry: &Entry,
    ) -> mtlspop::Result<HttpRequest> {
        let length = match body.size_hint().exact() {
            Some(0) => return Ok(request),
            Some(length @ 1..=SHORT) => length,
            length => {
                let upload = Upload::new(body, self.longest_body, Handle::current(), entry.received.clone());
                return Ok(request.with_body_reader("", upload, length).with_timeout(A_WEEK));
            }
        };
        let mut bytes = Vec::new();
        let mut left = length;
        while let Some(piece) = piece(&mut body, &mut left).await? {
            bytes.extend_from_slice(&piece);
        }
        entry.received.store(length, Ordering::Relaxed);
        Ok(request.with_body("", bytes))
    }
}
