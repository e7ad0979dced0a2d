//! What one connection behind a mesh is known for: its node, its replica, and how it last answered.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::time::Instant;

use super::spread::{Spread, UNKNOWN};

/// The entry of a connection in a [`Spread`], until it is dropped.
#[derive(Debug)]
pub struct Link {
    spread: Rc<RefCell<Spread>>,
    node: u64,
    replica: usize,
    /// The part of the pool's `max_age` that it lives, so that connections which were opened together do not end
    /// together.
    lifetime: f64,
    /// When it is asked next.
    due: Instant,
    /// Its last answer shows that its replica should get requests.
    ready: bool,
}

impl Link {
    /// The entry of a connection to a node that was just opened. `chance` is a fresh random number from 0.0 to 1.0.
    #[must_use]
    pub fn new(spread: &Rc<RefCell<Spread>>, node: u64, chance: f64, now: Instant) -> Self {
        spread.borrow_mut().add(node);
        let lifetime = 0.75 + 0.25 * chance.clamp(0.0, 1.0);
        Self { spread: Rc::clone(spread), node, replica: UNKNOWN, lifetime, due: now, ready: true }
    }

    /// The index of its replica in the spread.
    #[must_use]
    pub fn replica(&self) -> usize {
        self.replica
    }

    /// Learns the name of its replica.
    pub fn learn(&mut self, name: &[u8]) {
        self.replica = self.spread.borrow_mut().learn(self.replica, name);
    }

    /// The part of `max_age` that the connection lives.
    #[must_use]
    pub fn lifetime(&self) -> f64 {
        self.lifetime
    }

    /// Records that it answered, a request or the question for the health path.
    pub fn answered(&self) {
        self.spread.borrow_mut().answered(self.node, self.replica);
    }

    /// Records that it was asked, so that it need not be asked again for `interval`.
    pub fn asked(&mut self, interval: Duration, now: Instant) {
        self.due = now + interval;
    }

    /// Whether it must be asked.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Makes it due at once: something suggests that it no longer answers.
    pub fn doubt(&mut self, now: Instant) {
        self.due = self.due.min(now);
    }

    /// Whether its replica should get requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Sets whether its replica should get requests.
    pub fn set_ready(&mut self, ready: bool) {
        if ready != self.ready {
            self.ready = ready;
            self.spread.borrow_mut().count_unready(!ready);
        }
    }

    /// Records that it did not answer.
    pub fn suspect(&self) {
        self.spread.borrow_mut().suspect(self.node, self.replica);
    }

    /// Whether it may no longer answer, as another connection to its node or to its replica.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.spread.borrow().is_suspect(self.node, self.replica)
    }

    /// Counts a response of its replica to a request.
    pub fn responded(&self, is_error: bool) {
        self.spread.borrow_mut().responded(self.replica, is_error);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set_ready(true);
        self.spread.borrow_mut().remove(self.node, self.replica);
    }
}
