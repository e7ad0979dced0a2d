//! An engine that only records requests. Tests run the Docker client's `stack deploy` against it to see what a swarm
//! would receive.
//!
//! The client silently drops some options of a stack file, warns about others, and rewrites the rest, depending on its
//! version, so only its requests are reliable. They follow the Docker Engine API, "Services", "Networks", "Secrets"
//! and "Configs".

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::client::{Body, full};

/// The API version reported to clients: new enough for those that reject older ones. Older clients use their own
/// version.
const API_VERSION: &str = "1.44";

/// An engine on a port of 127.0.0.1 that reports to be a swarm manager. Dropping it ends it.
#[derive(Debug)]
pub struct Engine {
    address: SocketAddr,
    created: Arc<Mutex<Created>>,
    server: JoinHandle<()>,
}

/// Bodies of the create requests, by name.
#[derive(Clone, Debug, Default)]
pub struct Created {
    /// Bodies of `POST /services/create`.
    pub services: BTreeMap<String, Value>,
    /// Bodies of `POST /networks/create`.
    pub networks: BTreeMap<String, Value>,
    /// Bodies of `POST /secrets/create`.
    pub secrets: BTreeMap<String, Value>,
    /// Bodies of `POST /configs/create`.
    pub configs: BTreeMap<String, Value>,
}

impl Created {
    fn of_kind(&mut self, kind: &str) -> Option<&mut BTreeMap<String, Value>> {
        match kind {
            "services" => Some(&mut self.services),
            "networks" => Some(&mut self.networks),
            "secrets" => Some(&mut self.secrets),
            "configs" => Some(&mut self.configs),
            _ => None,
        }
    }
}

impl Engine {
    /// Starts an engine without any objects.
    ///
    /// # Panics
    /// If no port can be bound.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let created = Arc::new(Mutex::default());
        Self { address, created: created.clone(), server: tokio::spawn(serve(listener, created)) }
    }

    /// Runs `docker stack deploy` of `file` as the stack `stack`, with only `variables` in the environment.
    ///
    /// # Panics
    /// If there is no Docker client.
    pub async fn deploy(&self, file: &Path, stack: &str, variables: &[(&str, &str)]) -> Output {
        let home = tempfile::tempdir().expect("an empty home");
        let help = docker(home.path()).args(["stack", "deploy", "--help"]).output().await;
        let help = help.expect("a Docker client").stdout;
        let mut client = docker(home.path());
        client.env("DOCKER_HOST", format!("tcp://{}", self.address)).envs(variables.iter().copied()).args([
            "stack",
            "deploy",
            "--resolve-image",
            "never",
        ]);
        // Newer clients wait for the tasks to run, which they never do here.
        if String::from_utf8_lossy(&help).contains("--detach") {
            client.arg("--detach=true");
        }
        client.arg("--compose-file").arg(file).arg(stack);
        client.output().await.expect("a Docker client")
    }

    /// Returns the objects created so far.
    #[must_use]
    pub fn created(&self) -> Created {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Returns a command that runs the client without the settings, contexts and credentials of this machine.
fn docker(home: &Path) -> Command {
    let mut command = Command::new("docker");
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", home)
        .env("DOCKER_CONFIG", home)
        .kill_on_drop(true);
    command
}

async fn serve(listener: TcpListener, created: Arc<Mutex<Created>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let created = created.clone();
        let service = service_fn(move |request| answer(request, created.clone()));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async { connection.await.unwrap_or(()) });
    }
}

async fn answer(request: Request<Incoming>, created: Arc<Mutex<Created>>) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    // Most paths start with the version: /v1.41/services/create.
    let path: Vec<&str> =
        head.uri.path().split('/').filter(|part| !part.is_empty() && !part.starts_with("v1.")).collect();
    let mut created = created.lock().unwrap_or_else(PoisonError::into_inner);
    let found = match (&head.method, path.as_slice()) {
        (_, ["_ping"]) => Some(json!("OK")),
        (&Method::GET, ["info"]) => Some(json!({
            "Swarm": { "LocalNodeState": "active", "ControlAvailable": true },
        })),
        (&Method::POST, [kind, "create"]) => {
            let object: Value = serde_json::from_slice(&body).unwrap_or_default();
            created.of_kind(kind).map(|objects| create(objects, object))
        }
        (&Method::GET, [kind]) => created.of_kind(kind).map(|objects| list(objects)),
        _ => None,
    };
    let missing = found.is_none();
    let answer = found.unwrap_or_else(|| json!({ "message": "no such object" })).to_string();
    let mut response = Response::builder()
        .header("Content-Type", "application/json")
        .header("Api-Version", API_VERSION)
        .header("Ostype", "linux")
        .body(full(answer))
        .expect("valid headers");
    if missing {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// Stores `object`, with its name as its id.
fn create(objects: &mut BTreeMap<String, Value>, object: Value) -> Value {
    let name = object["Name"].as_str().unwrap_or_default().to_owned();
    objects.insert(name.clone(), object);
    json!({ "ID": name, "Id": name })
}

/// Lists all objects and ignores filters: the client searches for what it has just created.
fn list(objects: &BTreeMap<String, Value>) -> Value {
    objects.iter().map(|(name, object)| json!({ "ID": name, "Id": name, "Name": name, "Spec": object })).collect()
}
