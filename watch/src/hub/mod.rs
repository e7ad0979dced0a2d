//! Assembles the cluster state from the collectors' results and publishes each change.

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
    clock,
    cluster_state::{Alert, ClusterState, Disk, Redis, Source},
    edges, engine,
    metrics::Metrics,
};

/// How often a cluster state is published that differs only in deferrable fields.
const DEFERRED_INTERVAL: Duration = Duration::from_secs(5);

/// How often a deferred change is reconsidered.
const TICK: Duration = Duration::from_secs(1);

/// The sources of a cluster state. Each updates at its own interval, and one that hangs delays no other.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Nodes, services and tasks.
    pub engine: watch::Receiver<engine::Observed>,
    /// The counter's Redis servers; `None` if not configured.
    pub redis: watch::Receiver<Option<Redis>>,
    /// Edges by address.
    pub edges: watch::Receiver<BTreeMap<String, edges::Observed>>,
    /// Disk space by node id.
    pub disks: watch::Receiver<BTreeMap<String, Disk>>,
    /// Alerts by fingerprint.
    pub alerts: watch::Receiver<Arc<BTreeMap<String, Alert>>>,
}

/// Publishes on `feed`, forever.
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
            metrics.set_engine_failures(observed.failures);
        }
        cluster.timeline = before.timeline.clone();
        let now = clock::now();
        for mut event in timeline::events_between(&before, &cluster, now) {
            ids += 1;
            event.id = ids;
            cluster.timeline.push(event);
        }
        let surplus = cluster.timeline.len().saturating_sub(ClusterState::TIMELINE);
        cluster.timeline.drain(..surplus);
        let is_due = published.is_none_or(|at| at.elapsed() >= DEFERRED_INTERVAL);
        if (is_due || !deferrable::is_deferrable(&before, &cluster)) && feed.publish(cluster) {
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

/// Assembles the newest data, without a time line.
fn assemble(inputs: &mut Inputs, feed: &Feed) -> ClusterState {
    let observed = inputs.engine.borrow_and_update().clone();
    let swarm = &observed.swarm;
    let mut nodes = swarm.nodes.clone();
    for (id, disk) in inputs.disks.borrow_and_update().iter() {
        if let Some(node) = nodes.get_mut(id) {
            node.disk = Some(*disk);
        }
    }
    let no_quorum = observed.failure.as_ref().is_some_and(|failure| failure.error == engine::EngineError::NoQuorum);
    let mut quorum = swarm.quorum;
    quorum.lost |= no_quorum;
    let edges = inputs.edges.borrow_and_update();
    ClusterState {
        source: Source {
            instance: feed.instance().to_owned(),
            leader: nodes.get(&observed.node).is_some_and(|node| node.leader) && !no_quorum,
            node: observed.node,
            at: observed.at,
            error: observed.failure.as_ref().map(|failure| failure.error.to_string()),
            failing_since: observed.failure.as_ref().map(|failure| failure.since),
        },
        quorum,
        redis: inputs.redis.borrow_and_update().clone(),
        edges: edges.iter().map(|(address, edge)| (address.clone(), edge.on(swarm))).collect(),
        alerts: inputs.alerts.borrow_and_update().as_ref().clone(),
        services: swarm.services.clone(),
        tasks: swarm.tasks.clone(),
        nodes,
        timeline: Vec::new(),
    }
}
