//! Client of the engine's API, restricted to the requests that this program makes.
//!
//! [`bollard`] negotiates the API version and reads the stream of events, over our own connections. The lists
//! use the same connections but are parsed by [`wire`], for the reasons given there and because `bollard`
//! accepts responses of any size and writes them to its debug log. Only GET requests for a path in
//! [`ALLOWED_PATHS`] are sent.

use std::{collections::HashMap, io, time::Duration};

use bollard::{
    API_DEFAULT_VERSION, BollardRequest, ClientVersion, Docker, errors::Error as BollardError, models::EventMessage,
    query_parameters::EventsOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    error::EngineError,
    wire::{self, ErrorBody, Info, Node, Service, Task},
};
use crate::fetch::{self, Place};

/// The paths that may be requested, without the version prefix.
const ALLOWED_PATHS: [&str; 6] = ["/events", "/info", "/nodes", "/services", "/tasks", "/version"];

/// Time limit for one response of the engine, except about itself.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest response accepted: enough for several thousand tasks.
const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// A connection target, and the negotiated API version.
#[derive(Clone, Debug)]
pub(super) struct Client {
    docker: Docker,
    place: Place,
    version: ClientVersion,
}

/// The lists of one poll.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) nodes: Vec<Node>,
    pub(super) services: Vec<Service>,
    pub(super) tasks: Vec<Task>,
    /// Number of entries that cannot be parsed.
    pub(super) unreadable: usize,
}

impl Client {
    /// Negotiates the API version with the engine.
    pub(super) async fn connect(place: &Place) -> Result<Self, EngineError> {
        // Starts from the newest version that bollard knows, and falls back to the engine's if that is older.
        let negotiated = timeout(TIMEOUT, docker(place, None)?.negotiate_version()).await;
        let version = negotiated.map_err(|_elapsed| EngineError::Timeout)??.client_version();
        Ok(Self { docker: docker(place, Some(version))?, place: place.clone(), version })
    }

    /// The API version, such as `1.41`.
    pub(super) fn version(&self) -> String {
        format!("{}.{}", self.version.major_version, self.version.minor_version)
    }

    /// Returns information about the engine if it answers within `longest`.
    pub(super) async fn info(&self, longest: Duration) -> Result<Info, EngineError> {
        let body = self.get("/info", longest).await?;
        serde_json::from_slice(&body).map_err(EngineError::malformed)
    }

    /// Returns nodes, services and tasks.
    pub(super) async fn lists(&self) -> Result<Lists, EngineError> {
        let (nodes, services, tasks) =
            tokio::try_join!(self.list("/nodes"), self.list("/services"), self.list("/tasks"))?;
        let unreadable = nodes.1 + services.1 + tasks.1;
        Ok(Lists { nodes: nodes.0, services: services.0, tasks: tasks.0, unreadable })
    }

    /// Streams events of nodes and services until the connection ends.
    pub(super) fn events(&self) -> impl Stream<Item = Result<EventMessage, EngineError>> + Send + use<> {
        let kinds = HashMap::from([("type", vec!["node", "service"]), ("scope", vec!["swarm"])]);
        let options = EventsOptionsBuilder::default().filters(&kinds).build();
        self.docker.events(Some(options)).map_err(EngineError::from)
    }

    async fn list<T: DeserializeOwned>(&self, path: &'static str) -> Result<(Vec<T>, usize), EngineError> {
        wire::list(&self.get(path, TIMEOUT).await?).map_err(EngineError::malformed)
    }

    async fn get(&self, path: &'static str, longest: Duration) -> Result<Bytes, EngineError> {
        let target = format!("/v{}{path}", self.version());
        let answer = timeout(longest, fetch::get(&self.place, &target, None, MAX_RESPONSE_BYTES)).await;
        let answer = answer.map_err(|_elapsed| EngineError::Timeout)??;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
        Err(EngineError::from_status(answer.status.as_u16(), &body.message))
    }
}

/// Returns a bollard client over our own connections. Until a version is negotiated, requests carry none.
fn docker(place: &Place, version: Option<ClientVersion>) -> Result<Docker, BollardError> {
    let place = place.clone();
    let transport = move |request: BollardRequest| send(place.clone(), target(&request, version));
    // Only the path of the URLs matters. The timeout applies to the head of a response.
    let newest = version.unwrap_or(*API_DEFAULT_VERSION);
    Docker::connect_with_custom_transport(transport, Some("http://engine"), TIMEOUT.as_secs(), &newest)
}

/// Sends a request if it is allowed.
async fn send(place: Place, target: Option<String>) -> Result<Response<Incoming>, BollardError> {
    let target = target.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    fetch::send(&place, &target, None).await.map_err(|error| match error {
        fetch::Error::Http(_, error) => error.into(),
        fetch::Error::Connect(_, error) => error.into(),
        error => io::Error::other(error).into(),
    })
}

/// The request target; `None` if the request is not allowed.
fn target<B>(request: &http::Request<B>, version: Option<ClientVersion>) -> Option<String> {
    let uri = request.uri();
    if request.method() != Method::GET || !ALLOWED_PATHS.contains(&uri.path()) {
        return None;
    }
    let version = version.map(|version| format!("/v{version}")).unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{version}{}{query}", uri.path()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn only_allowed_requests_are_sent_and_they_carry_the_version() {
        let version = ClientVersion { major_version: 1, minor_version: 41 };
        let request = |method, uri: &str| Request::builder().method(method).uri(uri).body(()).unwrap();
        let get = |uri: &str| target(&request("GET", uri), Some(version));
        assert_eq!(get("http://engine/events?filters=x").unwrap(), "/v1.41/events?filters=x");
        assert_eq!(target(&request("GET", "http://engine/version"), None).unwrap(), "/version");
        for uri in ["/containers/json", "/nodes/", "/nodes/x", "/secrets", "/v1.41/tasks", "/"] {
            assert_eq!(get(&format!("http://engine{uri}")), None, "{uri}");
        }
        for method in ["POST", "DELETE", "PUT", "HEAD"] {
            assert_eq!(target(&request(method, "http://engine/nodes"), Some(version)), None, "{method}");
        }
    }
}
