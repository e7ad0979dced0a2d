//! What the answer of a `watch` means for the endpoints of a source: the nodes of its swarm.
//!
//! Pure, as [`discovery`](super) is, and with the same three cases: a list with at least one ready
//! node is the truth; anything else, an empty list too, keeps the last good one, gated by its health checks;
//! nothing ever heard is no endpoint. [`client`] does the asking.
//!
//! The protocol: `GET /api/nodes` is answered by
//!
//! ```json
//! {"version": "7f3a", "nodes": [{"address": "10.10.25.165", "hostname": "serveur17", "ready": true}]}
//! ```
//!
//! and an `ETag`. A question with that tag in `If-None-Match` and with `?wait=SECONDS` is held until something
//! is different or the seconds have passed, which is a 304. 503 means that watch itself does not know just now.
//! `version` is for people; the tag says whether something is different.

pub(crate) mod client;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::StatusCode;
use net::Backoff;
use serde::Deserialize;

use super::{Decision, Known};

/// Bytes of a list that are read at most: ten thousand nodes.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// Between the beginnings of two questions, however fast they are answered. With changes coming one after
/// the other an edge is this much behind, and no more.
const LEAST: Duration = Duration::from_millis(400);

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause. A swarm that has lost all its watches for hours is found again within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The pauses after failures; the jitter keeps edges from asking in step.
const BACKOFF: Backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).jitter(0.5, 1.0);

/// The nodes that requests may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nodes {
    /// Their addresses, at least one of them usable.
    pub(crate) known: Known,
    /// What is odd about the list.
    pub(crate) complaint: Option<String>,
}

/// Why a watch gave no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Connect(std::io::ErrorKind),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("closed before it answered")]
    Closed,
    #[error("not an HTTP answer")]
    NotHttp,
    #[error("status 503: it has no current picture of the swarm")]
    Unready,
    #[error("status {0}: it wants another token")]
    Refused(u16),
    #[error("status {0}")]
    Status(u16),
    #[error("a list of more than {MAX_BODY} bytes")]
    TooLarge,
    #[error("not a list of nodes: {0}")]
    NotAList(serde_json::Error),
    #[error("no node is ready")]
    NobodyReady,
    #[error("no ready node has a usable address")]
    NoAddress,
}

impl Failure {
    /// What a status without a list means.
    pub(crate) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Self::Unready,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused(status.as_u16()),
            other => Self::Status(other.as_u16()),
        }
    }
}

/// The list as it is sent. What else may be in it is left alone.
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

/// Reads the body of a list.
///
/// # Errors
/// It is not a list, or names nobody that requests could go to.
pub(crate) fn read(body: &[u8]) -> Result<Nodes, Failure> {
    let list: List = serde_json::from_slice(body).map_err(Failure::NotAList)?;
    let ready: Vec<_> = list.nodes.iter().filter(|node| node.ready).collect();
    if ready.is_empty() {
        return Err(Failure::NobodyReady);
    }
    let (mut addresses, mut odd) = (Vec::new(), Vec::new());
    for node in ready {
        match node.address.parse::<IpAddr>() {
            Ok(address) if Known::is_usable(&address) => addresses.push(address),
            _ => odd.push(node),
        }
    }
    if addresses.is_empty() {
        return Err(Failure::NoAddress);
    }
    let complaint = odd.first().map(|node| {
        let others = if odd.len() > 1 { format!(" ({} more)", odd.len() - 1) } else { String::new() };
        format!("node {:?} has no usable address, but {:?}{others}", short(&node.hostname), short(&node.address))
    });
    Ok(Nodes { known: Known::of(addresses), complaint })
}

/// Enough of a text from outside to recognise it.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What an answer, or a failure of all that could be asked, makes of a source.
pub(crate) fn decide(answer: &Result<Nodes, String>) -> Decision {
    match answer {
        Ok(nodes) => Decision { known: Some(nodes.known.clone()), error: nodes.complaint.clone() },
        Err(error) => Decision { known: None, error: Some(error.clone()) },
    }
}

/// How long to wait before the next question, which is held by the watch, after `failures` in a row and a
/// question that took `took`. `chance` is drawn anew from 0.0 to 1.0 each time, so that edges do not march
/// in step.
pub(crate) fn pause(failures: u32, took: Duration, chance: f64) -> Duration {
    if failures == 0 { LEAST.saturating_sub(took) } else { BACKOFF.after(failures, chance) }
}

/// Whom to ask, in turn: the one that answered last, or one drawn by `chance`, and from there on all round.
pub(crate) fn turns(servers: &BTreeSet<SocketAddr>, last: Option<SocketAddr>, chance: f64) -> Vec<SocketAddr> {
    let mut turns: Vec<_> = servers.iter().copied().collect();
    let first = last.and_then(|last| turns.binary_search(&last).ok()).unwrap_or_else(|| {
        let draw = (turns.len() as f64 * chance.clamp(0.0, 1.0)).floor();
        // A draw of 1.0 is the last one's.
        (0..turns.len()).rev().find(|index| *index as f64 <= draw).unwrap_or(0)
    });
    turns.rotate_left(first);
    turns
}

#[cfg(test)]
mod tests;
