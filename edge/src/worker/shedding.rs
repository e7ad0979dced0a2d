//! Which client connections are closed when memory runs out.
//!
//! The worst go first: those with the most bytes for the longest time without progress. That is the product of both, so
//! a connection that holds megabytes of unread responses goes after a second, and an idle one with a few kilobytes only
//! when nothing worse is left. A connection that waits for its endpoint is never shed: the client is not the cause.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    time::Duration,
};

use tokio::time::Instant;

/// A client that has moved bytes within this time makes progress.
const PROGRESS: Duration = Duration::from_millis(500);

/// What a client connection costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The bytes that it makes the edge hold.
    pub held: usize,
    /// How long the client has made no progress.
    pub stalled: Duration,
}

impl Candidate {
    fn weight(&self) -> u128 {
        (self.held as u128).saturating_mul(self.stalled.as_millis())
    }
}

/// A client connection that can be closed.
pub trait Client {
    /// What it costs; `None` if the client is not to blame.
    fn candidate(&self, now: Instant) -> Option<Candidate>;

    /// Closes it at once.
    fn shed(&self);
}

/// The open client connections of one worker.
#[derive(Debug, Default)]
pub struct Clients {
    next: Cell<u64>,
    all: RefCell<HashMap<u64, Weak<dyn Client>>>,
}

impl Clients {
    /// Adds a connection, until the return value is dropped.
    #[must_use]
    pub fn add(&self, client: Weak<dyn Client>) -> Added<'_> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        self.all.borrow_mut().insert(number, client);
        Added { clients: self, number }
    }

    /// Closes the worst connections, so that about `excess` bytes become free. Returns how many.
    pub fn shed(&self, excess: usize, now: Instant) -> usize {
        if excess == 0 {
            return 0;
        }
        let clients: Vec<Rc<dyn Client>> = self.all.borrow().values().filter_map(Weak::upgrade).collect();
        let candidates = clients.iter().filter_map(|client| Some((client.candidate(now)?, client)));
        let victims = worst(candidates.collect(), excess);
        victims.iter().for_each(|(_, client)| client.shed());
        victims.len()
    }
}

/// Removes a connection from its [`Clients`] when dropped.
#[derive(Debug)]
pub struct Added<'a> {
    clients: &'a Clients,
    number: u64,
}

impl Drop for Added<'_> {
    fn drop(&mut self) {
        self.clients.all.borrow_mut().remove(&self.number);
    }
}

/// Returns the candidates to close so that `excess` bytes become free, the worst first.
fn worst<T>(mut candidates: Vec<(Candidate, T)>, excess: usize) -> Vec<(Candidate, T)> {
    candidates.retain(|(candidate, _)| candidate.stalled >= PROGRESS && candidate.held > 0);
    candidates.sort_by_key(|(candidate, _)| std::cmp::Reverse(candidate.weight()));
    let mut freed = 0_usize;
    let enough = candidates.iter().position(|(candidate, _)| {
        let is_enough = freed >= excess;
        freed = freed.saturating_add(candidate.held);
        is_enough
    });
    candidates.truncate(enough.unwrap_or(candidates.len()));
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn candidate(held: usize, seconds: f64) -> Candidate {
        Candidate { held, stalled: Duration::from_secs_f64(seconds) }
    }

    #[test]
    fn the_worst_are_closed_first_and_no_more_than_necessary() {
        let candidates = [
            ("an idle connection", candidate(4 * KIB, 50.0)),
            ("a download that makes progress", candidate(9000 * KIB, 0.1)),
            ("an unfinished head", candidate(5 * KIB, 3.0)),
            ("unread responses", candidate(4000 * KIB, 2.0)),
            ("unread responses, for longer", candidate(4000 * KIB, 9.0)),
            ("one unread response", candidate(128 * KIB, 20.0)),
            ("nothing", candidate(0, 1000.0)),
        ];
        let victims = |excess| {
            let all = candidates.iter().map(|(name, candidate)| (*candidate, *name)).collect();
            worst(all, excess).into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(victims(0), [""; 0]);
        assert_eq!(victims(1), ["unread responses, for longer"]);
        assert_eq!(victims(4001 * KIB), ["unread responses, for longer", "unread responses"]);
        let all = [
            "unread responses, for longer",
            "unread responses",
            "one unread response",
            "an idle connection",
            "an unfinished head",
        ];
        assert_eq!(victims(usize::MAX), all);
    }

    /// A connection that remembers whether it was closed.
    struct Recorder(Option<Candidate>, Cell<bool>);

    impl Client for Recorder {
        fn candidate(&self, _now: Instant) -> Option<Candidate> {
            self.0
        }

        fn shed(&self) {
            self.1.set(true);
        }
    }

    #[test]
    fn connections_that_are_closed_or_wait_for_an_endpoint_are_not_shed() {
        let clients = Clients::default();
        let recorder = |candidate| Rc::new(Recorder(candidate, Cell::new(false)));
        let all = [recorder(Some(candidate(KIB, 5.0))), recorder(Some(candidate(2 * KIB, 5.0))), recorder(None)];
        let weak =
            |recorder: &Rc<Recorder>| -> Weak<dyn Client> { Rc::downgrade(&(Rc::clone(recorder) as Rc<dyn Client>)) };
        let mut added: Vec<_> = all.iter().map(|recorder| clients.add(weak(recorder))).collect();
        // The second connection ends.
        added.remove(1);
        assert_eq!(clients.shed(usize::MAX, Instant::now()), 1);
        let shed: Vec<_> = all.iter().map(|recorder| recorder.1.get()).collect();
        assert_eq!(shed, [true, false, false]);
        drop(added);
        assert!(clients.all.borrow().is_empty());
        assert_eq!(clients.shed(usize::MAX, Instant::now()), 0);
    }
}
