//! The requests that wait because every usable endpoint of their pool has as many connections as allowed.
//!
//! One queue for all workers: what a worker no longer needs goes to the request that has waited longest, whichever
//! worker it belongs to (`maxconn` and `timeout queue` of HAProxy, `max_pending_requests` of Envoy). The queue knows
//! nothing of connections: a place `P` is whatever lets a request continue.
//!
//! Why no place is lost while a request waits for it:
//!
//! - A request first enters the queue and then looks for a place itself. A place that becomes free is first visible to
//!   all, and then its former owner looks at the queue. Both use `SeqCst`, so at least one of the two sees the other.
//! - A place is given to exactly one request, under the lock. If that request has left in the meantime, the place is
//!   dropped like any other, and so goes to the next one.
//! - The request that finds the queue empty makes all workers look through their idle connections; see
//!   [`Waiting::is_first`]. A worker that keeps a connection after that sees that the queue is not empty.
//!
//! Only one request is woken for each place.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use tokio::sync::oneshot;

/// The requests of one pool that wait for a place.
#[derive(Debug)]
pub struct Queue<P> {
    /// The length of `waiters`: while it is zero, nothing else is looked at.
    length: AtomicUsize,
    next_ticket: AtomicU64,
    /// In the order of their tickets.
    waiters: Mutex<VecDeque<Waiter<P>>>,
}

/// What a request waits for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its position: a lower one comes first.
    ticket: u64,
    /// The ids of the endpoints that it cannot use.
    excluded: Vec<u64>,
    /// The limit on an endpoint's connections under which it takes a place.
    max_connections: usize,
}

#[derive(Debug)]
struct Waiter<P> {
    wanted: Wanted,
    /// Its receiver lives at least as long as this entry.
    place: oneshot::Sender<P>,
}

/// A request's entry in a queue. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Waiting<P> {
    queue: Arc<Queue<P>>,
    ticket: u64,
    first: bool,
    /// Its entry is gone because a place came. Another entry may have the same ticket by now.
    left: bool,
    place: oneshot::Receiver<P>,
}

impl Wanted {
    /// A place at any endpoint that has fewer than `max_connections`, except those with the ids `excluded`. It comes
    /// after everything that was wanted of this queue before.
    #[must_use]
    pub fn new<P>(queue: &Queue<P>, excluded: Vec<u64>, max_connections: usize) -> Self {
        Self { ticket: queue.next_ticket.fetch_add(1, SeqCst), excluded, max_connections }
    }

    /// Excludes one more endpoint.
    pub fn exclude(&mut self, endpoint: u64) {
        self.excluded.push(endpoint);
    }
}

impl<P> Default for Queue<P> {
    fn default() -> Self {
        Self { length: AtomicUsize::new(0), next_ticket: AtomicU64::new(0), waiters: Mutex::default() }
    }
}

impl<P> Queue<P> {
    /// The number of requests that wait.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length.load(SeqCst)
    }

    /// Whether a request waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.length() > 0
    }

    /// Enters the queue, at the position of the ticket; `None` if `max` requests wait.
    #[must_use]
    pub fn enter(self: &Arc<Self>, wanted: Wanted, max: usize) -> Option<Waiting<P>> {
        let (sender, place) = oneshot::channel();
        let mut waiters = self.lock();
        if waiters.len() >= max {
            return None;
        }
        let (ticket, first) = (wanted.ticket, waiters.is_empty());
        let position = waiters.partition_point(|other| other.wanted.ticket < ticket);
        waiters.insert(position, Waiter { wanted, place: sender });
        self.length.store(waiters.len(), SeqCst);
        drop(waiters);
        Some(Waiting { queue: Arc::clone(self), ticket, first, left: false, place })
    }

    /// Gives a place at an endpoint to the request that has waited longest of those that can use it. `make` gets the
    /// limit on the endpoint's connections, and returns `None` if there is no place after all. It runs under the lock,
    /// so it must not drop a place. Returns whether a request got it.
    pub fn offer(&self, endpoint: u64, make: impl FnOnce(usize) -> Option<P>) -> bool {
        let refused = {
            let mut waiters = self.lock();
            let position = waiters.iter().position(|waiter| !waiter.wanted.excluded.contains(&endpoint));
            let Some((position, waiter)) = position.and_then(|position| Some((position, waiters.remove(position)?)))
            else {
                return false;
            };
            let Some(place) = make(waiter.wanted.max_connections) else {
                waiters.insert(position, waiter);
                return false;
            };
            self.length.store(waiters.len(), SeqCst);
            waiter.place.send(place)
        };
        // Dropping the place needs the lock.
        refused.is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiter<P>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Waiting<P> {
    /// Whether no other request waited. Then idle connections of any worker may be of use.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Ready with a place, or with `None` if the place that was meant for it could not be delivered. It has left the
    /// queue then, and its request may enter again with the same ticket.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<P>> {
        let polled = std::pin::Pin::new(&mut self.place).poll(cx).map(Result::ok);
        self.left |= polled.is_ready();
        polled
    }
}

impl<P> Drop for Waiting<P> {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // First the entry and then the receiver, which may contain a place: dropping that needs the lock.
        let mut waiters = self.queue.lock();
        if let Ok(position) = waiters.binary_search_by_key(&self.ticket, |waiter| waiter.wanted.ticket) {
            waiters.remove(position);
            self.queue.length.store(waiters.len(), SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    type Numbers = Arc<Queue<u32>>;

    fn enter(queue: &Numbers, excluded: &[u64]) -> Waiting<u32> {
        queue.enter(Wanted::new(queue, excluded.to_vec(), 8), usize::MAX).unwrap()
    }

    fn got(waiting: &mut Waiting<u32>) -> Option<u32> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => place,
            Poll::Pending => None,
        }
    }

