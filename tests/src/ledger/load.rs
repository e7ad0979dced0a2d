//! Numbered requests, GETs and POSTs in turn, over connections that stay open. Every second connection speaks HTTP/2.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Ended, Ledger, exchange};
use crate::client::{Connection, Error};

/// How long a client waits. Longer than any time-out of the proxies, so that they decide.
const PATIENCE: Duration = Duration::from_secs(30);

/// The load of one run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of requests, at least.
    pub requests: usize,
    /// The number of connections. With HTTP/2, each has one stream at a time.
    pub connections: usize,
    /// The time between the starts of two requests on a connection, if the response comes sooner.
    pub pace: Duration,
    /// Whether all connections send at the same time, so that a proxy's own connections are idle between two requests.
    pub in_bursts: bool,
}

impl Load {
    /// How long it takes if every response comes at once.
    #[must_use]
    pub fn takes(&self) -> Duration {
        let each = self.requests.div_ceil(self.connections.max(1));
        self.pace.saturating_mul(u32::try_from(each).unwrap_or(u32::MAX))
    }

    /// Sends requests to the address of each protocol until there were enough and `is_over` is true. Sends no more
    /// after three times as long as it takes. Returns when each has an outcome.
    pub(super) async fn run(
        self,
        address: impl Fn(bool) -> std::net::SocketAddr,
        ledger: &Arc<Ledger>,
        is_over: watch::Receiver<bool>,
    ) {
        let left = Arc::new(AtomicUsize::new(self.requests));
        let start = Instant::now();
        let last = start + 2 * self.takes() + Duration::from_secs(5);
        let mut clients = JoinSet::new();
        for index in 0..self.connections {
            let is_http2 = index % 2 == 1;
            let client = Client {
                pace: self.pace,
                address: address(is_http2),
                is_http2,
                ledger: Arc::clone(ledger),
                left: Arc::clone(&left),
                is_over: is_over.clone(),
            };
            // Otherwise something always is under way.
            let share = u32::try_from(index).unwrap_or(0) * self.pace / u32::try_from(self.connections).unwrap_or(1);
            clients.spawn(client.run(if self.in_bursts { start } else { start + share }, last));
        }
        clients.join_all().await;
    }
}

struct Client {
    pace: Duration,
    address: std::net::SocketAddr,
    is_http2: bool,
    ledger: Arc<Ledger>,
    /// The requests that no client has begun.
    left: Arc<AtomicUsize>,
    is_over: watch::Receiver<bool>,
}

impl Client {
    async fn run(self, start: Instant, last: Instant) {
        let mut connection = None;
        let mut next = start;
        loop {
            sleep_until(next).await;
            let take = |left: usize| left.checked_sub(1);
            let was_left = self.left.fetch_update(Relaxed, Relaxed, take).is_ok();
            if (!was_left && *self.is_over.borrow()) || Instant::now() > last {
                return;
            }
            self.exchange(&mut connection).await;
            next = (next + self.pace).max(Instant::now());
        }
    }

    async fn exchange(&self, connection: &mut Option<Connection>) {
        let (number, is_post) = self.ledger.begin(self.is_http2);
        let began = Instant::now();
        let outcome = timeout(PATIENCE, async {
            match self.send(connection, number, is_post).await {
                Err(error) if exchange::is_unprocessed(&error) => {
                    *connection = None;
                    self.send(connection, number, is_post).await
                }
                outcome => outcome,
            }
        });
        let outcome = outcome.await.unwrap_or(Err(Error::Timeout));
        let (is_ok, text) = match &outcome {
            Ok(status) => (*status == StatusCode::OK, status.as_str().to_owned()),
            Err(error) => (false, chain(error)),
        };
        if outcome.is_err() {
            *connection = None;
        }
        self.ledger.ended(number, Ended { is_ok, took: began.elapsed(), text });
    }

    async fn send(
        &self,
        connection: &mut Option<Connection>,
        number: usize,
        is_post: bool,
    ) -> Result<StatusCode, Error> {
        let connect = async || match self.is_http2 {
            true => Connection::http2(self.address).await,
            false => Connection::http1(self.address).await,
        };
        exchange::send(connection, connect, number, is_post).await
    }
}

/// The error with its sources.
fn chain(error: &dyn StdError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}
