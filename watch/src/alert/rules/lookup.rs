//! What several rules look up in a cluster state.

use crate::{
    alert::{condition::fingerprint, rule::Rule},
    cluster_state::{ClusterState, Millis, Node, NodeRole, NodeState},
};

/// An engine that has not answered for this long no longer knows the state of the swarm.
const STALE: Millis = 45_000;

/// The engine does not report the current state.
#[must_use]
pub fn is_stale(cluster: &ClusterState, now: Millis) -> bool {
    let source = &cluster.source;
    source.error.is_some() || source.at.is_none_or(|at| now - at > STALE)
}

/// Whether the swarm has lost a node. After a change of leaders the new leader knows the state of no node for a
/// while. It will never hear of a manager that the others cannot reach either.
pub(super) fn is_lost(node: &Node) -> bool {
    match node.state {
        NodeState::Down | NodeState::Disconnected => true,
        NodeState::Unknown => node.role == NodeRole::Manager && node.reachable == Some(false),
        NodeState::Ready => false,
    }
}

/// Returns the fingerprint of the node's own alert if the node is lost: the cause of failures on it.
pub(super) fn lost(cluster: &ClusterState, node: &str) -> Option<String> {
    cluster.nodes.get(node).filter(|node| is_lost(node)).map(|_| fingerprint(Rule::NodeDown, node))
}

/// Returns a node's name for people.
pub(super) fn named(id: &str, node: &Node) -> String {
    let name = if node.hostname.is_empty() { id } else { &node.hostname };
    match &node.address {
        Some(address) => format!("{name} ({address})"),
        None => name.to_owned(),
    }
}
