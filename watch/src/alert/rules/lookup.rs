//! What several rules ask of a cluster state.

use crate::{
    alert::{condition::fingerprint, rule::Rule},
    cluster_state::{ClusterState, Millis, Node, NodeRole, NodeState},
};

/// An engine that has not answered for so long does not know any more, whatever it says.
const STALE: Millis = 45_000;

/// The engine does not tell how things are now.
#[must_use]
pub fn is_stale(cluster: &ClusterState, now: Millis) -> bool {
    let source = &cluster.source;
    source.error.is_some() || source.at.is_none_or(|at| now - at > STALE)
}

/// Whether the swarm has lost a node. After a change of leaders the new one knows nothing of any node for
/// a while; of one that the managers do not reach either it will hear nothing.
pub(super) fn is_lost(node: &Node) -> bool {
    match node.state {
        NodeState::Down | NodeState::Disconnected => true,
        NodeState::Unknown => node.role == NodeRole::Manager && node.reachable == Some(false),
        NodeState::Ready => false,
    }
}

/// The fingerprints of the node's own alert, if it is lost: what explains trouble on it.
pub(super) fn lost(cluster: &ClusterState, node: &str) -> Option<String> {
    cluster.nodes.get(node).filter(|node| is_lost(node)).map(|_| fingerprint(Rule::NodeDown, node))
}

/// A node's name for people.
pub(super) fn named(id: &str, node: &Node) -> String {
    let name = if node.hostname.is_empty() { id } else { &node.hostname };
    match &node.address {
        Some(address) => format!("{name} ({address})"),
        None => name.to_owned(),
    }
}
