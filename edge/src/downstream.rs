//! One client connection as seen by all who deal with it: who it is, what it is doing, since when.
//!
//! The stream ([`crate::meter`]), the requests ([`crate::account`]) and the driver ([`crate::http`])
//! each tell their part here; the driver asks when to lose patience.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tokio::time::Instant;

use crate::{config::Timeouts, headers::Client, upgrade::Upgraded, worker::Worker};

/// What is shared about one client connection. Lives on one worker's thread.
#[derive(Debug)]
pub struct Downstream {
    /// Who is at the other end.
    pub client: Client,
    worker: Rc<Worker>,
    phase: Cell<Phase>,
    /// When the phase began.
    since: Cell<Instant>,
    /// Requests under way; more than one only on HTTP/2.
    requests: Cell<usize>,
    /// How many of them wait for an endpoint.
    waiting: Cell<usize>,
    /// When any of them last had something for the client; HTTP/2 only.
    progress: Cell<Instant>,
    /// Since when the client has not taken what was ready for it.
    blocked_since: Cell<Option<Instant>>,
    /// When anything last moved, either way.
    last_moved: Cell<Instant>,
    /// Several requests at a time: a byte then need not be the start of a request head.
    multiplexed: bool,
    /// A request body was left unread.
    unread: Cell<bool>,
    /// What the connection turns into after 101.
    upgraded: RefCell<Option<Upgraded>>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing, between two requests.
    Idle,
    /// A request head has begun.
    Head,
    /// A request is under way.
    Busy,
}

impl Downstream {
    /// A connection that was just accepted: its first head has to come in time.
    #[must_use]
    pub fn new(client: Client, multiplexed: bool, worker: &Rc<Worker>, now: Instant) -> Self {
        Self {
            client,
            worker: Rc::clone(worker),
            phase: Cell::new(Phase::Head),
            since: Cell::new(now),
            requests: Cell::new(0),
            waiting: Cell::new(0),
            progress: Cell::new(now),
            blocked_since: Cell::new(None),
            last_moved: Cell::new(now),
            multiplexed,
            unread: Cell::new(false),
            upgraded: RefCell::new(None),
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether closing now may cross a request on its way; HTTP/2 says with GOAWAY which it has not seen.
    #[must_use]
    pub fn may_cross_a_request(&self) -> bool {
        !self.multiplexed && self.phase.get() != Phase::Busy
    }

    /// When anything last moved, either way.
    #[must_use]
    pub fn last_moved(&self) -> Instant {
        self.last_moved.get()
    }

    /// When patience with the client ends, as things stand; `None` while the edge waits for an endpoint.
    #[must_use]
    pub fn due(&self, timeouts: &Timeouts) -> Option<Instant> {
        match self.phase.get() {
            Phase::Idle => Some(self.since.get() + timeouts.keep_alive),
            Phase::Head => Some(self.since.get() + timeouts.head),
            Phase::Busy => {
                // The stream may have room while the client gives none to what runs on it: an HTTP/2
                // client that opens streams and no window would hold an endpoint's connection for each.
                let stalled = self.multiplexed && self.requests.get() > self.waiting.get();
                let since = if stalled { Some(self.progress.get()) } else { None };
                let since = self.blocked_since.get().into_iter().chain(since).min();
                since.map(|since| since + timeouts.body_idle)
            }
        }
    }

    /// Bytes came from the client.
    pub fn read(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.worker.stats().bytes_in.add(bytes as u64);
        let now = Instant::now();
        self.last_moved.set(now);
        if self.phase.get() == Phase::Idle && !self.multiplexed {
            self.enter(Phase::Head, now);
        }
    }

    /// Bytes went to the client.
    pub fn wrote(&self, bytes: usize) {
        self.worker.stats().bytes_out.add(bytes as u64);
        self.last_moved.set(Instant::now());
        self.blocked_since.set(None);
    }

    /// The client takes no more bytes for now.
    pub fn blocked(&self) {
        if self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(Instant::now()));
        }
    }

    /// A request begins.
    pub fn begin(&self) {
        self.requests.set(self.requests.get() + 1);
        self.phase.set(Phase::Busy);
    }

    /// A request begins, or ceases, to wait for an endpoint.
    pub fn wait(&self, waits: bool) {
        let others = self.waiting.get();
        self.waiting.set(if waits { others + 1 } else { others.saturating_sub(1) });
    }

    /// A request has something for the client.
    pub fn progress(&self) {
        if self.multiplexed {
            self.progress.set(Instant::now());
        }
    }

    /// A request ends; `unread` says that the client is still sending its body.
    pub fn end(&self, unread: bool) {
        if unread {
            self.unread.set(true);
        }
        let left = self.requests.get().saturating_sub(1);
        self.requests.set(left);
        if left == 0 {
            self.enter(Phase::Idle, Instant::now());
        }
    }

    /// After the 101 has gone out the connection becomes this.
    pub fn upgrade(&self, upgraded: Upgraded) {
        *self.upgraded.borrow_mut() = Some(upgraded);
    }

    /// What the connection becomes, if it does.
    pub fn upgraded(&self) -> Option<Upgraded> {
        self.upgraded.borrow_mut().take()
    }

    /// Whether a request body was left unread, so that closing at once might lose the answer.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unread.get()
    }

    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }
}
