//! Which changes can be deferred: those that every poll brings. Pure.

use crate::cluster_state::{ClusterState, Delta, Edge, Redis};

/// Whether the states differ only in times of the last response, request counts of edges, replication lag and
/// free disk space.
pub(super) fn is_deferrable(before: &ClusterState, after: &ClusterState) -> bool {
    let delta = Delta::between(before, after);
    let source = delta.source.as_ref().is_none_or(|source| {
        let mut source = source.clone();
        ignore(&mut source.at, before.source.at);
        source == before.source
    });
    let nodes = delta.nodes.iter().all(|(id, node)| match (before.nodes.get(id), node) {
        (Some(before), Some(node)) => {
            let mut node = node.clone();
            ignore(&mut node.disk, before.disk);
            node == *before
        }
        _ => false,
    });
    let redis = delta.redis.as_ref().is_none_or(|redis| match (&before.redis, redis) {
        (Some(before), Some(redis)) => same_redis(before, redis),
        _ => false,
    });
    let edges = delta.edges.iter().all(|(address, edge)| match (before.edges.get(address), edge) {
        (Some(before), Some(edge)) => same_edge(before, edge),
        _ => false,
    });
    let rest = Delta { source: None, nodes: Default::default(), redis: None, edges: Default::default(), ..delta };
    source && nodes && redis && edges && rest.is_empty()
}

/// Reverts a change of a value; a value that appears or disappears is not deferrable.
fn ignore<T: Copy>(after: &mut Option<T>, before: Option<T>) {
    if after.is_some() && before.is_some() {
        *after = before;
    }
}

fn same_redis(before: &Redis, after: &Redis) -> bool {
    let mut after = after.clone();
    ignore(&mut after.at, before.at);
    for (server, before) in after.servers.iter_mut().zip(&before.servers) {
        ignore(&mut server.lag_bytes, before.lag_bytes);
    }
    after == *before
}

fn same_edge(before: &Edge, after: &Edge) -> bool {
    let mut after = after.clone();
    ignore(&mut after.at, before.at);
    after.requests = before.requests;
    after == *before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::{Disk, Event, Node, RedisServer};

    fn cluster() -> ClusterState {
        let mut cluster = ClusterState::default();
        cluster.source.at = Some(1);
        let disk = Some(Disk { total_bytes: 10, free_bytes: 5 });
        cluster.nodes.insert("a".to_owned(), Node { disk, ..Node::default() });
        cluster.edges.insert("e".to_owned(), Edge { at: Some(1), ..Edge::default() });
        let servers = vec![RedisServer { lag_bytes: Some(0), ..RedisServer::default() }];
        cluster.redis = Some(Redis { at: Some(1), count: Some(1), servers, ..Redis::default() });
        cluster
    }

    #[test]
    fn only_times_counts_lag_and_free_space_are_deferrable() {
        let before = cluster();
        let changed = |change: fn(&mut ClusterState)| {
            let mut after = cluster();
            change(&mut after);
            assert_ne!(before, after);
            is_deferrable(&before, &after)
        };
        assert!(changed(|p| p.source.at = Some(2)));
        assert!(changed(|p| p.nodes.get_mut("a").unwrap().disk.as_mut().unwrap().free_bytes = 4));
        assert!(changed(|p| p.edges.get_mut("e").unwrap().requests = 9));
        assert!(changed(|p| p.redis.as_mut().unwrap().servers[0].lag_bytes = Some(7)));
        assert!(changed(|p| p.redis.as_mut().unwrap().at = Some(7)));

        assert!(!changed(|p| p.source.error = Some("gone".to_owned())));
        assert!(!changed(|p| p.nodes.get_mut("a").unwrap().leader = true));
        assert!(!changed(|p| p.nodes.get_mut("a").unwrap().disk = None));
        assert!(!changed(|p| p.nodes.clear()));
        assert!(!changed(|p| p.edges.get_mut("e").unwrap().ready = true));
        assert!(!changed(|p| p.redis.as_mut().unwrap().count = Some(2)));
        assert!(!changed(|p| p.redis = None));
        assert!(!changed(|p| p.timeline.push(Event { id: 1, ..Event::default() })));
        let mut first = cluster();
        first.source.at = None;
        assert!(!is_deferrable(&first, &before));
    }
}
