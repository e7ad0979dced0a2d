//! `/api/nodes`: the swarm's nodes, for load balancers in front of them. A request with the tag of the known
//! version and `wait` is a long poll: the response comes when the version changes.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::{
    response::{self, Response, tagged, unavailable},
    web::Web,
};
use crate::cluster_state::ClusterState;

/// Longest wait for a change.
const MAX_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct Nodes<'a> {
    version: &'a str,
    nodes: Vec<Entry<'a>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Entry<'a> {
    address: &'a str,
    hostname: &'a str,
    ready: bool,
}

/// Returns the body and its version, a hash of the content: every instance computes the same version for the
/// same nodes.
fn nodes(cluster: &ClusterState) -> (String, Bytes) {
    let known = cluster.nodes.values().filter_map(|node| Some((node.address.as_deref()?, node)));
    let entries = known.map(|(address, node)| Entry { address, hostname: &node.hostname, ready: node.is_ready() });
    let mut nodes: Vec<_> = entries.collect();
    nodes.sort();
    let line = |entry: &Entry<'_>| format!("{} {} {}\n", entry.address, entry.hostname, entry.ready);
    let content: String = nodes.iter().map(line).collect();
    let version = format!("{:016x}", fnv(content.as_bytes()));
    let body = serde_json::to_vec(&Nodes { version: &version, nodes }).unwrap_or_default();
    (version, body.into())
}

/// The 64-bit hash FNV-1a, the same in every version of this program.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Web {
    pub(super) async fn nodes<B>(&self, request: &Request<B>, client: IpAddr) -> Response {
        let Some(wait) = wait(request.uri().query()) else {
            return response::text(http::StatusCode::BAD_REQUEST, "wait must be a number of seconds, at most 30\n");
        };
        let end = Instant::now() + wait;
        let mut versions = self.feed.versions();
        let mut stopping = self.stopping.subscribe();
        let mut permit = None;
        loop {
            // Without a recent response of the engine, a change may have been missed.
            if !self.feed.is_fresh(self.limits.fresh) || *stopping.borrow() {
                return unavailable("the state of the nodes is outdated\n");
            }
            let (version, body) = nodes(&versions.borrow_and_update().state);
            let tag = format!("\"{version}\"");
            if !response::matches(request, &tag) || Instant::now() >= end {
                return tagged(request, &tag, || body);
            }
            if permit.is_none() {
                permit = self.waits.open(client).ok();
                if permit.is_none() {
                    return tagged(request, &tag, || body);
                }
            }
            let change = async {
                tokio::select! {
                    _ = versions.changed() => {}
                    _ = stopping.changed() => {}
                    () = self.outdated() => {}
                }
            };
            // The loop checks the deadline.
            let _elapsed = timeout_at(end, change).await;
        }
    }

    /// Completes when the engine's last response is too old.
    async fn outdated(&self) {
        let mut fresh = self.feed.freshness();
        loop {
            let Some(at) = *fresh.borrow_and_update() else { return };
            tokio::select! {
                _ = fresh.changed() => {}
                () = tokio::time::sleep_until(at + self.limits.fresh + Duration::from_millis(1)) => return,
            }
        }
    }
}

/// Parses the time to wait; `None` if it is malformed or too long.
fn wait(query: Option<&str>) -> Option<Duration> {
    let Some(query) = query else { return Some(Duration::ZERO) };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    match pairs.filter(|(name, _value)| *name == "wait").map(|(_name, value)| value).next_back() {
        None => Some(Duration::ZERO),
        Some(value) => value.parse().ok().map(Duration::from_secs).filter(|wait| *wait <= MAX_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::{Availability, Node, NodeState};

    #[test]
    fn nodes_with_an_address_are_listed_in_a_fixed_order_with_a_version() {
        let node = |hostname: &str, address: Option<&str>, state, availability| Node {
            hostname: hostname.to_owned(),
            address: address.map(str::to_owned),
            state,
            availability,
            ..Node::default()
        };
        let mut cluster = ClusterState::default();
        for (id, node) in [
            ("z", node("a", Some("10.0.0.1"), NodeState::Ready, Availability::Active)),
            ("y", node("b", Some("10.0.0.2"), NodeState::Ready, Availability::Drain)),
            ("x", node("c", Some("10.0.0.3"), NodeState::Down, Availability::Active)),
            ("w", node("d", None, NodeState::Ready, Availability::Active)),
            ("v", node("e", Some("10.0.0.4"), NodeState::Ready, Availability::Pause)),
        ] {
            cluster.nodes.insert(id.to_owned(), node);
        }
        let (version, body) = nodes(&cluster);
        let expected = format!(
            r#"{{"version":"{version}","nodes":[{},{},{},{}]}}"#,
            r#"{"address":"10.0.0.1","hostname":"a","ready":true}"#,
            r#"{"address":"10.0.0.2","hostname":"b","ready":false}"#,
            r#"{"address":"10.0.0.3","hostname":"c","ready":false}"#,
            r#"{"address":"10.0.0.4","hostname":"e","ready":true}"#,
        );
        assert_eq!(body, expected);
        cluster.nodes.get_mut("z").unwrap().leader = true;
        assert_eq!(nodes(&cluster).0, version, "fields that are not listed do not change the version");
        cluster.nodes.get_mut("z").unwrap().state = NodeState::Down;
        assert_ne!(nodes(&cluster).0, version);
    }

    #[test]
    fn after_a_leader_change_nodes_stay_ready_unless_the_managers_cannot_reach_them() {
        let ready =
            |state, reachable, availability| Node { state, reachable, availability, ..Node::default() }.is_ready();
        for (reachable, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
            assert_eq!(ready(NodeState::Unknown, reachable, Availability::Active), expected, "{reachable:?}");
            assert!(!ready(NodeState::Unknown, reachable, Availability::Drain));
            assert!(!ready(NodeState::Down, reachable, Availability::Active));
            assert!(ready(NodeState::Ready, reachable, Availability::Active));
        }
    }

    #[test]
    fn a_wait_is_at_most_thirty_seconds() {
        for (query, seconds) in [
            (None, Some(0)),
            (Some("a=b"), Some(0)),
            (Some("wait=30"), Some(30)),
            (Some("wait=31"), None),
            (Some("wait=-1"), None),
            (Some("wait=soon"), None),
            (Some("wait="), None),
        ] {
            assert_eq!(wait(query), seconds.map(Duration::from_secs), "{query:?}");
        }
    }
}
