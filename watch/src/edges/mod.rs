//! The edges, each asked for its status by its address.

mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use http::StatusCode;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use self::status::Status;
use crate::{
    cluster_state::{Edge, Millis},
    engine::{self, Swarm},
    fetch::{self, Place},
    host_port::{Directory, Name},
};

/// How often each edge is asked.
const PERIOD: Duration = Duration::from_secs(2);

/// The longest that one may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest status that is read.
const LIMIT: usize = 2 << 20;

/// How many are asked at the same time.
const AT_ONCE: usize = 16;

/// What is known of one edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    ip: IpAddr,
    /// The last good answer.
    status: Option<Status>,
    at: Option<Millis>,
    /// Why there is no newer one.
    error: Option<String>,
}

impl Seen {
    /// The edge on its node of `swarm`.
    #[must_use]
    pub fn edge(&self, swarm: &Swarm) -> Edge {
        let status = self.status.as_ref();
        let by_name = status.and_then(|status| status.hostname.as_ref()).and_then(|hostname| {
            swarm.nodes.iter().find(|(_id, node)| node.hostname == *hostname).map(|(id, _node)| id.clone())
        });
        let edge = status.map(Status::edge).unwrap_or_default();
        Edge {
            node: by_name.or_else(|| swarm.addresses.get(&self.ip).cloned()),
            at: self.at,
            // One that does not answer is not known to serve.
            ready: edge.ready && self.error.is_none(),
            error: self.error.clone(),
            ..edge
        }
    }

    fn take(&mut self, answer: Result<Status, String>) {
        match answer {
            Ok(status) => (self.status, self.at, self.error) = (Some(status), Some(engine::now()), None),
            Err(error) => self.error = Some(error),
        }
    }
}

/// Asks the edges that `names` stand for until nobody wants to know any more.
pub async fn run(names: Vec<Name>, publish: watch::Sender<BTreeMap<String, Seen>>) {
    let mut directory = Directory::new(names);
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut edges: BTreeMap<SocketAddr, Seen> = BTreeMap::new();
    while !publish.is_closed() {
        ticks.tick().await;
        let addresses: BTreeSet<SocketAddr> = directory.look_up().await;
        edges.retain(|address, _seen| addresses.contains(address));
        let asked = addresses.into_iter().map(|address| async move { (address, ask(address).await) });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((address, answer)) = answers.next().await {
            let unseen = Seen { ip: address.ip(), status: None, at: None, error: None };
            edges.entry(address).or_insert(unseen).take(answer);
        }
        let shown: BTreeMap<_, _> = edges.iter().map(|(address, seen)| (address.to_string(), seen.clone())).collect();
        publish.send_if_modified(|before| {
            let is_news = *before != shown;
            *before = shown;
            is_news
        });
    }
}

async fn ask(address: SocketAddr) -> Result<Status, String> {
    let place = Place::Tcp(address.ip().to_string(), address.port());
    match timeout(PATIENCE, fetch::get(&place, "/status.json", None, LIMIT)).await {
        Err(_elapsed) => Err("no answer in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(answer)) if answer.status == StatusCode::OK => {
            serde_json::from_slice(&answer.body).map_err(|error| format!("its status cannot be read: {error}"))
        }
        Ok(Ok(answer)) => Err(format!("answers {}", answer.status)),
    }
}
