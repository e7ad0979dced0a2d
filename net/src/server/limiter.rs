//! Limits the number of connections, and selects the connection to close for a new one.
//!
//! A new connection must be admitted, since it may be a health check, after whose failures the container engine kills
//! the process. So the connection that has been idle for longest closes, as approximated by the CLOCK algorithm
//! (Corbato, "A Paging Experiment with the Multics System", 1968): connections form a ring, the hand skips those used
//! since its last visit, and the first other one closes. A request costs no bookkeeping, and no clock is read.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Weak},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;

/// What happens to a new connection while the maximum is open and all connections are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// It waits until one has sent its response and closes. For servers with short responses.
    Wait,
    /// It is refused. For servers whose responses may be streams that last for hours.
    Refuse,
}

/// The open connections of a server. Only its accept loop holds the limiter.
#[derive(Debug)]
pub struct ConnectionLimiter {
    max: usize,
    when_busy: WhenBusy,
    permits: Arc<Semaphore>,
    /// The connections in the order in which the hand visits them. Ended ones are removed later.
    ring: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    connection: Weak<Connection>,
    /// The number of requests at the hand's last visit; `None` before the first visit.
    seen: Option<u32>,
}

/// An admitted connection. Dropping it makes room for another.
#[derive(Debug)]
pub struct Connection {
    /// The events that its task marks.
    pub activity: Arc<Activity>,
    close: Notify,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Completes when the connection must close for another one: at once, or after the response in progress.
    pub async fn close_requested(&self) {
        self.close.notified().await;
    }
}

impl ConnectionLimiter {
    /// Creates a limiter for at most `max` open connections.
    #[must_use]
    pub fn new(max: usize, when_busy: WhenBusy) -> Self {
        Self { max, when_busy, permits: Arc::new(Semaphore::new(max)), ring: VecDeque::new() }
    }

    /// Admits a connection, if necessary after another one has closed. `None` refuses it; see [`WhenBusy`].
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

    /// Tells a connection to close. Returns whether one will.
    fn make_room(&mut self) -> bool {
        // The first round visits every connection, and the second finds one that was not used since.
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
        // All connections are busy.
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

    /// Admits one more connection and returns the index of the one that was told to close for it.
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
            _ = &mut admit => panic!("admitted although no connection closed"),
            index = asked => index,
        };
        drop(connections.remove(index));
        connections.push(timeout(SOON, admit).await.unwrap().unwrap());
        index
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_has_been_idle_for_longest_closes() {
        let (mut limiter, mut connections) = full(4, WhenBusy::Wait).await;
        drop(Request::begin(&*connections[0].activity));
        drop(Request::begin(&*connections[1].activity));
        assert_eq!(replaced(&mut limiter, &mut connections).await, 0, "the first, since all are new");
        // The former second connection, now the first, was visited before and has been used since.
        drop(Request::begin(&*connections[0].activity));
        assert_eq!(replaced(&mut limiter, &mut connections).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_time_for_its_first_request() {
        let (mut limiter, mut connections) = full(3, WhenBusy::Wait).await;
        replaced(&mut limiter, &mut connections).await;
        for connection in &connections[..2] {
            drop(Request::begin(&*connection.activity));
        }
        // Two connections are in use, and the new one has had no request yet.
        assert_ne!(replaced(&mut limiter, &mut connections).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_stays_open_while_another_is_idle() {
        for when_busy in [WhenBusy::Wait, WhenBusy::Refuse] {
            let (mut limiter, mut connections) = full(3, when_busy).await;
            let _busy = [0, 1].map(|index| Request::begin(connections[index].activity.clone()));
            assert_eq!(replaced(&mut limiter, &mut connections).await, 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_busy_one_closes_after_its_response() {
        let (mut limiter, mut connections) = full(2, WhenBusy::Wait).await;
        let busy = connections.clone();
        let _busy: Vec<_> = busy.iter().map(|connection| Request::begin(&*connection.activity)).collect();
        let asked = busy[0].close_requested();
        assert!(timeout(SOON, limiter.admit()).await.is_err(), "all stay open");
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
    async fn ended_connections_are_removed() {
        let mut limiter = ConnectionLimiter::new(2, WhenBusy::Refuse);
        for _ in 0..100 {
            drop(limiter.admit().await);
            assert!(limiter.ring.len() <= 4);
        }
    }
}
