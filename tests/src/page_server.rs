//! A server of the live page whose cluster states a test sets: a hundred nodes, or fifty changes a second, without an
//! engine that has them.
//!
//! It implements the part of `watch`'s API that the page uses. `watch` itself computes the deltas.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};
use watch::cluster_state::{ClusterState, Delta, Millis};
use watch::page::{CONTENT_SECURITY_POLICY, asset};

use crate::client::{self, Body, full};

/// The interval of `watch`'s own beats.
const BEAT: Duration = Duration::from_secs(5);

/// A server on a port of 127.0.0.1. Dropping it stops it.
#[derive(Debug)]
pub struct PageServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    cluster: Mutex<ClusterState>,
    events: broadcast::Sender<String>,
}

impl PageServer {
    /// Starts a server with this cluster state.
    ///
    /// # Panics
    /// If no port can be bound.
    pub async fn start(cluster: ClusterState) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared { cluster: Mutex::new(cluster), events: broadcast::channel(4096).0 });
        Self { address, shared: shared.clone(), server: tokio::spawn(serve(listener, shared)) }
    }

    /// Returns the URL of the page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Changes the cluster state and sends the delta to every page.
    pub fn change(&self, change: impl FnOnce(&mut ClusterState)) {
        let mut cluster = self.shared.cluster();
        let before = cluster.clone();
        change(&mut cluster);
        let delta = Delta::between(&before, &cluster);
        self.shared.send("delta", &serde_json::to_string(&delta).expect("a cluster state is JSON"));
    }

    /// Returns the number of connected pages.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.shared.events.receiver_count()
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn cluster(&self) -> MutexGuard<'_, ClusterState> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports that the engine, unless it failed, has just answered, and sends a beat.
    fn beat(&self) {
        let mut cluster = self.cluster();
        if cluster.source.error.is_none() {
            cluster.source.at = Some(now());
            let delta = Delta { source: Some(cluster.source.clone()), ..Delta::default() };
            self.send("delta", &serde_json::to_string(&delta).expect("a cluster state is JSON"));
        }
        let _listeners = self.events.send(beat());
    }

    fn send(&self, name: &str, data: &str) {
        // Fails when no page is connected.
        let _listeners = self.events.send(event(name, data));
    }
}

/// Returns the current time in the format of cluster states.
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn beat() -> String {
    event("beat", &json!({ "now": now() }).to_string())
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut beats = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let shared = shared.clone();
                let service = service_fn(move |request| {
                    let response = answer(&request, &shared);
                    async { Ok::<_, Infallible>(response) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(async { connection.await.unwrap_or(()) });
            }
            _ = beats.tick() => shared.beat(),
        }
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Body> {
    let (kind, body) = match request.uri().path() {
        "/api/events" => ("text/event-stream", events(shared)),
        path => match asset(path) {
            Some(asset) => (asset.content_type, full(asset.body)),
            None => ("text/plain", full("not found")),
        },
    };
    let found = kind != "text/plain";
    let mut response = Response::new(body);
    *response.status_mut() = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    response
}

fn events(shared: &Shared) -> Body {
    // The lock is held while subscribing, so that no change is lost between the cluster state and the first delta.
    let cluster = shared.cluster();
    let changes = shared.events.subscribe();
    let first = event("snapshot", &serde_json::to_string(&*cluster).expect("a cluster state is JSON")) + &beat();
    drop(cluster);
    let rest = stream::unfold(changes, async |mut changes| {
        let text = changes.recv().await.ok()?;
        Some((Ok(text.into()), changes))
    });
    client::stream(stream::once(async { Ok(first.into()) }).chain(rest))
}
