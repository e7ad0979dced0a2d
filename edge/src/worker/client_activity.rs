//! One client connection, as its tasks share it: the client, the state of the connection, and the bytes exchanged.
//!
//! The stream ([`crate::downstream::observed_stream`]) and the requests ([`crate::proxy::request_record`]) report here;
//! the driver ([`crate::downstream::connection`]) asks when the client times out.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::Waker,
};

use tokio::time::Instant;

pub use super::client_state::Phase;
use super::{
    client_state::{self, ClientState, Closing},
    shedding::{self, Candidate},
    uploads::Uploads,
};
use crate::{
    config::Timeouts, io::patience::Patience, observe::refusals::Refusal, protocol::headers::Client, worker::Worker,
};

/// Estimates of what a connection makes the edge hold, in bytes, besides the buffers that are counted one by one: what
/// the resident memory grew by for each of a thousand, rounded up.
mod cost {
    /// A connection: its task, its state, and its socket in the kernel.
    pub(super) const CONNECTION: usize = 4 * 1024;
    /// TLS: keys, and the buffer for a record.
    pub(super) const TLS: usize = 12 * 1024;
    /// HTTP/2: its state machine, and buffers for frames.
    pub(super) const HTTP2: usize = 20 * 1024;
    /// A request: its state, the head for the endpoint, and the connection that it is sent on.
    pub(super) const REQUEST: usize = 8 * 1024;
    /// What the kernel holds for a client that accepts no bytes: see `UNSENT` of the listener.
    pub(super) const BLOCKED: usize = 64 * 1024;
    /// What TLS holds for such a client: the limit of rustls.
    pub(super) const BLOCKED_TLS: usize = 64 * 1024;
}

/// What the tasks of one client connection share. Never leaves its worker's thread.
#[derive(Debug)]
pub struct ClientActivity {
    /// The client.
    pub client: Client,
    worker: Rc<Worker>,
    state: Cell<ClientState>,
    /// HTTP/2: several requests at a time, so a byte need not be the start of a request head.
    multiplexed: Cell<bool>,
    /// The number of the next request.
    next_request: Cell<u64>,
    /// HTTP/2: the requests whose response waits for the client, and since when.
    pending: RefCell<HashMap<u64, Instant>>,
    /// When a byte last moved in either direction.
    last_moved: Cell<Instant>,
    /// Bytes written to the client.
    written: Cell<u64>,
    /// How long the client is waited for.
    patience: Patience,
    /// Bytes that the connection makes the edge hold, as far as they are counted by connection.
    held: Cell<usize>,
    /// HTTP/1: the bytes of a head that is not complete.
    head: Cell<usize>,
    /// HTTP/2: the request bodies under way.
    uploads: Cell<Uploads>,
    /// Whether the connection must be closed at once, because memory runs out.
    shed: Cell<bool>,
    /// Wakes the driver of the connection then.
    driver: RefCell<Option<Waker>>,
}

impl ClientActivity {
    /// A connection that was just accepted: the time for its first head begins.
    #[must_use]
    pub fn new(client: Client, worker: &Rc<Worker>, now: Instant) -> Self {
        let tls = client.tls;
        let view = worker.view();
        let config = view.config();
        let activity = Self {
            client,
            worker: Rc::clone(worker),
            state: Cell::new(ClientState::new(now)),
            multiplexed: Cell::new(false),
            next_request: Cell::new(0),
            pending: RefCell::default(),
            last_moved: Cell::new(now),
            written: Cell::new(0),
            patience: Patience { idle: config.timeouts.body_idle, min_rate: config.limits.min_rate },
            held: Cell::new(0),
            head: Cell::new(0),
            uploads: Cell::default(),
            shed: Cell::new(false),
            driver: RefCell::default(),
        };
        activity.hold(cost::CONNECTION + if tls { cost::TLS } else { 0 });
        activity
    }

    /// Counts and logs that the client gets no response from an endpoint; see [`Worker::refuse`].
    pub fn refuse(&self, reason: Refusal) {
        self.worker.refuse(self.client.address, reason, self.client.server_name.as_deref(), None);
    }

    /// The connection carries several requests at a time. The client may send as many bytes of their bodies ahead as
    /// these windows allow.
    pub fn multiplex(&self, stream_window: u32, connection_window: u32) {
        self.multiplexed.set(true);
        self.uploads.set(Uploads::new(stream_window, connection_window));
        self.hold(cost::HTTP2);
    }

