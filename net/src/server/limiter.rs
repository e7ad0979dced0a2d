//! The maximum number of connections, and which connection closes when one more arrives.
//!
//! A new connection must get in, since it may be the health check, after whose failures the engine kills
//! the process. So the connection closes that was idle for longest, as approximated by the CLOCK
//! algorithm (Corbato, "A Paging Experiment with the Multics System", 1968): connections stand in a
//! ring, the hand passes over those that were used since its last visit, and the first other one
//! closes. A request costs no bookkeeping, and no clock is read.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Weak},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;

/// What to do with a new connection when the maximum is open and all of them are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// Close one after the answer under way, and wait for that: right where answers are short.
    Wait,
    /// Refuse the new one: right where an answer may be a stream that lasts for hours.
    Refuse,
}

/// All open connections. Only the accept loop has one.
#[derive(Debug)]
pub struct ConnectionLimiter {
    max: usize,
    when_busy: WhenBusy,
    permits: Arc<Semaphore>,
    /// In the order in which the hand visits them. Ended connections are removed later.
    ring: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    connection: Weak<Connection>,
    /// The connection's requests at the hand's last visit; `None` before the first.
    seen: Option<u32>,
}

/// One connection. Dropping it makes room for another.
#[derive(Debug)]
pub struct Connection {
    /// What its client is doing.
    pub activity: Arc<Activity>,
    close: Notify,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Completes when the connection must make room: at once, or after the answer that is under way.
    pub async fn close_requested(&self) {
        self.close.notified().await;
    }
}

impl ConnectionLimiter {
    /// Limits the number of open connections to `max`.
    #[must_use]
    pub fn new(max: usize, when_busy: WhenBusy) -> Self {
        Self { max, when_busy, permits: Arc::new(Semaphore::new(max)), ring: VecDeque::new() }
    }

    /// Admits a connection, after another has closed if need be. `None` refuses it; see [`WhenBusy`].
    pub async fn admit(&mut self) -> Option<Arc<Connection>> {
        if self.permits.available_permits() == 0 && !self.make_room() {
            return None;
        }
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            // The semaphore is never closed.
            return pending().await;
        };
        if self.ring.len() >= 2 * self.max {
            self.ring.retain(|entry| entry.connection.strong_count() > 0);
        }
        let connection = Arc::new(Connection { activity: Arc::default(), close: Notify::new(), _permit: permit });
        self.ring.push_back(Entry { connection: Arc::downgrade(&connection), seen: None });
        Some(connection)
    }

    /// Asks a connection to close. Returns whether one will.
    fn make_room(&mut self) -> bool {
        // One round to visit every connection, and a second to find one that was not used since.
        for _ in 0..2 * self.ring.len() {
            let Some(entry) = self.ring.pop_front() else { break };
            let Some(connection) = entry.connection.upgrade() else { continue };
            let requests = Some(connection.activity.requests());
            if entry.seen == requests && !connection.activity.is_busy() {
                connection.close.notify_one();
                return true;
            }
            self.ring.push_back(Entry { seen: requests, ..entry });
        }
        // All are busy.
        match self.when_busy {
            WhenBusy::Refuse => false,
            WhenBusy::Wait => {
                if let Some(connection) = self.ring.pop_front().and_then(|entry| entry.connection.upgrade()) {
                    connection.close.notify_one();
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::{super::activity::Request, *};

    const SOON: Duration = Duration::from_secs(1);

    /// A limiter with the maximum number of connections.
    async fn full(max: usize, when_busy: WhenBusy) -> (ConnectionLimiter, Vec<Arc<Connection>>) {
        let mut limiter = ConnectionLimiter::new(max, when_busy);
        let mut connections = Vec::new();
        for _ in 0..max {
            connections.push(timeout(SOON, limiter.admit()).await.unwrap().unwrap());
        }
        (limiter, connections)
    }

    /// Admits one more connection and returns the index of the one that was asked to close for it.
    async fn replaced(limiter: &mut ConnectionLimiter, connections: &mut Vec<Arc<Connection>>) -> usize {
        let asked = async {
            let mut asked =
                connections.iter().map(|connection| Box::pin(connection.close_requested())).collect::<Vec<_>>();
            std::future::poll_fn(|cx| {
                asked
                    .iter_mut()
                    .position(|asked| asked.as_mut().poll(cx).is_ready())
                    .map_or(std::task::Poll::Pending, Into::into)
            })
            .await
        };
        let mut admit = std::pin::pin!(limiter.admit());
        let index = tokio::select! {
            biased;
            _ = &mut admit => panic!("no connection closed, and yet there is room"),
            index = asked => index,
        };
        drop(connections.remove(index));
        connections.push(timeout(SOON, admit).await.unwrap().unwrap());
        index
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_was_idle_for_longest_closes() {
        let (mut limiter, mut connections) = full(4, WhenBusy::Wait).await;
        drop(Request::begin(&*connections[0].activity));
        drop(Request::begin(&*connections[1].activity));
        assert_eq!(replaced(&mut limiter, &mut connections).await, 0, "all are new: the first");
        // The former second connection, now the first, was visited before and is used again.
        drop(Request::begin(&*connections[0].activity));
        assert_eq!(replaced(&mut limiter, &mut connections).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_given_time_for_its_first_request() {
        let (mut limiter, mut connections) = full(3, WhenBusy::Wait).await;
        replaced(&mut limiter, &mut connections).await;
        for connection in &connections[..2] {
            drop(Request::begin(&*connection.activity));
        }
        // Two that are in use, and the new one without a request yet.
        assert_ne!(replaced(&mut limiter, &mut connections).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_stays_while_another_is_idle() {
        for when_busy in [WhenBusy::Wait, WhenBusy::Refuse] {
            let (mut limiter, mut connections) = full(3, when_busy).await;
            let _busy = [0, 1].map(|index| Request::begin(connections[index].activity.clone()));
            assert_eq!(replaced(&mut limiter, &mut connections).await, 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_busy_one_closes_after_its_answer() {
        let (mut limiter, mut connections) = full(2, WhenBusy::Wait).await;
        let busy = connections.clone();
        let _busy: Vec<_> = busy.iter().map(|connection| Request::begin(&*connection.activity)).collect();
        let asked = busy[0].close_requested();
        assert!(timeout(SOON, limiter.admit()).await.is_err(), "all keep their places");
        timeout(SOON, asked).await.unwrap();
        connections.clear();
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_busy_with_streams_a_new_connection_is_refused() {
        let (mut limiter, mut connections) = full(2, WhenBusy::Refuse).await;
        let first = Request::begin(connections[0].activity.clone());
        let _second = Request::begin(connections[1].activity.clone());
        assert!(timeout(SOON, limiter.admit()).await.unwrap().is_none());
        drop(first);
        assert_eq!(replaced(&mut limiter, &mut connections).await, 0);
    }

    #[tokio::test]
    async fn ended_connections_are_forgotten() {
        let mut limiter = ConnectionLimiter::new(2, WhenBusy::Refuse);
        for _ in 0..100 {
            drop(limiter.admit().await);
            assert!(limiter.ring.len() <= 4);
        }
    }
}
