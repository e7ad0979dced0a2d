//! Pure: in which order the instances act.

use crate::{
    alert::rules::is_stale,
    cluster_state::{ClusterState, Millis, NodeRole},
};

/// Returns how many instances act before this one: none before the leader's, and the others in the order of their
/// nodes' ids. An engine that does not answer cannot tell which node leads; then only the order of ids counts. An
/// instance that does not know its node yet acts last.
#[must_use]
pub fn position(cluster: &ClusterState, now: Millis) -> u32 {
    let source = &cluster.source;
    let is_known = !is_stale(cluster, now);
    if is_known && source.leader {
        return 0;
    }
    let managers = cluster.nodes.iter().filter(|(_, node)| node.role == NodeRole::Manager);
    let leader_first = is_known && managers.clone().any(|(_, node)| node.leader);
    let others = managers.filter(|(_, node)| !leader_first || (!node.leader && node.reachable != Some(false)));
    let is_before = |id: &&String| source.node.is_empty() || **id < source.node;
    let before = others.map(|(id, _)| id).take_while(is_before).count();
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(leader_first.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::{Node, Source};

    fn cluster(node: &str, leader: Option<&str>, unreachable: &[&str]) -> ClusterState {
        let manager = |id: &str| Node {
            role: NodeRole::Manager,
            leader: leader == Some(id),
            reachable: Some(!unreachable.contains(&id)),
            ..Node::default()
        };
        ClusterState {
            source: Source { node: node.into(), leader: leader == Some(node), at: Some(1000), ..Source::default() },
            nodes: ["a", "b", "c"].map(|id| (id.to_owned(), manager(id))).into(),
            ..ClusterState::default()
        }
    }

    #[test]
    fn the_leader_comes_first_and_the_others_by_their_ids() {
        let positions =
            |leader, unreachable: &[&str]| ["a", "b", "c"].map(|me| position(&cluster(me, leader, unreachable), 1000));
        assert_eq!(positions(Some("b"), &[]), [1, 0, 2]);
        assert_eq!(positions(Some("c"), &["a"])[1..], [1, 0]);
        assert_eq!(positions(None, &[]), [0, 1, 2]);
    }

    #[test]
    fn an_instance_that_does_not_know_its_node_acts_last() {
        for leader in [Some("b"), None] {
            assert_eq!(position(&cluster("", leader, &[]), 1000), 3);
        }
    }

    #[test]
    fn an_engine_that_does_not_answer_does_not_know_the_leader() {
        for me in ["a", "b", "c"] {
            let mut cluster = cluster(me, Some("c"), &[]);
            cluster.source.error = Some("no quorum".into());
            assert_eq!(position(&cluster, 1000), u32::from(me.as_bytes()[0] - b'a'));
        }
    }
}
