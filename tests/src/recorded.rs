//! An engine that replays recorded responses of three real ones, and records the requests it receives.
//!
//! The responses are in `watch/tests/engine`: with a stack in `steady` state, while it was `updating`, after
//! one of the nodes went `down`, and while there was no leader (`lost`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::client::{Body, full};

/// An engine on a port of 127.0.0.1. Dropping it stops it.
#[derive(Debug)]
pub struct Recorded {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    inner: Mutex<Inner>,
    /// Sends an event to each client that listens.
    event: Notify,
}

#[derive(Debug)]
struct Inner {
    situation: String,
    node: Option<String>,
    /// Recorded addresses and their replacements.
    addresses: Vec<(IpAddr, IpAddr)>,
    requests: Vec<(String, String)>,
}

impl Recorded {
    /// Starts an engine that responds as in `situation`.
    ///
    /// # Panics
    /// If no port can be bound.
    pub async fn start(situation: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let inner = Inner { situation: situation.to_owned(), node: None, addresses: Vec::new(), requests: Vec::new() };
        let state = Arc::new(State { inner: Mutex::new(inner), event: Notify::new() });
        Self { address, state: state.clone(), server: tokio::spawn(serve(listener, state)) }
    }

    /// Returns its URL for `--docker`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Switches to `situation` without an event.
    pub fn set(&self, situation: &str) {
        situation.clone_into(&mut self.state.inner().situation);
    }

    /// Sets the id of its own node.
    pub fn set_node(&self, id: &str) {
        self.state.inner().node = Some(id.to_owned());
    }

    /// Replaces the addresses of its nodes, in the order of [`nodes`].
    ///
    /// # Panics
    /// If there is no recording.
    pub fn set_addresses(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        let recorded = recorded_nodes("steady").into_iter().map(|node| {
            node["Status"]["Addr"].as_str().and_then(|address| address.parse().ok()).expect("a node's address")
        });
        self.state.inner().addresses = recorded.zip(addresses).collect();
    }

    /// Sends an event to all clients that listen.
    pub fn send_event(&self) {
        self.state.event.notify_waiters();
    }

    /// Returns the methods and targets of the requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String)> {
        self.state.inner().requests.clone()
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the ids of the nodes in `situation`.
///
/// # Panics
/// If there is no such situation.
#[must_use]
pub fn nodes(situation: &str) -> Vec<String> {
    let nodes = recorded_nodes(situation);
    nodes.iter().filter_map(|node| node["ID"].as_str()).map(str::to_owned).collect()
}

/// Returns the index in [`nodes`] of the first node that is down in `situation`.
///
/// # Panics
/// If there is no such situation.
#[must_use]
pub fn down(situation: &str) -> Option<usize> {
    recorded_nodes(situation).iter().position(|node| node["Status"]["State"] == "down")
}

fn recorded_nodes(situation: &str) -> Vec<serde_json::Value> {
    recorded(situation, "nodes").and_then(|text| serde_json::from_str(&text).ok()).expect("recorded nodes")
}

/// Returns a recorded response.
fn recorded(situation: &str, name: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../watch/tests/engine");
    std::fs::read_to_string(folder.join(situation).join(format!("{name}.json"))).ok()
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        let service = service_fn(move |request| answer(request, state.clone()));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async { connection.await.unwrap_or(()) });
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>, hyper::Error> {
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let (situation, node, addresses) = {
        let mut inner = state.inner();
        inner.requests.push((request.method().to_string(), target));
        (inner.situation.clone(), inner.node.clone(), inner.addresses.clone())
    };
    let path = request.uri().path();
    let name = path.rsplit('/').next().unwrap_or_default();
    if name == "events" {
        // Each event ends the response, as a restarting engine would; clients request it again.
        state.event.notified().await;
        let event = r#"{"Type":"node","Action":"update","Actor":{"ID":"a","Attributes":{}},"scope":"swarm"}"#;
        return Ok(Response::new(full(format!("{event}\n"))));
    }
    let is_list = ["nodes", "services", "tasks"].contains(&name);
    // Without a leader all lists fail with the same message.
    let (status, body) = match (situation.as_str(), name) {
        ("lost", _) if is_list => (StatusCode::INTERNAL_SERVER_ERROR, recorded("lost", "nodes")),
        (_, "version") => (StatusCode::OK, recorded("steady", "version")),
        (situation, name) => (StatusCode::OK, recorded(situation, name)),
    };
    let Some(mut body) = body else {
        let mut response = Response::new(full(r#"{"message":"page not found"}"#));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    if let (Some(node), "info") = (node, name) {
        let mut info: serde_json::Value = serde_json::from_str(&body).expect("the recording is JSON");
        info["Swarm"]["NodeID"] = node.into();
        body = info.to_string();
    }
    for (recorded, replacement) in addresses {
        body = body.replace(&recorded.to_string(), &replacement.to_string());
    }
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    Ok(response)
}
