//! Numbered requests, GETs and POSTs in turn, over connections that stay open. Every second connection speaks HTTP/2.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Ended, Ledger, NUMBER};
use crate::client::{Body, Connection, Error, full};

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
                Err(Error::Http(error)) if is_unprocessed(&error) => {
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
        let open = match connection {
            // Otherwise the proxy announced the close, or closed the idle connection.
            Some(open) if !open.is_closed() => open,
            _ if self.is_http2 => connection.insert(Connection::http2(self.address).await?),
            _ => connection.insert(Connection::http1(self.address).await?),
        };
        Ok(open.send(request(number, is_post)).await?.status)
    }
}

/// Whether the connection ended before the request was sent, or with a GOAWAY that says that the server has not
/// processed it and that it can be sent again (RFC 9113 section 6.8).
fn is_unprocessed(error: &hyper::Error) -> bool {
    let of_h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    let goes_away = |error: &h2::Error| error.is_go_away() && error.is_remote();
    error.is_canceled() || of_h2.is_some_and(|error| goes_away(error) && error.reason() == Some(h2::Reason::NO_ERROR))
}

/// The error with its sources.
fn chain(error: &dyn StdError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

fn request(number: usize, is_post: bool) -> Request<Body> {
    let mut request = crate::client::request("www.example.com", "/");
    if is_post {
        *request.method_mut() = Method::POST;
        *request.body_mut() = full(format!("request {number}"));
    }
    request.headers_mut().insert(NUMBER, number.into());
    request
}
