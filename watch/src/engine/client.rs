//! The questions that are asked of the engine, and no others.
//!
//! [`bollard`] agrees on the API's version and reads the stream of events, over connections of ours; the
//! lists are asked for through the same door and read by [`wire`], for the reasons that stand there and
//! because `bollard` takes answers of any size and writes them whole into its debug log. What passes the door
//! is a GET of a path in [`ASKED`].

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
    error::Trouble,
    wire::{self, Info, Node, Refusal, Service, Task},
};
use crate::fetch::{self, Place};

/// All that is ever asked, below the version.
const ASKED: [&str; 6] = ["/events", "/info", "/nodes", "/services", "/tasks", "/version"];

/// The longest that the engine may take for one answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// The largest answer that is read: several thousand tasks.
const LIMIT: usize = 64 << 20;

/// The engine, and the version of its API that both sides know.
#[derive(Clone, Debug)]
pub(super) struct Client {
    docker: Docker,
    place: Place,
    version: ClientVersion,
}

/// All lists of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) nodes: Vec<Node>,
    pub(super) services: Vec<Service>,
    pub(super) tasks: Vec<Task>,
    /// Entries that could not be read.
    pub(super) lost: usize,
}

impl Client {
    /// Asks the engine which versions it knows.
    pub(super) async fn connect(place: &Place) -> Result<Self, Trouble> {
        // With the newest version that bollard knows; the engine's own, if that is older, is agreed on.
        let asked = timeout(DEADLINE, docker(place, None)?.negotiate_version()).await;
        let version = asked.map_err(|_elapsed| Trouble::Slow)??.client_version();
        Ok(Self { docker: docker(place, Some(version))?, place: place.clone(), version })
    }

    /// As `1.41`.
    pub(super) fn version(&self) -> String {
        format!("{}.{}", self.version.major_version, self.version.minor_version)
    }

    /// About this engine.
    pub(super) async fn info(&self) -> Result<Info, Trouble> {
        let body = self.get("/info").await?;
        serde_json::from_slice(&body).map_err(Trouble::odd)
    }

    /// Nodes, services and tasks.
    pub(super) async fn lists(&self) -> Result<Lists, Trouble> {
        let (nodes, services, tasks) =
            tokio::try_join!(self.list("/nodes"), self.list("/services"), self.list("/tasks"))?;
        let lost = nodes.1 + services.1 + tasks.1;
        Ok(Lists { nodes: nodes.0, services: services.0, tasks: tasks.0, lost })
    }

    /// Tells when a node or a service changed, until the engine goes away.
    pub(super) fn events(&self) -> impl Stream<Item = Result<EventMessage, Trouble>> + Send + use<> {
        let kinds = HashMap::from([("type", vec!["node", "service"]), ("scope", vec!["swarm"])]);
        let options = EventsOptionsBuilder::default().filters(&kinds).build();
        self.docker.events(Some(options)).map_err(Trouble::from)
    }

    async fn list<T: DeserializeOwned>(&self, path: &'static str) -> Result<(Vec<T>, usize), Trouble> {
        wire::list(&self.get(path).await?).map_err(Trouble::odd)
    }

    async fn get(&self, path: &'static str) -> Result<Bytes, Trouble> {
        let target = format!("/v{}{path}", self.version());
        let answer = timeout(DEADLINE, fetch::get(&self.place, &target, None, LIMIT)).await;
        let answer = answer.map_err(|_elapsed| Trouble::Slow)??;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        let said: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        Err(Trouble::refused(answer.status.as_u16(), &said.message))
    }
}

/// The library over our connections. Before a version is agreed on, requests name none.
fn docker(place: &Place, version: Option<ClientVersion>) -> Result<Docker, BollardError> {
    let place = place.clone();
    let transport = move |request: BollardRequest| pass(place.clone(), target(&request, version));
    // Only the path of its addresses matters. Its time-out is for the head of an answer.
    let newest = version.unwrap_or(*API_DEFAULT_VERSION);
    Docker::connect_with_custom_transport(transport, Some("http://engine"), DEADLINE.as_secs(), &newest)
}

/// Passes a question on, if it is one that is asked here.
async fn pass(place: Place, target: Option<String>) -> Result<Response<Incoming>, BollardError> {
    let target = target.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    fetch::send(&place, &target, None).await.map_err(|error| match error {
        fetch::Error::Http(_, error) => error.into(),
        fetch::Error::Connect(_, error) => error.into(),
        error => io::Error::other(error).into(),
    })
}

/// What to ask the engine for; `None` if it is not to be asked that.
fn target<B>(request: &http::Request<B>, version: Option<ClientVersion>) -> Option<String> {
    let uri = request.uri();
    if request.method() != Method::GET || !ASKED.contains(&uri.path()) {
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
    fn only_what_is_asked_here_passes_and_names_the_version() {
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
