//! Nodes, managers, and whether the engine answers.

use super::{
    lookup::{is_lost, is_stale, named},
    observation::Observation,
};
use crate::{
    alert::{
        condition::{Condition, Subject, fingerprint},
        rule::{Rule, Rules},
        time,
    },
    cluster_state::{Availability, ClusterState, Millis, Node, NodeRole, Quorum, Severity},
};

/// Adds the conditions of nodes and quorum in a fresh cluster state.
pub(super) fn conditions(cluster: &ClusterState, rules: &Rules, found: &mut Observation) {
    for (id, node) in &cluster.nodes {
        let about = |mut condition: Condition| {
            condition.subject =
                Subject { node: Some(id.clone()), node_name: Some(node.hostname.clone()), ..Subject::default() };
            condition
        };
        if is_lost(node) {
            found.conditions.push(about(down(cluster, id, node)));
        }
        if node.role == NodeRole::Manager && node.reachable == Some(false) {
            let summary = format!("{}: the other managers cannot reach it{}", named(id, node), left(cluster));
            let mut condition = Condition::new(Rule::ManagerUnreachable, id, Severity::Warning, summary);
            // Inhibits the alert while the node is down, but does not resolve it.
            condition.causes = vec![fingerprint(Rule::NodeDown, id)];
            found.conditions.push(about(condition));
        }
        if node.disk.is_none() && node.role == NodeRole::Manager {
            // Its instance reports the disk, and does not while the node is down.
            found.unknown(Rule::Disk, id);
        }
        found.conditions.extend(disk(id, node, rules).map(about));
    }
    at_risk(cluster, found);
}

fn down(cluster: &ClusterState, id: &str, node: &Node) -> Condition {
    let drained = node.availability == Availability::Drain;
    let severity = if drained { Severity::Warning } else { Severity::Critical };
    let mut summary = format!("{} is down", named(id, node));
    if drained {
        summary.push_str(" (drained)");
    }
    if let Some(message) = node.message.as_deref().filter(|message| !message.is_empty()) {
        summary.push_str(": ");
        summary.push_str(message);
    }
    if node.role == NodeRole::Manager {
        summary.push_str(&left(cluster));
    }
    Condition::new(Rule::NodeDown, id, severity, summary)
}

/// Describes what the loss of a manager means, as the end of a sentence.
fn left(cluster: &ClusterState) -> String {
    let quorum = cluster.quorum;
    let mut text = format!("; {} of {} managers are left", quorum.reachable, quorum.managers);
    if is_at_risk(cluster) {
        text.push_str(", one more loss would lose the quorum");
    }
    text
}

fn is_at_risk(cluster: &ClusterState) -> bool {
    let quorum = cluster.quorum;
    let majority = quorum.managers / 2 + 1;
    // A single manager is a decision, not an incident.
    quorum.managers > 1 && quorum.reachable == majority
}

fn at_risk(cluster: &ClusterState, found: &mut Observation) {
    let quorum = cluster.quorum;
    if !is_at_risk(cluster) {
        if quorum.managers > 1 && quorum.reachable <= quorum.managers / 2 {
            // A lost quorum is worse, and not the end of the risk.
            found.unknown(Rule::QuorumAtRisk, "");
        }
        return;
    }
    let summary = format!(
        "{} of {} managers are reachable: one more loss would lose the quorum",
        quorum.reachable, quorum.managers
    );
    let mut condition = Condition::new(Rule::QuorumAtRisk, "swarm", Severity::Warning, summary);
    // The alert about a lost manager describes what the loss means for the quorum.
    let gone = cluster.nodes.iter().filter(|(_, node)| node.role == NodeRole::Manager);
    let gone = gone.filter(|(_, node)| is_lost(node) || node.reachable == Some(false));
    condition.causes =
        gone.flat_map(|(id, _)| [Rule::NodeDown, Rule::ManagerUnreachable].map(|rule| fingerprint(rule, id))).collect();
    found.conditions.push(condition);
}

/// Adds the condition of a lost quorum, which even an engine without a leader can report.
pub(super) fn quorum_lost(cluster: &ClusterState, now: Millis, found: &mut Observation) {
    let quorum = cluster.quorum;
    let is_stale = is_stale(cluster, now);
    if quorum.lost {
        let summary = if is_stale {
            // The last list of nodes is outdated, and the other managers may be healthy.
            let name = source(cluster);
            format!("the engine of {name} finds no leader: the quorum is lost, or this node is cut off")
        } else {
            let Quorum { reachable, managers, .. } = quorum;
            format!(
                "the swarm has lost its quorum: {reachable} of {managers} managers are reachable, nothing can be changed"
            )
        };
        found.conditions.push(Condition::new(Rule::QuorumLost, "swarm", Severity::Critical, summary));
    } else if is_stale {
        found.unknown(Rule::QuorumLost, "");
    }
}

/// Returns the name of this instance's node for people.
fn source(cluster: &ClusterState) -> String {
    let id = &cluster.source.node;
    cluster.nodes.get(id).map_or_else(|| "an unknown node".to_owned(), |node| named(id, node))
}

/// Adds the condition of an engine that reports no newer cluster state.
pub(super) fn stale(cluster: &ClusterState, found: &mut Observation) {
    let source = &cluster.source;
    let node = cluster.nodes.get(&source.node);
    let name = self::source(cluster);
    let since = source.at.map_or_else(|| "the start".to_owned(), time::moment);
    let why = source.error.as_deref().unwrap_or("it does not answer");
    let summary = format!("the engine of {name} has reported no cluster state since {since}: {why}");
    let what = if source.node.is_empty() { &source.instance } else { &source.node };
    let mut condition = Condition::new(Rule::PictureStale, what, Severity::Warning, summary);
    condition.causes = vec![fingerprint(Rule::QuorumLost, "swarm")];
    condition.subject.node = node.map(|_| source.node.clone());
    condition.subject.node_name = node.map(|node| node.hostname.clone());
    found.conditions.push(condition);
}

#[expect(clippy::cast_precision_loss, reason = "a share of a disk needs no more")]
fn disk(id: &str, node: &Node, rules: &Rules) -> Option<Condition> {
    const GIB: f64 = (1_u64 << 30) as f64;
    let disk = node.disk.filter(|disk| disk.total_bytes > 0)?;
    let free = disk.free_bytes as f64 / disk.total_bytes as f64;
    if free >= rules.disk.warning {
        return None;
    }
    let severity = if free < rules.disk.critical { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "{}: {:.1} GiB of the disk's {:.1} GiB are free ({:.0} %)",
        named(id, node),
        disk.free_bytes as f64 / GIB,
        disk.total_bytes as f64 / GIB,
        free * 100.0
    );
    Some(Condition::new(Rule::Disk, id, severity, summary))
}
