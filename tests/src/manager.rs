//! The engine of a manager, with a swarm that a test changes. It serves the requests of `watch` on a Unix socket, in
//! the format of the Docker Engine API ("Nodes", "Services", "Tasks", "System").
//!
//! Its responses also contain fields that must not be passed on, such as environment and labels.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::client::{self, Body, full};

/// The API version of the engine in the tutorial's distribution.
const API_VERSION: &str = "1.41";

/// A secret in every response, which `watch` must not pass on.
pub const SECRET: &str = "not-for-your-eyes";

/// An engine on its own socket. Dropping it stops it.
#[derive(Debug)]
pub struct Manager {
    folder: TempDir,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// The objects of the engine by id, in the format of the API.
#[derive(Clone, Debug, Default)]
pub struct Swarm {
    /// `/nodes`.
    pub nodes: BTreeMap<String, Value>,
    /// `/services`.
    pub services: BTreeMap<String, Value>,
    /// `/tasks`.
    pub tasks: BTreeMap<String, Value>,
    /// The error message returned for every list, such as for a lost quorum.
    pub refusal: Option<String>,
    /// The path that gets no response, such as `/info` of a busy manager.
    pub silent: Option<&'static str>,
}

#[derive(Debug)]
struct Shared {
    swarm: Mutex<Swarm>,
    requests: Mutex<Vec<String>>,
    events: broadcast::Sender<Bytes>,
}

impl Manager {
    /// Starts an engine as node `node0` of this swarm.
    ///
    /// # Panics
    /// If the socket cannot be created.
    pub async fn start(swarm: Swarm) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the socket");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        let shared =
            Arc::new(Shared { swarm: Mutex::new(swarm), requests: Mutex::default(), events: broadcast::channel(64).0 });
        Self { folder, shared: shared.clone(), server: tokio::spawn(serve(listener, shared)) }
    }

    /// Returns its address in the format of `DOCKER_HOST`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Changes the swarm, and sends an event.
    pub fn change(&self, change: impl FnOnce(&mut Swarm)) {
        change(&mut lock(&self.shared.swarm));
        let event = json!({
            "Type": "node", "Action": "update", "scope": "swarm",
            "Actor": { "ID": "node0", "Attributes": {} }, "time": 1, "timeNano": 1,
        });
        // An error means that no client listens.
        let _listeners = self.shared.events.send(format!("{event}\n").into());
    }

    /// Returns the method and path of all requests, without the version.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Swarm {
    /// Creates a swarm of `nodes` nodes, three of them managers, with the replicas of services distributed over them.
    #[must_use]
    pub fn new(nodes: usize, services: &[(&str, usize)]) -> Self {
        let mut swarm = Self::default();
        for index in 0..nodes {
            swarm.nodes.insert(format!("node{index}"), node(index));
        }
        for (number, (name, replicas)) in services.iter().enumerate() {
            swarm.services.insert(format!("service{number}"), service(number, name, *replicas));
            for slot in 0..*replicas {
                let id = format!("task{number}x{slot}");
                swarm.tasks.insert(id.clone(), task(&id, number, name, slot, (slot + number) % nodes));
            }
        }
        swarm
    }

    /// Marks a node as down, or as ready again.
    pub fn set_ready(&mut self, node: usize, ready: bool) {
        if let Some(node) = self.nodes.get_mut(&format!("node{node}")) {
            node["Status"]["State"] = if ready { "ready" } else { "down" }.into();
            node["Status"]["Message"] = if ready { "" } else { "heartbeat failure" }.into();
        }
    }

    /// Moves a task to another node: the old task gets the desired state shutdown, and a new one starts.
    pub fn move_task(&mut self, id: &str, node: usize) -> String {
        let new = format!("{id}again");
        let Some(mut task) = self.tasks.get(id).cloned() else { return new };
        if let Some(old) = self.tasks.get_mut(id) {
            old["DesiredState"] = "shutdown".into();
        }
        task["ID"] = new.clone().into();
        task["NodeID"] = format!("node{node}").into();
        task["CreatedAt"] = "2026-01-02T10:00:00.000000000Z".into();
        self.tasks.insert(new.clone(), task);
        new
    }

    /// Sets a task's state.
    pub fn set_state(&mut self, id: &str, state: &str, error: &str) {
        if let Some(task) = self.tasks.get_mut(id) {
            task["Status"]["State"] = state.into();
            task["Status"]["Err"] = error.into();
        }
    }
}

