//! Numbered requests, GETs and POSTs in turn, over connections that stay open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Ended, Ledger, NUMBER};
use crate::client::{Body, Connection, Error, empty, full};

/// How long a client waits. Longer than any time-out of the proxies, so that they decide.
const PATIENCE: Duration = Duration::from_secs(60);

/// The load of one run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of requests.
    pub requests: usize,
    /// The number of connections. With HTTP/2, each has one stream at a time.
    pub connections: usize,
    /// The time between the starts of two requests on a connection, if the response comes sooner.
    pub pace: Duration,
    /// Whether the clients speak HTTP/2, by prior knowledge.
    pub http2: bool,
}

impl Load {
    /// How long it takes if every response comes at once.
    #[must_use]
    pub fn takes(&self) -> Duration {
        let each = self.requests.div_ceil(self.connections.max(1));
        self.pace.saturating_mul(u32::try_from(each).unwrap_or(u32::MAX))
    }

    /// Sends all requests to `address`, and returns when each has an outcome.
    pub async fn run(self, address: SocketAddr, ledger: &Arc<Ledger>) {
        let left = Arc::new(AtomicUsize::new(self.requests));
        let mut clients = JoinSet::new();
        for _ in 0..self.connections {
            let client = Client { load: self, address, ledger: Arc::clone(ledger), left: Arc::clone(&left) };
            clients.spawn(client.run());
        }
        clients.join_all().await;
    }
}

struct Client {
    load: Load,
    address: SocketAddr,
    ledger: Arc<Ledger>,
    /// The requests that no client has begun.
    left: Arc<AtomicUsize>,
}

impl Client {
    async fn run(self) {
        let mut connection = None;
        let take = |left: usize| left.checked_sub(1);
        while self.left.fetch_update(Relaxed, Relaxed, take).is_ok() {
            let next = Instant::now() + self.load.pace;
            self.exchange(&mut connection).await;
            sleep_until(next).await;
        }
    }

    async fn exchange(&self, connection: &mut Option<Connection>) {
        let is_post = self.ledger.len() % 2 == 1;
        let number = self.ledger.begin(is_post);
        let began = Instant::now();
        let outcome = timeout(PATIENCE, self.send(connection, number, is_post)).await.unwrap_or(Err(Error::Timeout));
        let (is_ok, text) = match &outcome {
            Ok(status) => (*status == StatusCode::OK, status.as_str().to_owned()),
            Err(error) => (false, error.to_string()),
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
            _ if self.load.http2 => connection.insert(Connection::http2(self.address).await?),
            _ => connection.insert(Connection::http1(self.address).await?),
        };
        Ok(open.send(request(number, is_post)).await?.status)
    }
}

fn request(number: usize, is_post: bool) -> Request<Body> {
    let mut request = crate::client::request("www.example.com", "/");
    if is_post {
        *request.method_mut() = Method::POST;
        *request.body_mut() = full(format!("request {number}"));
    } else {
        *request.body_mut() = empty();
    }
    request.headers_mut().insert(NUMBER, number.into());
    request
}
