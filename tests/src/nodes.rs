//! An HTTP server that serves the nodes of a swarm, as `watch` does, and whose list a test changes while it runs.
//!
//! `GET /api/nodes` returns the list and an `ETag`. A request with that tag and `?wait=SECONDS` is held until the list
//! changes; it returns 304 if the list does not change. Tags are numbers that every server starts anew, so two servers
//! use the same tags for different lists.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::port;
use crate::wait::{SOON, eventually_some};

/// The longest time a request is held.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How requests are handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As described in the module.
    List,
    /// Returns this status with an empty body; 503 is the status of a watch without a current cluster state.
    Status(u16),
    /// Returns 200 with a tag and this body.
    Body(Bytes),
    /// Never responds.
    Silence,
}

/// The state of a server.
#[derive(Clone, Debug)]
struct State {
    tag: u64,
    nodes: Vec<(IpAddr, bool)>,
    behaviour: Behaviour,
    token: Option<String>,
}

/// A server on its own port. Dropping it stops it.
#[derive(Debug)]
pub struct Nodes {
    address: SocketAddr,
    state: watch::Sender<State>,
    counts: Arc<Mutex<HashMap<&'static str, usize>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Nodes {
    /// Starts a server on 127.0.0.1 with an empty list.
    ///
    /// # Panics
    /// If its port cannot be bound.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()))).await
    }

    /// Starts a server at `address`, whose port must not be zero: use [`port::free`].
    ///
    /// # Panics
    /// If it cannot be bound.
    pub async fn start_at(address: SocketAddr) -> Self {
        let state = State { tag: 1, nodes: Vec::new(), behaviour: Behaviour::List, token: None };
        let nodes = Self { address, state: watch::Sender::new(state), counts: Arc::default(), tasks: Mutex::default() };
        nodes.restart().await;
        nodes
    }

    /// Returns the address, which stays the same across [`restart`](Self::restart).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the list with ready nodes. Held requests return immediately.
    pub fn set(&self, ready: impl IntoIterator<Item = IpAddr>) {
        self.set_all(ready.into_iter().map(|address| (address, true)));
    }

    /// Replaces the list with addresses and their readiness.
    pub fn set_all(&self, nodes: impl IntoIterator<Item = (IpAddr, bool)>) {
        self.state.send_modify(|state| {
            state.nodes = nodes.into_iter().collect();
            state.tag += 1;
        });
    }

    /// Sets how requests are handled, including held ones.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.send_modify(|state| {
            state.behaviour = behaviour;
            // Held requests return and must be repeated.
            state.tag += 1;
        });
    }

    /// Requires this token; other requests receive 401.
    pub fn require(&self, token: &str) {
        self.state.send_modify(|state| {
            state.token = Some(token.to_owned());
            state.tag += 1;
        });
    }

    /// Returns the number of requests received.
    #[must_use]
    pub fn requests(&self) -> usize {
        lock(&self.counts).get("all").copied().unwrap_or(0)
    }

    /// Returns the number of requests that were held until a change or their deadline.
    #[must_use]
    pub fn held(&self) -> usize {
        lock(&self.counts).get("held").copied().unwrap_or(0)
    }

    /// Returns the number of responses that contained the list.
    #[must_use]
    pub fn lists(&self) -> usize {
        lock(&self.counts).get("lists").copied().unwrap_or(0)
    }

    /// Stops like a killed process: connections end, and new ones are refused.
    pub async fn kill(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    /// Restarts on the same port.
    ///
    /// # Panics
    /// If the port cannot be bound.
    pub async fn restart(&self) {
        self.kill().await;
        // A process started by another test holds copies of all our sockets until it executes its program.
        let listener = eventually_some("a free port", SOON, async || TcpListener::bind(self.address).await.ok()).await;
        lock(&self.tasks).spawn(accept(listener, self.state.subscribe(), Arc::clone(&self.counts)));
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        lock(&self.tasks).abort_all();
    }
}

type Counts = Arc<Mutex<HashMap<&'static str, usize>>>;

async fn accept(listener: TcpListener, state: watch::Receiver<State>, counts: Counts) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, state.clone(), Arc::clone(&counts)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, state: watch::Receiver<State>, counts: Counts) {
    let service = service_fn(|request| answer(request, state.clone(), Arc::clone(&counts)));
    // The client may disconnect.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap_or(());
}

async fn answer(
    request: Request<Incoming>,
    mut state: watch::Receiver<State>,
    counts: Counts,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    *lock(&counts).entry("all").or_default() += 1;
    let field = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let now = state.borrow_and_update().clone();
    let bearer = now.token.as_ref().map(|token| format!("Bearer {token}"));
    if bearer.is_some() && field(AUTHORIZATION) != bearer.as_deref() {
        return Ok(status(StatusCode::UNAUTHORIZED));
    }
    if request.method() != Method::GET || request.uri().path() != "/api/nodes" {
        return Ok(status(StatusCode::NOT_FOUND));
    }
    let wait = request.uri().query().and_then(|query| query.strip_prefix("wait=")?.parse().ok());
    let same = |state: &State| field(IF_NONE_MATCH) == Some(&tag(state));
    if let Some(seconds) = wait.filter(|_| same(&now) && now.behaviour == Behaviour::List) {
        *lock(&counts).entry("held").or_default() += 1;
        let wait = Duration::from_secs(seconds).min(LONGEST_WAIT);
        // A timeout leads to 304 below.
        drop(tokio::time::timeout(wait, state.wait_for(|state| !same(state))).await);
    }
    let now = state.borrow().clone();
    Ok(match &now.behaviour {
        Behaviour::Silence => std::future::pending().await,
        Behaviour::Status(code) => status(StatusCode::from_u16(*code).expect("a status")),
        Behaviour::Body(body) => listed(&now, body.clone()),
        Behaviour::List if same(&now) => status(StatusCode::NOT_MODIFIED),
        Behaviour::List => {
            *lock(&counts).entry("lists").or_default() += 1;
            let node = |(number, (address, ready)): (usize, &(IpAddr, bool))| json!({ "address": address, "hostname": format!("node{number}"), "ready": ready });
            let nodes: Vec<_> = now.nodes.iter().enumerate().map(node).collect();
            listed(&now, json!({ "version": now.tag.to_string(), "nodes": nodes }).to_string().into())
        }
    })
}

fn tag(state: &State) -> String {
    format!("\"{}\"", state.tag)
}

fn listed(state: &State, body: Bytes) -> Response<Full<Bytes>> {
    let response = Response::builder().header(CONTENT_TYPE, "application/json").header(ETAG, tag(state));
    response.body(Full::new(body)).expect("valid headers")
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
