//! The nodes of a swarm as endpoints of a source, as a `watch` lists them.
//!
//! Pure, like [`answer`](super::answer), with the same three cases: a list with at least one ready node is
//! authoritative; anything else, including an empty list, keeps the last good list, and health checks decide; without
//! any good list there are no endpoints. [`client`] sends the requests.
//!
//! The protocol: `GET /api/nodes` returns
//!
//! ```json
//! {"version": "7f3a", "nodes": [{"address": "10.10.25.165", "hostname": "serveur17", "ready": true}]}
//! ```
//!
//! and an `ETag`. A request with that tag in `If-None-Match` and with `?wait=SECONDS` is held until the list changes or
//! that time has passed; the response is then 304. 503 means that the watch has no current list itself. `version` is
//! for people; the tag shows whether the list changed.

pub(in crate::upstream) mod client;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::StatusCode;
use net::Backoff;
use serde::Deserialize;

use super::answer::{AddressSet, Decision};

/// The largest list in bytes that is read: ten thousand nodes.
const MAX_BODY: usize = 1 << 20;

/// The shortest time between the beginnings of two requests. During a burst of changes an edge is at most this far
/// behind.
const MIN_INTERVAL: Duration = Duration::from_millis(400);

/// The delay after the first failure; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// The longest delay. A swarm whose watches were all down for hours is found again within it.
const MAX_DELAY: Duration = Duration::from_secs(4);

/// The delays after failures; the jitter keeps edges out of lockstep.
const BACKOFF: Backoff = Backoff::new(FIRST_DELAY, MAX_DELAY).jitter(0.5, 1.0);

/// The ready nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct Nodes {
    /// Their addresses, at least one.
    pub(in crate::upstream) addresses: AddressSet,
    /// What is wrong with a part of the list.
    pub(in crate::upstream) warning: Option<String>,
}

/// Why a watch returned no list.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Connect(std::io::ErrorKind),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("connection closed before the response")]
    Closed,
    #[error("not an HTTP response")]
    NotHttp,
    #[error("status 503: the watch has no current list of nodes")]
    Unready,
    #[error("status {0}: the watch rejects the token")]
    Refused(u16),
    #[error("status 421: watch does not accept requests by this name; list it in its --hosts (WATCH_HOSTS)")]
    Misdirected,
    #[error("status {0}")]
    Status(u16),
    #[error("the list is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("not a list of nodes: {0}")]
    NotAList(serde_json::Error),
    #[error("no node is ready")]
    NoReadyNode,
    #[error("no ready node has a usable address")]
    NoAddress,
}

impl Failure {
    /// The failure for a status without a list.
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Self::Unready,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused(status.as_u16()),
            StatusCode::MISDIRECTED_REQUEST => Self::Misdirected,
            other => Self::Status(other.as_u16()),
        }
    }
}

/// The list as it is sent; unknown fields are ignored.
#[derive(Deserialize)]
struct List {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    address: String,
    #[serde(default)]
    hostname: String,
    ready: bool,
}

/// Parses the body of a list.
///
/// # Errors
/// The body is not a list, or the list has no ready node with a usable address.
fn read(body: &[u8]) -> Result<Nodes, Failure> {
    let list: List = serde_json::from_slice(body).map_err(Failure::NotAList)?;
    let ready: Vec<_> = list.nodes.iter().filter(|node| node.ready).collect();
    if ready.is_empty() {
        return Err(Failure::NoReadyNode);
    }
    let (mut addresses, mut unusable) = (Vec::new(), Vec::new());
    for node in ready {
        match node.address.parse::<IpAddr>() {
            Ok(address) if AddressSet::is_usable(&address) => addresses.push(address),
            _ => unusable.push(node),
        }
    }
    if addresses.is_empty() {
        return Err(Failure::NoAddress);
    }
    let warning = unusable.first().map(|node| {
        let others = if unusable.len() > 1 { format!(" ({} more)", unusable.len() - 1) } else { String::new() };
        format!("node {:?} has no usable address: {:?}{others}", short(&node.hostname), short(&node.address))
    });
    Ok(Nodes { addresses: AddressSet::of(addresses), warning })
}

/// The usable addresses in the body of a list. The fuzz target calls this.
///
/// # Errors
/// What is wrong with the list.
pub fn addresses_in_list(body: &[u8]) -> Result<AddressSet, String> {
    read(body).map(|nodes| nodes.addresses).map_err(|failure| failure.to_string())
}

/// The beginning of a text from outside, enough to recognise it.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Decides what a list, or the failure of all watches, changes for a source.
pub(in crate::upstream) fn decide(answer: &Result<Nodes, String>) -> Decision {
    match answer {
        Ok(nodes) => Decision { addresses: Some(nodes.addresses.clone()), error: nodes.warning.clone() },
        Err(error) => Decision { addresses: None, error: Some(error.clone()) },
    }
}

/// Returns the delay before the next request, which the watch holds, after `failures` consecutive failures and a
/// request that took `took`. `chance` is a fresh random number from 0.0 to 1.0, so that edges do not retry in lockstep.
pub(super) fn delay(failures: u32, took: Duration, chance: f64) -> Duration {
    if failures == 0 { MIN_INTERVAL.saturating_sub(took) } else { BACKOFF.after(failures, chance) }
}

/// Returns the servers in the order to try them: first the one that responded last, or a random one by `chance`, then
/// the others in a circle.
fn order(servers: &BTreeSet<SocketAddr>, last: Option<SocketAddr>, chance: f64) -> Vec<SocketAddr> {
    let mut order: Vec<_> = servers.iter().copied().collect();
    let first = last.and_then(|last| order.binary_search(&last).ok()).unwrap_or_else(|| {
        let draw = (order.len() as f64 * chance.clamp(0.0, 1.0)).floor();
        // A `chance` of 1.0 draws the last one.
        (0..order.len()).rev().find(|index| *index as f64 <= draw).unwrap_or(0)
    });
    order.rotate_left(first);
    order
}

#[cfg(test)]
mod tests;
