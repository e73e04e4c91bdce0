//! The send that runs on this thread: how a connection inside ureq finds the call it works for.
//!
//! ureq runs a request on the thread that asks for it but carries nothing of the caller's down to
//! the transport. So [`Client::send`](super::Client::send) leaves the call here for its duration.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::runtime::{Cancel, Limit, Registration, Wait};

/// One attempt to send one request.
pub(super) struct Exchange {
    cancel: Cancel,
    wait: Wait,
    limit: Limit,
    /// Its address tells this exchange from every other one that a connection may remember.
    identity: Arc<()>,
    hooks: RefCell<Vec<Registration>>,
    opened: Cell<bool>,
    presented: Cell<bool>,
    received: Cell<bool>,
}

/// Makes an exchange the current one until dropped. A signing callback may send a request of its
/// own in the middle of a handshake; afterwards the outer exchange is the current one again.
pub(super) struct Entered {
    exchange: Rc<Exchange>,
    outer: Option<Rc<Exchange>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Exchange>>> = const { RefCell::new(None) };
}

impl Exchange {
    /// `left` is what is left of `limit`.
    pub(super) fn enter(cancel: &Cancel, left: Duration, limit: Limit) -> Entered {
        let exchange = Rc::new(Self {
            cancel: cancel.clone(),
            wait: Wait::new(cancel, Some(left)).named(Some(limit)),
            limit,
            identity: Arc::default(),
            hooks: RefCell::default(),
            opened: Cell::default(),
            presented: Cell::default(),
            received: Cell::default(),
        });
        let outer = CURRENT.replace(Some(exchange.clone()));
        Entered { exchange, outer }
    }

    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(Clone::clone)
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

    /// A connection was opened for this exchange, rather than taken from the pool.
    pub(super) fn note_opened(&self) {
        self.opened.set(true);
    }

    /// Our certificate went into the handshake of a new connection.
    pub(super) fn note_presented(&self) {
        self.presented.set(true);
    }

    pub(super) fn has_presented(&self) -> bool {
        self.presented.get()
    }

    /// Some part of the answer has arrived.
    pub(super) fn note_received(&self) {
        self.received.set(true);
    }
}

impl Entered {
    /// Whether the request went out on a pooled connection that never answered: most likely the
    /// server had closed it in the same moment.
    pub(super) fn was_stale(&self) -> bool {
        !self.exchange.opened.get() && !self.exchange.received.get()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}
