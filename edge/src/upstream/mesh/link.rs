//! What one connection behind a mesh is known for: its node, its replica, and how it last answered.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::time::Instant;

use super::spread::{Spread, UNKNOWN};

/// How long after a connection was asked a doubt makes it due again. Requests that wait long for their responses, of
/// which there may be thousands, and clients that disconnect give reason for doubt much more often.
const BETWEEN_ASKS: Duration = Duration::from_millis(250);

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
    /// When a doubt may make it due.
    not_before: Instant,
    /// Its last answer shows that its replica should get requests.
    ready: bool,
}

/// What a connection is known for when it moves to another worker, which has a spread of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name of its replica; empty if that is not known.
    replica: Box<[u8]>,
    ready: bool,
}

impl Link {
    /// The entry of a connection to a node that was just opened. `chance` is a fresh random number from 0.0 to 1.0.
    #[must_use]
    pub fn new(spread: &Rc<RefCell<Spread>>, node: u64, chance: f64, now: Instant) -> Self {
        spread.borrow_mut().add(node);
        let lifetime = 0.75 + 0.25 * chance.clamp(0.0, 1.0);
        Self { spread: Rc::clone(spread), node, replica: UNKNOWN, lifetime, due: now, not_before: now, ready: true }
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

    /// What it is known for.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { replica: self.spread.borrow().name(self.replica).into(), ready: self.ready }
    }

    /// Takes over what the connection was known for at another worker.
    pub fn restore(&mut self, known: &Known) {
        if !known.replica.is_empty() {
            self.learn(&known.replica);
        }
        self.set_ready(known.ready);
    }

    /// Whether requests should not get it while there are others: its replica should get none, or it may not answer.
    #[must_use]
    pub fn is_unfit(&self) -> bool {
        let spread = self.spread.borrow();
        let is_unready = !self.ready && !spread.is_unready();
        is_unready || (spread.is_suspect(self.node, self.replica) && !spread.is_suspect_throughout())
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
        self.not_before = now + BETWEEN_ASKS;
    }

    /// Whether it must be asked.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Makes it due at once, unless it was just asked: something suggests that it no longer answers.
    pub fn doubt(&mut self, now: Instant) {
        self.due = self.due.min(now.max(self.not_before));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_makes_a_connection_due_but_not_again_right_after_it_was_asked() {
        let (spread, now) = (Rc::default(), Instant::now());
        let mut link = Link::new(&spread, 1, 0.5, now);
        assert!(link.is_due(now), "it was never asked");
        link.asked(BETWEEN_ASKS * 8, now);
        assert!(!link.is_due(now + BETWEEN_ASKS * 4));
        link.doubt(now);
        assert!(!link.is_due(now) && link.is_due(now + BETWEEN_ASKS));
        link.asked(BETWEEN_ASKS * 8, now);
        link.doubt(now + BETWEEN_ASKS * 4);
        assert!(!link.is_due(now + BETWEEN_ASKS * 3) && link.is_due(now + BETWEEN_ASKS * 4));
        link.asked(BETWEEN_ASKS / 2, now);
        link.doubt(now);
        assert!(link.is_due(now + BETWEEN_ASKS / 2), "doubt delays nothing");
    }

    #[test]
    fn a_connection_that_moves_to_another_worker_stays_known() {
        let (here, there) = (Rc::default(), Rc::default());
        let mut other = Link::new(&there, 1, 0.5, Instant::now());
        other.learn(b"b");
        for (name, ready) in [(&b""[..], true), (b"a", true), (b"a", false)] {
            let mut link = Link::new(&here, 1, 0.5, Instant::now());
            if !name.is_empty() {
                link.learn(name);
            }
            link.set_ready(ready);
            let mut moved = Link::new(&there, 1, 0.5, Instant::now());
            moved.restore(&link.known());
            assert_eq!((there.borrow().name(moved.replica()), moved.is_ready()), (name, ready));
            assert_eq!(moved.is_unfit(), !ready);
        }
    }

    #[test]
    fn a_connection_is_unfit_unless_all_are_like_that() {
        let (spread, now) = (Rc::default(), Instant::now());
        let [mut one, mut other] = [b"a", b"b"].map(|name| {
            let mut link = Link::new(&spread, u64::from(name[0]), 0.5, now);
            link.learn(name);
            link
        });
        one.set_ready(false);
        assert!(one.is_unfit() && !other.is_unfit());
        other.set_ready(false);
        assert!(!one.is_unfit() && !other.is_unfit());
        one.set_ready(true);
        other.set_ready(true);
        one.suspect();
        assert!(one.is_unfit() && !other.is_unfit());
        other.suspect();
        assert!(!one.is_unfit() && !other.is_unfit());
    }

    #[test]
    fn a_connection_that_is_dropped_leaves_no_count() {
        let spread = Rc::default();
        let mut link = Link::new(&spread, 1, 0.5, Instant::now());
        link.learn(b"a");
        link.set_ready(false);
        assert!(spread.borrow().is_unready());
        let other = Link::new(&spread, 1, 0.5, Instant::now());
        assert!(!spread.borrow().is_unready());
        let replica = link.replica();
        drop(link);
        assert_eq!((spread.borrow().to_node(1), spread.borrow().to_replica(replica)), (1, 0));
        assert!(!spread.borrow().is_unready());
        drop(other);
        assert_eq!(spread.borrow().to_node(1), 0);
    }
}
