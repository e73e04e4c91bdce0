//! The send that runs on this thread: how a connection inside ureq finds the call it works for.
//!
//! ureq runs a request on the thread that asks for it but carries nothing of the caller's down to
//! the transport. So the call is left here while it is sent, and once more for each read of a body that
//! is read later, maybe on another thread.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::message::TlsDetails;
use super::older::Older;
use super::renegotiation::{Renegotiation, TokenHash};
use crate::clock::Clock;
use crate::runtime::{Call, Cancel, Limit, Registration, Wait};

/// One attempt to send one request, or one read of the answer's body.
pub(super) struct Exchange {
    clock: Arc<dyn Clock>,
    cancel: Cancel,
    wait: Wait,
    limit: Limit,
    until: Instant,
    needs_certificate: bool,
    renegotiation: Renegotiation,
    /// Its address tells this exchange from every other one that a connection may remember.
    identity: Arc<()>,
    hooks: RefCell<Vec<Registration>>,
    opened: Cell<bool>,
    /// Of the handshake that is under way.
    asked: Cell<bool>,
    received: Cell<bool>,
    tls: Cell<Option<TlsDetails>>,
    asked_late: Cell<bool>,
    older: Cell<Option<Older>>,
    body: Cell<Upload>,
    head_waits: Cell<bool>,
}

/// How far the body of a request is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Upload {
    #[default]
    Ahead,
    UnderWay,
    Refused,
}

/// Makes an exchange the current one until dropped. A signing callback may send a request of its
/// own in the middle of a handshake; afterwards the outer exchange is the current one again.
pub(super) struct Entered {
    exchange: Rc<Exchange>,
    outer: Option<Rc<Exchange>>,
}

/// In place of a limit that no clock can reach.
pub(super) const FOREVER: Duration = Duration::from_secs(24 * 3600 * 365);

