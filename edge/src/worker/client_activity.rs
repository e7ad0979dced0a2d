//! One client connection as seen by all who deal with it: who it is, what it is doing, since when.
//!
//! The stream ([`crate::downstream::observed_stream`]), the requests ([`crate::proxy::request_record`]) and the driver ([`crate::downstream::connection`])
//! each tell their part here; the driver asks when to lose patience.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{config::Timeouts, protocol::headers::Client, worker::Worker};

/// How long a client has to close an HTTP/2 connection after GOAWAY, with nothing under way on it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What is shared about one client connection. Lives on one worker's thread.
#[derive(Debug)]
pub struct ClientActivity {
    /// Who is at the other end.
    pub client: Client,
    worker: Rc<Worker>,
    phase: Cell<Phase>,
    /// When the phase began.
    since: Cell<Instant>,
    /// Requests under way; more than one only on HTTP/2.
    requests: Cell<usize>,
    /// Numbers the requests.
    begun: Cell<u64>,
    /// Since when the client has not taken what was ready for it.
    blocked_since: Cell<Option<Instant>>,
    /// When anything last moved, either way.
    last_moved: Cell<Instant>,
    /// When the client last took something.
    last_taken: Cell<Instant>,
    /// Bytes written to the client.
    written: Cell<u64>,
    /// Several requests at a time: a byte then need not be the start of a request head.
    multiplexed: Cell<bool>,
    /// On HTTP/2, requests whose answer waits for the client, since when it does.
    pending: RefCell<HashMap<u64, Instant>>,
    /// Not after the earliest of `pending`.
    pending_since: Cell<Instant>,
    /// The client was told to go.
    leaving: Cell<bool>,
    /// It could not be told in an answer that had begun: a request may be on its way behind that.
    close_unannounced: Cell<bool>,
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

impl ClientActivity {
    /// A connection that was just accepted: its first head has to come in time.
    #[must_use]
    pub fn new(client: Client, worker: &Rc<Worker>, now: Instant) -> Self {
        Self {
            client,
            worker: Rc::clone(worker),
            phase: Cell::new(Phase::Head),
            since: Cell::new(now),
            requests: Cell::new(0),
            begun: Cell::new(0),
            blocked_since: Cell::new(None),
            last_moved: Cell::new(now),
            last_taken: Cell::new(now),
            written: Cell::new(0),
            multiplexed: Cell::new(false),
            pending: RefCell::default(),
            pending_since: Cell::new(now),
            leaving: Cell::new(false),
            close_unannounced: Cell::new(false),
        }
    }

    /// It carries several requests at a time.
    pub fn multiplex(&self) {
        self.multiplexed.set(true);
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether closing now may cross a request on its way; HTTP/2 says with GOAWAY which it has not seen.
    #[must_use]
    pub fn may_cross_a_request(&self) -> bool {
        !self.multiplexed.get() && self.phase.get() != Phase::Busy
    }

    /// When anything last moved, either way.
    #[must_use]
    pub fn last_moved(&self) -> Instant {
        self.last_moved.get()
    }

    /// Whether something is ready that the client does not take.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked_since.get().is_some()
    }

    /// Bytes written to the client so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// When patience with the client may end, as things stand; `None` while the edge waits for an
    /// endpoint. [`is_due`](Self::is_due) tells for certain.
    #[must_use]
    pub fn due(&self, timeouts: &Timeouts) -> Option<Instant> {
        if let Some(since) = self.blocked_since.get() {
            // Also between two requests: the end of an answer may still be on its way.
            return Some(since + timeouts.body_idle);
        }
        let since = self.since.get().max(self.last_taken.get());
        match self.phase.get() {
            Phase::Idle if self.leaving.get() => Some(since + CLOSE_TIMEOUT),
            Phase::Idle => Some(since + timeouts.keep_alive),
            Phase::Head => Some(since + timeouts.head),
            // The connection may have room while the client gives none to what runs on it: one that
            // opens streams and no window would hold an endpoint's connection for each.
            Phase::Busy if self.pending.borrow().is_empty() => None,
            Phase::Busy => Some(self.pending_since.get() + timeouts.body_idle),
        }
    }

    /// Whether patience has ended.
    #[must_use]
    pub fn is_due(&self, timeouts: &Timeouts, now: Instant) -> bool {
        // Looked through only when the time may have come, and not at every frame.
        self.pending_since.set(self.pending.borrow().values().copied().min().unwrap_or(now));
        self.due(timeouts).is_some_and(|due| due <= now)
    }

    /// Looks at the clock, for whoever is not polled by the driver of an HTTP/1 connection.
    pub fn tick(&self) {
        self.worker.clock.tick();
    }

    /// Bytes came from the client.
    pub fn read(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.worker.stats().bytes_in.add(bytes as u64);
        self.last_moved.set(self.worker.clock.now());
        self.head_begins();
    }

    /// A request head has begun, if none had: with bytes that come, or with some that had come behind
    /// the request before.
    pub fn head_begins(&self) {
        if self.phase.get() == Phase::Idle && !self.multiplexed.get() {
            self.enter(Phase::Head, self.worker.clock.now());
        }
    }

    /// Bytes went to the client.
    pub fn wrote(&self, bytes: usize) {
        self.worker.stats().bytes_out.add(bytes as u64);
        self.written.set(self.written.get().saturating_add(bytes as u64));
        let now = self.worker.clock.now();
        self.last_moved.set(now);
        self.last_taken.set(now);
        self.blocked_since.set(None);
    }

    /// The client takes no more bytes for now.
    pub fn blocked(&self) {
        if self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(self.worker.clock.now()));
        }
    }

    /// The client has room again, or all that was ready is on its way: TLS may have held it back.
    pub fn unblocked(&self) {
        if self.blocked_since.take().is_some() {
            self.last_taken.set(self.worker.clock.now());
        }
    }

    /// A request begins; the number is its own on this connection.
    pub fn begin(&self) -> u64 {
        self.requests.set(self.requests.get() + 1);
        self.phase.set(Phase::Busy);
        let number = self.begun.get();
        self.begun.set(number.wrapping_add(1));
        number
    }

    /// A request has something for the client, or waits for its endpoint again. HTTP/1 asks for a body
    /// whenever the stream has room, so there [`blocked`](Self::blocked) tells enough.
    pub fn mark_pending(&self, request: u64, something: bool) {
        if !self.multiplexed.get() {
            return;
        }
        let mut pending = self.pending.borrow_mut();
        if something {
            let now = self.worker.clock.now();
            if pending.is_empty() {
                self.pending_since.set(now);
            }
            pending.insert(request, now);
        } else {
            pending.remove(&request);
        }
    }

    /// A request ends.
    pub fn end(&self, request: u64) {
        self.mark_pending(request, false);
        let left = self.requests.get().saturating_sub(1);
        self.requests.set(left);
        if left == 0 {
            self.enter(Phase::Idle, self.worker.clock.now());
        }
    }

    /// The client was told to go; with nothing under way it has a moment to.
    pub fn leave(&self) {
        self.leaving.set(true);
        self.close_unannounced.set(self.phase.get() == Phase::Busy);
        if self.phase.get() != Phase::Busy {
            self.enter(Phase::Idle, self.worker.clock.now());
        }
    }

    /// Whether the request under way is the last.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Whether an HTTP/1 connection on which nothing is under way may be closed now. Behind an answer that
    /// did not say that it is the last, the client has a moment more.
    #[must_use]
    pub fn may_close(&self) -> bool {
        self.leaving.get() && !self.close_unannounced.get()
    }

    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }
}
