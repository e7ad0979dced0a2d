//! Puts the cluster state together from what the collectors know, and publishes each change of it.

mod deferrable;
mod feed;
mod timeline;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, interval},
};

pub use self::feed::{Feed, Version, VersionDelta};
use crate::{
    cluster_state::{Alert, ClusterState, Disk, Redis, Source},
    edges, engine,
    metrics::Metrics,
};

/// How often a cluster state is published in which nothing but stamps and counts has changed.
const STAMPS: Duration = Duration::from_secs(5);

/// How often what was held back is looked at again.
const TICK: Duration = Duration::from_secs(1);

/// Where the parts of a cluster state come from. Each has a pace of its own, and one that hangs delays none.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Nodes, services and tasks.
    pub engine: watch::Receiver<engine::Observed>,
    /// The count's servers, `None` without.
    pub redis: watch::Receiver<Option<Redis>>,
    /// The edges by address.
    pub edges: watch::Receiver<BTreeMap<String, edges::Seen>>,
    /// Room on disks, by node id.
    pub disks: watch::Receiver<BTreeMap<String, Disk>>,
    /// What the alerts' rules have found.
    pub alerts: watch::Receiver<Arc<BTreeMap<String, Alert>>>,
}

/// Publishes on `feed`, for ever.
pub async fn run(mut inputs: Inputs, feed: Arc<Feed>, metrics: Arc<Metrics>) {
    let mut tick = interval(TICK);
    let mut ids = 0;
    let mut published: Option<Instant> = None;
    loop {
        let before = feed.now().state.clone();
        let mut cluster = assemble(&mut inputs, &feed);
        {
            let observed = inputs.engine.borrow();
            feed.set_fresh(observed.fresh);
            metrics.engine_failures(observed.failures);
        }
        cluster.timeline = before.timeline.clone();
        let now = engine::now();
        for mut event in timeline::events_between(&before, &cluster, now) {
            ids += 1;
            event.id = ids;
            cluster.timeline.push(event);
        }
        let surplus = cluster.timeline.len().saturating_sub(ClusterState::TIMELINE);
        cluster.timeline.drain(..surplus);
        let is_due = published.is_none_or(|at| at.elapsed() >= STAMPS);
        if (is_due || !deferrable::differ_only(&before, &cluster)) && feed.publish(cluster) {
            published = Some(Instant::now());
        }
        tokio::select! {
            _ = tick.tick() => {}
            Ok(()) = inputs.engine.changed() => {}
            Ok(()) = inputs.redis.changed() => {}
            Ok(()) = inputs.edges.changed() => {}
            Ok(()) = inputs.disks.changed() => {}
            Ok(()) = inputs.alerts.changed() => {}
        }
    }
}

/// The newest of everything; without a time line.
fn assemble(inputs: &mut Inputs, feed: &Feed) -> ClusterState {
    let observed = inputs.engine.borrow_and_update().clone();
    let swarm = &observed.swarm;
    let mut nodes = swarm.nodes.clone();
    for (id, disk) in inputs.disks.borrow_and_update().iter() {
        if let Some(node) = nodes.get_mut(id) {
            node.disk = Some(*disk);
        }
    }
    let no_quorum = observed.trouble.as_ref().is_some_and(|failing| failing.trouble == engine::Trouble::NoQuorum);
    let mut quorum = swarm.quorum;
    quorum.lost |= no_quorum;
    let edges = inputs.edges.borrow_and_update();
    ClusterState {
        source: Source {
            instance: feed.instance().to_owned(),
            leader: nodes.get(&observed.node).is_some_and(|node| node.leader) && !no_quorum,
            node: observed.node,
            at: observed.at,
            error: observed.trouble.as_ref().map(|failing| failing.trouble.to_string()),
            failing_since: observed.trouble.as_ref().map(|failing| failing.since),
        },
        quorum,
        redis: inputs.redis.borrow_and_update().clone(),
        edges: edges.iter().map(|(address, seen)| (address.clone(), seen.edge(swarm))).collect(),
        alerts: inputs.alerts.borrow_and_update().as_ref().clone(),
        services: swarm.services.clone(),
        tasks: swarm.tasks.clone(),
        nodes,
        timeline: Vec::new(),
    }
}
