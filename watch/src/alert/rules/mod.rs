//! Pure: what is wrong in a cluster state.
//!
//! Every instance finds the same trouble under the same fingerprint, whichever engine it asks. What a
//! cluster state does not tell is neither wrong nor right: [`Observation::unknown`] names it, and alerts about
//! it stay as they are.

mod edges;
mod nodes;
mod redis;
mod restarts;
mod services;
#[cfg(test)]
mod tests;

pub use self::restarts::{LONGEST_WINDOW, Restarts};
use super::{
    condition::{Condition, fingerprint},
    rule::{Rule, Rules},
};
use crate::cluster_state::{ClusterState, Millis, Node, NodeRole, NodeState, Severity};

/// An engine that has not answered for so long does not know any more, whatever it says.
const STALE: Millis = 45_000;

/// What was found in one cluster state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// What is wrong.
    pub conditions: Vec<Condition>,
    /// Beginnings of the fingerprints about which nothing is known.
    pub unknown: Vec<String>,
}

impl Observation {
    /// Whether the cluster state tells about this trouble at all.
    #[must_use]
    pub fn knows(&self, fingerprint: &str) -> bool {
        !self.unknown.iter().any(|beginning| fingerprint.starts_with(beginning.as_str()))
    }

    fn unknown(&mut self, rule: Rule, what: &str) {
        self.unknown.push(fingerprint(rule, what));
    }
}

/// Everything that is wrong in `cluster`.
#[must_use]
pub fn conditions(cluster: &ClusterState, restarts: &Restarts, rules: &Rules, now: Millis) -> Observation {
    let mut found = Observation::default();
    if is_stale(cluster, now) {
        use Rule::{
            Certificate, CrashLoop, Disk, EdgeDown, EdgePool, ManagerUnreachable, NodeDown, QuorumAtRisk, RedisMaster,
            RedisReplica, SelfSigned, ServiceBelow, UpdateFailed,
        };
        for rule in [NodeDown, ManagerUnreachable, QuorumAtRisk, ServiceBelow, UpdateFailed, CrashLoop, Disk] {
            found.unknown(rule, "");
        }
        // A node that is cut off reaches neither Redis nor edges, and takes itself for all that is left. Who is
        // not cut off tells of them; if nobody is, the lost quorum is what has to be told.
        for rule in [RedisMaster, RedisReplica, EdgePool, EdgeDown, Certificate, SelfSigned] {
            found.unknown(rule, "");
        }
        nodes::stale(cluster, &mut found);
    } else {
        nodes::conditions(cluster, rules, &mut found);
        services::conditions(cluster, restarts, rules, now, &mut found);
        redis::conditions(cluster, &mut found);
        edges::conditions(cluster, rules, now, &mut found);
    }
    nodes::quorum_lost(cluster, now, &mut found);
    found.conditions.retain_mut(|condition| {
        let setting = rules.of(condition.rule);
        condition.severity = setting.severity.unwrap_or(condition.severity);
        setting.enabled
    });
    found
}

/// The engine does not tell how things are now.
#[must_use]
pub fn is_stale(cluster: &ClusterState, now: Millis) -> bool {
    let source = &cluster.source;
    source.error.is_some() || source.at.is_none_or(|at| now - at > STALE)
}

/// Whether the swarm has lost a node. After a change of leaders the new one knows nothing of any node for
/// a while; of one that the managers do not reach either it will hear nothing.
fn is_lost(node: &Node) -> bool {
    match node.state {
        NodeState::Down | NodeState::Disconnected => true,
        NodeState::Unknown => node.role == NodeRole::Manager && node.reachable == Some(false),
        NodeState::Ready => false,
    }
}

/// The fingerprints of the node's own alert, if it is lost: what explains trouble on it.
fn lost(cluster: &ClusterState, node: &str) -> Option<String> {
    cluster.nodes.get(node).filter(|node| is_lost(node)).map(|_| fingerprint(Rule::NodeDown, node))
}

/// A node's name for people.
fn named(id: &str, node: &Node) -> String {
    let name = if node.hostname.is_empty() { id } else { &node.hostname };
    match &node.address {
        Some(address) => format!("{name} ({address})"),
        None => name.to_owned(),
    }
}

/// `severity`, or `worse` where the second is so.
fn severity(is_worse: bool, worse: Severity, severity: Severity) -> Severity {
    if is_worse { worse } else { severity }
}
