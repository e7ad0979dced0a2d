//! Polls the status of each edge.

mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use http::StatusCode;
use net::{HostPort, Resolver};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use self::status::Status;
use crate::{
    clock::{self, Millis},
    cluster_state::Edge,
    engine::Swarm,
    fetch::{self, Place},
};

/// Polling interval.
const INTERVAL: Duration = Duration::from_secs(2);

/// Time limit for one poll.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Largest response accepted.
const MAX_RESPONSE_BYTES: usize = 2 << 20;

/// Maximum number of concurrent polls.
const CONCURRENCY: usize = 16;

/// The last known state of one edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    ip: IpAddr,
    /// The last valid status.
    status: Option<Status>,
    at: Option<Millis>,
    /// Why the last poll failed.
    error: Option<String>,
}

impl Observed {
    /// Returns the edge, with its node in `swarm`.
    #[must_use]
    pub fn on(&self, swarm: &Swarm) -> Edge {
        let status = self.status.as_ref();
        let by_name = status.and_then(|status| status.hostname.as_ref()).and_then(|hostname| {
            swarm.nodes.iter().find(|(_id, node)| node.hostname == *hostname).map(|(id, _node)| id.clone())
        });
        let edge = status.map(Status::edge).unwrap_or_default();
        Edge {
            node: by_name.or_else(|| swarm.addresses.get(&self.ip).cloned()),
            at: self.at,
            // An edge that does not answer is not ready.
            ready: edge.ready && self.error.is_none(),
            error: self.error.clone(),
            ..edge
        }
    }

    fn update(&mut self, result: Result<Status, String>) {
        match result {
            Ok(status) => (self.status, self.at, self.error) = (Some(status), Some(clock::now()), None),
            Err(error) => self.error = Some(error),
        }
    }
}

/// Polls the edges at all addresses of `hosts` until all receivers are dropped.
pub async fn run(hosts: Vec<HostPort>, publish: watch::Sender<BTreeMap<String, Observed>>) {
    let mut resolver = Resolver::new(hosts);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut edges: BTreeMap<SocketAddr, Observed> = BTreeMap::new();
    while !publish.is_closed() {
        ticks.tick().await;
        let addresses: BTreeSet<SocketAddr> = resolver.resolve().await;
        edges.retain(|address, _edge| addresses.contains(address));
        let polls = addresses.into_iter().map(|address| async move { (address, poll(address).await) });
        let mut results = stream::iter(polls).buffer_unordered(CONCURRENCY);
        while let Some((address, result)) = results.next().await {
            let unknown = Observed { ip: address.ip(), status: None, at: None, error: None };
            edges.entry(address).or_insert(unknown).update(result);
        }
        let observed: BTreeMap<_, _> =
            edges.iter().map(|(address, edge)| (address.to_string(), edge.clone())).collect();
        publish.send_if_modified(|before| {
            let is_changed = *before != observed;
            *before = observed;
            is_changed
        });
    }
}

async fn poll(address: SocketAddr) -> Result<Status, String> {
    let place = Place::Tcp(address.into());
    match timeout(TIMEOUT, fetch::get(&place, "/status.json", None, MAX_RESPONSE_BYTES)).await {
        Err(_elapsed) => Err("no answer in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(answer)) if answer.status == StatusCode::OK => {
            serde_json::from_slice(&answer.body).map_err(|error| format!("its status cannot be parsed: {error}"))
        }
        Ok(Ok(answer)) => Err(format!("it returned status {}", answer.status)),
    }
}