    /// The bytes that the connection makes the edge hold, as far as they are counted by connection.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.get()
    }

    /// Counts bytes that the connection makes the edge hold, until [`release`](Self::release) or its end.
    pub fn hold(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_add(bytes));
        self.worker.memory().hold(bytes);
    }

    /// Counts bytes that are no longer held.
    pub fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
        self.worker.memory().release(bytes);
    }

    /// Notes a change of the request bodies under way on HTTP/2.
    pub fn update_uploads(&self, change: impl FnOnce(Uploads) -> Uploads) {
        let before = self.uploads.get();
        let after = change(before);
        self.uploads.set(after);
        let (before, after) = (before.held(), after.held());
        self.hold(after.saturating_sub(before));
        self.release(before.saturating_sub(after));
    }

    /// Whether the connection is closed because memory runs out.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.shed.get()
    }

    /// Whether the connection must be closed at once. Until then, the task that asks is woken when it must.
    #[must_use]
    pub fn must_close(&self, waker: &Waker) -> bool {
        if self.shed.get() {
            return true;
        }
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
        false
    }

    /// What the connection is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state.get().phase
    }

    /// Whether a request is in progress.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.state.get().is_busy()
    }

    /// Whether closing now could lose a request that the client has already sent. On HTTP/2, GOAWAY names the last
    /// request that was seen.
    #[must_use]
    pub fn close_may_race_a_request(&self) -> bool {
        !self.multiplexed.get() && !self.is_busy()
    }

    /// When a byte last moved in either direction.
    #[must_use]
    pub fn last_moved(&self) -> Instant {
        self.last_moved.get()
    }

    /// Whether the client does not accept bytes that are ready for it.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.state.get().blocked_since.is_some()
    }

    /// Bytes written to the client so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Returns the earliest time at which the connection may time out; `None` while the edge waits for an endpoint.
    /// [`is_due`](Self::is_due) is exact.
    #[must_use]
    pub fn due(&self, timeouts: &Timeouts) -> Option<Instant> {
        client_state::due(&self.state.get(), timeouts)
    }

    /// Whether the connection has timed out.
    #[must_use]
    pub fn is_due(&self, timeouts: &Timeouts, now: Instant) -> bool {
        // The minimum is computed only when the connection may have timed out, not for every frame.
        let earliest = self.pending.borrow().values().copied().min();
        self.update(|state| state.pending(earliest));
        self.due(timeouts).is_some_and(|due| due <= now)
    }

    /// Reads the clock, for a task that the driver of an HTTP/1 connection does not poll.
    pub fn tick(&self) {
        self.worker.clock.tick();
    }

    /// Notes that bytes arrived from the client.
    pub fn read(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.worker.stats().bytes_in.add(bytes as u64);
        self.last_moved.set(self.worker.clock.now());
        self.head_begins();
        if self.multiplexed.get() {
            self.update_uploads(|uploads| uploads.arrived(bytes));
        } else if !self.state.get().is_busy() {
            self.head.set(self.head.get().saturating_add(bytes));
        }
    }

    /// Notes that a request head has begun, unless one had begun already: when bytes arrive, or when bytes followed the
    /// previous request.
    pub fn head_begins(&self) {
        if !self.multiplexed.get() {
            self.update(|state| state.head_begun(self.worker.clock.now()));
        }
    }

    /// Notes that bytes were written to the client.
    pub fn wrote(&self, bytes: usize) {
        self.worker.stats().bytes_out.add(bytes as u64);
        self.written.set(self.written.get().saturating_add(bytes as u64));
        let now = self.worker.clock.now();
        self.last_moved.set(now);
        self.update(|state| state.accepted(now, bytes, self.patience));
    }

    /// Notes that the client accepts no more bytes for now.
    pub fn blocked(&self) {
        self.update(|state| state.blocked(self.worker.clock.now()));
    }

    /// Notes that the client accepts bytes again, or that everything is sent: TLS may have held back some of it.
    pub fn unblocked(&self) {
        self.update(|state| state.unblocked(self.worker.clock.now(), self.patience));
    }

    /// Notes that a request begins. Returns its number on this connection.
    pub fn begin(&self) -> u64 {
        self.update(ClientState::request_begun);
        self.hold(cost::REQUEST);
        self.head.set(0);
        let number = self.next_request.get();
        self.next_request.set(number.wrapping_add(1));
        number
    }

    /// Notes that a response waits for the client (`is_pending`), or for its endpoint. Ignored on HTTP/1, which asks
    /// for a body whenever the stream has room, so that [`blocked`](Self::blocked) is sufficient.
    pub fn mark_pending(&self, request: u64, is_pending: bool) {
        if !self.multiplexed.get() {
            return;
        }
        let mut pending = self.pending.borrow_mut();
        if is_pending {
            let now = self.worker.clock.now();
            if pending.is_empty() {
                self.update(|state| state.pending(Some(now)));
            }
            pending.insert(request, now);
        } else if pending.remove(&request).is_some() && pending.is_empty() {
            self.update(|state| state.pending(None));
        }
    }

    /// Notes that a request ends.
    pub fn end(&self, request: u64) {
        self.mark_pending(request, false);
        self.release(cost::REQUEST);
        self.update(|state| state.request_ended(self.worker.clock.now()));
    }

    /// Notes that the edge closes the connection after the request in progress.
    pub fn start_closing(&self) {
        self.update(|state| state.closing(self.worker.clock.now()));
    }

    /// Whether the request in progress is the last one.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.state.get().closing != Closing::No
    }

    /// Whether an idle HTTP/1 connection may be closed now. After a response that did not announce the close, the
    /// client has some more time.
    #[must_use]
    pub fn may_close(&self) -> bool {
        self.state.get().closing == Closing::Announced
    }

    fn update(&self, change: impl FnOnce(ClientState) -> ClientState) {
        let before = self.state.get();
        let after = change(before);
        self.state.set(after);
        let held = cost::BLOCKED + if self.client.tls { cost::BLOCKED_TLS } else { 0 };
        match (before.blocked_since, after.blocked_since) {
            (None, Some(_)) => self.hold(held),
            (Some(_), None) => self.release(held),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

impl shedding::Client for ClientActivity {
    fn candidate(&self, now: Instant) -> Option<Candidate> {
        let earliest = self.pending.borrow().values().copied().min();
        let since = client_state::stalled_since(&self.state.get().pending(earliest))?;
        let stalled = now.saturating_duration_since(since);
        let held = self.held.get().saturating_add(self.head.get());
        (!self.shed.get()).then_some(Candidate { held, stalled })
    }

    fn shed(&self) {
        self.shed.set(true);
        self.worker.stats().shed.add(1);
        self.refuse(Refusal::Shed);
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }
}

impl Drop for ClientActivity {
    fn drop(&mut self) {
        self.worker.memory().release(self.held.get());
    }
}