fn node(index: usize) -> Value {
    let manager = index < 3;
    let address = format!("10.10.{}.{}", index / 200, index % 200 + 1);
    let mut node = json!({
        "ID": format!("node{index}"), "Version": { "Index": 9 },
        "CreatedAt": "2026-01-01T10:00:00.000000000Z", "UpdatedAt": "2026-01-01T10:00:00.000000000Z",
        "Spec": {
            "Role": if manager { "manager" } else { "worker" }, "Availability": "active", "Labels": { "password": SECRET },
        },
        "Description": {
            "Hostname": format!("serveur{}", index + 1),
            "Platform": { "Architecture": "x86_64", "OS": "linux" },
            "Resources": { "NanoCPUs": 4_000_000_000_u64, "MemoryBytes": 8_u64 << 30 },
            "Engine": { "EngineVersion": "20.10.24", "Labels": { "password": SECRET } },
        },
        "Status": { "State": "ready", "Addr": address },
    });
    if manager {
        let address = format!("{address}:2377");
        node["ManagerStatus"] = json!({ "Leader": index == 0, "Reachability": "reachable", "Addr": address });
    }
    node
}

fn service(number: usize, name: &str, replicas: usize) -> Value {
    json!({
        "ID": format!("service{number}"), "Version": { "Index": 9 },
        "CreatedAt": "2026-01-01T10:00:00.000000000Z", "UpdatedAt": "2026-01-01T10:00:00.000000000Z",
        "Spec": {
            "Name": format!("stackdemo_{name}"),
            "Labels": { "com.docker.stack.namespace": "stackdemo", "password": SECRET },
            "TaskTemplate": template(name, "1.0"),
            "Mode": { "Replicated": { "Replicas": replicas } },
        },
        "Endpoint": { "Ports": [{ "Protocol": "tcp", "TargetPort": 8000, "PublishedPort": 8000 + number }] },
    })
}

fn task(id: &str, number: usize, name: &str, slot: usize, node: usize) -> Value {
    json!({
        "ID": id, "Version": { "Index": 9 },
        "CreatedAt": "2026-01-01T10:00:00.000000000Z", "UpdatedAt": "2026-01-01T10:00:00.000000000Z",
        "Spec": template(name, "1.0"), "ServiceID": format!("service{number}"), "Slot": slot + 1,
        "NodeID": format!("node{node}"), "DesiredState": "running",
        "Status": {
            "Timestamp": "2026-01-01T10:00:05.000000000Z", "State": "running", "Message": "started",
            "ContainerStatus": { "ContainerID": "c0ffee", "PID": 17, "ExitCode": 0 },
        },
    })
}

/// Returns a task template, with fields that must not be passed on.
#[must_use]
pub fn template(name: &str, tag: &str) -> Value {
    json!({
        "ContainerSpec": {
            "Image": format!("registry.example.org/{name}:{tag}"), "Env": [format!("PASSWORD={SECRET}")],
            "Args": ["--password", SECRET], "Labels": { "password": SECRET },
            "Healthcheck": { "Test": ["CMD", "/app", "healthcheck", SECRET] },
            "Secrets": [{ "SecretName": SECRET }],
        },
    })
}

async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| {
            let silent = lock(&shared.swarm).silent;
            let is_silent = silent.is_some_and(|path| request.uri().path().ends_with(path));
            let response = answer(&request, &shared);
            async move {
                if is_silent {
                    std::future::pending::<()>().await;
                }
                Ok::<_, io::Error>(response)
            }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async { connection.await.unwrap_or(()) });
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Body> {
    let path = request.uri().path();
    // Most paths start with the version: /v1.41/nodes.
    let path = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
    lock(&shared.requests).push(format!("{} {path}", request.method()));
    let swarm = lock(&shared.swarm).clone();
    let list = |objects: &BTreeMap<String, Value>| match &swarm.refusal {
        None => (StatusCode::OK, Value::from_iter(objects.values().cloned())),
        Some(message) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "message": message })),
    };
    let (status, value) = match path {
        "/events" => return events(shared),
        "/version" => {
            (StatusCode::OK, json!({ "Version": "20.10.24", "ApiVersion": API_VERSION, "MinAPIVersion": "1.12" }))
        }
        "/info" => (
            StatusCode::OK,
            json!({
                "Swarm": { "NodeID": "node0", "LocalNodeState": "active", "ControlAvailable": true, "Error": "" },
                "Labels": [SECRET],
            }),
        ),
        "/nodes" => list(&swarm.nodes),
        "/services" => list(&swarm.services),
        "/tasks" => list(&swarm.tasks),
        _ => (StatusCode::NOT_FOUND, json!({ "message": "page not found" })),
    };
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    with_headers(response)
}

fn events(shared: &Shared) -> Response<Body> {
    let events = shared.events.subscribe();
    let lines = stream::unfold(events, async |mut events| Some((Ok(events.recv().await.ok()?), events)));
    with_headers(Response::new(client::stream(lines)))
}

fn with_headers(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert("api-version", header::HeaderValue::from_static(API_VERSION));
    headers.insert("ostype", header::HeaderValue::from_static("linux"));
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