thread_local! {
    /// Without a destructor, as there is nothing to drop when no exchange is entered: a thread may still use the library
    /// when its thread locals end.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<Exchange>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

impl Exchange {
    /// `left` is what is left of `limit`.
    pub(super) fn enter(
        call: &Call,
        left: Duration,
        limit: Limit,
        needs_certificate: bool,
        renegotiation: Renegotiation,
    ) -> Entered {
        let now = Instant::now();
        let exchange = Rc::new(Self {
            clock: call.clock.clone(),
            cancel: call.cancel.clone(),
            wait: Wait::new(&call.cancel, Some(left)).named(Some(limit)),
            limit,
            until: now.checked_add(left).unwrap_or(now + FOREVER),
            needs_certificate,
            renegotiation,
            identity: Arc::default(),
            hooks: RefCell::default(),
            opened: Cell::default(),
            asked: Cell::default(),
            received: Cell::default(),
            tls: Cell::default(),
            asked_late: Cell::default(),
            older: Cell::default(),
            body: Cell::default(),
            head_waits: Cell::default(),
        });
        let outer = CURRENT.with(|current| current.replace(Some(exchange.clone())));
        Entered { exchange, outer }
    }

    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// To be remembered by a connection, and asked with [`Exchange::is`].
    pub(super) fn identity(&self) -> Weak<()> {
        Arc::downgrade(&self.identity)
    }

    pub(super) fn is(&self, identity: &Weak<()>) -> bool {
        identity.as_ptr() == Arc::as_ptr(&self.identity)
    }

    /// Runs `hook` if the call is cancelled before this exchange ends.
    pub(super) fn on_cancel(&self, hook: Arc<dyn Fn() + Send + Sync>) {
        let registration = self.cancel.on_cancel(hook);
        self.hooks.borrow_mut().push(registration);
    }

    /// How long a key may take to sign the handshake.
    pub(super) fn wait(&self) -> Wait {
        self.wait.clone()
    }

    /// What ends it, where nothing else does before.
    pub(super) fn limit(&self) -> Limit {
        self.limit
    }

    /// When that is. What waits for anything here waits no longer.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.monotonic()
    }

    /// Whether its request means nothing to the server without our certificate.
    pub(super) fn needs_certificate(&self) -> bool {
        self.needs_certificate
    }

    /// The token for which the server may ask for our certificate in a renegotiation.
    pub(super) fn renegotiates_for(&self) -> Option<TokenHash> {
        match self.renegotiation {
            Renegotiation::For(token) => Some(token),
            Renegotiation::NotAllowed | Renegotiation::Never => None,
        }
    }

    /// A connection was opened for this exchange, rather than taken from the pool.
    pub(super) fn note_opened(&self) {
        self.opened.set(true);
    }

    /// A handshake begins.
    pub(super) fn note_handshake(&self) {
        self.asked.set(false);
    }

    /// The server asks for a certificate in the handshake, and gets ours where we have one.
    pub(super) fn note_asked(&self) {
        self.asked.set(true);
    }

    /// Whether the server asked in the handshake that is under way, or has just ended.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.get()
    }

    /// The request goes over this connection.
    pub(super) fn note_tls(&self, tls: TlsDetails) {
        self.tls.set(Some(tls));
    }

    /// The server has the request, and wants to renegotiate: to ask for the certificate.
    pub(super) fn note_asked_late(&self) {
        self.asked_late.set(true);
    }

    /// Whether the server has asked over the connection on which the request went, in its handshake, in that of
    /// the session which it resumed, or too late.
    pub(super) fn was_asked_before(&self) -> bool {
        self.asked_late.get() || self.tls.get().is_some_and(|tls| tls.certificate_requested)
    }

    /// Whether an alert about a certificate can mean ours.
    pub(super) fn may_know_us(&self) -> bool {
        self.tls.get().is_none() || self.was_asked_before()
    }

    /// The server did not ask for our certificate in TLS 1.3.
    pub(super) fn note_older(&self, older: Older) {
        self.older.set(Some(older));
    }

    /// Whether the head of the request is to go out with its body, which is at hand.
    pub(super) fn head_waits(&self) -> bool {
        self.head_waits.get()
    }

    /// From here on it is the body of the request that is sent.
    pub(super) fn note_body(&self) {
        if self.body.get() == Upload::Ahead {
            self.body.set(Upload::UnderWay);
        }
    }

    /// Whether what is sent is of the body.
    pub(super) fn is_in_body(&self) -> bool {
        self.body.get() != Upload::Ahead
    }

    /// The server answered, and wants no more of the body.
    pub(super) fn note_refused(&self) {
        self.body.set(Upload::Refused);
    }

    pub(super) fn has_refused_body(&self) -> bool {
        self.body.get() == Upload::Refused
    }

    /// Some part of the answer has arrived.
    pub(super) fn note_received(&self) {
        self.received.set(true);
    }
}

impl Entered {
    /// It goes on with what is known from the exchange in which the answer began.
    pub(super) fn continues(&self, tls: Option<TlsDetails>) {
        self.exchange.tls.set(tls);
    }

    /// The head of the request goes out with its body.
    pub(super) fn have_head_wait(&self) {
        self.exchange.head_waits.set(true);
    }

    /// Whether the request went out on a pooled connection that never answered: most likely the
    /// server had closed it in the same moment.
    pub(super) fn was_stale(&self) -> bool {
        !self.exchange.opened.get() && !self.exchange.received.get()
    }

    /// Whether a connection was opened for it.
    pub(super) fn has_opened(&self) -> bool {
        self.exchange.opened.get()
    }

    /// The TLS of the connection over which the request went, where it went out.
    pub(super) fn tls(&self) -> Option<TlsDetails> {
        let tls = self.exchange.tls.get()?;
        Some(TlsDetails { asked_late: tls.asked_late || self.was_asked_late(), ..tls })
    }

    pub(super) fn was_asked_late(&self) -> bool {
        self.exchange.asked_late.get()
    }

    /// What was found out about a server that did not ask for our certificate in TLS 1.3.
    pub(super) fn older(&self) -> Option<Older> {
        self.exchange.older.get()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.outer.take()));
    }
}