    #[test]
    fn places_go_to_requests_in_the_order_of_their_arrival() {
        let queue = Numbers::default();
        let mut waiting: Vec<_> = (0..3).map(|_| enter(&queue, &[])).collect();
        for place in 0..3 {
            assert!(queue.offer(1, |_| Some(place)));
        }
        assert!(!queue.offer(1, |_| Some(3)), "nobody is left");
        let places: Vec<_> = waiting.iter_mut().map(|waiting| got(waiting).unwrap()).collect();
        assert_eq!(places, [0, 1, 2]);
    }

    #[test]
    fn a_place_goes_to_the_first_request_that_can_use_its_endpoint() {
        let queue = Numbers::default();
        let (mut first, mut second) = (enter(&queue, &[1]), enter(&queue, &[2]));
        assert!(queue.offer(1, |_| Some(10)));
        assert_eq!((got(&mut first), got(&mut second)), (None, Some(10)));
        assert!(!queue.offer(1, |_| Some(11)), "the other one cannot use it");
        assert!(queue.offer(2, |_| Some(20)));
        assert_eq!(got(&mut first), Some(20));
    }

    #[test]
    fn a_request_that_leaves_makes_room_and_gets_nothing() {
        let queue = Numbers::default();
        let (first, mut second) = (enter(&queue, &[]), enter(&queue, &[]));
        drop(first);
        assert_eq!(queue.length(), 1);
        assert!(queue.offer(1, |_| Some(10)));
        assert_eq!((got(&mut second), queue.is_waiting()), (Some(10), false));
    }

    #[test]
    fn a_request_that_enters_again_keeps_its_position() {
        let queue = Numbers::default();
        let wanted = Wanted::new(&queue, Vec::new(), 8);
        let first = queue.enter(wanted.clone(), 9).unwrap();
        let mut second = enter(&queue, &[]);
        drop(first);
        let mut first = queue.enter(wanted, 9).unwrap();
        assert!(!first.is_first(), "another one waits");
        assert!(queue.offer(1, |_| Some(10)));
        assert_eq!((got(&mut first), got(&mut second)), (Some(10), None));
    }

    #[test]
    fn a_request_that_got_a_place_may_enter_again_before_its_first_entry_is_dropped() {
        let queue = Numbers::default();
        let wanted = Wanted::new(&queue, Vec::new(), 8);
        let mut waiting = queue.enter(wanted.clone(), 9).unwrap();
        assert!(queue.offer(1, |_| Some(10)));
        assert_eq!(got(&mut waiting), Some(10));
        // An assignment drops the old value when the new one exists already.
        waiting = queue.enter(wanted, 9).unwrap();
        assert_eq!(queue.length(), 1);
        assert!(queue.offer(1, |_| Some(20)));
        assert_eq!(got(&mut waiting), Some(20));
    }

    #[test]
    fn a_full_queue_accepts_no_request() {
        let queue = Numbers::default();
        let waiting = enter(&queue, &[]);
        assert!(waiting.is_first());
        assert!(queue.enter(Wanted::new(&queue, Vec::new(), 8), 1).is_none());
        drop(waiting);
        assert!(queue.enter(Wanted::new(&queue, Vec::new(), 8), 1).is_some());
        assert!(queue.enter(Wanted::new(&queue, Vec::new(), 8), 0).is_none());
    }

    #[test]
    fn a_request_stays_in_the_queue_when_there_is_no_place_after_all() {
        let queue = Numbers::default();
        let mut waiting = enter(&queue, &[]);
        let mut limit = 0;
        let refuse = |max: usize| {
            limit = max;
            None
        };
        assert!(!queue.offer(1, refuse));
        assert_eq!((limit, queue.length()), (8, 1));
        assert!(queue.offer(1, |_| Some(10)));
        assert_eq!(got(&mut waiting), Some(10));
    }

    /// A place that offers itself again when it is dropped, as a connection's permit does.
    struct Returning {
        number: u32,
        queue: Arc<Queue<Returning>>,
    }

    impl Drop for Returning {
        fn drop(&mut self) {
            let (number, queue) = (self.number, Arc::clone(&self.queue));
            self.queue.offer(1, |_| Some(Self { number, queue }));
        }
    }

    #[test]
    fn a_place_that_came_too_late_goes_to_the_next_request() {
        let queue = Arc::<Queue<Returning>>::default();
        let enter = || queue.enter(Wanted::new(&queue, Vec::new(), 8), 9).unwrap();
        let (first, mut second) = (enter(), enter());
        assert!(queue.offer(1, |_| Some(Returning { number: 10, queue: Arc::clone(&queue) })));
        drop(first);
        let polled = second.poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Some(place)) = polled else { panic!("no place came") };
        assert_eq!(place.number, 10);
    }

    #[test]
    fn each_of_many_threads_gets_a_place_though_others_leave() {
        let queue = Numbers::default();
        let threads: Vec<_> = (0..8_u32)
            .map(|number| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || {
                    let mut waiting = enter(&queue, &[]);
                    if number % 2 == 0 {
                        return None;
                    }
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(std::future::poll_fn(|cx| waiting.poll(cx)))
                })
            })
            .collect();
        let mut given = 0;
        while !threads.iter().all(std::thread::JoinHandle::is_finished) {
            given += u32::from(queue.offer(1, |_| Some(1)));
            std::thread::yield_now();
        }
        let got: u32 = threads.into_iter().map(|thread| thread.join().unwrap().unwrap_or(0)).sum();
        assert!(got == 4 && (4..=8).contains(&given), "{got} of {given}");
        assert!(!queue.is_waiting());
    }
}
